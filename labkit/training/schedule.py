"""What a step's number decides: its learning rate, and the rows it sees."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from labkit.training.config import TrainConfig

Row = TypeVar("Row")


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The rate of step `step` = 0, 1, …: a line up to the highest, then half a cosine down towards zero."""
    warmup = math.ceil(config.warmup_share * config.steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, config.steps - warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def rows_at(step: int, count: int, config: TrainConfig) -> list[int]:
    """Which of `count` rows step `step` sees: every row once, in a new order each time round."""
    position, end, chosen = step * config.batch_size, (step + 1) * config.batch_size, []
    while position < end:
        epoch, offset = divmod(position, count)
        taken = min(count - offset, end - position)
        chosen += _order(config.seed + epoch, count)[offset : offset + taken].tolist()
        position += taken
    return chosen


@lru_cache(maxsize=2)  # that of a million rows takes longer to draw than a small model's step
def _order(seed: int, count: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def parts_of(batch: Sequence[Row], config: TrainConfig, process: int, processes: int) -> list[Sequence[Row]]:
    """What one of several processes sees of a step's rows, in the parts that go through the model at once."""
    mine = batch[process::processes]
    size = len(mine) // config.gradient_accumulation
    return [mine[first : first + size] for first in range(0, len(mine), size)]
