"""Counting every byte of a step: each tensor storage from the operation that makes it to the moment it is freed."""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from labkit.simulation.flops import flops_of

# where a byte belongs; the last two occur in a CUDA profile only
KINDS = ("weights", "adapters", "gradients", "optimizer", "activations", "temporaries", "rounding", "workspace")


@dataclass
class Section:
    """A stretch of the step and what happened in it.

    Attributes:
        name: ``(phase, part)``, such as ``("backward", 3)``: from where layer 3's gradients are being made.
        peak: bytes by kind at the moment when most were alive.
        flops: floating-point operations.
    """

    name: tuple[str, str | int]
    peak: dict[str, int] = field(default_factory=dict)
    flops: int = 0


class Tally(TorchDispatchMode):
    """Adds up the storages that are alive while it is active; views of one storage count once.

    What lives inside one kernel is invisible from here, and told by `workspace_of`.

    Args:
        round_to: the allocator hands out blocks of so many bytes.
        workspace_of: ``(operation, its inputs) -> bytes`` that its kernel takes besides its outputs, while it runs.
    """

    def __init__(self, round_to: int = 1, workspace_of: Callable[[object, tuple], int] | None = None):
        super().__init__()
        self.round_to, self.workspace_of = round_to, workspace_of
        self.sizes: list[int] = []  # of each storage ever seen, by number
        self.kinds: dict[int, str | None] = {}  # number -> kind, where it is known; None does not count
        self.born: list[str] = []  # number -> phase
        self.log: list[tuple[int, int]] = []  # (number, +1 or −1); a workspace is (−bytes, 0)
        self.sections = [(0, Section(("loaded", "all")))]  # (position in the log, section)
        self.alive: dict[int, tuple[int, weakref.ref]] = {}  # address of a storage -> its number

    def register(self, kind: str, tensors: Iterable[Tensor]) -> None:
        """Count `tensors` from now on, or if they are counted already, say what kind they are."""
        for tensor in tensors:
            self.kinds[self._number(tensor)] = kind

    def discount(self, tensors: Iterable[Tensor]) -> None:
        """Have `tensors` count as if they had never been, unless they are registered again."""
        for tensor in tensors:
            self.kinds[self._number(tensor)] = None

    def count(self, tensor: Tensor) -> Tensor:
        """`tensor`, counted from now on: it was made where no operation is dispatched."""
        self._number(tensor)
        return tensor

    def enter(self, phase: str, part: str | int) -> None:
        """What comes now belongs to another section."""
        self.sections.append((len(self.log), Section((phase, part))))

    def keep_as(self, kind: str, born_in: str) -> None:
        """What was made in phase `born_in`, is alive now and of no kind yet is of this kind."""
        for number, _ in self.alive.values():
            if self.born[number] == born_in:
                self.kinds.setdefault(number, kind)

    def finished(self) -> list[Section]:
        """The sections with their peaks: `kinds` must be known by now."""
        now = dict.fromkeys(KINDS, 0)
        ends = [start for start, _ in self.sections[1:]] + [len(self.log)]
        for (start, section), end in zip(self.sections, ends):
            section.peak, most = dict(now), sum(now.values())
            for number, sign in self.log[start:end]:
                if sign == 0:
                    if sum(now.values()) - number > most:
                        most = sum(now.values()) - number
                        section.peak = now | {"workspace": now["workspace"] - number}
                    continue
                kind = self.kinds.get(number, "temporaries")
                if kind is None:
                    continue
                now[kind] += sign * self.sizes[number]
                now["rounding"] += sign * (-self.sizes[number] % self.round_to)
                if sign > 0 and sum(now.values()) > most:
                    section.peak, most = dict(now), sum(now.values())
        return [section for _, section in self.sections]

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._number(leaf)
        if self.workspace_of and (workspace := self.workspace_of(operation, args)):
            self.log.append((-workspace, 0))
        self.sections[-1][1].flops += flops_of(operation, args, kwargs, result)
        return result

    def _number(self, tensor: Tensor) -> int:
        """The number of the tensor's storage; a new one is counted from now on."""
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address in self.alive:
            return self.alive[address][0]
        number = len(self.sizes)

        def gone(_):
            del self.alive[address]
            self.log.append((number, -1))

        self.sizes.append(storage.nbytes())
        self.born.append(self.sections[-1][1].name[0])
        self.alive[address] = number, weakref.ref(storage, gone)
        self.log.append((number, +1))
        return number
