"""What is a linear layer and what only looks like one, and what is asked of it."""

import pytest
import torch
from kinds_of_base import config_of
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers.integrations.finegrained_fp8 import FP8Linear
from transformers.models.falcon.modeling_falcon import FalconLinear
from transformers.models.llama4.modeling_llama4 import Llama4Router
from transformers.models.phimoe.modeling_phimoe import PhimoeTopKRouter

from labkit.linear import (
    BaseLinear,
    PackedLinear,
    dense_weight,
    device_of,
    is_linear,
    linear_layers,
    replace_weight,
    restore_weight,
    stored_weight,
    uncalled_layers,
)
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


class ForeignLinear(nn.Linear):
    """As other libraries' 4-bit layers: a linear layer by class, whose weight is no matrix of it."""

    def __init__(self, weight: torch.Tensor):
        super().__init__(4, 6)
        self.weight = nn.Parameter(weight, requires_grad=False)


class ScaledTensor(torch.Tensor):
    """As other libraries' kinds of tensor: it says that it's float32, and its numbers are codes."""


@pytest.mark.parametrize(
    "module, linear",
    [
        (nn.Linear(4, 6), True),
        (nn.Linear(4, 6, dtype=torch.bfloat16), True),
        (nn.Linear(4, 6, device="meta"), True),
        (HalvedLinear(torch.ones(6, 4)), True),
        (ForeignLinear(torch.zeros(12, 1, dtype=torch.uint8)), False),
        (ForeignLinear(torch.zeros(12, 1)), False),
        (ForeignLinear(torch.zeros(6, 4, dtype=torch.int8)), False),
        (ForeignLinear(torch.zeros(6, 4, dtype=torch.float8_e4m3fn)), False),
        (ForeignLinear(torch.zeros(6, 4).as_subclass(ScaledTensor)), False),
        (FP8Linear(4, 6), False),
        (FalconLinear(4, 6), True),
        (Llama4Router(config_of("llama4_text")), False),
        (PhimoeTopKRouter(config_of("phimoe")), False),
        (nn.Embedding(6, 4), False),
        (nn.Conv1d(4, 6, 1), False),
        (nn.LayerNorm(4), False),
        (LoraLinear(nn.Linear(4, 6)), False),
    ],
)
def test_what_lora_can_wrap(module, linear):
    assert is_linear(module) is linear


class DrawsItsWeights(nn.Module):
    """A block that takes the weights of its layers to draw them, and calls the layers."""

    def __init__(self):
        super().__init__()
        self.fc1, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)

    def reset_parameters(self):
        nn.init.xavier_uniform_(self.fc1.weight)

    def forward(self, x):
        return self.norm(self.fc1(x))


def test_a_layer_whose_weight_is_only_drawn_or_looked_at_is_one_that_is_called():
    assert list(linear_layers(DrawsItsWeights())) == ["fc1"] and not uncalled_layers(DrawsItsWeights())
    theirs = nn.TransformerEncoderLayer(8, 2, 16)
    assert not uncalled_layers(theirs) & {"linear1", "linear2"} and "self_attn.out_proj" in uncalled_layers(theirs)


@pytest.mark.parametrize("kind", ["Linear4bit", "Linear8bitLt"])
def test_layers_of_bitsandbytes_are_linear_by_class_only(kind):
    bnb = pytest.importorskip("bitsandbytes")
    assert not is_linear(getattr(bnb.nn, kind)(4, 6)), "not even before they're quantized"


def test_a_layer_is_asked_what_it_computes_in_a_simulation_too():
    class Doubled(nn.Linear):
        def forward(self, x):
            return super().forward(2 * x)

    class Plain(nn.Linear):
        def forward(self, x):
            return x @ self.weight.T + self.bias

    with FakeTensorMode(), torch.device("meta"):
        assert is_linear(Plain(4, 6)) and not is_linear(Doubled(4, 6))


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


class RoundingLinear(HalvedLinear):
    """A layer whose weight, made dense and given back, is no longer the one it was."""

    def replace_weight(self, weight: torch.Tensor) -> None:
        super().replace_weight(weight.round())

    def stored_weight(self) -> torch.Tensor:
        return self.halved.flatten().view(torch.uint8)

    def restore_weight(self, stored: torch.Tensor) -> None:
        self.halved = stored.view(torch.float32).view(self.out_features, self.in_features)


@pytest.mark.parametrize("make", [lambda: nn.Linear(4, 6), lambda: HalvedLinear(torch.randn(6, 4))])
def test_a_weight_that_survives_being_dense_is_stored_dense(make):
    layer = make()
    before = dense_weight(layer).clone()
    stored = stored_weight(layer)
    assert not isinstance(layer, PackedLinear) and torch.equal(stored, before)
    replace_weight(layer, torch.zeros(6, 4))
    restore_weight(layer, stored)
    assert torch.equal(dense_weight(layer), before)


def test_a_weight_that_does_not_is_stored_in_its_own_form():
    layer = RoundingLinear(torch.randn(6, 4))
    layer.halved = torch.randn(6, 4)  # as it could not be set from outside
    before = layer.halved.clone()
    lora = LoraLinear(layer, r=2)
    nn.init.normal_(lora.lora_B.weight)
    lora.merge()
    assert isinstance(layer, PackedLinear) and lora.unmerged_weight.dtype == torch.uint8
    assert not torch.equal(layer.halved, before)
    lora.unmerge()
    assert torch.equal(layer.halved, before)


@pytest.mark.parametrize("layer", [nn.Linear(4, 6, device="meta"), HalvedLinear(torch.ones(6, 4, device="meta"))])
def test_where_a_weight_is(layer):
    assert device_of(layer).type == "meta"


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
