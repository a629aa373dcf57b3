"""MXFP4 and NVFP4 against llama.cpp's gguf, and against the tables of their specifications."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from hypothesis import given
from hypothesis import strategies as st
from quantized import bits

from labkit.errors import ConfigError
from labkit.quant.codebooks import e2m1_codebook
from labkit.quant.microscaling import FP4Tensor, dequantize_fp4, quantize_mxfp4, quantize_nvfp4

QUANTIZERS = [quantize_mxfp4, quantize_nvfp4]
every_format = pytest.mark.parametrize("quantize_fp4", QUANTIZERS)
MAGNITUDES = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def e4m3(pattern: int) -> float:
    """What an 8-bit float without a sign stands for, as its definition reads: bias 7, three bits of mantissa."""
    exponent, mantissa = pattern >> 3, pattern & 7
    return mantissa * 2**-9 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)


E4M3 = torch.tensor([e4m3(pattern) for pattern in range(0x7F)], dtype=torch.float64)  # 0x7F is NaN


def nearest(numbers: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    return table[(numbers.double()[:, None] - table).abs().argmin(dim=1)]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_e2m1_is_read_from_its_bits():
    for pattern, number in enumerate(e2m1_codebook().tolist()):
        exponent, mantissa = pattern >> 1 & 3, pattern & 1
        magnitude = mantissa / 2 if exponent == 0 else (1 + mantissa / 2) * 2 ** (exponent - 1)
        assert abs(number) == magnitude and np.signbit(number) == (pattern >= 8)


def test_mxfp4_is_that_of_gguf_bit_for_bit():
    for scale in (1e-30, 1e-3, 1.0, 1e30):
        weight = random(64, 256) * scale
        theirs = dequantize(quantize(weight.numpy(), GGMLQuantizationType.MXFP4), GGMLQuantizationType.MXFP4)
        assert dequantize_fp4(quantize_mxfp4(weight)).equal(torch.from_numpy(theirs))


def test_nvfp4_is_read_by_gguf_bit_for_bit():
    """gguf keeps 64 numbers together: four scales, then the codes of 16 numbers at a time, i beside i + 8."""
    ours = quantize_nvfp4(random(32, 128))
    codes = ours.codes.view(-1, 4, 2, 8)
    packed = (codes[:, :, 0] | codes[:, :, 1] << 4).flatten(1)
    stored = torch.cat([ours.scales.view(torch.uint8).view(-1, 4), packed], dim=1)
    theirs = torch.from_numpy(dequantize(stored.numpy(), GGMLQuantizationType.NVFP4))
    without = replace(ours, tensor_scale=torch.ones(()))  # gguf keeps the tensor's scale elsewhere
    assert dequantize_fp4(without).flatten().equal(theirs.flatten())
    torch.testing.assert_close(dequantize_fp4(ours).flatten(), theirs.flatten() * ours.tensor_scale)


@given(st.integers(1, 200), st.integers(-30, 30), st.integers(0, 10**6))
def test_mxfp4_is_the_definition(count, power, seed):
    weight = random(count, seed=seed) * 2.0**power
    quantized = quantize_mxfp4(weight)
    for block, scale, codes in zip(weight.split(32), quantized.scales.float(), quantized.codes.split(32)):
        largest = 2.0 ** np.floor(np.log2(block.abs().max().item()))
        assert scale.item() == largest / 4
        table = e2m1_codebook().double() * scale.item()
        assert table[codes.int()].equal(nearest(block, table))


@given(st.integers(1, 200), st.integers(-30, 30), st.integers(0, 10**6))
def test_nvfp4_is_the_definition(count, power, seed):
    weight = random(count, seed=seed) * 2.0**power
    quantized = quantize_nvfp4(weight)
    whole = weight.abs().max().double() / (6 * 448)
    assert quantized.tensor_scale.item() == pytest.approx(whole.item(), rel=1e-6)
    for block, scale, codes in zip(weight.split(16), quantized.scales.float(), quantized.codes.split(16)):
        wanted = nearest(block.abs().max()[None] / 6 / whole, E4M3)
        assert scale.item() == wanted.item()
        table = e2m1_codebook().double() * scale.item() * quantized.tensor_scale.item()
        assert (table[codes.int()] - block).abs().allclose((nearest(block, table) - block).abs(), rtol=1e-5, atol=0)


def test_halfway_the_even_mantissa_is_taken():
    halfway = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
    wanted = torch.tensor([0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0])
    for sign in (1, -1):
        block = torch.cat([torch.tensor([4.0]), sign * halfway])  # 4 makes the scale 1
        assert dequantize_fp4(quantize_mxfp4(block))[1:].equal(sign * wanted)


def test_mxfp4_cuts_what_is_beyond_six():
    assert dequantize_fp4(quantize_mxfp4(torch.tensor([7.9, 1.0]))).tolist() == [6.0, 1.0]
    assert dequantize_fp4(quantize_mxfp4(torch.tensor([8.0, 1.0]))).tolist() == [8.0, 1.0]  # a scale of 2 from here on


@every_format
def test_quantizing_again_changes_nothing(quantize_fp4):
    for weight in (random(40, 33), random(7), random(3, 50).half(), random(3, 50).bfloat16()):
        once = dequantize_fp4(quantize_fp4(weight))
        again = dequantize_fp4(quantize_fp4(once))
        assert once.shape == weight.shape and once.dtype == weight.dtype
        assert bits(once) == bits(again)


@every_format
def test_zeros_stay_zeros_and_the_smallest_numbers_harm_nothing(quantize_fp4):
    for number in (0.0, 1e-45, 1e-39, 1e-37):
        restored = dequantize_fp4(quantize_fp4(torch.full((40,), number)))
        assert restored.isfinite().all() and (restored - number).abs().max() <= 2e-38
    mixed = torch.cat([torch.zeros(32), torch.ones(32)])
    assert dequantize_fp4(quantize_fp4(mixed)).equal(mixed)


def test_in_nvfp4_a_block_can_be_too_small_for_its_scale():
    weight = torch.cat([torch.ones(16), torch.full((16,), 1e-7)])
    assert dequantize_fp4(quantize_nvfp4(weight))[16:].eq(0).all()
    assert dequantize_fp4(quantize_mxfp4(weight.repeat_interleave(2)))[32:].gt(0).all()


@pytest.mark.parametrize(
    "quantize_fp4, error, bits_per_weight", [(quantize_mxfp4, 11.5, 4.25), (quantize_nvfp4, 9.5, 4.5)]
)
def test_error_and_bits_on_normal_numbers(quantize_fp4, error, bits_per_weight):
    weight = random(512, 1024)
    quantized = quantize_fp4(weight)
    missed = (dequantize_fp4(quantized) - weight).norm() / weight.norm()
    assert 100 * missed.item() == pytest.approx(error, abs=0.1)
    assert isinstance(quantized, FP4Tensor) and quantized.bits_per_weight == pytest.approx(bits_per_weight, abs=1e-3)


def test_a_view_is_quantized_as_its_copy():
    weight = random(96, 64)
    for quantize_fp4 in QUANTIZERS:
        assert bits(quantize_fp4(weight.T).codes) == bits(quantize_fp4(weight.T.contiguous()).codes)


@every_format
@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.tensor([1.0, float("nan")]), "NaN or infinity"),
        (torch.tensor([float("inf")]), "NaN or infinity"),
        (torch.empty(0, 4), "the tensor is empty"),
        (torch.arange(4), "the tensor is int64; quantizable are float32, bfloat16, float16"),
    ],
)
def test_what_cannot_be_quantized_is_refused(quantize_fp4, tensor, message):
    with pytest.raises(ConfigError, match=message):
        quantize_fp4(tensor)
