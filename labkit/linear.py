"""What a layer must answer before LoRA can sit on top of it.

``nn.Linear`` holds its weight in the open. A quantized layer does not: it must be asked for a dense
weight, and told to take a new one. LoRA only ever talks through the functions below, so a dense and a
4-bit base share one :class:`labkit.LoraLinear`.
"""

from itertools import chain
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class BaseLinear(Protocol):
    """A linear layer that keeps its weight in a form of its own."""

    in_features: int
    out_features: int

    def dense_weight(self) -> Tensor:
        """The weight as an ordinary tensor of shape (out_features, in_features)."""

    def replace_weight(self, weight: Tensor) -> None:
        """Take `weight`, shape (out_features, in_features), in place of the present one."""


@runtime_checkable
class PackedLinear(BaseLinear, Protocol):
    """A layer whose weight would not survive being made dense and packed again, and which can therefore be asked for
    it in its own form."""

    def stored_weight(self) -> Tensor:
        """All that makes up the weight, as one tensor that no cast of the model changes (uint8)."""

    def restore_weight(self, stored: Tensor) -> None:
        """Take back what `stored_weight` gave, bit for bit."""


def is_linear(module: nn.Module) -> bool:
    """Whether LoRA can wrap `module`: it answers :class:`BaseLinear`, or is a plain ``nn.Linear``.

    Subclasses of ``nn.Linear`` that pack their weight (4-bit layers of other libraries) are not plain:
    reading their ``weight`` as a matrix would be silently wrong.
    """
    if isinstance(module, BaseLinear):
        return True
    if not isinstance(module, nn.Linear):
        return False
    return module.weight.is_floating_point() and module.weight.shape == (module.out_features, module.in_features)


def output_head(model: nn.Module) -> nn.Module | None:
    """The layer that makes logits of hidden states; None in a model that is no language model."""
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None


def linear_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Every linear layer of `model` but its output head, by name, in the model's order."""
    head = output_head(model)
    return {name: module for name, module in model.named_modules() if is_linear(module) and module is not head}


def dense_weight(layer: nn.Module) -> Tensor:
    """The weight of `layer` as an ordinary tensor of shape (out_features, in_features)."""
    return layer.dense_weight() if isinstance(layer, BaseLinear) else layer.weight.detach()


def replace_weight(layer: nn.Module, weight: Tensor) -> None:
    """Make `weight`, shape (out_features, in_features), the weight of `layer`.

    The tensor is taken as it is, not copied into the old storage: the old weight may be shared with
    a file or kept aside by the caller.
    """
    if isinstance(layer, BaseLinear):
        layer.replace_weight(weight)
    else:
        layer.weight = nn.Parameter(weight, requires_grad=layer.weight.requires_grad)


def stored_weight(layer: nn.Module) -> Tensor:
    """What :func:`restore_weight` needs to give `layer` its present weight back, bit for bit."""
    return layer.stored_weight() if isinstance(layer, PackedLinear) else dense_weight(layer)


def restore_weight(layer: nn.Module, stored: Tensor) -> None:
    """Give `layer` the weight back that it had when :func:`stored_weight` was called."""
    if isinstance(layer, PackedLinear):
        layer.restore_weight(stored)
    else:
        replace_weight(layer, stored)


def device_of(layer: nn.Module) -> torch.device:
    """Where the weight of `layer` is. A packed one need not be made dense to tell."""
    return next(chain(layer.parameters(), layer.buffers())).device
