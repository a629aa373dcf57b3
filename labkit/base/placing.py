"""Where a model goes, and in which dtype: what the caller says, what ``LABKIT_DEVICE`` says, or what suits."""

import os

import torch

from labkit.casting import ordinary_dtype
from labkit.errors import ConfigError


def chosen_device(device: str | torch.device | None = None) -> torch.device:
    """The device that is asked for, or that there is.

    Of several processes that train together, each gets a GPU of its own, unless one is named by its number.

    Args:
        device: "cpu", "cuda", "cuda:1", or what else this PyTorch has; None means what the environment variable
            ``LABKIT_DEVICE`` says, and where that isn't set, a CUDA GPU if there is one, else the CPU.

    Raises:
        ConfigError: there's no such device on this machine.
    """
    asked = (os.environ.get("LABKIT_DEVICE") or None) if device is None else device
    if asked is None:
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    named = f"LABKIT_DEVICE={asked}" if device is None else f"device={str(asked)!r}"
    try:
        found = torch.device(asked)
    except (RuntimeError, TypeError, ValueError):
        raise ConfigError(f"{named}: there's no such device. Use cpu, cuda, or cuda:1 for the second GPU") from None
    if found.type == "cpu":
        return found
    here = torch.accelerator.current_accelerator(check_available=True)
    if here is None or here.type != found.type:
        has = "no GPU that PyTorch can use" if here is None else f"{here.type} and no {found.type}"
        raise ConfigError(f"{named}: this machine has {has}. Use cpu" + (f" or {here.type}" if here else ""))
    count = torch.accelerator.device_count()
    if (found.index or 0) >= count:
        here = "the only GPU here is" if count == 1 else f"the GPUs here are {found.type}:0 to"
        raise ConfigError(f"{named}: {here} {found.type}:{count - 1}")
    if found.index is None and (rank := os.environ.get("LOCAL_RANK", "")).isdecimal():
        return torch.device(found.type, int(rank) % count)
    return found


def chosen_dtype(dtype: torch.dtype | str | None, device: torch.device, courses_own: bool) -> torch.dtype:
    """The dtype that is asked for, or the one that suits the base and the device.

    Args:
        dtype: None means float32, so that numbers are the same on every machine; but bfloat16 for a base of your own on
            a GPU, where it is usually large, and was trained in it.
        device: where the model goes.
        courses_own: whether it's the base of the course.

    Raises:
        ConfigError: weights can't be in it, or `device` can't multiply in it.
    """
    if dtype is None:
        dtype = torch.float32 if courses_own or device.type == "cpu" else torch.bfloat16
    dtype = ordinary_dtype(dtype)
    try:
        ones = torch.ones(2, 2, dtype=dtype, device=device)
        ones @ ones
    except (RuntimeError, TypeError, NotImplementedError):  # which of them depends on the device
        name = str(dtype).removeprefix("torch.")
        raise ConfigError(f"dtype={name}: {device} can't multiply in it. Use float32") from None
    return dtype
