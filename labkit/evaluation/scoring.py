"""How good is it: answers scored, with intervals."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from labkit.errors import ConfigError
from labkit.evaluation.generation import generate
from labkit.tasks import Task


@dataclass(frozen=True)
class Score:
    """A mean over rows with its 95 % bootstrap interval, all in 0 … 1 (or the metric's own unit)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1%} [{self.low:.1%}, {self.high:.1%}]"


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate` found.

    Attributes:
        scores: one :class:`Score` a metric.
        predictions: the generated answers, in the order of `rows`.
        rows: the rows they answer.
        row_scores: the metrics of each row.
    """

    scores: dict[str, Score]
    predictions: list[str]
    rows: list[Mapping]
    row_scores: list[dict[str, float]]


def bootstrap_interval(
    values: Sequence[float], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of `values`.

    When all values are 0 or all are 1, resampling sees no spread and would give an interval without
    width; then the exact binomial bound is given: the rate at which n equal answers in a row still have
    probability (1 − level) / 2.

    Raises:
        ConfigError: there are no values.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    n = len(values)
    if n == 0:
        raise ConfigError("an interval needs at least one value")
    tail = (1 - level) / 2
    if set(values) in ({0}, {1}):
        width = 1 - tail ** (1 / n)
        return (0.0, width) if values[0] == 0 else (1 - width, 1.0)
    data = torch.tensor(values, dtype=torch.float64)
    draws = torch.randint(n, (resamples, n), generator=torch.Generator().manual_seed(seed))
    low, high = data[draws].mean(1).quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


def evaluate(
    model: nn.Module,
    tokenizer,
    task: Task,
    rows: Sequence[Mapping] | None = None,
    limit: int | None = None,
    batch_size: int = 64,
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Let the model answer the task's test rows, and score the answers.

    Args:
        rows: evaluate on these instead of the task's test split.
        limit: only the first so many.

    The other arguments are those of :func:`generate`.

    Raises:
        ConfigError: there are no rows to evaluate on, or `limit` is negative.
    """
    if limit is not None and limit < 0:
        raise ConfigError(f"limit must not be negative, got {limit}")
    rows = list(task.rows("test") if rows is None else rows)[:limit]
    if not rows:
        raise ConfigError("nothing to evaluate on: there are no rows")
    prompts = [row["prompt"] for row in rows]
    systems = [row.get("system") or task.system for row in rows]
    answers = generate(model, tokenizer, prompts, systems, task.max_new_tokens, batch_size, on_batch)
    row_scores = [task.score(answer, row) for answer, row in zip(answers, rows)]
    scores = {}
    for metric in row_scores[0]:
        values = [float(row[metric]) for row in row_scores]
        scores[metric] = Score(sum(values) / len(values), *bootstrap_interval(values))
    if task.summary:
        scores |= _summarise(task.summary, answers, rows)
    return Evaluation(scores, answers, rows, row_scores)


def _summarise(summary: Callable, answers: list[str], rows: list[Mapping], resamples: int = 1000) -> dict[str, Score]:
    """What is no mean over rows, with the percentile bootstrap interval: the same rows drawn again and again."""
    draw, drawn = random.Random(0), {}
    for _ in range(resamples):
        chosen = draw.choices(range(len(rows)), k=len(rows))
        for metric, value in summary([answers[i] for i in chosen], [rows[i] for i in chosen]).items():
            drawn.setdefault(metric, []).append(value)
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    return {
        metric: Score(value, *torch.tensor(drawn[metric], dtype=torch.float64).quantile(ends).tolist())
        for metric, value in summary(answers, rows).items()
    }
