"""A training step of the largest shapes in four bits, the way the QLoRA paper takes it: memory, time, and the loss."""

import math
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch

import labkit
from benchmarks.on_a_gpu.card import attempt, dtype_on, refuse_too_large, wait_for
from benchmarks.on_a_gpu.memory import held_by_kernels, peak_of_a_step, peaks_so_far, side_by_side
from benchmarks.on_a_gpu.models import random_model_in_four_bits, shape_of
from labkit.linear import PackedLinear
from labkit.step.batch import IGNORED, Batch
from labkit.step.gradient_checkpointing import checkpoint_layers
from labkit.step.loss import CompletionLoss
from labkit.training.optimizers import make_optimizer

SHAPES = ("llama-3-8b", "llama-3-70b")
R = 16
ROWS, LABELLED = 1, 0.25
OPTIMIZER = "adamw8bit"  # what's paged is in no allocator's books


def measure(setting: dict, send: Callable[[dict], None]) -> None:
    """Each shape that fits."""
    settings = [{"shape": shape} for shape in (("tiny",) if setting["tiny"] else SHAPES)]
    device, sequence = setting["device"], 64 if setting["tiny"] else 512
    attempt(settings, partial(train_shape, device=device, sequence=sequence), device, send)


def train_shape(shape: str, device: str, sequence: int, steps: int = 6) -> dict:
    """A few steps with checkpointing on the same random tokens; wrong where the loss doesn't fall."""
    config, dtype = shape_of(shape), dtype_on(device)
    optimizer = OPTIMIZER if device == "cuda" else "adamw"  # as the CPU's peak is measured
    simulated = labkit.simulate(
        config,
        "qlora",
        r=R,
        batch_size=ROWS,
        sequence=sequence,
        labelled=LABELLED,
        dtype=dtype,
        optimizer=optimizer,
        checkpointing=True,
        device=device,
    )
    refuse_too_large(simulated.peak, device)
    before, began = held_by_kernels(device), time.perf_counter()
    torch.manual_seed(0)
    model = random_model_in_four_bits(config, device, dtype)
    wait_for(device)
    making = time.perf_counter() - began
    labkit.inject_lora(model, labkit.LoraConfig(r=R, lora_alpha=2 * R, target_modules="all-linear"))
    checkpoint_layers(model.train())
    trained = [p for p in model.parameters() if p.requires_grad]
    adamw = make_optimizer(optimizer, trained, 1e-3, 0.0)
    batch = random_batch(config.vocab_size, sequence).to(device)
    completion_loss, seconds, losses = CompletionLoss(model), [], []
    for step in range(steps):
        if step == 1 and device == "cuda":  # the first makes the optimizer's state
            torch.cuda.reset_peak_memory_stats()
        wait_for(device)
        began = time.perf_counter()
        summed, count = completion_loss(batch)
        (summed / count).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adamw.step()
        adamw.zero_grad()
        losses.append(summed.item() / count)
        wait_for(device)
        seconds.append(time.perf_counter() - began)
    measured = peaks_so_far() if device == "cuda" else peak_of_a_step(model, batch, device)
    found = {
        "seconds_to_make": making,
        "linear_bytes": sum(m.quantized.nbytes for m in model.modules() if isinstance(m, PackedLinear)),
        "trained": sum(p.numel() for p in trained),
        "tokens_a_step": batch.input_ids.numel(),
        "seconds_a_step": median(seconds[1:]),
        "losses": losses,
        **side_by_side(simulated, measured, before),
    }
    if not (all(map(math.isfinite, losses)) and losses[-1] < losses[0]):
        found["wrong"] = f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f}"
    return found


def random_batch(vocabulary: int, sequence: int) -> Batch:
    ids = torch.randint(vocabulary, (ROWS, sequence))
    labels = ids.clone()
    labels[:, : -round(LABELLED * sequence)] = IGNORED
    return Batch(ids, labels)
