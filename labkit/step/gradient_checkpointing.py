"""Gradient checkpointing: keep the input of each layer only, and compute the layer again on the way back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from labkit.errors import ConfigError


def checkpoint_layers(model: nn.Module) -> nn.Module:
    """Have `model` keep only the input of each layer, and compute the layer again on the way back.

    It saves most of the activations for one more forward pass. The state of the random numbers is kept, since dropout
    and whatever else is drawn must fall on the same numbers both times.

    Args:
        model: a model of transformers; it is changed in place.

    Returns:
        The same model. It checkpoints in train mode only.

    Raises:
        ConfigError: the model has no checkpointing.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv 1604.06174.
    """
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise ConfigError(f"{type(model).__name__} has no gradient checkpointing: train without")
    # the reentrant kind gives no gradients when a layer's input needs none, as behind a frozen embedding
    _switch(model, "enable")({"use_reentrant": False, "preserve_rng_state": True})
    return model


@contextmanager
def checkpointed(model: nn.Module) -> Iterator[None]:
    """Inside the ``with`` block, :func:`checkpoint_layers` is at work."""
    before = is_checkpointed(model)
    checkpoint_layers(model)
    try:
        yield
    finally:
        if not before:
            _switch(model, "disable")()


# transformers 5.2 gave it a new name, and warns of the old one
def _kind(model: nn.Module) -> str:
    return "activation" if hasattr(model, "is_activation_checkpointing") else "gradient"


def _switch(model: nn.Module, what: str) -> Callable:
    return getattr(model, f"{_kind(model)}_checkpointing_{what}")


def is_checkpointed(model: nn.Module) -> bool:
    """Whether `model` computes its layers again on the way back, whatever name transformers has for that."""
    return getattr(model, f"is_{_kind(model)}_checkpointing", False)
