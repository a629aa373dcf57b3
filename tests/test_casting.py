"""No sum and no cast of labkit's leaves an infinity behind; the oracle is torch's own cast."""

import pytest
import torch
from torch import nn

from labkit.casting import cast, cast_weights, ordinary_dtype
from labkit.errors import ConfigError


@pytest.mark.parametrize(
    "numbers, dtype, said",
    [
        ([1.0, 65_519.0], torch.float16, None),
        ([1.0, -65_520.0], torch.float16, "the sum is too large for float16, where it would be infinite"),
        ([3.4e38], torch.bfloat16, "too large for bfloat16"),
        ([float("inf")], torch.float32, "too large for float32"),
        ([1.0, float("nan")], torch.float16, "the sum has NaN or infinity in it"),
        ([1.0, float("nan")], torch.float32, "the sum has NaN or infinity in it"),
        ([], torch.float16, None),
    ],
)
def test_a_cast_gives_no_infinity(numbers, dtype, said):
    tensor = torch.tensor(numbers)
    if said is None:
        assert torch.equal(cast(tensor, dtype, "the sum"), tensor.to(dtype))
    else:
        with pytest.raises(ConfigError, match=said):
            cast(tensor, dtype, "the sum")


@pytest.mark.parametrize("asked", ["float8_e4m3fn", torch.float8_e4m3fn, "int8", torch.int8, "half a float", 16, None])
def test_a_dtype_that_weights_cannot_be_in_is_refused(asked):
    assert ordinary_dtype("bfloat16") is ordinary_dtype(torch.bfloat16) is torch.bfloat16
    with pytest.raises(ConfigError, match="dtype must be float32, bfloat16, float16 or float64, .*, got "):
        ordinary_dtype(asked)


def test_weights_are_cast_all_or_none_and_tied_ones_stay_tied():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4, bias=False), nn.BatchNorm1d(4))
    model[1].weight = model[0].weight
    held = {name: parameter for name, parameter in model.named_parameters()}
    with torch.no_grad():
        model[2].bias[0] = 1e6
    with pytest.raises(ConfigError, match="2.bias is too large for float16"):
        cast_weights(model, torch.float16)
    assert all(held[name] is parameter for name, parameter in model.named_parameters())
    cast_weights(model, torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16} and model[1].weight is model[0].weight
    assert model[2].running_var.dtype == torch.float32 and held["0.weight"].dtype == torch.float32
