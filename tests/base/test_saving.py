"""A merged folder: plain transformers, in a process that knows no labkit, answers as the base and its adapter do."""

import ast
import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from chat_templates import tokenizer_with
from conftest import make_tiny_llama, make_tiny_tokenizer
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM

import labkit
from labkit import AdapterBank, LoraConfig, inject_lora, load_adapter, load_base, lora_layers, save_adapter, save_merged
from labkit.base import rereading
from labkit.cli import main
from labkit.errors import AdapterError, BaseModelError, ConfigError
from labkit.linear import dense_weight
from labkit.step.batch import encode_prompt

PROMPTS, SYSTEM = ["say 1", "say something else", "What is 17?"], "You answer."
BASES = {
    "dense": {},
    "labkit": {"quantize": "nf4", "double": True},
    "bitsandbytes": {"quantize": "nf4", "backend": "bitsandbytes"},
}
PLAIN = """
import json, sys
sys.modules["labkit"] = None  # importing it would fail
from transformers import AutoModelForCausalLM, AutoTokenizer

folders, prompts, system = json.loads(sys.argv[1])
for folder in folders:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    answers = []
    for prompt in prompts:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        output = model.generate(**inputs, max_new_tokens=24)
        answers.append(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    print(json.dumps({"dtype": str(model.dtype), "answers": answers}))
"""


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory) -> Path:
    """A base in a folder, as `--base` takes it."""
    folder = tmp_path_factory.mktemp("base") / "tiny-llama"
    # wide enough for bitsandbytes, and large weights, so that an answer is more than one letter again and again
    shape = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 256}
    make_tiny_llama(**shape, initializer_range=0.3).save_pretrained(folder)
    make_tiny_tokenizer().save_pretrained(folder)
    return folder


def adapted(folder: Path, **options) -> tuple[nn.Module, object]:
    """The base in `folder` with a random adapter that changes its answers."""
    model, tokenizer = load_base(folder, device="cpu", **options)
    inject_lora(model, LoraConfig(r=4, target_modules="all-linear"))
    torch.manual_seed(1)
    for _, layer in lora_layers(model):
        nn.init.normal_(layer.lora_B.weight, std=0.3)
    return model, tokenizer


def in_plain_transformers(folders: list[Path]) -> list[dict]:
    given = json.dumps([list(map(str, folders)), PROMPTS, SYSTEM])
    done = subprocess.run([sys.executable, "-c", PLAIN, given], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_plain_transformers_answers_as_the_adapter_does(tiny_base, tmp_path):
    """One process for all kinds of bases: it takes seconds to begin."""
    wanted = {}
    for kind in set(BASES) - {None if find_spec("bitsandbytes") else "bitsandbytes"}:
        model, tokenizer = adapted(tiny_base, **BASES[kind])
        expected = labkit.generate(model, tokenizer, PROMPTS, SYSTEM, max_new_tokens=24)
        with labkit.disable_adapter(model):
            base_answers = labkit.generate(model, tokenizer, PROMPTS, SYSTEM, max_new_tokens=24)
        assert len(set(expected)) == 3 and not set(expected) & set(base_answers), f"{kind}: the adapter has its say"
        save_merged(model, tokenizer, tmp_path / kind)
        assert labkit.generate(model, tokenizer, PROMPTS, SYSTEM, max_new_tokens=24) == expected, "still adapted"
        wanted[kind] = {"dtype": "torch.float32", "answers": expected}
    assert dict(zip(wanted, in_plain_transformers([tmp_path / kind for kind in wanted]))) == wanted


def test_in_bfloat16_each_number_of_the_file_is_rounded_once(tiny_base, tmp_path):
    model, tokenizer = adapted(tiny_base)
    save_merged(model, tokenizer, tmp_path / "merged", torch.bfloat16)
    layers = dict(lora_layers(model))
    with safe_open(tmp_path / "merged" / "model.safetensors", framework="pt") as file:
        assert "lm_head.weight" not in file.keys(), "it is the embedding, which is there once"
        for key in file.keys():
            if (layer := layers.get(key.removesuffix(".weight"))) is not None:
                whole = dense_weight(layer.base_layer) + layer.delta_weight()
            else:
                whole = model.get_parameter(key)
            assert torch.equal(file.get_tensor(key), whole.bfloat16()), key
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize("merged_before", [False, True])
def test_saving_changes_nothing_about_the_model(kind, merged_before, tiny_base, tmp_path):
    if kind == "bitsandbytes":
        pytest.importorskip("bitsandbytes")

    def portrait():
        tensors = {name: t for name, t in [*model.named_parameters(), *model.named_buffers()]}
        return (
            {name: (id(t), t.detach().flatten().contiguous().view(torch.uint8).tolist()) for name, t in tensors.items()}
            | {name: (type(module), module.training) for name, module in model.named_modules()}
            | {"config": model.config.to_dict(), "generation": model.generation_config.to_dict()}
        )

    model, tokenizer = adapted(tiny_base, **BASES[kind])
    if merged_before and kind == "dense":
        labkit.merge(model)
    elif merged_before:
        with pytest.warns(labkit.LabkitWarning, match="to four bits again"):
            labkit.merge(model)
    before = portrait()
    save_merged(model, tokenizer, tmp_path / "merged", torch.bfloat16)
    assert portrait() == before
    if merged_before and kind != "dense":
        labkit.unmerge(model)  # what is on disk is not the requantized weight
        fresh, _ = adapted(tiny_base, **BASES[kind])
        save_merged(fresh, tokenizer, tmp_path / "fresh", torch.bfloat16)
        files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("merged", "fresh")]
        assert files[0] == files[1]


def test_what_is_read_again_attends_as_the_model_does(tiny_base, tmp_path, monkeypatch):
    """Another implementation rounds otherwise, which is no fault of the folder."""
    model, tokenizer = load_base(tiny_base)
    model.set_attn_implementation("eager")
    seen = []
    compare = rereading._difference
    monkeypatch.setattr(rereading, "_difference", lambda found, meant: seen.append(found) or compare(found, meant))
    save_merged(inject_lora(model, LoraConfig()), tokenizer, tmp_path / "merged")
    assert [found.config._attn_implementation for found in seen] == ["eager"]


def test_the_merged_model_is_another_base_and_refuses_the_adapter(tiny_base, tmp_path):
    model, tokenizer = adapted(tiny_base)
    save_adapter(model, tmp_path / "adapter")
    save_merged(model, tokenizer, tmp_path / "tiny-merged")
    merged, _ = load_base(tmp_path / "tiny-merged", device="cpu")
    assert merged.labkit.base_name == "tiny-merged"
    with pytest.raises(AdapterError, match=f"{model.labkit.fingerprint}, but .*{merged.labkit.fingerprint}"):
        load_adapter(merged, tmp_path / "adapter")  # it would be applied twice


def test_generation_ends_where_training_ends_a_turn(tiny_base, tmp_path):
    model, tokenizer = adapted(tiny_base)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 0, None
    save_merged(model, tokenizer, tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    assert config["eos_token_id"] == [tokenizer.eos_token_id, 0] and config["pad_token_id"] == tokenizer.pad_token_id
    assert model.generation_config.eos_token_id == 0


def test_the_card_of_a_base_without_a_system_role_asks_as_training_did(tmp_path):
    folder = tmp_path / "gemma"
    make_tiny_llama(vocab_size=340, hidden_size=64).save_pretrained(folder)
    tokenizer_with("gemma").save_pretrained(folder)
    model, tokenizer = adapted(folder)
    with pytest.warns(labkit.LabkitWarning, match="knows no system role"):
        save_merged(model, tokenizer, tmp_path / "merged", about={"task": "t", "system": 'Be "kind".'})
    card = (tmp_path / "merged" / "README.md").read_text()
    program = "\n".join(line for line in card.splitlines() if line.startswith("messages = "))
    exec(program, said := {})
    assert tokenizer.apply_chat_template(said["messages"], add_generation_prompt=True, return_dict=False) == (
        encode_prompt(tokenizer, "...", 'Be "kind".')
    )
    generation = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    ends = tokenizer.convert_tokens_to_ids(["<end_of_turn>", "<eos>"])
    assert generation["eos_token_id"] == [*ends, 2], "the turn's, the text's, and the base's own"


@pytest.mark.slow
def test_the_card_says_what_was_written_and_how_to_ask(tiny_base, tmp_path):
    model, tokenizer = adapted(tiny_base, quantize="nf4")
    about = {"task": "tickets", "system": 'Ticket as "JSON".'}
    save_merged(model, tokenizer, tmp_path / "merged", torch.bfloat16, about)
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "tiny-llama" in card and "bfloat16" in card and "dequantized" in card
    program = card.split("```python\n")[1].split("```")[0].replace("path/to/this/folder", str(tmp_path / "merged"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    model, _ = load_base(tmp_path / "merged", device="cpu", dtype=torch.bfloat16)
    [expected] = labkit.generate(model, tokenizer, ["..."], about["system"])
    assert done.stdout.removesuffix("\n") == expected, done.stderr


def test_what_a_strangers_adapter_says_is_no_markup_and_no_code_in_the_card(tiny_base, tmp_path):
    hidden = 'a\u202eb\u200b\x1b[2J\x7f"}]\n```\n# <img src=x> [a](b)`x` é 日本 \U000e0001 \\u202e'
    model, tokenizer = adapted(tiny_base)
    save_merged(model, tokenizer, tmp_path / "merged", about={"task": hidden, "system": hidden})
    card = (tmp_path / "merged" / "README.md").read_text(encoding="utf-8")
    assert card.replace("\n", "").isprintable()
    text, program = card.split("```python\n")
    assert program.endswith("```\n") and program.count("```\n") == 1
    [messages] = [line for line in program.splitlines() if line.startswith("messages = ")]
    assert ast.literal_eval(messages.removeprefix("messages = "))[0]["content"] == hidden
    [said] = [line for line in text.splitlines() if line.startswith("It was trained for")]
    assert re.search(r"(?<!\\)[<>`\[\]()#]", said) is None and r"\<img src=x\>" in said


# ---- refusals


@pytest.mark.parametrize("occupied", ["file", "folder"])
def test_nothing_is_overwritten(occupied, tiny_base, tmp_path):
    model, tokenizer = adapted(tiny_base)
    there = tmp_path / "there"
    kept = there if occupied == "file" else there / "thesis.txt"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("years of work")
    with pytest.raises(ConfigError, match="labkit won't overwrite it"):
        save_merged(model, tokenizer, there)
    assert kept.read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert (save_merged(model, tokenizer, tmp_path / "empty") / "config.json").exists()


def test_what_cannot_be_merged_is_not_written(tiny_base, tmp_path):
    out = tmp_path / "merged"
    model, tokenizer = load_base(tiny_base, device="cpu")
    with pytest.raises(ConfigError, match="nothing to merge"):
        save_merged(model, tokenizer, out)
    AdapterBank(model)
    with pytest.raises(ConfigError, match="AdapterBank"):
        save_merged(model, tokenizer, out)
    model, _ = load_base(tiny_base, device="cpu")
    inject_lora(model, LoraConfig(target_modules=["lm_head"]))
    with pytest.raises(ConfigError, match="shares its weight with model.embed_tokens.weight"):
        save_merged(model, tokenizer, out)
    assert list(tmp_path.iterdir()) == []


def test_half_a_folder_is_never_there(tiny_base, tmp_path, monkeypatch):
    model, tokenizer = adapted(tiny_base)

    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokenizer, "save_pretrained", full)
    with pytest.raises(OSError, match="No space"):
        save_merged(model, tokenizer, tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "spoil, said",
    [
        # as it happens to people: layers cast by hand, a hook, a buffer and a class of one's own
        (lambda model: model.model.layers[0].mlp.bfloat16(), "same dtype"),
        (lambda model: model.model.layers[0].register_forward_hook(lambda *_: _[2] * 2), "its answers differ"),
        (lambda model: model.model.register_buffer("own", torch.ones(1)), "model.own differs"),
        (lambda model: setattr(model, "__class__", type("Own", (type(model),), {})), "LlamaForCausalLM, not a Own"),
    ],
)
def test_what_others_would_not_read_as_it_is_meant_is_not_left_there(spoil, said, tiny_base, tmp_path):
    model, tokenizer = adapted(tiny_base)
    if "dtype" in said:  # the layers that a hand has cast, without LoRA around them
        model, tokenizer = load_base(tiny_base, device="cpu")
        inject_lora(model, LoraConfig(target_modules=["q_proj"]))
    spoil(model)
    with pytest.raises(
        BaseModelError, match=f"merged: transformers would read another model .*{said}.*nothing was written"
    ):
        save_merged(model, tokenizer, tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_transformers_would_pack_again_is_not_saved_packed(tiny_base, tmp_path):
    """Loaded by transformers itself and not by load_base, FP8 is turned back, and is turned into FP8 by saving."""
    config = json.loads((tiny_base / "config.json").read_text())
    folder = Path(shutil.copytree(tiny_base, tmp_path / "fp8"))
    weights = load_file(folder / "model.safetensors")
    for key in [key for key in weights if "_proj" in key]:
        weights |= {
            key: weights[key].to(torch.float8_e4m3fn),
            f"{key}_scale_inv": torch.ones_like(weights[key][::16, ::16]),
        }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    packed = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [16, 16], "dequantize": True}
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": packed}))
    model = inject_lora(AutoModelForCausalLM.from_pretrained(folder), LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(BaseModelError, match="transformers would read another model"):
        save_merged(model, make_tiny_tokenizer(), tmp_path / "merged")
    assert [path.name for path in tmp_path.iterdir()] == ["fp8"]


# ---- on the command line


def labkit_merge(*arguments) -> int:
    return main(["merge", *map(str, arguments)])


@pytest.mark.parametrize("options", [[], ["--dtype", "bfloat16"], ["--quantize", "nf4", "--double"]])
def test_the_command_writes_what_the_function_does(options, tiny_base, tmp_path, capsys):
    held = {"quantize": "nf4", "double": True} if "nf4" in options else {}
    model, tokenizer = adapted(tiny_base, **held)
    about = {"task": "tickets", "system": SYSTEM}
    save_adapter(model, tmp_path / "adapter", about)
    dtype = torch.bfloat16 if "bfloat16" in options else torch.float32
    save_merged(model, tokenizer, tmp_path / "function", dtype, about)
    assert labkit_merge(tmp_path / "adapter", tmp_path / "command", "--base", tiny_base, *options) == 0
    printed = capsys.readouterr().out
    assert str(dtype).removeprefix("torch.") in printed and ("dequantized" in printed) == bool(held)
    for file in sorted((tmp_path / "function").iterdir()):
        assert (tmp_path / "command" / file.name).read_bytes() == file.read_bytes(), file.name


def test_the_command_says_when_the_adapter_knew_another_base(tiny_base, tmp_path, capsys):
    model, _ = adapted(tiny_base, quantize="nf4")
    save_adapter(model, tmp_path / "adapter")
    for out, options in {"held": ["--quantize", "nf4"], "dense": []}.items():
        assert labkit_merge(tmp_path / "adapter", tmp_path / out, "--base", tiny_base, *options) == 0
        assert ("trained on the base in four bits (nf4 by" in capsys.readouterr().err) == (out == "dense")


def test_the_command_refuses_in_a_sentence(tiny_base, tmp_path, capsys):
    model, _ = adapted(tiny_base)
    save_adapter(model, tmp_path / "adapter")
    make_tiny_llama(seed=1, vocab_size=128).save_pretrained(tmp_path / "another")
    make_tiny_tokenizer().save_pretrained(tmp_path / "another")
    other, _ = load_base(tmp_path / "another", device="cpu")
    adapter, out, base = tmp_path / "adapter", tmp_path / "out", ("--base", tiny_base)
    both = f"trained on another base: .*{model.labkit.fingerprint}, but .*{other.labkit.fingerprint}"
    cases = {
        (adapter, out, "--base", tmp_path / "another"): both,
        (adapter, adapter, *base): "labkit won't overwrite it",
        (tmp_path / "nowhere", out, *base): "adapter_config.json: the file is missing",
        (adapter, out, *base, "--double"): "say --quantize nf4",
    }
    capsys.readouterr()
    for arguments, said in cases.items():
        assert labkit_merge(*arguments) == 2
        assert re.search(f"^labkit merge: .*{said}", capsys.readouterr().err, re.MULTILINE)
    assert not out.exists()
