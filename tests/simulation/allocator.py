"""An account of memory that is not labkit's: the events of torch's own CPU allocator."""

import gc

import torch
from torch import nn

from labkit import CompletionLoss
from labkit.text import Batch

OPTIMIZERS = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def allocator_peak(model: nn.Module, batch: Batch, optimizer: str = "adamw") -> int:
    """The most bytes alive in the second of two training steps, written out by hand, with a learning rate of zero."""
    trained = [p for p in model.parameters() if p.requires_grad]
    stepper = OPTIMIZERS[optimizer](trained, lr=0.0, weight_decay=0.0)
    step(model, batch, stepper, trained)
    state = [t for entries in stepper.state.values() for t in entries.values() if torch.is_tensor(t)]
    before = [*model.parameters(), *model.buffers(), batch.input_ids, batch.labels, batch.positions, *state]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in before}
    gc.collect()
    gc.disable()
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            step(model, batch, stepper, trained)
    finally:
        gc.enable()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    assert len(events) > 100
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return sum(storages.values()) + peak


def step(model: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer, trained: list[nn.Parameter]) -> None:
    summed, counted = CompletionLoss(model)(batch)
    (summed / counted).backward()
    nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()
