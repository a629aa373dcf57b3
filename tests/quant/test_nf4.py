"""NF4 by hand against bitsandbytes, bit for bit."""

from statistics import NormalDist

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quantized import bits, bnb, weights
from torch._subclasses.fake_tensor import FakeTensorMode

from labkit import dequantize_nf4, nf4_codebook, quantize_nf4
from labkit.errors import ConfigError
from labkit.quant.blockwise import FLOATS, _count_below, dequantize_blockwise, quantize_blockwise
from labkit.quant.bnb import fast_dequantize
from labkit.quant.codebooks import dynamic_codebook, fp4_codebook

WEIGHTS = weights()


def theirs_flat(weight, block_size=64, kind="nf4"):
    """bitsandbytes' packed bytes, scales and dequantized values, of the flattened weight: any shape is right then."""
    packed, state = bnb.functional.quantize_4bit(weight.reshape(1, -1), blocksize=block_size, quant_type=kind)
    with torch.compiler.set_stance("force_eager"):  # for odd numbers of elements it would compile, which takes seconds
        values = bnb.functional.dequantize_4bit(packed, state)
    return packed, state.absmax, values.reshape(weight.shape)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nf4_codebook, lambda: bnb.functional.get_4bit_type("nf4", device="cpu")),
        (fp4_codebook, lambda: bnb.functional.get_4bit_type("fp4", device="cpu").sort().values),
        (dynamic_codebook, bnb.functional.create_dynamic_map),
    ],
)
def test_code_books_are_bitsandbytes_to_the_bit(ours, theirs):
    assert bits(ours()) == bits(theirs())


def test_nf4_entries_are_quantiles():
    """Python's own inverse normal distribution, at eight and seven even steps of probability."""
    offset = (1 - 1 / 30 + 1 - 1 / 32) / 2
    wanted = [NormalDist().inv_cdf(0.5 + (offset - 0.5) * i / 8) for i in range(9)]
    wanted += [-NormalDist().inv_cdf(0.5 + (offset - 0.5) * i / 7) for i in range(1, 8)]
    wanted = torch.tensor(sorted(wanted)) / max(wanted)
    torch.testing.assert_close(nf4_codebook(), wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("block_size", [32, 64, 256])
def test_packed_bytes_scales_and_values_are_bitsandbytes_to_the_bit(block_size):
    for weight in WEIGHTS:
        packed, absmax, values = theirs_flat(weight, block_size)
        ours = quantize_nf4(weight, block_size)
        assert bits(ours.packed) == bits(packed) and ours.packed.shape == packed.shape, weight.shape
        assert bits(ours.absmax) == bits(absmax), weight.shape
        assert bits(dequantize_nf4(ours)) == bits(values), weight.shape


def test_shapes_as_they_are_where_bitsandbytes_reads_them_right():
    torch.manual_seed(0)
    for shape in [(64, 64), (5, 128), (576, 192)]:
        weight = torch.randn(shape)
        packed, state = bnb.functional.quantize_4bit(weight, quant_type="nf4")
        assert bits(quantize_nf4(weight).packed) == bits(packed)
        assert bits(dequantize_nf4(quantize_nf4(weight))) == bits(bnb.functional.dequantize_4bit(packed, state))


def test_fp4_values_are_bitsandbytes_too():
    for weight in WEIGHTS:
        _, absmax, values = theirs_flat(weight, kind="fp4")
        codes, ours = quantize_blockwise(weight, fp4_codebook(), 64)
        assert bits(ours) == bits(absmax)
        restored = dequantize_blockwise(codes, ours, fp4_codebook(), 64).to(weight.dtype)
        assert restored.equal(values.flatten())


@pytest.mark.parametrize("double", [False, True])
def test_the_fast_way_gives_the_same_bits(double):
    for weight in WEIGHTS:
        for block_size in (20, 32, 64, 1024, 2048):
            quantized = quantize_nf4(weight, block_size, double)
            for dtype in (None, torch.float64, *FLOATS):
                slow, fast = dequantize_nf4(quantized, dtype), fast_dequantize(quantized, dtype)
                assert bits(slow) == bits(fast), (weight.shape, block_size)
                assert slow.shape == fast.shape == weight.shape and slow.dtype == fast.dtype == (dtype or weight.dtype)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 100), st.integers(0, 10**6))
def test_each_number_goes_to_the_nearest_entry(shape, block_size, seed):
    """Written as the definition reads, in float64; a tie's two neighbours are equally near."""
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    values = dequantize_nf4(quantize_nf4(weight, block_size)).flatten().double()
    flat, book = weight.flatten().double(), nf4_codebook().double()
    for start in range(0, len(flat), block_size):
        block = flat[start : start + block_size]
        absmax = block.abs().max()
        nearest = (block[:, None] - book * absmax).abs().amin(dim=1)
        error = (block - values[start : start + block_size]).abs()
        torch.testing.assert_close(error, nearest, atol=1e-6 * absmax.item(), rtol=0)


@pytest.mark.parametrize("book", [nf4_codebook(), fp4_codebook(), torch.tensor([-1.0, 0, 1e-4, 2e-4, 1])])
def test_a_number_next_to_a_bound_falls_on_its_side(book):
    """As a search would have it, for a book whose bounds share no cell of the table, and for one where two do."""
    bounds = (book[1:] + book[:-1]) / 2
    beside = [torch.nextafter(bounds, torch.tensor(to)) for to in (-2.0, 2.0)]
    edges = torch.linspace(-1, 1, 2049)  # of the table's cells, and the middles between them
    numbers = torch.cat([bounds, *beside, edges, *(torch.nextafter(edges, torch.tensor(to)) for to in (-2.0, 2.0))])
    expected = torch.bucketize(numbers, bounds).to(torch.uint8)
    assert torch.equal(_count_below(numbers, bounds), expected)


def test_quantizing_again_changes_nothing():
    for weight in WEIGHTS:
        once = quantize_nf4(dequantize_nf4(quantize_nf4(weight)))
        again = quantize_nf4(dequantize_nf4(once))
        assert bits(once.packed) == bits(again.packed) and bits(once.absmax) == bits(again.absmax)


def test_bits_a_weight():
    weight = torch.randn(576, 1536)
    assert quantize_nf4(weight).bits_per_weight == 4 + 32 / 64
    doubled = quantize_nf4(weight, double=True)
    # 13,824 blocks make 54 blocks of scales, and 32 bits for their mean
    assert doubled.bits_per_weight == pytest.approx(4 + 8 / 64 + 32 / (64 * 256) + 32 / weight.numel(), abs=1e-12)
    assert round(doubled.bits_per_weight, 3) == 4.127


def test_a_view_is_quantized_as_its_copy():
    weight = torch.randn(96, 64)
    assert bits(quantize_nf4(weight.T).packed) == bits(quantize_nf4(weight.T.contiguous()).packed)


@pytest.mark.parametrize(
    ("tensor", "block_size", "message"),
    [
        (torch.tensor([1.0, float("nan")]), 64, "the tensor has NaN or infinity in it"),
        (torch.tensor([1.0, float("-inf")]).half(), 64, "NaN or infinity"),
        (torch.empty(0, 4), 64, "the tensor is empty"),
        (torch.arange(4), 64, "the tensor is int64; quantizable are float32, bfloat16, float16"),
        (torch.ones(4, dtype=torch.float64), 64, "the tensor is float64"),
        (torch.ones(4), 0, "block_size must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_quantized_is_refused(tensor, block_size, message):
    with pytest.raises(ConfigError, match=message):
        quantize_nf4(tensor, block_size)


@pytest.mark.parametrize("double", [False, True])
def test_shapes_without_numbers(double):
    with FakeTensorMode():
        quantized = quantize_nf4(torch.empty(96, 65, dtype=torch.bfloat16), double=double)
        restored, fast = dequantize_nf4(quantized), fast_dequantize(quantized)
    assert quantized.packed.shape == (3120, 1)
    assert restored.shape == fast.shape == (96, 65) and restored.dtype == fast.dtype == torch.bfloat16
