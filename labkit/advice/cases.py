"""A situation on its way to an advice: what has been chosen so far, and what a rule finds in it."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch

from labkit.advice.fitting import Fit, Step, Way
from labkit.advice.situations import Situation
from labkit.advice.sources import Shelf
from labkit.simulation.memory_check import free_bytes

LEAST_STEPS = 60  # what each method of the court gets: with few rows, a few passes would be over at once
PASSES = 3
BITS = 2  # that a trained parameter holds, roughly (Schulman 2025)
ALL = "all-linear"
WHOLE = ("full", "spectrum")  # methods that train weights of the model itself


class Found(NamedTuple):
    """What a rule recommends, and what its source says, with its numbers."""

    value: object
    says: str = ""


@dataclass
class Case:
    """One situation, the shelf of stored results, and the choices made so far: each rule may use the earlier ones.

    Attributes:
        fit: how the step fits on the card, once method, rank and batch size are chosen.
        memory: bytes that the card has, or that are free here.
    """

    situation: Situation
    shelf: Shelf
    chosen: dict[str, object] = field(default_factory=dict)
    fit: Fit | None = None
    memory: int = 0

    def __post_init__(self):
        card = self.situation.card
        self.memory = card.usable_bytes if card else free_bytes(torch.device("cpu"))

    @cached_property
    def parameters(self) -> int:
        """Of the model with an adapter."""
        step = self.step("lora")
        return step.cost(Way("lora", False, 1)).parameters

    @property
    def four_bits(self) -> bool:
        return self.fit is not None and self.fit.way.method == "qlora"

    def steps(self) -> int:
        """Of training: some passes over the rows, and never very few."""
        return max(LEAST_STEPS, math.ceil(PASSES * self.situation.rows / self.chosen["batch size"]))

    @property
    def targets(self) -> tuple[str, ...] | str:
        """The layers, as :class:`labkit.LoraConfig` has them."""
        layers = self.chosen.get("layers", ALL)
        return layers if layers == ALL else tuple(layers.split(","))

    def step(self, method: str | None = None, rank: int | None = None) -> Step:
        """A step as far as it's chosen, of the chosen method and rank if no others are asked for."""
        asked, method = self.situation, method or self.chosen["method"]
        return Step(
            asked.config,
            rank or self.chosen.get("rank", 8),
            self.chosen.get("batch size", 1),
            self.targets,
            asked.tokens,
            asked.labelled,
            gpu=asked.card is not None,
            whole=method in WHOLE,
            stay_dense=asked.use == "merge",
        )

    def least_rank(self) -> int:
        """The lowest power of two times the chosen rank whose numbers could hold the data, at 2 bits each.

        At most 256. A token that the loss counts is taken for one bit, which is an upper bound for most text.
        """
        rank, step = self.chosen["rank"], self.step()
        a_rank = step.cost(step.stages()[0]).trained / rank
        while rank < 256 and BITS * rank * a_rank < self.situation.counted:
            rank *= 2
        return rank
