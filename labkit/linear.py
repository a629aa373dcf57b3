"""What a layer must answer before LoRA can sit on top of it.

``nn.Linear`` holds its weight in the open. A quantized layer doesn't: ask it for a dense
weight, and told to take a new one. LoRA only ever talks through the functions below, so a dense and a
4-bit base share one :class:`labkit.LoraLinear`.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from itertools import chain
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

ORDINARY = (torch.float64, torch.float32, torch.bfloat16, torch.float16)  # whose numbers are the weight, without scales


@runtime_checkable
class BaseLinear(Protocol):
    """A linear layer that keeps its weight in a form of its own."""

    in_features: int
    out_features: int

    def dense_weight(self) -> Tensor:
        """The weight as an ordinary tensor of shape (out_features, in_features): the numbers that `forward` uses."""

    def replace_weight(self, weight: Tensor) -> None:
        """Take `weight`, shape (out_features, in_features), in place of the present one."""


@runtime_checkable
class PackedLinear(BaseLinear, Protocol):
    """A layer whose weight would not survive being made dense and packed again, and which can therefore be asked for
    it in its own form. ``dense_weight`` gives it in its attribute `weight_dtype`, if it has one: a cast changes it."""

    def stored_weight(self) -> Tensor:
        """All that makes up the weight, as one tensor that no cast of the model changes (uint8)."""

    def restore_weight(self, stored: Tensor) -> None:
        """Take back what `stored_weight` gave, bit for bit."""


def is_linear(module: nn.Module) -> bool:
    """Whether LoRA can wrap `module`: it answers :class:`BaseLinear`, or is an ``nn.Linear`` in more than its class.

    Layers of other libraries that pack their weight (in 4 bits, or in 8 with scales beside it) are subclasses of
    ``nn.Linear``, too, and so are routers that answer with a choice of experts: reading such a ``weight`` as the matrix
    of the layer would be silently wrong.
    """
    if isinstance(module, BaseLinear):
        return True
    return isinstance(module, nn.Linear) and not keeps_its_own_form(module) and _is_a_product(type(module))


def keeps_its_own_form(module: nn.Module) -> bool:
    """Whether `module` is a linear layer by class whose ``weight`` is no ordinary matrix: another library's."""
    if not isinstance(module, nn.Linear):
        return False
    weight = module.weight
    matrix = weight.dtype in ORDINARY and weight.shape == (module.out_features, module.in_features)
    return not (
        matrix and type(weight).__module__.split(".")[0] == "torch"
    )  # a library's own kind of tensor has scales


@cache
def _is_a_product(kind: type[nn.Linear]) -> bool:
    """Whether layers of this `kind` answer x Wᵀ + b. A class with a forward of its own is asked on six numbers."""
    if kind.forward is nn.Linear.forward:
        return True
    with torch.no_grad(), _disable_current_modes():  # a simulation's tensors have no numbers
        layer, numbers = kind.__new__(kind), torch.arange(12, dtype=torch.float32, device="cpu")
        nn.Module.__init__(layer)
        layer.in_features, layer.out_features = 3, 2
        layer.weight, layer.bias = nn.Parameter(numbers[:6].view(2, 3)), nn.Parameter(numbers[6:8])
        x = numbers[:3][None] - 1
        try:
            return torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
        except Exception:  # it needs what such a layer doesn't have, or answers with something else than a tensor
            return False


def output_head(model: nn.Module) -> nn.Module | None:
    """The layer that makes logits of hidden states; None in a model that is no language model."""
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None


def linear_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Every linear layer of `model` but its output head, by name, in the model's order.

    Left out as well are layers whose weight the model takes, for a product of its own or for a kernel, as Mamba does:
    what is laid around such a layer isn't run, and a packed weight isn't the matrix that is asked for.
    """
    head, taken = output_head(model), _children_of(model, lambda kind: _taken(kind)[0])
    modules = model.named_modules()
    return {name: m for name, m in modules if is_linear(m) and m is not head and name not in taken}


def uncalled_layers(model: nn.Module) -> set[str]:
    """The layers, by name, that `model` itself multiplies with, and that it therefore never calls."""
    return _children_of(model, lambda kind: _taken(kind)[1])


def _children_of(model: nn.Module, chosen: Callable[[type[nn.Module]], set[str]]) -> set[str]:
    owners = [(f"{name}." if name else "", module) for name, module in model.named_modules()]
    return {prefix + child for prefix, module in owners for child in chosen(type(module)) if hasattr(module, child)}


@cache
def _taken(kind: type[nn.Module]) -> tuple[set[str], set[str]]:
    """The children of which a module of this `kind` takes the weight, by its source; and those that it never calls."""
    functions = map(_unwrapped, chain.from_iterable(vars(parent).values() for parent in kind.__mro__))
    # what draws the first weights takes none of them
    functions = [f for f in functions if inspect.isfunction(f) and not re.search("init|reset", f.__name__)]
    source = _source(f for f in functions if "weight" in f.__code__.co_names)  # most have none, and need not be read
    # a slice of the weight is for an imitation of several GPUs (Bloom), and nobody trains with that
    taken = set(re.findall(r"self\.(\w+)\.weight\b(?!\.(?:dtype|device)|\[)", source))
    calls = _source(f for f in functions if taken.intersection(f.__code__.co_names))
    return taken, {child for child in taken if f"self.{child}.weight @" in source or f"self.{child}(" not in calls}


def _source(functions: Iterable[Callable]) -> str:
    text = ""
    for function in functions:
        with suppress(OSError):  # a class that was made at a prompt has no source
            text += inspect.getsource(function)
    return text


def _unwrapped(entry: object) -> object:
    return inspect.unwrap(entry) if callable(entry) else entry


def dense_weight(layer: nn.Module) -> Tensor:
    """The weight of `layer` as an ordinary tensor of shape (out_features, in_features)."""
    return layer.dense_weight() if isinstance(layer, BaseLinear) else layer.weight.detach()


def weight_dtype(layer: nn.Module) -> torch.dtype:
    """The dtype of what :func:`dense_weight` gives. A packed weight need not be made dense to tell."""
    return layer.weight_dtype if hasattr(layer, "weight_dtype") else layer.weight.dtype


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
