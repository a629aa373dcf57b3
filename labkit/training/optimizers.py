"""AdamW with its averages in 32 bits, in 8, or in 8 and paged."""

from collections.abc import Iterable

import torch
from torch import nn

from labkit.errors import ConfigError
from labkit.quant.bnb import find_bitsandbytes

# what bitsandbytes calls the two that are not torch's own
_CLASSES = {"adamw8bit": "AdamW8bit", "paged_adamw8bit": "PagedAdamW8bit"}
OPTIMIZERS = ("adamw", *_CLASSES)


def make_optimizer(
    name: str, parameters: Iterable[nn.Parameter | dict], learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW for `parameters`, or for groups of them.

    Its two averages are float32 with "adamw", 8 bytes per parameter. "adamw8bit" keeps them in 2, for tensors of 4,096
    numbers or more; "paged_adamw8bit" also lets the GPU's driver move them to the computer's memory when the GPU's
    runs out.

    Raises:
        ConfigError: an unknown name; bitsandbytes is needed and not there; paging asked for without a CUDA GPU.

    Source: Dettmers et al., 8-bit Optimizers via Block-wise Quantization, arXiv 2110.02861; paging: QLoRA,
    arXiv 2305.14314, section 3.
    """
    parameters = list(parameters)
    each = [p for given in parameters for p in (given["params"] if isinstance(given, dict) else [given])]
    refuse_optimizer(name, {p.device for p in each})
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)
    made = getattr(find_bitsandbytes().optim, _CLASSES[name])
    return made(parameters, lr=learning_rate, weight_decay=weight_decay)


def refuse_optimizer(name: str, devices: Iterable[torch.device]) -> None:
    """Raise ConfigError where :func:`make_optimizer` can't make `name` for parameters on `devices`."""
    if name not in OPTIMIZERS:
        raise ConfigError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {name!r}")
    if name.startswith("paged") and {device.type for device in devices} != {"cuda"}:
        raise ConfigError(f'optimizer="{name}" needs a CUDA GPU, whose memory it pages. Use "adamw8bit" here')
    if name != "adamw" and find_bitsandbytes() is None:
        raise ConfigError(f'optimizer="{name}" needs bitsandbytes, which is not installed or does not run here')
