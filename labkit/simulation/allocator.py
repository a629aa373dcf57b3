"""An account of a step's memory that is not labkit's: the events of PyTorch's own CPU allocator."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from labkit.step.batch import Batch
from labkit.step.loss import CompletionLoss

OPTIMIZERS = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def allocator_peak(model: nn.Module, batch: Batch, optimizer: str = "adamw") -> int:
    """The most bytes alive in the second of two training steps, by what the allocator hands out and takes back.

    The steps are written out by hand and share nothing with :func:`labkit.simulate` and :func:`labkit.measure`, so
    that they can be judged by it. The learning rate is zero.

    Args:
        model: on a CPU, with something trainable.
        batch: what the steps see.
        optimizer: "adamw" or "sgd".
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    stepper = OPTIMIZERS[optimizer](trained, lr=0.0, weight_decay=0.0)
    train_step(model, batch, stepper, trained)
    state = [t for entries in stepper.state.values() for t in entries.values() if torch.is_tensor(t)]
    before = [*model.parameters(), *model.buffers(), batch.input_ids, batch.labels, batch.positions, *state]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in before}
    gc.collect()
    gc.disable()
    try:
        with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            train_step(model, batch, stepper, trained)
    finally:
        gc.enable()
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return sum(storages.values()) + peak


def train_step(model: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer, trained: list[nn.Parameter]) -> None:
    """Forward, backward, clip, update."""
    summed, counted = CompletionLoss(model)(batch)
    (summed / counted).backward()
    nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()


@contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch's profiler says on stderr, past Python, when it starts and stops."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
