"""How good is it: answers scored, with intervals."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.base.chat_format import prompt_text
from labkit.errors import ConfigError
from labkit.evaluation.generation import answers_and_cuts, whole_number
from labkit.step.turns import shown_by_template
from labkit.tasks import Task, exact_match
from labkit.tasks.conversations import after_examples, as_question
from labkit.tasks.rows import check_rows

_DRAWN_ONE_BY_ONE = 20_000  # values; of more, only how often each one is drawn
_DRAWN_AT_ONCE = 2**23  # numbers, 64 MB of them
_VALUES = 1024  # that are told apart then


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
        cut_off: how many answers were cut off before the model ended them. Such an answer may have been on its way to
            being right.
        max_new_tokens: where they were cut off at the latest.
    """

    scores: dict[str, Score]
    predictions: list[str]
    rows: list[Mapping]
    row_scores: list[dict[str, float]]
    cut_off: int = 0
    max_new_tokens: int = 0

    def about_cuts(self) -> str:
        """``3 of 24 answers were cut off at 64 tokens``, or "" where none was."""
        if not self.cut_off:
            return ""
        return f"{self.cut_off} of {len(self.rows)} answers were cut off at {self.max_new_tokens} tokens"


def bootstrap_interval(
    values: Sequence[float], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of `values`.

    When all values are 0 or all are 1, resampling sees no spread and would give an interval without
    width; then the exact binomial bound is given: the rate at which n equal answers in a row still have
    probability (1 − level) / 2.

    Raises:
        ConfigError: there are no values, or `resamples` is no whole number from 1 on.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    n = len(values)
    if n == 0:
        raise ConfigError("an interval needs at least one value")
    resamples = whole_number("resamples", resamples)
    tail = (1 - level) / 2
    if set(values) in ({0}, {1}):
        width = 1 - tail ** (1 / n)
        return (0.0, width) if values[0] == 0 else (1 - width, 1.0)
    means = _resampled_means(torch.tensor(values, dtype=torch.float64), resamples, seed)
    low, high = means.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


def _resampled_means(data: Tensor, resamples: int, seed: int) -> Tensor:
    """The means of `resamples` samples that are drawn from `data` with replacement, each as large as `data`."""
    n, draw = len(data), torch.Generator().manual_seed(seed)
    if n <= _DRAWN_ONE_BY_ONE:
        most = max(1, _DRAWN_AT_ONCE // n)  # in several parts the numbers are the same, and memory is bounded
        parts = [min(most, resamples - start) for start in range(0, resamples, most)]
        return torch.cat([data[torch.randint(n, (part, n), generator=draw)].mean(1) for part in parts])
    # How often each value is drawn is all that counts, and that's a binomial number for each value after the other.
    # Where there are too many values, neighbors are taken together, and what they differ by is normal noise.
    values, counts = data.unique(return_counts=True)
    squares = torch.zeros_like(values)
    if len(values) > _VALUES:
        groups = data.sort().values.tensor_split(_VALUES)
        counts = torch.tensor([len(part) for part in groups])
        values = torch.stack([part.mean() for part in groups])
        squares = torch.stack([part.var(correction=0) for part in groups])
    left, still, total, noise = torch.full((resamples,), float(n), dtype=torch.float64), float(n), 0.0, 0.0
    for value, count, square in zip(values, counts.tolist(), squares):
        drawn = torch.binomial(left, torch.full_like(left, count / still), generator=draw)
        total, noise = total + drawn * value, noise + drawn * square
        left, still = left - drawn, still - count
    return (total + noise.sqrt() * torch.randn(resamples, dtype=torch.float64, generator=draw)) / n


def evaluate(
    model: nn.Module,
    tokenizer,
    task: Task,
    rows: Sequence[Mapping] | None = None,
    limit: int | None = None,
    batch_size: int = 64,
    on_batch: Callable[[int, int], None] | None = None,
    examples: Sequence[Mapping] = (),
) -> Evaluation:
    """Let the model answer the task's test rows, and score the answers.

    Of a conversation, the model is given all that comes before the assistant's last answer, and asked for that one. The
    score finds these as the row's ``prompt`` (a list of messages) and ``completion``.

    Args:
        rows: evaluate on these instead of the task's test split.
        limit: only the first so many.
        examples: rows that stand answered before each question, as turns: a few-shot prompt. None of them should be
            among the rows that are scored.

    The other arguments are those of :func:`generate`.

    Raises:
        ConfigError: there are no rows to evaluate on, or `limit` is no whole number from 0 on; see also
            :func:`generate`.
        DataError: one of `rows` or `examples` isn't as a row of a file should be (see :func:`labkit.read_rows`), or the
            chat template refuses a conversation. A completion in `rows` is the score's own affair, except where that is
            exact match.
    """
    if limit is not None:
        limit = whole_number("limit", limit, 0)
    rows = list(task.rows("test")) if rows is None else check_rows(rows, answers=task.score is exact_match)
    rows = [as_question(row) for row in rows]
    max_new_tokens = task.token_limit(tokenizer, rows)
    rows = rows[:limit]
    if not rows:
        raise ConfigError("nothing to evaluate on: there are no rows")
    prompts = [row["prompt"] for row in rows]
    if examples := check_rows(examples) if len(examples) else []:
        prompts = [after_examples(prompt, examples) for prompt in prompts]
    systems = [row.get("system") or task.system for row in rows]
    for number, (row, prompt, system) in enumerate(zip(rows, prompts, systems), 1):
        if not isinstance(prompt, str):
            with shown_by_template(row.get("source") or f"row {number}"):
                prompt_text(tokenizer, prompt, system)
    answers, cut = answers_and_cuts(model, tokenizer, prompts, systems, max_new_tokens, batch_size, on_batch)
    scores, row_scores = score_answers(task, answers, rows)
    return Evaluation(scores, answers, rows, row_scores, sum(cut), max_new_tokens)


def score_answers(
    task: Task, answers: Sequence[str], rows: Sequence[Mapping]
) -> tuple[dict[str, Score], list[dict[str, float]]]:
    """The scores of answers, from a model or not.

    Args:
        answers: one for each of `rows`, in their order; `rows` must not be empty.

    Returns:
        One :class:`Score` per metric, those of the task's summary included; and the metrics of each row.
    """
    row_scores = [task.score(answer, row) for answer, row in zip(answers, rows, strict=True)]
    scores = {}
    for metric in row_scores[0]:
        values = [float(row[metric]) for row in row_scores]
        scores[metric] = Score(sum(values) / len(values), *bootstrap_interval(values))
    if task.summary:
        scores |= _summarise(task.summary, answers, rows)
    return scores, row_scores


def _summarise(
    summary: Callable, answers: Sequence[str], rows: Sequence[Mapping], resamples: int = 1000
) -> dict[str, Score]:
    """What is no mean over rows, with the percentile bootstrap interval: the same rows drawn again and again."""
    resamples = min(resamples, max(100, 20_000_000 // len(rows)))  # of very many rows, fewer samples
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
