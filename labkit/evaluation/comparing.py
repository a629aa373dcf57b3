"""Is one method better than another? Both answer the same rows, trained with the same seeds: each pair is compared."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from labkit.errors import ConfigError
from labkit.evaluation.generation import whole_number
from labkit.evaluation.scoring import Score

Verdict = Literal["better", "worse", "can't tell"]
Scores = Tensor | Sequence[Sequence[float]]  # shape (seeds, rows)


def paired_difference(
    ours: Scores, theirs: Scores, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Score:
    """The mean of `ours` − `theirs`, with its percentile bootstrap interval: seeds and rows are drawn again together.

    Each difference is between two answers to the same row, from trainings with the same seed, so what makes a row hard
    or an order of rows lucky for both falls out of it. Drawing seeds as well as rows asks what would come out with
    other trainings on other rows. With few seeds it's still a little too sure: three values, drawn again, show about
    two thirds of their variance.

    Args:
        ours, theirs: a score for each seed and row, shape (seeds, rows), in the same order.

    Raises:
        ConfigError: the shapes differ, or there's nothing in them; `resamples` is no whole number from 1 on.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    first, second = (torch.as_tensor(scores, dtype=torch.float64) for scores in (ours, theirs))
    if first.shape != second.shape:
        raise ConfigError(f"only the same seeds and rows can be paired: {tuple(first.shape)}, {tuple(second.shape)}")
    if first.ndim != 2 or first.numel() == 0:
        raise ConfigError(f"a paired difference needs scores of shape (seeds, rows), got {tuple(first.shape)}")
    resamples, difference = whole_number("resamples", resamples), first - second
    seeds, rows = difference.shape
    draw = torch.Generator().manual_seed(seed)
    drawn_seeds = torch.randint(seeds, (resamples, seeds, 1), generator=draw)
    drawn_rows = torch.randint(rows, (resamples, 1, rows), generator=draw)
    means = difference[drawn_seeds, drawn_rows].mean((1, 2))
    tail = (1 - level) / 2
    low, high = means.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Score(difference.mean().item(), low, high)


def verdict(difference: Score) -> Verdict:
    """ "better" where the whole interval is above zero, "worse" where it's below, "can't tell" where zero is in it."""
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "can't tell"
