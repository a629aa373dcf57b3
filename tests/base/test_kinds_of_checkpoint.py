"""What lies in a folder is what's loaded, or one sentence: packed weights, adapters beside a base, other models."""

import json
import shutil
import warnings
from pathlib import Path

import peft
import pytest
import torch
import transformers
from conftest import make_tiny_llama, make_tiny_tokenizer
from kinds_of_base import make
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BertConfig, BertLMHeadModel, BitsAndBytesConfig, T5Config
from transformers import T5ForConditionalGeneration as T5

import labkit
from labkit import LoraConfig, inject_lora, load_base, lora_layers, save_merged
from labkit.base import find_base, fingerprint
from labkit.errors import BaseModelError, ConfigError, LabkitWarning

SHAPE = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.3}
TOKENS = torch.tensor([[1, 5, 9, 33, 2]])


def write(model: nn.Module, folder: Path) -> Path:
    model.save_pretrained(folder)
    make_tiny_tokenizer().save_pretrained(folder)
    return folder


def edit(folder: Path, weights: dict[str, Tensor] | None = None, **config) -> Path:
    """Put `weights` in the place of the folder's own, and `config` into its config."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    if weights is not None:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def llama(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    write(make_tiny_llama(**SHAPE), folder)
    return folder, load_file(folder / "model.safetensors")


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(TOKENS.to(model.device)).logits


# ---- packed weights


def fp8(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """A folder in FP8 with a scale for each 16 × 16 numbers, as DeepSeek's; and what it stands for, in float64."""
    _, weights = llama(folder)
    packed, meant = {}, {}
    for key, weight in weights.items():
        packed[key], meant[key] = weight, weight.double()
        if "_proj" in key:
            blocks = weight.view(weight.shape[0] // 16, 16, weight.shape[1] // 16, 16)
            scale = blocks.abs().amax((1, 3)) / 448
            codes = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
            packed |= {key: codes.view(weight.shape), f"{key}_scale_inv": scale}
            meant[key] = (codes.double() * scale.double()[:, None, :, None]).view(weight.shape)
    how = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [16, 16]}
    return edit(folder, packed, quantization_config=how), meant


def mxfp4(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """GPT-OSS with its experts in MXFP4: two numbers of E2M1 in a byte, a power of two for each 32."""
    write(make("gpt_oss", hidden_size=64, intermediate_size=64), folder)
    weights = load_file(folder / "model.safetensors")
    magnitudes = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=torch.float64)
    numbers, meant = torch.cat([magnitudes, -magnitudes]), {}
    for key in [key for key in weights if key.endswith(("gate_up_proj", "down_proj")) and "experts" in key]:
        experts, wide, high = weights.pop(key).shape
        codes = torch.randint(16, (experts, high, wide), dtype=torch.uint8)
        scales = torch.randint(120, 128, (experts, high, wide // 32), dtype=torch.uint8)
        pairs = codes.view(experts, high, wide // 32, 16, 2)
        weights |= {f"{key}_blocks": pairs[..., 0] | pairs[..., 1] << 4, f"{key}_scales": scales}
        powers = 2.0 ** (scales.double() - 127)
        meant[key] = (numbers[codes.int()] * powers.repeat_interleave(32, -1)).transpose(1, 2)
    how = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router"]}
    return edit(folder, weights, quantization_config=how), meant


def by_bitsandbytes(folder: Path, **how) -> tuple[Path, dict[str, Tensor]]:
    pytest.importorskip("bitsandbytes")
    plain, weights = llama(folder.with_name("plain"))
    how = BitsAndBytesConfig(**how)
    model = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32, quantization_config=how)
    write(model, folder)
    return folder, {key: weights[key].double() for key in weights}


PACKED = {
    "fp8": fp8,
    "mxfp4": mxfp4,
    "nf4": lambda folder: by_bitsandbytes(folder, load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "fp4": lambda folder: by_bitsandbytes(folder, load_in_4bit=True, bnb_4bit_use_double_quant=True),
    "int8": lambda folder: by_bitsandbytes(folder, load_in_8bit=True),
}
# how far a weight is from what's meant, relative to all of it: exact where the file says so, else the format's error
OFF = {"fp8": 1e-6, "mxfp4": 0, "nf4": 0.12, "fp4": 0.16, "int8": 0.02}


@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_checkpoint_is_an_ordinary_base(kind, tmp_path, capfd):
    folder, meant = PACKED[kind](tmp_path / "packed")
    capfd.readouterr()
    model, tokenizer = load_base(folder, device="cpu")
    assert capfd.readouterr() == ("", "")
    assert model.labkit.fingerprint == fingerprint(folder) and model.dtype == torch.float32
    for key, expected in meant.items():
        found = model.state_dict()[key].double()
        assert (found - expected).norm() <= OFF[kind] * expected.norm(), key
    expected = logits(model)
    inject_lora(model, LoraConfig(target_modules="all-linear"))
    for _, layer in lora_layers(model):
        nn.init.normal_(layer.lora_B.weight, std=0.1)
    adapted = logits(model)
    assert (adapted - expected).abs().max() > 1e-2
    save_merged(model, tokenizer, tmp_path / "merged")
    assert not {"quantization_config"} & json.loads((tmp_path / "merged" / "config.json").read_text()).keys()
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(plain), adapted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["fp8", "nf4"])
def test_a_packed_checkpoint_goes_to_nf4_from_what_it_stands_for(kind, tmp_path):
    folder, _ = PACKED[kind](tmp_path / "packed")
    dense, found = (load_base(folder, device="cpu", quantize=quantize)[0] for quantize in (None, "nf4"))
    assert torch.equal(logits(labkit.quantize_model(dense)), logits(found))


@pytest.mark.parametrize("kind", PACKED)
def test_rounding_a_second_time_is_said_except_where_it_changes_nothing(kind, tmp_path):
    folder, _ = PACKED[kind](tmp_path / "packed")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LabkitWarning)
        model, _ = load_base(folder, device="cpu", quantize="nf4")
    said = [str(each.message) for each in caught if "is quantized already" in str(each.message)]
    if kind == "nf4":  # the same sixteen levels and the same blocks: bit for bit what it was
        layer = model.model.layers[0].mlp.up_proj
        dense = load_base(folder, device="cpu")[0].model.layers[0].mlp.up_proj.weight
        assert torch.equal(layer.dense_weight(), dense) and said == []
    else:
        name = {"mxfp4": "mxfp4", "fp8": "fp8"}.get(kind, "bitsandbytes")
        assert len(said) == 1 and f"already ({name}), and NF4 rounds it again. Get the model that it was" in said[0]


@pytest.mark.parametrize("kind", ["gptq", "awq", "fbgemm_fp8", "torchao", "exl2", None])
def test_what_transformers_cannot_turn_back_is_refused(kind, tmp_path):
    folder, _ = llama(tmp_path / "packed")
    edit(folder, quantization_config={"quant_method": kind, "bits": 4})
    with pytest.raises(BaseModelError, match=f"is quantized .*{kind or 'None'}.*Get the model that it was made from"):
        load_base(folder)


# ---- other weights than the config speaks of


def lost_config(folder: Path) -> None:
    fp8(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))


def stray_bias(folder: Path) -> None:
    _, weights = llama(folder)
    edit(folder, weights | {"model.layers.0.self_attn.q_proj.bias": torch.ones(64)})


@pytest.mark.parametrize("spoil, key", [(lost_config, "proj.weight_scale_inv"), (stray_bias, "q_proj.bias")])
def test_weights_that_the_config_does_not_speak_of_are_not_left_out(spoil, key, tmp_path):
    spoil(tmp_path / "base")
    with pytest.raises(BaseModelError, match=f"has .*{key} in its weights, but its config doesn't use it"):
        load_base(tmp_path / "base")


def test_weights_that_belong_to_nothing_here_are_left_out(tmp_path):
    folder, weights = llama(tmp_path / "base")
    expected = logits(load_base(folder, device="cpu")[0])
    edit(folder, weights | {"model.layers.2.eh_proj.weight": torch.ones(64, 64), "model.rotary_emb.x": torch.ones(4)})
    assert torch.equal(logits(load_base(folder, device="cpu")[0]), expected)


def test_the_fingerprint_is_of_the_file_that_is_loaded(tmp_path):
    folder, weights = llama(tmp_path / "base")
    other = {key: weight + 1 for key, weight in weights.items()}
    save_file(other, folder / "model-2.safetensors", metadata={"format": "pt"})
    edit(folder, transformers_weights="model-2.safetensors")
    before = fingerprint(folder)
    assert torch.equal(load_base(folder, device="cpu")[0].state_dict()["model.norm.weight"], other["model.norm.weight"])
    edit(folder, weights={key: weight * 2 for key, weight in weights.items()})
    assert fingerprint(folder) == before, "that file is never read"
    save_file(weights, folder / "model-2.safetensors", metadata={"format": "pt"})
    assert fingerprint(folder) != before


def test_pieces_of_a_checkpoint_in_training_are_refused(tmp_path):
    folder, _ = llama(tmp_path / "base")
    shutil.copy(folder / "model.safetensors", folder / "shard-00001-model-00001-of-00001.safetensors")
    with pytest.raises(BaseModelError, match="holds shard-00001-model-00001-of-00001.safetensors"):
        load_base(folder)


# ---- adapters


def test_an_adapter_beside_a_base_is_left_there(tmp_path):
    folder, _ = llama(tmp_path / "base")
    expected, of_base = logits(load_base(folder, device="cpu")[0]), fingerprint(folder)
    twin = peft.get_peft_model(make_tiny_llama(**SHAPE), peft.LoraConfig(target_modules=["q_proj"]))
    nn.init.normal_(twin.base_model.model.model.layers[0].self_attn.q_proj.lora_B.default.weight)
    twin.save_pretrained(folder)
    assert not torch.equal(logits(AutoModelForCausalLM.from_pretrained(folder)), expected), "transformers loads both"
    try:
        model, _ = load_base(folder, device="cpu")
    except BaseModelError as error:  # nothing keeps older versions from looking there
        assert transformers.__version__ < "5.23" and "has an adapter beside the base. Move" in str(error)
        return
    assert torch.equal(logits(model), expected) and model.labkit.fingerprint == of_base
    assert (logits(labkit.load_adapter(model, folder)) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("call", [load_base, find_base])
def test_an_adapter_is_no_base(call, tmp_path):
    twin = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(target_modules=["q_proj"]))
    twin.peft_config["default"].base_model_name_or_path = "ada/tiny"
    twin.save_pretrained(tmp_path / "adapter")
    with pytest.raises(BaseModelError, match=r"is an adapter, not a base. Load the base that it's for \(ada/tiny\)"):
        call(tmp_path / "adapter")


# ---- other models


def bert(**config) -> BertLMHeadModel:
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    return BertLMHeadModel(BertConfig(vocab_size=96, **shape, **config)).eval()


OTHERS = {
    "t5": lambda: T5(T5Config(vocab_size=96, d_model=16, d_ff=16, num_layers=1, num_heads=2, d_kv=8)),
    "bert": bert,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_causal_model_is_refused(kind, tmp_path):
    write(OTHERS[kind](), tmp_path / "base")
    with pytest.raises(BaseModelError, match=f"of type '{kind}', which doesn't continue a text from left to right"):
        load_base(tmp_path / "base")


@pytest.mark.parametrize("model", [lambda: bert(is_decoder=True), lambda: make("gpt_neox")])
def test_what_is_one_by_its_config_or_by_what_it_does_is_not(model, tmp_path):
    write(model(), tmp_path / "base")
    load_base(tmp_path / "base", device="cpu")


def test_an_architecture_of_tomorrow_is_refused_in_a_sentence(tmp_path):
    folder, _ = llama(tmp_path / "base")
    edit(folder, model_type="tomorrow")
    with pytest.raises(BaseModelError, match="an architecture that this version of transformers doesn't know. Update"):
        load_base(folder)


def test_code_of_its_own_is_refused_in_a_sentence(tmp_path):
    folder, _ = llama(tmp_path / "base")
    edit(folder, model_type="own", auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"})
    with pytest.raises(BaseModelError, match="needs code of its own, and labkit never runs code"):
        load_base(folder)


# ---- infinities


@pytest.mark.parametrize("options", [{}, {"quantize": "nf4"}])
def test_a_weight_that_is_too_large_for_float16_is_refused(options, tmp_path):
    folder, weights = llama(tmp_path / "base")
    weights["model.norm.weight"][3] = 1e5  # harmless in bfloat16
    edit(folder, {key: weight.bfloat16() for key, weight in weights.items()}, dtype="bfloat16")
    assert load_base(folder, device="cpu", dtype=torch.bfloat16, **options)
    with pytest.raises(ConfigError, match="model.norm.weight.* is too large for float16"):
        load_base(folder, device="cpu", dtype=torch.float16, **options)
