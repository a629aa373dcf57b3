"""Optimizers for a step that is only looked at: they take the memory they always take, and change no weight."""

import math
from collections.abc import Callable

import torch
from torch import nn

from labkit.errors import ConfigError


class StateOfAdamW8bit(torch.optim.Optimizer):
    """What bitsandbytes' ``AdamW8bit`` keeps, without its arithmetic: both moments in 8 bits, and their scales.

    A tensor of fewer than 4,096 numbers keeps float32 moments. Others have one byte a number and moment and one
    float32 scale for each 256 numbers; the two code books of 256 numbers are shared. The update happens inside one
    kernel, which needs no memory on a GPU.

    Source: Dettmers et al., 8-bit Optimizers via Block-wise Quantization, arXiv 2110.02861; bitsandbytes 0.50.
    """

    def __init__(self, parameters: list[nn.Parameter]):
        super().__init__(parameters, {"lr": 0.0})

    def step(self) -> None:
        for parameter in self.param_groups[0]["params"]:
            state, device = self.state[parameter], parameter.device
            if state:
                continue
            if parameter.numel() < 4096:
                for name in ("state1", "state2"):
                    state[name] = torch.zeros_like(parameter, dtype=torch.float32)
                continue
            if not hasattr(self, "code_books"):
                self.code_books = [torch.zeros(256, device=device) for _ in range(2)]
            for moment in (1, 2):
                state[f"state{moment}"] = torch.zeros_like(parameter, dtype=torch.uint8)
                state[f"absmax{moment}"] = torch.zeros(math.ceil(parameter.numel() / 256), device=device)
                state[f"qmap{moment}"] = self.code_books[moment - 1]


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": lambda parameters, foreach: torch.optim.AdamW(parameters, lr=0.0, weight_decay=0.0, foreach=foreach),
    "adamw8bit": lambda parameters, foreach: StateOfAdamW8bit(parameters),
    "sgd": lambda parameters, foreach: torch.optim.SGD(parameters, lr=0.0, foreach=foreach),
}


def make_optimizer(name: str, parameters: list[nn.Parameter], foreach: bool | None = None) -> torch.optim.Optimizer:
    """The optimizer called `name`, with a learning rate of zero.

    Args:
        name: a key of :data:`OPTIMIZERS`.
        parameters: what it trains.
        foreach: whether it updates all tensors at once; None leaves it to torch, which does so on a GPU.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in OPTIMIZERS:
        raise ConfigError(f"optimizer {name!r} is not known; choose one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name](parameters, foreach)


def prime(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
    """Have the optimizer make its state, as it does in the first step."""
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
