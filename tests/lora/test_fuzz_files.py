"""Thousands of damaged adapter folders: each is refused in words, or loads what is in it, and nothing hangs.

What our own folders may load after damage is exactly what was saved, since ``labkit.json`` has the checksums of the
other two files. PEFT's have none, so there a reading of the bytes that shares no code with labkit says what is right.
"""

import json
import os
import pickle
import re
import shutil
import signal
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import peft
import pytest
import torch
from adapted import adapted, portrait, randomise
from conftest import make_tiny_llama, sampled

from labkit.errors import AdapterError
from labkit.lora.bank import AdapterBank
from labkit.lora.config import LoraConfig
from labkit.lora.files import ABOUT_FILE, CONFIG_FILE, WEIGHTS_FILE, load_adapter, save_adapter
from labkit.lora.inject import lora_layers
from labkit.model_facts import note
from labkit.storage import untrusted

FIELDS = {"target_modules": ["q_proj", "v_proj"], "r": 4, "lora_alpha": 6, "rank_pattern": {"v_proj": 2}}
FILES = (CONFIG_FILE, WEIGHTS_FILE, ABOUT_FILE)
CASES, CHUNK = 2160, 216  # 80 of each kind, eight of them in a chunk


# ---- what can happen to a folder: each takes the folder and a source of chance


def parts_of(file: Path) -> tuple[dict, bytes]:
    """The header and the data of a safetensors file, read by hand."""
    content = file.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def put_together(file: Path, header: dict | str, data: bytes) -> None:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)


def any_file(folder: Path, chance: Random) -> Path:
    return folder / chance.choice([name for name in FILES if (folder / name).exists()])


def truncated(folder, chance):
    file = any_file(folder, chance)
    os.truncate(file, chance.randrange(file.stat().st_size - 1))  # a config may well lose its last line break


def flipped_bit(folder, chance):
    file = any_file(folder, chance)
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def flipped_bits_in_the_header(folder, chance):
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    for _ in range(chance.randint(1, 4)):
        content[chance.randrange(8 + int.from_bytes(content[:8], "little") % 4096)] ^= 1 << chance.randrange(8)
    (folder / WEIGHTS_FILE).write_bytes(content)


def flipped_bits_in_the_data(folder, chance):
    header, data = parts_of(folder / WEIGHTS_FILE)
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    for _ in range(chance.randint(1, 4)):
        content[-chance.randint(1, len(data))] ^= 1 << chance.randrange(8)
    (folder / WEIGHTS_FILE).write_bytes(content)


def another_header_length(folder, chance):
    content = (folder / WEIGHTS_FILE).read_bytes()
    length = chance.choice([0, 1, 2**63 - 1, 2**64 - 1, 10**8, len(content), chance.randrange(len(content))])
    (folder / WEIGHTS_FILE).write_bytes(length.to_bytes(8, "little") + content[8:])


def random_bytes(folder, chance):
    any_file(folder, chance).write_bytes(chance.randbytes(chance.choice([0, 7, 8, 9, 100, 4096])))


def pickled(folder, chance):
    (folder / chance.choice(FILES[:2])).write_bytes(pickle.dumps({"a": [1.0]}, protocol=chance.randint(0, 5)))


def changed_weights(change):
    """A mutation of the header, and of the data that goes with it, of one tensor."""

    def mutation(folder, chance):
        header, data = parts_of(folder / WEIGHTS_FILE)
        key = chance.choice([key for key in header if key != "__metadata__"])
        put_together(folder / WEIGHTS_FILE, *change(header, data, key, chance))

    return mutation


def _other_shape(header, data, key, chance):
    rows, columns = header[key]["shape"]
    header[key]["shape"] = chance.choice(
        [
            [columns, rows],
            [rows * columns],
            [rows, columns, 1],
            [rows + 1, columns],
            [0, 10**12],
            [-1],
            [],
            [2**62, 2**62],
        ]
    )
    return header, data


def _other_dtype(header, data, key, chance):
    header[key]["dtype"] = chance.choice(["I32", "U32", "BF16", "F64", "F8_E4M3", "BOOL", "C64", "nonsense", None, 5])
    return header, data


def _no_number(header, data, key, chance):
    begin, end = header[key]["data_offsets"]
    at = chance.randrange(begin, end, 4)
    value = np.float32(chance.choice([np.nan, np.inf, -np.inf])).tobytes()
    return header, data[:at] + value + data[at + 4 :]


def _less(header, data, key, chance):
    begin, end = header.pop(key)["data_offsets"]
    for entry in (entry for name, entry in header.items() if name != "__metadata__"):
        entry["data_offsets"] = [at - (end - begin) if at >= end else at for at in entry["data_offsets"]]
    return header, data[:begin] + data[end:]


STRAYS = [
    "lora_A",
    "../../../etc/passwd",
    "base_model.model.lm_head.weight",
    "\x1b[2J\r\n",
    "a" * 100_000,
    "",
    "\u202e",
]


def _more(header, data, key, chance):
    header[chance.choice(STRAYS)] = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
    return header, data + bytes(4)


def _renamed(header, data, key, chance):
    header[chance.choice([*STRAYS, key + ".", "../" + key, key.replace("q_proj", "k_proj") + "x"])] = header.pop(key)
    return header, data


def _overlapping(header, data, key, chance):
    other = chance.choice([name for name in header if name not in ("__metadata__", key)])
    header[key]["data_offsets"] = header[other]["data_offsets"]
    return header, data


def _twice_in_the_header(header, data, key, chance):
    entry = json.dumps({key: {**header[key], "data_offsets": [len(data), len(data) + 4], "shape": [1]}})
    return json.dumps(header)[:-1] + ", " + entry[1:], data + bytes(4)


def _trailing(header, data, key, chance):
    return header, data + chance.randbytes(chance.randint(1, 64))


def changed_json(change):
    def mutation(folder, chance):
        file = folder / chance.choice([CONFIG_FILE, ABOUT_FILE] if (folder / ABOUT_FILE).exists() else [CONFIG_FILE])
        file.write_bytes(change(file.read_bytes(), chance))

    return mutation


def nested(text, chance):
    """Around where Python gives up, too: there reading may succeed and showing what was read may not."""
    depth = chance.choice([1, 10, 500, 100_000, *range(900, 1000, 7)])
    opening, closing = chance.choice([("[", "]"), ('{"a":', "}")])
    inside = opening * depth + "0" + closing * depth
    return text.replace(b"{", b'{"nested": ' + inside.encode() + b",", 1)


def not_utf8(text, chance):
    return chance.choice([b"\xff\xfe", b"\x80"]) + text


def with_a_bom(text, chance):
    return b"\xef\xbb\xbf" + text


VALUES = [
    *(None, True, False, 0, -1, 3, 10**9, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", "8", "q_proj", "(", "[", "\ud800", "a" * 50_000, ".*q_proj", "all-linear", "..", "/"),
    *([], [0], ["q_proj"], ["q_proj", None], [["q_proj"]], [".."], [""], {}, {"q_proj": 1}, {"a": {"b": []}}),
]


def another_value(folder, chance):
    fields = json.loads((folder / CONFIG_FILE).read_text())
    fields[chance.choice([*fields, "use_tomorrow", "\x1b[2J", "\ud800"])] = chance.choice(VALUES)
    (folder / CONFIG_FILE).write_text(json.dumps(fields))


def a_value_given_twice(folder, chance):
    text = (folder / CONFIG_FILE).read_text()
    (folder / CONFIG_FILE).write_text(text.replace("{", chance.choice(['{"r": 2,', '{"lora_alpha": 60,']), 1))


def a_link(folder, chance):
    file = any_file(folder, chance)
    file.unlink()
    targets = [file.name, "nowhere", "..", "/dev/zero", "/dev/null", "/dev/tty", "pipe", "/proc/self/mem"]
    target = chance.choice(targets)
    if target == "pipe":
        os.mkfifo(folder / "pipe")
    file.symlink_to(target)


def a_folder_or_a_pipe(folder, chance):
    file = any_file(folder, chance)
    file.unlink()
    chance.choice([os.mkdir, os.mkfifo])(file)


def gone(folder, chance):
    (folder / chance.choice(FILES[:2])).unlink()


def enormous(folder, chance):
    file = any_file(folder, chance)
    os.truncate(file, 2**36)  # 64 GiB of nothing, which the disk need not have


def a_link_to_the_same(folder, chance):
    file = any_file(folder, chance)
    aside = file.rename(folder / "elsewhere")
    file.symlink_to(aside if chance.random() < 0.5 else aside.name)


def company(folder, chance):
    (folder / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    (folder / ".." / "stray").mkdir(exist_ok=True)


SURELY_REFUSED = {
    **{f.__name__: f for f in (truncated, another_header_length, random_bytes, pickled, gone, enormous)},
    **{f.__name__: f for f in (a_value_given_twice, a_link, a_folder_or_a_pipe)},
    **{
        f.__name__: changed_weights(f)
        for f in (_other_shape, _no_number, _less, _more, _renamed, _overlapping, _twice_in_the_header, _trailing)
    },
    "not_utf8": changed_json(not_utf8),
}
PERHAPS = {
    **{f.__name__: f for f in (flipped_bit, flipped_bits_in_the_header, flipped_bits_in_the_data, another_value)},
    "_other_dtype": changed_weights(_other_dtype),
    "nested": changed_json(nested),
}
SURELY_LOADED = {f.__name__: f for f in (a_link_to_the_same, company)} | {"with_a_bom": changed_json(with_a_bom)}
MUTATIONS = SURELY_REFUSED | PERHAPS | SURELY_LOADED


# ---- what must be so afterwards


def as_written(folder: Path) -> dict[str, bytes]:
    """What the folder says, in float32 and in the order of the names: by hand, nothing of labkit in it."""
    header, data = parts_of(folder / WEIGHTS_FILE)
    widths = {"F32": np.float32, "F16": np.float16, "F64": np.float64}
    found = {}
    for key, entry in header.items():
        if key != "__metadata__":
            raw = data[slice(*entry["data_offsets"])]
            numbers = (
                (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
                if entry["dtype"] == "BF16"
                else np.frombuffer(raw, widths[entry["dtype"]])
            )
            found[key.removeprefix("base_model.model.")] = numbers.astype(np.float32).tobytes()
    return found


def as_loaded(model: torch.nn.Module) -> dict[str, bytes]:
    return {name: p.detach().numpy().tobytes() for name, p in model.named_parameters() if "lora_" in name}


def scalings(folder: Path, model: torch.nn.Module) -> dict[str, float]:
    fields = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8-sig"))
    return {
        name: (fields.get("alpha_pattern") or {}).get(name.split(".")[-1], fields.get("lora_alpha", 8))
        / (lambda r: r**0.5 if fields.get("use_rslora") else r)(layer.r)
        for name, layer in lora_layers(model)
    }


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> dict[str, Path]:
    path = tmp_path_factory.mktemp("pristine")
    ours = adapted(LoraConfig(**FIELDS))
    note(ours, base_name="someone/model", fingerprint="f00d")
    theirs = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(**FIELDS))
    randomise(theirs)
    theirs.save_pretrained(path / "peft")
    (path / "peft" / "README.md").unlink()
    return {"ours": save_adapter(ours, path / "ours"), "peft": path / "peft"}


def fresh_base() -> torch.nn.Module:
    model = make_tiny_llama().train()
    note(model, fingerprint="f00d")
    model.lm_head.requires_grad_(False)  # so that there are both kinds to be left alone
    return model


@pytest.fixture(autouse=True)
def nothing_hangs():
    """A read that waits for ever, or a regular expression that does, ends the test and not the patience."""

    def give_up(*_):
        raise TimeoutError("still reading after two minutes")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusal_of(act, folder: Path) -> str | None:
    try:
        act()
    except AdapterError as refusal:
        assert re.match(rf"{re.escape(str(folder))}/({'|'.join(map(re.escape, FILES))}): \S", str(refusal))
        assert str(refusal).isprintable() and len(str(refusal)) < 1500
        return str(refusal)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("first", sampled(range(0, CASES, CHUNK)))
def test_a_damaged_folder_is_refused_or_loads_what_is_in_it(first, pristine, tmp_path):
    base, bank = fresh_base(), AdapterBank(fresh_base())
    before, before_bank = portrait(base), portrait(bank.model)
    for case in range(first, first + CHUNK):
        chance = Random(case)
        name, kind = list(MUTATIONS)[case % len(MUTATIONS)], chance.choice(list(pristine))
        folder = shutil.copytree(pristine[kind], tmp_path / str(case) / "adapter")
        MUTATIONS[name](folder, chance)
        what = f"case {case}: {name} of {kind}"

        refusal = refusal_of(partial(load_adapter, base, folder), folder)
        from_bank = refusal_of(partial(bank.add, "new", folder), folder)
        # what safetensors says of a file with two faults depends on chance: it stands in brackets
        assert (refusal and refusal.split(" (")[0]) == (from_bank and from_bank.split(" (")[0]), what
        assert portrait(bank.model) == before_bank, what
        if refusal is not None:
            assert portrait(base) == before and bank.names == [], what
            assert name not in SURELY_LOADED, f"{what}: {refusal}"
            continue
        assert name not in SURELY_REFUSED, what
        right = pristine["ours"] if kind == "ours" else folder
        assert as_loaded(base) == as_written(right), what
        assert {n: layer.scaling for n, layer in lora_layers(base)} == scalings(right, base), what
        base = fresh_base()
        before = portrait(base)
        bank.remove("new")


ENDLESS = {
    "target_modules": r"(.*)*!",
    "exclude_modules": r"((\w)|([a-z.]))*!",
    "rank_pattern": {r"((.+)+\.?)+~": 4},
    "alpha_pattern": {r"(?:.?){60}(?:.?){60}!": 4},
    "layers_pattern": r"(\w*\.*)*!",
}
# nothing is repeated here
ENDLESS_ALIKE = {"rank_pattern": {"(.|[^!])(.|[^!])" * 18 + "!": 4}}


@pytest.mark.slow  # each waits until the time that it has is over
@pytest.mark.parametrize("field, given", [*ENDLESS.items(), *ENDLESS_ALIKE.items()])
def test_a_regular_expression_that_finds_no_end_is_refused(field, given, pristine, tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, "PATTERN_SECONDS", 1.0)
    folder = shutil.copytree(pristine["peft"], tmp_path / "adapter")
    fields = json.loads((folder / CONFIG_FILE).read_text())
    needed = {"layers_to_transform": [0]} if field == "layers_pattern" else {}
    (folder / CONFIG_FILE).write_text(json.dumps(fields | {field: given} | needed))
    base = fresh_base()
    before = portrait(base)
    refusal = refusal_of(partial(load_adapter, base, folder), folder)
    assert "finds no end here" in refusal and portrait(base) == before


@pytest.mark.parametrize("pattern", [r".*\.(q|v)_proj", r"(?:.*?(?:self_attn|attn).*?(?:q_proj|v_proj).*?)|(?:x{1,}y)"])
def test_an_honest_regular_expression_is_not(pattern, tmp_path):
    theirs = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(target_modules=pattern))
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    base = load_adapter(fresh_base(), tmp_path)
    assert as_loaded(base) == as_written(tmp_path)


def test_the_damage_that_cannot_be_seen_in_pefts_folder_is_seen_in_ours(pristine, tmp_path):
    """Why there are checksums: one flipped bit in a number leaves a file that is right in every other way."""
    for kind, path in pristine.items():
        folder = shutil.copytree(path, tmp_path / kind)
        content = bytearray((folder / WEIGHTS_FILE).read_bytes())
        content[-2] ^= 1
        (folder / WEIGHTS_FILE).write_bytes(content)
    model = load_adapter(fresh_base(), tmp_path / "peft")
    assert as_loaded(model) != as_written(pristine["peft"])
    with pytest.raises(AdapterError, match=f"{WEIGHTS_FILE}: damaged, or changed since {ABOUT_FILE} was written"):
        load_adapter(fresh_base(), tmp_path / "ours")
