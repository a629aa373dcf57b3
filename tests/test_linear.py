import pytest
import torch
from torch import nn

from labkit.linear import BaseLinear, dense_weight, is_linear, replace_weight
from labkit.lora.layer import LoraLinear


class HalvedLinear(nn.Module):
    """A layer that keeps its weight in a form of its own: half of it."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("halved", None)
        self.replace_weight(weight)

    def dense_weight(self) -> torch.Tensor:
        return 2 * self.halved

    def replace_weight(self, weight: torch.Tensor) -> None:
        self.halved = weight / 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.dense_weight().T


class PackedLinear(nn.Linear):
    """As other libraries' 4-bit layers: a linear layer by class, whose weight is no matrix of it."""

    def __init__(self, weight: torch.Tensor):
        super().__init__(4, 6)
        self.weight = nn.Parameter(weight, requires_grad=False)


@pytest.mark.parametrize(
    "module, linear",
    [
        (nn.Linear(4, 6), True),
        (nn.Linear(4, 6, dtype=torch.bfloat16), True),
        (nn.Linear(4, 6, device="meta"), True),
        (HalvedLinear(torch.ones(6, 4)), True),
        (PackedLinear(torch.zeros(12, 1, dtype=torch.uint8)), False),
        (PackedLinear(torch.zeros(12, 1)), False),
        (PackedLinear(torch.zeros(6, 4, dtype=torch.int8)), False),
        (nn.Embedding(6, 4), False),
        (nn.Conv1d(4, 6, 1), False),
        (nn.LayerNorm(4), False),
        (LoraLinear(nn.Linear(4, 6)), False),
    ],
)
def test_what_lora_can_wrap(module, linear):
    assert is_linear(module) is linear


@pytest.mark.parametrize("layer", [nn.Linear(4, 6, bias=False), HalvedLinear(torch.ones(6, 4))])
def test_a_weight_comes_back_as_it_was_given(layer):
    weight, x = torch.randn(6, 4), torch.randn(3, 4)
    replace_weight(layer, weight)
    torch.testing.assert_close(dense_weight(layer), weight)
    torch.testing.assert_close(layer(x), x @ weight.T)
    assert not dense_weight(layer).requires_grad


@pytest.mark.parametrize("trainable", [True, False])
def test_a_dense_weight_is_replaced_not_written_over(trainable):
    layer = nn.Linear(4, 6).requires_grad_(trainable)
    old, before = dense_weight(layer), dense_weight(layer).clone()
    replace_weight(layer, torch.zeros(6, 4))
    assert torch.equal(old, before)
    assert layer.weight.requires_grad is trainable
    assert isinstance(layer.weight, nn.Parameter)


def test_one_lora_layer_serves_a_base_with_a_form_of_its_own():
    weight, x = torch.randn(6, 4), torch.randn(3, 4)
    base = HalvedLinear(weight)
    assert isinstance(base, BaseLinear)
    layer = LoraLinear(base, r=2, lora_alpha=6)
    nn.init.normal_(layer.lora_B.weight)
    expected = x @ (weight + 3 * layer.lora_B.weight @ layer.lora_A.weight).T
    torch.testing.assert_close(layer(x), expected)
    layer.merge()
    torch.testing.assert_close(layer(x), expected)
    layer.unmerge()
    assert torch.equal(base.dense_weight(), weight)
