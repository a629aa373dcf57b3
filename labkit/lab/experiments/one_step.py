"""One real training step, watched closely: its memory from moment to moment, what a layer keeps, and its seconds."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.simulation.allocator import train_step
from labkit.simulation.devices import on_cpu
from labkit.simulation.ledger import by_phase
from labkit.simulation.simulating import empty_batch
from labkit.simulation.tally import Section, Tally
from labkit.simulation.tracing import trace_step


@dataclass(frozen=True)
class WatchedStep:
    """The memory of a step, by kind.

    Attributes:
        moments: in their order, each with the most bytes of every kind that were alive together.
    """

    moments: list[Section]

    @property
    def phases(self) -> dict[str, dict[str, int]]:
        """Phase -> kind -> bytes, as in the ``phases`` of :class:`labkit.simulation.ledger.StepCost`."""
        return by_phase(self.moments)[0]

    def most(self, kind: str) -> int:
        """The most bytes of this kind at any moment."""
        return max(moment.peak[kind] for moment in self.moments)


def watch_step(model: nn.Module, **batch) -> WatchedStep:
    """Take one AdamW step at a learning rate of zero, on a CPU, and note what's in memory from layer to layer.

    Args:
        model: with something trainable.
        batch: ``batch_size``, ``sequence`` and ``labelled``, as for :func:`labkit.simulate`.
    """
    return WatchedStep(trace_step(model.train(), empty_batch(**batch), "adamw", Tally(workspace_of=on_cpu)))


def kept_by_part(layer: nn.Module, x: Tensor, **named) -> dict[str, int]:
    """Bytes that each part of `layer` leaves behind for the way back, by autograd's own account.

    Args:
        layer: whose children are the parts.
        x: its input; one that needs a gradient.
        named: what else the layer is called with. It isn't counted, nor are the layer's own weights.
    """
    given = [tensor for value in named.values() for tensor in (value if isinstance(value, tuple) else (value,))]
    own = {_place(t) for t in (*layer.parameters(), *layer.buffers(), *given) if isinstance(t, Tensor)}
    kept, running = {}, ["between the parts"]

    def note(tensor: Tensor) -> Tensor:
        if _place(tensor) not in own:
            kept.setdefault(_place(tensor), (running[-1], tensor.untyped_storage().nbytes()))
        return tensor

    def leave(*_) -> None:
        running.pop()

    with ExitStack() as stack:
        for name, part in layer.named_children():
            stack.enter_context(part.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
            stack.enter_context(part.register_forward_hook(leave))
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor))
        output = layer(x, **named)  # kept alive, or the places would be used again
    parts = dict.fromkeys(name for name, _ in kept.values())
    del output
    return {part: sum(size for name, size in kept.values() if name == part) for part in parts}


def seconds_per_step(models: Mapping[str, nn.Module], rounds: int = 3, **batch) -> dict[str, float]:
    """The quickest of a few training steps of each model, taken in turn, so that a busy machine slows all of them.

    Args:
        models: name -> model with something trainable.
        rounds: steps that are timed, after one that isn't: it makes Adam's averages.
        batch: as for :func:`watch_step`.
    """
    clocks = [_timed_steps(model.train(), **batch) for model in models.values()]
    seconds = [[next(clock) for clock in clocks] for _ in range(1 + rounds)][1:]
    return dict(zip(models, map(min, zip(*seconds))))


def _timed_steps(model: nn.Module, **batch) -> Iterator[float]:
    trained, rows = [p for p in model.parameters() if p.requires_grad], empty_batch(**batch)
    optimizer = torch.optim.AdamW(trained, lr=0.0, weight_decay=0.0)
    while True:
        began = time.perf_counter()
        train_step(model, rows, optimizer, trained)
        yield time.perf_counter() - began


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
