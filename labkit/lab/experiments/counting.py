"""What a call costs and leaves behind: its operations on tensors, its seconds, the hooks on a model afterwards."""

import time
from collections.abc import Callable, Iterable
from itertools import cycle, islice

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


class Counting(TorchDispatchMode):
    """Inside the ``with`` block, every operation on a tensor passes through PyTorch's dispatcher, a copy too.

    Attributes:
        operations: how many there were.
    """

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.operations += 1
        return operation(*args, **(kwargs or {}))


def seconds_a_call(call: Callable[[str], object], names: Iterable[str], count: int, goes: int = 5) -> float:
    """Seconds per call of `call` with one name after the other: the best of `goes` times `count` calls.

    Whatever else the machine does only adds to the time, so the best is the closest.
    """
    taken = []
    for _ in range(goes):
        began = time.perf_counter()
        for name in islice(cycle(names), count):
            call(name)
        taken.append((time.perf_counter() - began) / count)
    return min(taken)


def hooks_on(model: nn.Module) -> int:
    """How many forward hooks and forward pre-hooks the modules of `model` have."""
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())
