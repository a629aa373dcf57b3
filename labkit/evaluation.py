"""How good is it: generated answers scored with intervals, and perplexity on general text."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from labkit.errors import ConfigError
from labkit.step import label_logits
from labkit.tasks import Task
from labkit.text import encode_prompt


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


@torch.no_grad()
def generate(
    model: nn.Module,
    tokenizer,
    prompts: Sequence[str],
    system: str | Sequence[str],
    max_new_tokens: int = 64,
    batch_size: int = 64,
    on_batch: Callable[[int, int], None] | None = None,
    streamer: BaseStreamer | None = None,
    adapters: Sequence[str | Mapping[str, float] | None] | None = None,
) -> list[str]:
    """The model's greedy answer to each prompt.

    Args:
        model: a causal language model; its mode and generation settings are afterwards as before.
        tokenizer: of the base model.
        prompts: what the user says.
        system: the system prompt: one for all, or one for each.
        max_new_tokens: where an answer is cut off at the latest.
        batch_size: prompts generated together, sorted by length so that padding stays short.
        on_batch: called with (prompts done, prompts in all).
        streamer: given each token of the answer to a single prompt as it comes, such as
            :class:`labkit.streaming.AnswerStreamer`.
        adapters: for each prompt, which adapter of the model's :class:`labkit.AdapterBank` answers it, as for
            :meth:`labkit.AdapterBank.rows`.

    Returns:
        The answers, in the order of `prompts`, without special tokens.

    Raises:
        ConfigError: there is not one system prompt, or not one choice in `adapters`, for each prompt; the model
            has no bank; rows of the bank are open (here prompts are sorted, so their order would not hold); a
            streamer for more than one prompt.
    """
    systems = [system] * len(prompts) if isinstance(system, str) else system
    if len(systems) != len(prompts):
        raise ConfigError(f"{len(prompts)} prompts cannot go with {len(systems)} system prompts")
    if streamer is not None and len(prompts) != 1:
        raise ConfigError(f"a streamer follows the answer to one prompt, and there are {len(prompts)}")
    bank = getattr(model, "adapter_bank", None)
    if adapters is not None and (bank is None or len(adapters) != len(prompts)):
        raise ConfigError("adapters needs a model with an AdapterBank, and one choice for each prompt")
    if bank is not None and bank.rows_open:
        raise ConfigError("prompts are sorted by length here: instead of opening bank.rows(...), pass adapters=[...]")
    encoded = [encode_prompt(tokenizer, prompt, system) for prompt, system in zip(prompts, systems)]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    answers = [""] * len(encoded)
    was_training, was_config = model.training, model.generation_config
    model.eval()
    # plain greedy decoding, whatever temperature or repetition penalty the base comes with
    model.generation_config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,  # the end of turn that training teaches
    )
    try:
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            length = len(encoded[chosen[-1]])
            # padding on the left here: the answers must begin where the prompts end
            ids = torch.full((len(chosen), length), tokenizer.pad_token_id)
            mask = torch.zeros((len(chosen), length), dtype=torch.long)
            for row, i in enumerate(chosen):
                ids[row, length - len(encoded[i]) :] = torch.tensor(encoded[i])
                mask[row, length - len(encoded[i]) :] = 1
            with nullcontext() if adapters is None else bank.rows([adapters[i] for i in chosen]):
                out = model.generate(
                    input_ids=ids.to(model.device), attention_mask=mask.to(model.device), streamer=streamer
                )
            for i, answer in zip(chosen, tokenizer.batch_decode(out[:, length:], skip_special_tokens=True)):
                answers[i] = answer
            if on_batch:
                on_batch(start + len(chosen), len(order))
    finally:
        model.train(was_training)
        model.generation_config = was_config
    return answers


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


def general_text() -> str:
    """Ordinary English prose about Python that comes with every Python: the help texts of ``pydoc``.

    The text changes a little from one Python version to the next.
    """
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


@torch.no_grad()
def perplexity(
    model: nn.Module, tokenizer, text: str | None = None, windows: int = 16, window: int = 256, seed: int = 0
) -> float:
    """exp of the mean loss a token, on windows drawn from `text`.

    Used on text that has nothing to do with the task, it shows what fine-tuning made the model forget.

    Args:
        text: :func:`general_text` when not given.
        windows: how many windows, drawn with `seed`.
        window: tokens in each; the first is only context.

    Raises:
        ConfigError: fewer than one window, fewer than two tokens in it, or a text shorter than that.
    """
    if windows < 1 or window < 2:
        raise ConfigError(f"need at least one window of two tokens, got {windows} of {window}")
    ids = tokenizer(general_text() if text is None else text, add_special_tokens=False, verbose=False).input_ids
    if len(ids) < window:
        raise ConfigError(f"the text has {len(ids)} tokens, fewer than one window of {window}")
    draw = random.Random(seed)
    starts = [draw.randint(0, len(ids) - window) for _ in range(windows)]
    was_training = model.training
    model.eval()
    losses = []
    try:
        for start in starts:
            batch = torch.tensor([ids[start : start + window]], device=model.device)
            positions = torch.arange(window - 1, device=model.device)
            logits = label_logits(model, batch, positions).float()
            losses.append(F.cross_entropy(logits, batch[0, 1:]).item())
    finally:
        model.train(was_training)
    return math.exp(sum(losses) / len(losses))
