"""How much of a matrix, made dense in passing, is still in memory when a forward pass is over."""

import weakref
from collections.abc import Callable

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class _Watch(TorchDispatchMode):
    """Sees each operation, and notes the memory of every result with as many numbers as asked, without keeping it."""

    def __init__(self, numbers: int):
        super().__init__()
        self.numbers, self.noted = numbers, {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.is_floating_point() and made.numel() == self.numbers:
            memory = made.untyped_storage()
            if memory.nbytes() >= made.nbytes:  # or it's a few numbers, repeated by a view
                self.noted[made.data_ptr()] = weakref.ref(memory)
        return made


def bytes_kept(run: Callable[[], Tensor], numbers: int) -> int:
    """Bytes of dense matrices that are made in ``run()`` and wait for its backward pass.

    Args:
        run: a forward pass. What it returns is held until the counting is over.
        numbers: how many numbers the matrices have that are counted.
    """
    with _Watch(numbers) as watch:
        y = run()  # held, or everything that waits for its backward pass would go
    kept = sum(memory().nbytes() for memory in watch.noted.values() if memory() is not None)
    del y
    return kept
