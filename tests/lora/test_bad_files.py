"""A bad adapter gives one AdapterError that names file and cause, and leaves the model as it was."""

import json
import pickle
import re
import shutil
from pathlib import Path

import pytest
import torch
from adapted import adapted, logits, untouched
from conftest import make_tiny_llama
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from labkit.errors import AdapterError
from labkit.lora.config import LoraConfig
from labkit.lora.files import ABOUT_FILE, CONFIG_FILE, WEIGHTS_FILE, load_adapter, read_about, save_adapter
from labkit.lora.inject import lora_layers
from labkit.model_facts import note

KEY = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight"


def adapter() -> torch.nn.Module:
    model = adapted(LoraConfig(target_modules=["q_proj", "v_proj"]))
    note(model, base_name="someone/model", fingerprint="f00d")
    return model


@pytest.fixture
def folder(tmp_path) -> Path:
    return save_adapter(adapter(), tmp_path / "adapter")


def refused(folder: Path, file: str, cause: str, model: torch.nn.Module | None = None) -> None:
    """Loading names the file and the cause, whatever mode the model is in, and the model is as it was."""
    for each in [model] if model is not None else [make_tiny_llama(), make_tiny_llama().train()]:
        with untouched(each), pytest.raises(AdapterError, match=rf"{re.escape(str(folder / file))}: .*{cause}"):
            load_adapter(each, folder)


def rewrite(folder: Path, **fields) -> None:
    written = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps(written | fields))


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    refused(folder, name, "the file is missing")


def test_a_missing_folder(tmp_path):
    refused(tmp_path / "nowhere", CONFIG_FILE, "the file is missing")


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "adapter").write_text("")
    refused(tmp_path / "adapter", CONFIG_FILE, "not readable")


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE, ABOUT_FILE])
def test_a_folder_in_place_of_a_file(folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()
    refused(folder, name, "not")


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, -1])
def test_truncated_weights(folder, kept):
    content = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(content[:kept])
    refused(folder, WEIGHTS_FILE, "not a whole safetensors file")


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_for_weights(folder, seed):
    generator = torch.Generator().manual_seed(seed)
    (folder / WEIGHTS_FILE).write_bytes(bytes(torch.randint(0, 256, (4096,), generator=generator).tolist()))
    refused(folder, WEIGHTS_FILE, "not a whole safetensors file")


def test_a_header_that_promises_the_moon(folder):
    (folder / WEIGHTS_FILE).write_bytes((2**63 - 1).to_bytes(8, "little") + b"{}")
    refused(folder, WEIGHTS_FILE, "not a whole safetensors file")


class Trap:
    """Unpickling this leaves a mark."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["adapter_model.bin", WEIGHTS_FILE])
def test_pickles_are_never_opened(folder, tmp_path, name):
    (folder / WEIGHTS_FILE).unlink()
    (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "opened")))
    why = (
        "not a whole safetensors file"
        if name == WEIGHTS_FILE
        else "only pickled weights are here; they are never opened"
    )
    refused(folder, WEIGHTS_FILE, why)
    assert not (tmp_path / "opened").exists()
    pickle.loads((folder / name).read_bytes())  # the trap does work
    assert (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    "change, cause",
    [
        (lambda s: s.update({KEY: torch.zeros(32, 9)}), rf"{KEY} has shape \(32, 9\), expected \(32, 8\)"),
        (lambda s: s.update({KEY: s[KEY].T.contiguous()}), r"has shape \(8, 32\), expected \(32, 8\)"),
        (lambda s: s.update({KEY: s[KEY].flatten()}), r"has shape \(256,\)"),
        (
            lambda s: s.update({KEY: torch.zeros(32, 8, dtype=torch.int32)}),
            "holds torch.int32, expected floating point",
        ),
        (lambda s: s.update({KEY: torch.zeros(32, 8, dtype=torch.bool)}), "holds torch.bool, expected floating point"),
        (lambda s: s.update({KEY: torch.zeros(32, 8, dtype=torch.float8_e4m3fn)}), "holds torch.float8_e4m3fn"),
        (lambda s: s[KEY].view(-1)[7:8].fill_(float("nan")), f"{KEY} holds NaN or infinite values"),
        (lambda s: s[KEY].view(-1)[7:8].fill_(float("inf")), "holds NaN or infinite values"),
        (lambda s: s[KEY].view(-1)[7:8].fill_(-float("inf")), "holds NaN or infinite values"),
        (lambda s: s.update({KEY: torch.full((32, 8), 1e300, dtype=torch.float64)}), "holds NaN or infinite values"),
        (lambda s: s.pop(KEY), rf"1 missing \(the first is {KEY}\), 0 not expected"),
        (lambda s: s.clear(), "8 missing"),
        (lambda s: s.update({"stray": torch.zeros(1)}), r"0 missing, 1 not expected \(the first is stray\)"),
        (lambda s: s.update({"../../stray": torch.zeros(1)}), "1 not expected"),
        (lambda s: s.update({KEY.replace("lora_B", "lora_B.default"): s.pop(KEY)}), "1 missing .*, 1 not expected"),
        (lambda s: s.update({"base_model.model.lm_head.weight": torch.zeros(96, 32)}), "isn't this base's own weight"),
    ],
)
def test_weights_that_do_not_fit(folder, change, cause):
    state = load_file(folder / WEIGHTS_FILE)
    change(state)
    save_file(state, folder / WEIGHTS_FILE)
    refused(folder, WEIGHTS_FILE, cause)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_another_width_are_read_as_float32(folder, dtype):
    state = {key: tensor.to(dtype) for key, tensor in load_file(folder / WEIGHTS_FILE).items()}
    save_file(state, folder / WEIGHTS_FILE)
    refused(folder, WEIGHTS_FILE, "changed since labkit.json was written")
    (folder / ABOUT_FILE).unlink()
    model = load_adapter(make_tiny_llama(), folder)
    for name, layer in lora_layers(model):
        assert layer.lora_A.weight.dtype == torch.float32
        assert torch.equal(layer.lora_A.weight, state[f"base_model.model.{name}.lora_A.weight"].float())


@pytest.mark.parametrize("name", [CONFIG_FILE, ABOUT_FILE])
@pytest.mark.parametrize(
    "content, cause",
    [
        (b"", "not readable as JSON"),
        (b"{", "not readable as JSON"),
        (b"\xff\xfe{}", "not readable as JSON"),
        (b"[" * 200_000, "not readable as JSON"),
        (b'{"r":' * 200_000, "not readable as JSON"),
        (b'{"r": ' + b"9" * 10_000 + b"}", "not readable as JSON"),
        (b"[]", "expected a JSON object, found list"),
        (b"null", "expected a JSON object, found NoneType"),
        (b'"text"', "expected a JSON object, found str"),
    ],
    ids=["empty", "cut off", "not UTF-8", "deep list", "deep object", "endless number", "list", "null", "text"],
)
def test_json_that_is_none(folder, name, content, cause):
    (folder / name).write_bytes(content)
    refused(folder, name, cause)


@pytest.mark.parametrize(
    "fields, cause",
    [
        ({"r": "8"}, "r must be a whole number"),
        ({"r": None}, "whole number"),
        ({"r": -1}, "whole number"),
        ({"lora_alpha": [8]}, "lora_alpha"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"lora_alpha": 10**400}, "lora_alpha"),
        ({"lora_dropout": "0.1"}, "lora_dropout"),
        ({"use_rslora": "true"}, "use_rslora"),
        ({"target_modules": 5}, "target_modules"),
        ({"target_modules": [5]}, "target_modules"),
        ({"target_modules": [["q_proj"]]}, "target_modules"),
        ({"target_modules": "("}, "target_modules"),
        ({"target_modules": {"q_proj": 1}}, "target_modules"),
        ({"exclude_modules": 5}, "exclude_modules"),
        ({"rank_pattern": {"x": "y"}}, "rank_pattern"),
        ({"rank_pattern": {"(": 8}}, "rank_pattern"),
        ({"rank_pattern": ["q_proj"]}, "wrong kind"),
        ({"rank_pattern": "q_proj"}, "wrong kind"),
        ({"alpha_pattern": {"q_proj": None}}, "alpha_pattern"),
        ({"alpha_pattern": {"q_proj": 1, ".*_proj": 2}}, "alpha_pattern: several keys match"),
        ({"layers_to_transform": "0"}, "layers_to_transform"),
        ({"layers_to_transform": {"0": 0}}, "layers_to_transform"),
        ({"layers_pattern": 5, "layers_to_transform": 0}, "wrong kind"),
        ({"layers_pattern": "(", "layers_to_transform": 0}, "layers_pattern"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
        ({"peft_type": "LOHA"}, "peft_type='LOHA' is not LoRA"),
        ({"peft_type": ["LORA"]}, "is not LoRA"),
        ({"use_dora": True}, "use_dora=True goes beyond plain LoRA"),
        ({"something_new": {"on": True}}, "something_new=.* goes beyond plain LoRA"),
        ({"target_modules": ["q_porj"]}, "does not fit this model: target 'q_porj' matches no layer"),
        ({"target_modules": ["../../../etc/passwd"]}, "does not fit this model"),
        ({"target_modules": ["model.layers.0..self_attn.q_proj"]}, "does not fit this model"),
        ({"target_modules": ["embed_tokens"]}, "does not fit this model: .* not a linear layer"),
        ({"target_modules": ".*"}, "does not fit this model"),
    ],
)
def test_a_config_that_cannot_be_honoured(folder, fields, cause):
    rewrite(folder, **fields)
    refused(folder, CONFIG_FILE, cause)


@pytest.mark.parametrize("r", [4, 10**12])
def test_a_rank_that_is_not_that_of_the_weights(folder, r):
    rewrite(folder, r=r)
    refused(folder, WEIGHTS_FILE, rf"expected \({r}, 32\)")


def test_another_base_is_refused_with_both_fingerprints(folder):
    model = make_tiny_llama()
    note(model, base_name="other/model", fingerprint="beef")
    refused(folder, ABOUT_FILE, "trained on another base: someone/model .* f00d, .* other/model .* beef", model)
    note(model, fingerprint="f00d")
    assert torch.equal(logits(load_adapter(model, folder)), logits(adapter()))


@pytest.mark.parametrize("base", [["someone/model"], "someone/model", 5])
def test_a_base_that_is_no_object(folder, base):
    (folder / ABOUT_FILE).write_text(json.dumps({"base": base}))
    refused(folder, ABOUT_FILE, "'base' must be a JSON object")


def test_a_model_with_an_adapter_is_refused(folder):
    with untouched(model := adapter()), pytest.raises(AdapterError, match="the model already has an adapter"):
        load_adapter(model, folder)


def test_links_are_read_like_files(folder, tmp_path):
    (tmp_path / "linked").mkdir()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        (tmp_path / "linked" / name).symlink_to(folder / name)
    assert torch.equal(logits(load_adapter(make_tiny_llama(), tmp_path / "linked")), logits(adapter()))
    (tmp_path / "linked" / CONFIG_FILE).unlink()
    (tmp_path / "linked" / CONFIG_FILE).symlink_to(CONFIG_FILE)  # onto itself
    refused(tmp_path / "linked", CONFIG_FILE, "not readable")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    return save_adapter(adapter(), tmp_path_factory.mktemp("pristine") / "adapter")


@pytest.fixture(scope="module")
def base() -> list[torch.nn.Module]:
    return [make_tiny_llama()]


@given(data=st.data())
def test_any_damage_is_refused_or_does_no_harm(pristine, base, data):
    damaged = pristine.with_name("damaged")
    shutil.copytree(pristine, damaged, dirs_exist_ok=True)
    file = damaged / data.draw(st.sampled_from([CONFIG_FILE, WEIGHTS_FILE, ABOUT_FILE]))
    content = bytearray(file.read_bytes())
    # half the time near the beginning, where a safetensors file has its header
    at = data.draw(st.one_of(st.integers(0, min(1500, len(content) - 1)), st.integers(0, len(content) - 1)))
    if data.draw(st.booleans()):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[at:]
    file.write_bytes(content)
    try:
        with untouched(base[0]):
            try:
                load_adapter(base[0], damaged)
            except AdapterError as refusal:
                assert str(damaged) in str(refusal)
                return
            raise InterruptedError
    except InterruptedError:
        model, base[0] = base[0], make_tiny_llama()
    assert all(weight.isfinite().all() for weight in model.state_dict().values())
    assert len(list(lora_layers(model))) == 4


@pytest.mark.parametrize("system", ["\ud800", ["be brief"], 5])
def test_a_system_prompt_is_text(system, tmp_path):
    (tmp_path / ABOUT_FILE).write_text(json.dumps({"system": system}))
    with pytest.raises(AdapterError, match="labkit.json: 'system' must be text"):
        read_about(tmp_path)
