"""The file that `export_gguf` writes, read with llama.cpp's own reader, and what it refuses."""

import json
import re
import warnings

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from gguf import GGUFReader
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_gguf import interleaved, make
from transformers import AutoConfig, AutoModelForCausalLM

import labkit
from labkit.errors import AdapterError, BaseModelError, ConfigError
from labkit.export import gguf
from labkit.export.gguf import export_gguf, neighbors
from labkit.lora.adapter import Adapter

ATTENTION = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output"}
MLP = {"gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}


def adapted(model, config: labkit.LoraConfig):
    torch.manual_seed(1)
    labkit.inject_lora(model, config)
    with torch.no_grad():
        for _, layer in labkit.lora_layers(model):
            layer.lora_B.weight.normal_()
    return model


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a tiny base, and an adapter for it."""
    folder = tmp_path_factory.mktemp("here")
    make_tiny_llama().save_pretrained(folder / "base")
    make_tiny_tokenizer().save_pretrained(folder / "base")
    model, _ = labkit.load_base(folder / "base")
    adapted(model, labkit.LoraConfig(r=3, lora_alpha=6, target_modules="all-linear"))
    labkit.save_adapter(model, folder / "adapter", {"system": "Be brief."})
    return folder


@pytest.fixture
def adapter(here, tmp_path):
    """A copy of the adapter without labkit.json, as PEFT would have left it; and a function that changes its config."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).write_bytes((here / "adapter" / name).read_bytes())

    def change(**fields):
        file = folder / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields))
        return folder

    return change


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_and_b_come_back_bit_for_bit(kind, tmp_path):
    model = adapted(make(kind, tmp_path), labkit.LoraConfig(r=3, lora_alpha=6, target_modules="all-linear"))
    labkit.save_adapter(model, tmp_path / "adapter")
    file = export_gguf(tmp_path / "adapter", tmp_path / "new" / "adapter.gguf", tmp_path / "base")
    read = GGUFReader(file)
    fields = {name: field.contents() for name, field in read.fields.items()}
    assert fields["general.architecture"] == kind and fields["general.type"] == "adapter"
    assert fields["adapter.type"] == "lora" and fields["adapter.lora.alpha"] == 6
    found = {tensor.name: torch.from_numpy(tensor.data.copy()) for tensor in read.tensors}
    state = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert len(found) == len(state) == 2 * 7 * 2
    for i in range(2):
        for name, other in (ATTENTION | MLP).items():
            key = f"base_model.model.model.layers.{i}.{'self_attn' if name in ATTENTION else 'mlp'}.{name}"
            A, B = (state[f"{key}.lora_{letter}.weight"] for letter in "AB")
            if kind == "llama" and name in ("q_proj", "k_proj"):
                B = interleaved(B, {"q_proj": 4, "k_proj": 2}[name])
            assert torch.equal(found[f"blk.{i}.{other}.weight.lora_a"], A)
            assert torch.equal(found[f"blk.{i}.{other}.weight.lora_b"], B)


@given(heads=st.integers(1, 5), half=st.integers(1, 4), r=st.integers(1, 3))
def test_rows_that_turn_together_become_neighbors(heads, half, r):
    B = torch.randn(heads * 2 * half, r)
    assert torch.equal(neighbors(B, heads), interleaved(B, heads))
    halves = neighbors(B, heads).reshape(heads, half, 2, r)
    assert torch.equal(halves.swapaxes(1, 2).reshape(B.shape), B)


@given(
    alpha=st.just(0.0) | st.floats(1e-60, 1e60),
    other=st.just(0.0) | st.floats(1e-60, 1e60),
    r=st.integers(1, 64),
    other_r=st.integers(1, 64),
    rslora=st.booleans(),
)
def test_alpha_over_r_and_b_give_the_scaling(alpha, other, r, other_r, rslora):
    patterns = {"rank_pattern": {"v_proj": other_r}, "alpha_pattern": {"v_proj": other}}
    config = labkit.LoraConfig(r=r, lora_alpha=alpha, use_rslora=rslora, **patterns)
    names = [f"model.layers.0.self_attn.{name}" for name in ("q_proj", "v_proj")]
    one, factors = gguf._one_alpha(Adapter(config, dict.fromkeys(names, ())))
    for name in names:
        scale = one / config.rank_of(name) * factors[name]  # as llama.cpp has it, and what was multiplied into B
        assert scale == pytest.approx(config.scaling_of(name), rel=2**-23, abs=0)
    assert one > 0, "llama.cpp takes an α of 0 for no scaling"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_numbers_in_16_bits_are_written_as_they_are(dtype, adapter, here, tmp_path):
    file = adapter() / "adapter_model.safetensors"
    state = {key: tensor.to(dtype) for key, tensor in load_file(file).items()}
    save_file(state, file, metadata={"format": "pt"})
    read = GGUFReader(export_gguf(file.parent, tmp_path / "a.gguf", here / "base"))
    [found] = (tensor.data for tensor in read.tensors if tensor.name == "blk.1.ffn_down.weight.lora_b")
    wanted = state["base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"].float()
    assert torch.equal(torch.from_numpy(found.copy()), wanted)


# ---- refusals: one sentence, and nothing written


def refused(error, match, adapter, here, tmp_path, base="base", **how):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=match) as caught:
        export_gguf(adapter, tmp_path / "out.gguf", here / base, **how)
    assert "\n" not in str(caught.value) and sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["gpt_neox", "falcon", "mixtral", "starcoder2"])
def test_other_architectures(kind, adapter, here, tmp_path):
    shape = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 1, "vocab_size": 96}
    base = here / kind
    if not base.exists():
        config = AutoConfig.for_model(kind, **shape, intermediate_size=48, num_key_value_heads=2)
        AutoModelForCausalLM.from_config(config).save_pretrained(base)
        make_tiny_tokenizer().save_pretrained(base)
    match = rf"'{kind}' isn't an architecture .* llama, mistral, qwen2.* Merge the adapter .*convert_hf_to_gguf"
    refused(ConfigError, match, adapter(), here, tmp_path, base=kind)


@pytest.mark.parametrize(
    "fields",
    [
        {"use_dora": True},
        {"bias": "all"},
        {"bias": "lora_only"},
        {"modules_to_save": ["lm_head"]},
        {"trainable_token_indices": [1, 2]},
        {"alora_invocation_tokens": [1]},
        {"peft_type": "IA3"},
    ],
    ids=lambda fields: "=".join(map(str, *fields.items())),
)
def test_more_than_lora(fields, adapter, here, tmp_path):
    [name] = fields
    refused(AdapterError, rf"adapter_config.json: {name}=.*not", adapter(**fields), here, tmp_path)


def test_the_output_head(here, tmp_path):
    folder = tmp_path / "untied"
    model = make("llama", folder, tie_word_embeddings=False)
    labkit.inject_lora(model, labkit.LoraConfig(target_modules=["q_proj", "lm_head"]))
    labkit.save_adapter(model, folder / "adapter")
    refused(ConfigError, "it adapts lm_head, .* Merge it", folder / "adapter", folder, tmp_path)


def test_infinities(adapter, here, tmp_path):
    file = adapter() / "adapter_model.safetensors"
    state = load_file(file)
    state["base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"][0, 0] = torch.inf
    save_file(state, file, metadata={"format": "pt"})
    refused(AdapterError, "down_proj.lora_B.weight holds NaN or infinite", file.parent, here, tmp_path)


def test_numbers_that_the_scaling_makes_infinite(adapter, here, tmp_path):
    refused(AdapterError, "numbers too large for float32", adapter(lora_alpha=1e300), here, tmp_path)


def test_another_base(here, tmp_path):
    make_tiny_llama(seed=1).save_pretrained(tmp_path / "base")
    make_tiny_tokenizer().save_pretrained(tmp_path / "base")
    refused(AdapterError, "trained on another base", here / "adapter", tmp_path, tmp_path)


def test_a_base_that_is_not_here(here, tmp_path):
    refused(BaseModelError, "nowhere", here / "adapter", here, tmp_path, base="nowhere")


def test_a_place_that_is_taken(here, tmp_path):
    export_gguf(here / "adapter", tmp_path / "out.gguf", here / "base")
    refused(ConfigError, r"out.gguf is there already. .*overwrite", here / "adapter", here, tmp_path)
    (tmp_path / "out.gguf").unlink()
    refused(ConfigError, r"Modelfile is there already", here / "adapter", here, tmp_path)
    (tmp_path / "Modelfile").write_text("mine")
    export_gguf(here / "adapter", tmp_path / "out.gguf", here / "base", overwrite=True)
    assert (tmp_path / "Modelfile").read_text().startswith("# ollama create out")


@pytest.mark.parametrize("name", ["adapter", "adapter.safetensors", "two\nlines.gguf"])
def test_a_name_that_is_none(name, here, tmp_path):
    with pytest.raises(ConfigError, match=r"must end in \.gguf"):
        export_gguf(here / "adapter", tmp_path / name, here / "base")
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path} is a folder")):
        export_gguf(here / "adapter", tmp_path, here / "base")


def test_a_base_with_no_file_of_its_own(here, tmp_path):
    refused(ConfigError, "convert_hf_to_gguf.py, and name it", here / "adapter", here, tmp_path, with_base=True)
    refused(ConfigError, "leave one of them out", here / "adapter", here, tmp_path, with_base=True, from_base="x")


def test_a_base_that_was_in_four_bits_is_told_of(here, tmp_path):
    model, _ = labkit.load_base(here / "base", quantize="nf4")
    labkit.inject_lora(model, labkit.LoraConfig(target_modules=["q_proj"]))
    labkit.save_adapter(model, tmp_path / "adapter")
    with pytest.warns(labkit.LabkitWarning, match="in four bits .* Score it there") as told:
        export_gguf(tmp_path / "adapter", tmp_path / "out.gguf", here / "base")
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_gguf(here / "adapter", tmp_path / "other" / "out.gguf", here / "base")
