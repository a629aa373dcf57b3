import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quantized import bnb, weights

from labkit.errors import ConfigError
from labkit.quant.integers import dequantize_int, quantize_int


def test_int8_rows_are_those_of_llm_int8():
    torch.manual_seed(0)
    weight = torch.randn(40, 96)
    codes, row_max, _ = bnb.functional.int8_vectorwise_quant(weight)
    ours = quantize_int(weight, bits=8, block_size=96)
    # one rounding more or less in the scale may tip a number that lies halfway
    assert (ours.codes - codes).abs().max() <= 1 and (ours.codes != codes).float().mean() < 0.001
    torch.testing.assert_close(ours.scale.flatten() * 127, row_max)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_no_number_is_off_by_more_than_half_a_step(bits, affine):
    for weight in weights():
        quantized = quantize_int(weight, bits, 32, affine)
        levels = 2**bits if affine else 2**bits - 1
        assert quantized.codes.unique().numel() <= levels
        flat = weight.flatten().double().numpy()
        restored = dequantize_int(quantized)
        assert restored.shape == weight.shape and restored.dtype == weight.dtype
        step = quantized.scale.repeat_interleave(32, dim=1).flatten()[: len(flat)].double().numpy()
        rounding = np.abs(flat).max() * torch.finfo(weight.dtype).eps + float(torch.finfo(weight.dtype).tiny)
        assert (np.abs(restored.flatten().double().numpy() - flat) <= 0.5001 * step + rounding).all()


def test_the_base_has_been_through_affine_four_bits(base):
    """Its weights come from Q4_1, which is affine int4 in blocks of 32: doing that again changes nothing, and absmax
    int4 does."""
    weight = base[0].model.layers[10].mlp.up_proj.weight.detach()

    def error(affine):
        restored = dequantize_int(quantize_int(weight, bits=4, block_size=32, affine=affine))
        return ((restored - weight).norm() / weight.norm()).item()

    assert error(affine=True) < 1e-6
    assert 0.05 < error(affine=False) < 0.2


@given(st.integers(1, 200), st.integers(1, 70), st.integers(2, 8), st.booleans(), st.integers(0, 10**6))
def test_quantizing_again_changes_nothing(count, block_size, bits, affine, seed):
    weight = torch.randn(count, generator=torch.Generator().manual_seed(seed))
    once = dequantize_int(quantize_int(weight, bits, block_size, affine))
    torch.testing.assert_close(dequantize_int(quantize_int(once, bits, block_size, affine)), once)


@pytest.mark.parametrize(
    ("tensor", "settings", "message"),
    [
        (torch.ones(4), {"bits": 1}, "bits must be between 2 and 8, got 1"),
        (torch.ones(4), {"bits": 9}, "bits must be between 2 and 8, got 9"),
        (torch.ones(4), {"block_size": 0}, "block_size must be at least 1"),
        (torch.tensor([float("inf")]), {}, "NaN or infinity"),
        (torch.empty(0), {}, "empty"),
    ],
)
def test_what_cannot_be_quantized_is_refused(tensor, settings, message):
    with pytest.raises(ConfigError, match=message):
        quantize_int(tensor, **settings)
