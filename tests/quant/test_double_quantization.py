"""Double quantization: what equals bitsandbytes to the bit, and what is off by a table's rounding on a CPU."""

import pytest
import torch
from quantized import bits, bnb

from labkit import dequantize_nf4, quantize_nf4
from labkit.quant.codebooks import dynamic_codebook
from labkit.quant.double_quantization import DoubleAbsmax, double_dequantize, double_quantize
from labkit.quant.nf4 import NF4Tensor


def some_weights():
    torch.manual_seed(0)
    for shape in [(64, 64), (192, 576), (576, 1536), (100, 64), (1000, 320)]:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            # rows of different size, as the scales of a real matrix differ
            yield (torch.randn(shape) * (0.2 + torch.rand(shape[0], 1))).to(dtype)


def theirs(weight):
    packed, state = bnb.functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    return packed, state


def test_all_but_the_second_codes_are_bitsandbytes_to_the_bit():
    for weight in some_weights():
        packed, state = theirs(weight)
        ours = quantize_nf4(weight, double=True)
        assert bits(ours.packed) == bits(packed)
        assert bits(ours.absmax.offset) == bits(state.offset)
        assert bits(ours.absmax.absmax) == bits(state.state2.absmax)
        assert bits(ours.absmax.codebook) == bits(state.state2.code)
        assert ours.absmax.codes.shape == state.absmax.shape and ours.absmax.codes.dtype == state.absmax.dtype


def test_their_codes_are_ours_after_rounding_to_65536_steps():
    """The whole difference: on a CPU a number is first put on an even grid, code by code reproduced here."""
    for weight in some_weights():
        _, state = theirs(weight)
        absmax = quantize_nf4(weight).absmax
        centred = absmax - absmax.mean()
        reciprocal = (1 / state.state2.absmax).repeat_interleave(256)[: len(centred)]
        step = ((centred * reciprocal + 1) * 32767.5 + 0.5).floor()
        book = dynamic_codebook()
        assert torch.bucketize(step / 32767.5 - 1, (book[1:] + book[:-1]) / 2).to(torch.uint8).equal(state.absmax)


def test_how_far_the_second_codes_are_apart():
    """At most four codes, in fewer than one place of 200. Being nearest to a number half a step of that grid away, a
    code of theirs is never worse than ours by more than one step."""
    different = total = 0
    for weight in some_weights():
        _, state = theirs(weight)
        absmax, ours = quantize_nf4(weight).absmax, quantize_nf4(weight, double=True).absmax
        apart = (ours.codes.int() - state.absmax.int()).abs()
        different, total = different + int((apart > 0).sum()), total + len(apart)
        assert apart.max() <= 4
        scaled = (absmax - ours.offset) / ours.absmax.repeat_interleave(256)[: len(absmax)]
        errors = [(scaled - ours.codebook[codes.int()]).abs() for codes in (ours.codes, state.absmax)]
        assert ((errors[1] - errors[0]) <= 1.001 / 32767.5).all() and (errors[1] >= errors[0] - 1e-6).all()
    assert 0 < different < total / 200


def test_values_are_bitsandbytes_to_the_bit_given_its_codes():
    for weight in some_weights():
        packed, state = theirs(weight)
        scales = DoubleAbsmax(state.absmax, state.state2.absmax, state.offset, state.state2.code)
        ours = dequantize_nf4(NF4Tensor(packed, scales, weight.shape, weight.dtype, 64))
        assert bits(ours) == bits(bnb.functional.dequantize_4bit(packed, state))


def test_each_scale_goes_to_the_nearest_code():
    torch.manual_seed(0)
    absmax = torch.rand(1000) + 0.1
    book, double = dynamic_codebook().double(), double_quantize(absmax)
    centred = (absmax - absmax.mean()).double()
    second = torch.stack([block.abs().max() for block in centred.split(256)]).repeat_interleave(256)[:1000]
    nearest = (centred[:, None] - book * second[:, None]).abs().amin(dim=1)
    error = (double_dequantize(double).double() - absmax.double()).abs()
    torch.testing.assert_close(error, nearest, atol=1e-7, rtol=0)


@pytest.mark.parametrize("count", [1, 255, 256, 257])
def test_equal_scales_come_back_exactly(count):
    """Their mean is taken off, and nothing is left to quantize."""
    absmax = torch.full((count,), 0.75)
    assert double_dequantize(double_quantize(absmax)).equal(absmax)
