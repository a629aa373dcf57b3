"""What a step's number decides: its learning rate, and the rows it sees."""

import math

import torch

from labkit.training.config import TrainConfig


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The rate of step `step` = 0, 1, …: a line up to the highest, then half a cosine down towards zero."""
    warmup = math.ceil(config.warmup_share * config.steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, config.steps - warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def rows_at(step: int, count: int, config: TrainConfig) -> list[int]:
    """Which of `count` rows step `step` sees: every row once, in a new order each time round."""
    chosen = []
    for position in range(step * config.batch_size, (step + 1) * config.batch_size):
        epoch, offset = divmod(position, count)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(config.seed + epoch))
        chosen.append(int(order[offset]))
    return chosen
