"""A 4-bit layer has one weight: what its forward multiplies by is what ``dense_weight`` gives, in every dtype."""

import pytest
import torch
import torch.nn.functional as F
from quantized import BACKENDS, roomy_llama
from torch import nn

from labkit import LoraConfig, inject_lora, load_base, lora_layers, merge_into_dense, quantize_model
from labkit.linear import dense_weight
from labkit.quant.blockwise import FLOATS

pytestmark = pytest.mark.usefixtures("one_thread")
TOKENS = torch.tensor([[1, 5, 9, 33, 2, 7, 8, 60]])


def packed_layer(backend: str, dtype: torch.dtype, double: bool = False) -> nn.Module:
    torch.manual_seed(0)
    return quantize_model(nn.Sequential(nn.Linear(128, 64, dtype=dtype)), backend, double=double)[0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("computed", FLOATS)
@pytest.mark.parametrize("training", [False, True])
def test_the_forward_multiplies_by_the_dense_weight(backend, double, dtype, computed, training):
    layer = packed_layer(backend, dtype, double).train(training)
    # one number at a time, so that the answer is the weight, and not a sum of roundings
    x = torch.eye(128, dtype=computed, requires_grad=training)
    weight = dense_weight(layer)
    assert weight.dtype == dtype
    with torch.set_grad_enabled(training):
        y = layer(x)
    expected = F.linear(x, weight.to(computed)) + layer.bias.to(computed)
    assert torch.equal(y, expected)
    if training:
        y.sum().backward()
        torch.testing.assert_close(x.grad[0], weight.to(computed).sum(0), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cast_of_the_model_casts_what_is_packed_and_nothing_that_packs_it(backend):
    layer = packed_layer(backend, torch.float32, double=True)
    before, whole = layer.stored_weight().clone(), dense_weight(layer)
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        layer.to(dtype)
        assert torch.equal(dense_weight(layer), whole.to(dtype)) and torch.equal(layer.stored_weight(), before)
        assert torch.equal(layer(torch.eye(128, dtype=dtype)), whole.to(dtype).T + layer.bias)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_equals_kept_apart_on_a_base_whose_file_is_bfloat16(backend, double, dtype, tmp_path, tiny_tokenizer):
    roomy_llama(initializer_range=0.1).bfloat16().save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    model, _ = load_base(tmp_path, device="cpu", quantize="nf4", double=double, backend=backend, dtype=dtype)
    inject_lora(model, LoraConfig(r=4, target_modules="all-linear"))
    for _, layer in lora_layers(model):
        nn.init.normal_(layer.lora_B.weight, std=0.05)
        assert dense_weight(layer.base_layer).dtype == dtype
    with torch.no_grad():
        apart = model(TOKENS).logits
        merged = merge_into_dense(model)(TOKENS).logits
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    size = apart.abs().max()
    assert (apart - merged).abs().max() <= size * (1e-6 if dtype == torch.float32 else 0.05)


def test_the_numbers_are_those_of_transformers_with_bitsandbytes(tmp_path, tiny_tokenizer):
    """The same file in the same dtype, quantized by transformers: the same Ŵ to the bit."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    roomy_llama(initializer_range=0.1).bfloat16().save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    for dtype in (torch.float32, torch.bfloat16):
        ours, _ = load_base(tmp_path, device="cpu", quantize="nf4", dtype=dtype)
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=dtype, quantization_config=how)
        theirs = theirs.dequantize(dtype).state_dict()
        for name, layer in ours.named_modules():
            if hasattr(layer, "dense_weight"):
                assert torch.equal(layer.dense_weight(), theirs[f"{name}.weight"]), name


def test_constants_are_those_of_the_dtype_that_is_computed_in(tmp_path, tiny_tokenizer):
    """Gemma multiplies its embedding by √hidden, which a model that's built in bfloat16 has rounded."""
    from kinds_of_base import make

    make("gemma").bfloat16().save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    for dtype in (torch.float32, torch.bfloat16):
        packed, _ = load_base(tmp_path, device="cpu", dtype=dtype, quantize="nf4")
        dense, _ = load_base(tmp_path, device="cpu", dtype=dtype)
        assert torch.equal(packed.model.embed_tokens(TOKENS), dense.model.embed_tokens(TOKENS))
