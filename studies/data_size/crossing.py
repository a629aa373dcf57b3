"""From how many rows on is one method ahead of another? Where two curves cross, with an interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Crossing:
    """From how many rows on ours stays ahead.

    Attributes:
        at: of the curves as measured; 0 where it's ahead at every size, ``math.inf`` where it isn't at the largest.
        low, high: the interval, with the same two for "before the smallest size" and "after the largest".
    """

    at: float
    low: float
    high: float

    @property
    def is_told(self) -> bool:
        """Whether the whole interval lies between the sizes that were measured."""
        return 0 < self.low and self.high < math.inf

    def as_json(self) -> dict:
        """For a result, which knows no infinity: None stands for it."""
        ends = {name: getattr(self, name) for name in ("at", "low", "high")}
        return {name: None if end == math.inf else end for name, end in ends.items()} | {"is_told": self.is_told}


def crossing(
    difference: Tensor, sizes: Sequence[int], level: float = 0.95, resamples: int = 2_000, seed: int = 0
) -> Crossing:
    """Where ours − theirs gets above zero for good, in numbers of rows.

    The curve is a line over the logarithm of rows between two sizes. It crosses zero after the largest size at which
    ours isn't ahead. Seeds and test rows are drawn again together, the same for all sizes, as
    :func:`labkit.evaluation.comparing.paired_difference` draws them; each drawing has a crossing of its own.

    Args:
        difference: ours − theirs for each size, seed and test row: shape (sizes, seeds, rows).
        sizes: in rising order.

    Raises:
        ValueError: the shape doesn't fit, or the sizes don't rise.
    """
    if difference.ndim != 3 or difference.numel() == 0 or len(difference) != len(sizes):
        raise ValueError(
            f"{len(sizes)} sizes need a difference of shape (sizes, seeds, rows): {tuple(difference.shape)}"
        )
    if list(sizes) != sorted(set(sizes)):
        raise ValueError(f"sizes have to rise: {list(sizes)}")
    _, seeds, rows = difference.shape
    draw, difference = torch.Generator().manual_seed(seed), difference.double()
    found = []
    for _ in range(resamples):
        drawn = difference[:, torch.randint(seeds, (seeds,), generator=draw)].mean(1)
        means = drawn[:, torch.randint(rows, (rows,), generator=draw)].mean(1)
        found.append(_ahead_from(means.tolist(), sizes))
    found.sort()
    tail = (1 - level) / 2
    low, high = found[math.floor(tail * (resamples - 1))], found[math.ceil((1 - tail) * (resamples - 1))]
    return Crossing(_ahead_from(difference.mean((1, 2)).tolist(), sizes), low, high)


def _ahead_from(means: Sequence[float], sizes: Sequence[int]) -> float:
    behind = [place for place, mean in enumerate(means) if mean <= 0]
    if not behind:
        return 0.0
    last = behind[-1]
    if last == len(sizes) - 1:
        return math.inf
    part = -means[last] / (means[last + 1] - means[last])  # of the way to the next size
    return math.exp(math.log(sizes[last]) + part * (math.log(sizes[last + 1]) - math.log(sizes[last])))
