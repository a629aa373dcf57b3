"""What the program around a training may have set in torch, and a run must not depend on unseen.

A run is decided by its config, model and rows. The defaults of torch and its random numbers belong to the program: they
have no effect here, and are afterwards as before. Autocast is honored, and stands in the recipe.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

_STRIDE = 1_000_003  # between the seeds of two processes: more than a run may have steps


@contextmanager
def torch_as_it_comes() -> Iterator[None]:
    """Inside the ``with`` block torch has its own defaults, whatever the program has set; autocast stays."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.device("cpu") if device.type != "cpu" else nullcontext(),
        ):
            yield
    finally:
        torch.set_default_dtype(dtype)


def autocast_dtype(device: torch.device) -> str | None:
    """The dtype of the autocast block around this call, for tensors on `device`; None outside of one."""
    on = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)
    return str(torch.get_autocast_dtype(device.type)) if on else None


@contextmanager
def own_random_numbers(model: nn.Module) -> Iterator[None]:
    """Inside the ``with`` block the generators that `model` draws from are its own; afterwards they're as before."""
    # asked for no devices, torch would wake every GPU of the machine
    kind, devices = _devices_of(model)
    with torch.random.fork_rng(devices, device_type=kind) if devices else torch.random.fork_rng([]):
        yield


def seed_random_numbers(model: nn.Module, seed: int, process: int) -> None:
    """Draw from `seed` on: on the CPU and where `model` is, and otherwise in each process."""
    seed += _STRIDE * process
    torch.default_generator.manual_seed(seed)
    kind, devices = _devices_of(model)
    for number in devices:
        module = torch.get_device_module(kind)
        with module.device(number) if hasattr(module, "device") else nullcontext():  # MPS has one and no choice
            module.manual_seed(seed)


def _devices_of(model: nn.Module) -> tuple[str, list[int]]:
    """The kind of device and the numbers of those that hold a part of `model`; none where it's on the CPU."""
    found = {p.device for p in model.parameters() if p.device.type not in ("cpu", "meta")}
    kind = next(iter(found)).type if found else "cpu"
    return kind, sorted(device.index or 0 for device in found)
