"""The simulator against the allocator: the most bytes alive in a training step, predicted and measured."""

from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from torch import nn

import labkit
from benchmarks.on_a_gpu.card import attempt, dtype_on, refuse_too_large
from benchmarks.on_a_gpu.models import random_model, random_model_in_four_bits, shape_of
from labkit.simulation import StepCost
from labkit.simulation.allocator import allocator_peak, train_step
from labkit.simulation.simulating import empty_batch
from labkit.step.batch import Batch
from labkit.step.gradient_checkpointing import checkpoint_layers

SHAPES = ("smollm2-135m", "smollm2-1.7b", "llama-3-8b")
METHODS = ("full", "lora", "qlora")
WITHIN = 0.05


def measure(setting: dict, send: Callable[[dict], None]) -> None:
    """Each method on each shape, and with checkpointing as QLoRA is used."""
    ways = [*((method, False) for method in METHODS), ("qlora", True)]
    shapes = ("tiny",) if setting["tiny"] else SHAPES
    settings = [
        {"shape": shape, "method": method, "checkpointing": checkpointing}
        for shape, (method, checkpointing) in product(shapes, ways)
    ]
    device, sequence = setting["device"], 64 if setting["tiny"] else 1024
    attempt(settings, partial(compare, device=device, sequence=sequence), device, send)


def compare(shape: str, method: str, checkpointing: bool, device: str, sequence: int) -> dict:
    """The peak of a step, simulated and measured; wrong where they're more than :data:`WITHIN` apart."""
    config, dtype = shape_of(shape), dtype_on(device)
    simulated = labkit.simulate(
        config, method, sequence=sequence, checkpointing=checkpointing, dtype=dtype, device=device
    )
    refuse_too_large(simulated.peak, device)
    before = held_by_kernels(device)
    model = (random_model_in_four_bits if method == "qlora" else random_model)(config, device, dtype)
    if method != "full":
        labkit.inject_lora(model, labkit.LoraConfig(target_modules="all-linear"))
    if checkpointing:
        checkpoint_layers(model)
    measured = peak_of_a_step(model.train(), empty_batch(1, sequence, 1.0).to(device), device)
    return side_by_side(simulated, measured, before)


def held_by_kernels(device: str) -> dict[str, int]:
    """What the allocator has handed out before there's a model: the work space that cuBLAS keeps.

    Each thread of PyTorch has one of its own, and the way back runs in another, so a product goes both ways first.
    """
    if device == "cpu":
        return {"allocated": 0, "asked": 0}
    for dtype in (torch.float32, torch.bfloat16):
        layer = nn.Linear(64, 64, device=device, dtype=dtype)
        x = torch.randn(64, 64, device=device, dtype=dtype, requires_grad=True)
        (layer(x) @ x).sum().backward()
        del layer, x
    torch.cuda.synchronize()
    statistics = torch.cuda.memory_stats()
    return {
        "allocated": statistics["allocated_bytes.all.current"],
        "asked": statistics["requested_bytes.all.current"],
    }


def peak_of_a_step(model: nn.Module, batch: Batch, device: str) -> dict[str, int]:
    """The most bytes alive in the second of two steps: in the allocator's blocks, and as they were asked for.

    On a CPU both are the same, since its allocator rounds nothing up.
    """
    if device == "cpu":
        peak = allocator_peak(model, batch)
        return {"allocated": peak, "asked": peak}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.0, weight_decay=0.0)
    train_step(model, batch, optimizer, trained)
    torch.cuda.reset_peak_memory_stats()
    train_step(model, batch, optimizer, trained)
    return peaks_so_far()


def peaks_so_far() -> dict[str, int]:
    """On a GPU, since the peaks were reset."""
    torch.cuda.synchronize()
    statistics = torch.cuda.memory_stats()
    return {"allocated": statistics["allocated_bytes.all.peak"], "asked": statistics["requested_bytes.all.peak"]}


def side_by_side(simulated: StepCost, measured: dict[str, int], before: dict[str, int]) -> dict:
    """Both accounts of a step's tensors, without what kernels keep and the CUDA context, which no tensor is."""
    phases = simulated.phases.values()
    predicted = {
        "allocated": max(sum(kinds.values()) for kinds in phases),
        "asked": max(sum(size for kind, size in kinds.items() if kind != "rounding") for kinds in phases),
    }
    of_tensors = {name: measured[name] - before[name] for name in measured}
    off = {name: predicted[name] / of_tensors[name] - 1 for name in predicted}
    found = {
        "simulated_bytes": predicted,
        "measured_bytes": of_tensors,
        "off_by": off,
        "held_by_kernels_bytes": before["allocated"],
    }
    worst = max(off.values(), key=abs)
    if abs(worst) > WITHIN:
        found["wrong"] = f"the simulator is off by {worst:+.1%}, and {WITHIN:.0%} were promised"
    return found
