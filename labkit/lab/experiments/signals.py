"""What reaches a layer in one training step: its input, and the gradient at its output."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn

from labkit.errors import ConfigError


class Signals(NamedTuple):
    """One row per token: what goes into a layer (tokens × in), and the gradient at its output (tokens × out)."""

    X: Tensor
    G: Tensor


@contextmanager
def signals(*layers: nn.Module) -> Iterator[dict[nn.Module, Signals]]:
    """Inside the ``with`` block, run one forward and one backward pass; after it, each layer has its signals.

    Args:
        layers: each takes one tensor and answers with one, once, in the block.

    Returns:
        A dictionary that is empty in the block and has the :class:`Signals` of each layer after it.

    Raises:
        ConfigError: when the block ends, a layer didn't run, or no gradient came back to it.
    """
    seen: dict[nn.Module, Signals] = {}
    kept: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keep(layer, inputs, output):
        output.requires_grad_().retain_grad()
        kept[layer] = inputs[0].detach(), output

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
    for layer in layers:
        x, output = kept.get(layer, (None, None))
        if output is None or output.grad is None:
            raise ConfigError(
                "a layer saw no forward and backward pass: run both inside `with signals(layer) as seen:`"
            )
        seen[layer] = Signals(x.flatten(0, -2), output.grad.flatten(0, -2))
