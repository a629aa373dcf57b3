"""Which way of training fits on a card: the least changed one whose simulated step does."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from transformers import PretrainedConfig

from labkit.simulation.cards import CARDS, Card
from labkit.simulation.ledger import StepCost
from labkit.simulation.simulating import simulate

ROOM = 0.9  # of a memory may be planned: fragmentation and other programs aren't in the simulation


@dataclass(frozen=True)
class Way:
    """A way to take a step.

    Attributes:
        method: "lora", "qlora" or "full", as for :func:`labkit.simulate`.
        checkpointing: whether layers keep their inputs only.
        rows: of the batch that go through the model at once; their gradients are added up.
    """

    method: str
    checkpointing: bool
    rows: int


@dataclass(frozen=True)
class Fit:
    """The way that was found, and what it takes.

    Attributes:
        way: the first that leaves room; or what fits at all; or the lightest.
        cost: of its rows, simulated.
        room: "easy", "tight" (more than :data:`ROOM` of the memory), or "none" (it doesn't fit).
        memory: bytes there are.
    """

    way: Way
    cost: StepCost
    room: Literal["easy", "tight", "none"]
    memory: int

    def card_that_would(self) -> Card | None:
        """The smallest card of the table on which it fits with room."""
        return next((card for card in CARDS if self.cost.peak <= ROOM * card.usable_bytes), None)


@dataclass(frozen=True)
class Step:
    """What is to be fitted: a step of `batch` rows of a model with adapters of rank `r` on `targets`, on GPU or CPU.

    Attributes:
        known: what has been simulated so far.
        whole: whether weights of the model itself are trained.
        stay_dense: whether four bits come last, because the adapter is going to be merged.
    """

    model: PretrainedConfig
    r: int
    batch: int
    targets: tuple[str, ...] | str
    tokens: int
    labelled: float | int
    gpu: bool
    whole: bool = False
    stay_dense: bool = False
    known: dict[Way, StepCost] = field(default_factory=dict, compare=False, repr=False)

    def cost(self, way: Way) -> StepCost:
        """Simulated once per way."""
        if way not in self.known:
            self.known[way] = self._simulated(way)
        return self.known[way]

    def _simulated(self, way: Way) -> StepCost:
        return simulate(
            self.model,
            way.method,
            r=self.r,
            target_modules=self.targets,
            batch_size=way.rows,
            sequence=self.tokens,
            labelled=self.labelled,
            dtype="bfloat16" if self.gpu else "float32",
            checkpointing=way.checkpointing,
            device="cuda" if self.gpu else "cpu",
        )

    def stages(self) -> list[Way]:
        """The ways, one row at a time, in the order they're tried: what changes least comes first.

        Fewer rows at once change nothing, since gradients are added up. Four bits change the base, and checkpointing
        takes up to half as many operations again.
        """
        if self.whole:
            return [Way("full", False, 1), Way("full", True, 1)]
        dense, four = Way("lora", False, 1), Way("qlora", False, 1)
        again = [replace(way, checkpointing=True) for way in (dense, four)]
        return [dense, again[0], four, again[1]] if self.stay_dense else [dense, four, *again]

    def fit(self, memory: int) -> Fit:
        """The first way that leaves room in `memory` bytes."""
        for stage in self.stages():
            if self.cost(stage).peak > ROOM * memory:
                continue
            for way in _most_rows_first(stage, self.batch):
                if (cost := self.cost(way)).peak <= ROOM * memory:
                    return Fit(way, cost, "easy", memory)
        lightest = min(self.stages(), key=lambda way: self.cost(way).peak)
        cost = self.cost(lightest)
        return Fit(lightest, cost, "tight" if cost.peak <= memory else "none", memory)


def _most_rows_first(stage: Way, batch: int) -> Iterator[Way]:
    """All rows of the batch, half of them, and so on as far as they go into equal parts; then one."""
    rows = batch
    while rows > 1:
        yield replace(stage, rows=rows)
        if rows % 2:
            break
        rows //= 2
    yield replace(stage, rows=1)
