"""Merging into dense weights: what remains is an ordinary model, rounded once, also from four bits."""

import pytest
import torch
from adapted import adapted, bits, logits, randomise, untouched
from conftest import make_tiny_llama
from torch import nn

import labkit
from labkit import AdapterBank, LoraConfig, LoraLinear, inject_lora, lora_layers, merge, merge_into_dense
from labkit.errors import ConfigError
from labkit.linear import dense_weight

KINDS = ("dense", "labkit", "bitsandbytes")
ROOMY = {"hidden_size": 64, "intermediate_size": 128}  # what bitsandbytes takes on any CPU


def adapted_on(kind: str, **config) -> nn.Module:
    """A tiny Llama, dense or in four bits, with an adapter on q, v and down."""
    if kind == "bitsandbytes":
        pytest.importorskip("bitsandbytes")
    model = make_tiny_llama(**ROOMY)
    if kind != "dense":
        labkit.quantize_model(model, kind, double=True)
    inject_lora(model, LoraConfig(**({"target_modules": ["q_proj", "v_proj", "down_proj"]} | config)))
    randomise(model)
    return model


def sums(model: nn.Module) -> dict[str, torch.Tensor]:
    """W + ΔW of the adapted layers and W of the packed ones, in float64."""
    whole = {name: dense_weight(m).double() for name, m in model.named_modules() if hasattr(m, "quantized")}
    for name, layer in lora_layers(model):
        a, b = layer.lora_A.weight.double(), layer.lora_B.weight.double()
        whole[name] = dense_weight(layer.base_layer).double() + layer.scaling * (b @ a)
    return {name: weight for name, weight in whole.items() if not name.endswith("base_layer")}


@pytest.mark.parametrize("kind", KINDS)
def test_what_remains_is_an_ordinary_model_that_answers_alike(kind):
    model, plain = adapted_on(kind), make_tiny_llama(**ROOMY)
    answer = logits(model)
    assert merge_into_dense(model) is model
    assert [(name, type(m)) for name, m in model.named_modules()] == [(n, type(m)) for n, m in plain.named_modules()]
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert model.lm_head.weight is model.get_input_embeddings().weight
    torch.testing.assert_close(logits(model), answer, atol=1e-5, rtol=0)
    inject_lora(model, LoraConfig())  # it can be adapted anew


@pytest.mark.parametrize("kind", KINDS)
def test_each_weight_is_rounded_once(kind):
    model = adapted_on(kind)
    exact = sums(model)
    merge_into_dense(model, torch.bfloat16)
    for name, expected in exact.items():
        weight = model.get_submodule(name).weight
        # half a unit in the last place, and what the float32 sum adds to it
        bound = expected.abs() * torch.finfo(torch.bfloat16).eps / 2 * 1.001 + 1e-6
        assert weight.dtype == torch.bfloat16 and ((weight.double() - expected).abs() <= bound).all()
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32, "positions are turned by exact angles"


@pytest.mark.parametrize("kind", KINDS)
def test_an_earlier_merge_leaves_no_rounding_behind(kind):
    fresh, merged = adapted_on(kind), merge(adapted_on(kind))
    assert bits(merge_into_dense(merged).state_dict()) == bits(merge_into_dense(fresh).state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_the_tensors_themselves_are_never_written_to(kind):
    model = adapted_on(kind)
    held = {name: t for name, t in [*model.named_parameters(), *model.named_buffers()] if t.dim()}
    before = bits(held)
    merge_into_dense(model, torch.bfloat16)
    assert bits(held) == before


def test_requantizing_is_the_other_way_and_rounds_to_four_bits():
    """The same adapter on the same 4-bit base: merged in place it is sixteen values a block, here it is not."""
    packed, dense = merge(adapted_on("labkit")), merge_into_dense(adapted_on("labkit"))
    exact, layer = sums(adapted_on("labkit")), "model.layers.0.self_attn.q_proj"
    requantized = labkit.dequantize_nf4(labkit.quantize_nf4(exact[layer].float(), double=True))
    assert torch.equal(dense_weight(packed.get_submodule(layer).base_layer), requantized)
    errors = [(w.double() - exact[layer]).norm() for w in (requantized, dense.get_submodule(layer).weight)]
    assert errors[0] > 1e4 * errors[1]
    blocks = packed.get_submodule(layer).base_layer.quantized
    assert len(labkit.dequantize_nf4(blocks).flatten()[:64].unique()) <= 16
    assert len(dense.get_submodule(layer).weight.flatten()[:64].unique()) > 16


def test_a_base_in_four_bits_without_an_adapter_becomes_dense():
    model = labkit.quantize_model(make_tiny_llama())
    answer = logits(model)
    merge_into_dense(model)
    assert type(model.model.layers[0].mlp.up_proj) is nn.Linear and not hasattr(model, "quantization")
    torch.testing.assert_close(logits(model), answer, atol=1e-5, rtol=0)


def test_biases_come_along():
    layer = LoraLinear(nn.Linear(4, 3))
    nn.init.normal_(layer.lora_B.weight)
    model, x = nn.Sequential(layer), torch.randn(2, 4)
    expected = model(x)
    torch.testing.assert_close(merge_into_dense(model)(x), expected, atol=1e-5, rtol=0)
    assert merge_into_dense(nn.Sequential(LoraLinear(nn.Linear(4, 3))), torch.bfloat16)[0].bias.dtype == torch.bfloat16


def test_a_tied_head_and_nothing_to_merge_are_refused():
    tied = adapted(LoraConfig(target_modules=["q_proj", "lm_head"]))
    with untouched(tied), pytest.raises(ConfigError, match="lm_head shares its weight with model.embed_tokens.weight"):
        merge_into_dense(tied, torch.bfloat16)
    bare = make_tiny_llama()
    with untouched(bare), pytest.raises(ConfigError, match="nothing to merge"):
        merge_into_dense(bare, torch.bfloat16)


def test_a_model_with_a_bank_is_refused():
    model = make_tiny_llama()
    AdapterBank(model)
    with pytest.raises(ConfigError, match="served by an AdapterBank"):
        merge_into_dense(model)
