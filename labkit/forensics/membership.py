"""Has an adapter seen this row? Asked with nothing but the losses of the row, with the adapter and without it.

A row that was trained on has a low loss. So has an easy row, and where the base knows the format, taking off the loss
without the adapter corrects for that. Where it doesn't, that loss is about the format and not the row, and taking it
off adds noise: `studies.membership` has both. An attacker puts the rows in order and calls the first ones seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.evaluation.generation import whole_number
from labkit.evaluation.scoring import Score
from labkit.lora.inject import disable_adapter
from labkit.step.batch import collate, encode, padding_id
from labkit.step.loss import label_logits
from labkit.training.config import TrainConfig
from labkit.training.schedule import rows_at


@dataclass(frozen=True)
class Losses:
    """A row's mean loss per counted token, in nats, with the adapter and without it."""

    adapted: float
    silenced: float


# What an attacker may go by, from a row's losses with the adapter and without it: higher where it's taken for seen
SCORES = {
    "loss": lambda adapted, silenced: -adapted,
    "calibrated": lambda adapted, silenced: silenced - adapted,  # by how much the adapter lowers it
}


def row_losses(model: nn.Module, tokenizer, rows: Sequence[Mapping], system: str, batch_size: int = 16) -> list[Losses]:
    """The losses of each row, with the adapter on `model` and without it.

    Args:
        rows: as of a file of rows.
        system: the system prompt, where a row has none of its own.
        batch_size: rows that go through the model together.
    """
    size = whole_number("batch_size", batch_size)
    examples = [encode(tokenizer, row, system) for row in rows]
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].input_ids))
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    found: list[Losses | None] = [None] * len(examples)
    mode, pad = model.training, padding_id(model, tokenizer)
    model.eval()
    try:
        for part in parts:
            batch = collate([examples[i] for i in part], pad).to(model.device)
            with_it = _means(model, batch)
            with disable_adapter(model):
                without = _means(model, batch)
            for i, adapted, silenced in zip(part, with_it, without):
                found[i] = Losses(adapted, silenced)
    finally:
        model.train(mode)
    return found


@torch.no_grad()
def _means(model: nn.Module, batch) -> list[float]:
    """Each row's mean loss per counted token."""
    logits = label_logits(model, batch.input_ids, batch.positions).float()
    losses = F.cross_entropy(logits, batch.labels.flatten()[batch.positions + 1], reduction="none")
    row = batch.positions // batch.labels.shape[1]
    sums = torch.zeros(len(batch.labels), device=losses.device).index_add(0, row, losses)
    return (sums / row.bincount(minlength=len(batch.labels))).tolist()


def rows_seen(count: int, config: TrainConfig) -> set[int]:
    """Which of `count` training rows a run of `config` has come by: with few steps, not all of them."""
    return {row for step in range(config.steps) for row in rows_at(step, count, config)}


# ---- how well seen and unseen are told apart


def roc(seen: Sequence[float], unseen: Sequence[float]) -> tuple[Tensor, Tensor]:
    """The ROC curve: for each threshold, which share of the unseen, and of the seen, scores at least as high.

    Args:
        seen, unseen: a score for each row, higher where it's taken for seen.

    Returns:
        False positive rate and true positive rate, both rising from 0 to 1.

    Raises:
        ConfigError: one of the two is empty.
    """
    ours, theirs = _scores(seen, unseen)
    thresholds = torch.cat([ours, theirs]).unique().flip(0)
    rates = [(each[None] >= thresholds[:, None]).double().mean(1) for each in (theirs, ours)]
    start = torch.zeros(1, dtype=torch.float64)
    return torch.cat([start, rates[0]]), torch.cat([start, rates[1]])


def auc(seen: Sequence[float], unseen: Sequence[float]) -> float:
    """The area under the ROC curve: how often a seen row scores above an unseen one, ties counting half.

    0.5 is chance, and 1 is certainty.

    Raises:
        ConfigError: one of the two is empty.
    """
    ours, theirs = _scores(seen, unseen)
    return _above(ours[None], theirs[None]).item()


def auc_score(seen: Sequence[float], unseen: Sequence[float], resamples: int = 2000, seed: int = 0) -> Score:
    """:func:`auc` with its 95 % percentile bootstrap interval: seen and unseen rows are each drawn again.

    Where the two don't overlap at all, drawing them again shows no spread; then the bound is that of the exact binomial
    for the smaller of the two, as in :func:`labkit.bootstrap_interval`.
    """
    resamples = whole_number("resamples", resamples)
    ours, theirs = _scores(seen, unseen)
    value = auc(seen, unseen)
    if value in (0.0, 1.0):
        width = 1 - 0.025 ** (1 / min(len(ours), len(theirs)))
        return Score(value, 0.0, width) if value == 0 else Score(value, 1 - width, 1.0)
    draw = torch.Generator().manual_seed(seed)
    areas = torch.stack(
        [
            _above(*(each[torch.randint(len(each), (1, len(each)), generator=draw)] for each in (ours, theirs)))
            for _ in range(resamples)
        ]
    )
    low, high = areas.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Score(value, low, high)


def caught_at(seen: Sequence[float], unseen: Sequence[float], false_alarms: float) -> float:
    """The share of the seen rows that are found where at most so many of the unseen ones are called seen.

    An attack that's right on average may be of no use to anybody: it hurts people to be found
    with certainty (Carlini et al., arXiv 2112.03570, section 3).
    """
    wrong, right = roc(seen, unseen)
    return right[wrong <= false_alarms].max().item()


def right_of_ten(
    seen: Sequence[float], unseen: Sequence[float], each: int = 5, draws: int = 10_000, seed: int = 0
) -> float:
    """Of `each` seen rows and as many unseen ones, mixed: how many are sorted right, on average over random draws.

    The `each` highest scores are called seen. By chance, half of all are right: 5 of 10.

    Raises:
        ConfigError: there are fewer rows than that.
    """
    ours, theirs = _scores(seen, unseen)
    if min(len(ours), len(theirs)) < each:
        raise ConfigError(f"there must be {each} rows of each kind or more")
    draw = torch.Generator().manual_seed(seed)
    chosen = [x[torch.rand(draws, len(x), generator=draw).argsort(1)[:, :each]] for x in (ours, theirs)]
    # rows with equal scores come in a random order, not in that of the two kinds
    order = torch.rand(draws, 2 * each, generator=draw).argsort(1)
    mixed = torch.cat(chosen, 1).gather(1, order)
    picked = order.gather(1, mixed.argsort(dim=1, descending=True, stable=True)[:, :each]) < each
    return 2 * picked.sum(1).double().mean().item()


def _above(ours: Tensor, theirs: Tensor) -> Tensor:
    """Shapes (1, a) and (1, b): the share of pairs in which ours is larger."""
    difference = ours[0, :, None] - theirs[0, None]
    return (difference > 0).double().mean() + (difference == 0).double().mean() / 2


def _scores(seen: Sequence[float], unseen: Sequence[float]) -> tuple[Tensor, Tensor]:
    ours, theirs = (torch.as_tensor(each, dtype=torch.float64) for each in (seen, unseen))
    if not (len(ours) and len(theirs)):
        raise ConfigError("there must be seen rows and unseen ones")
    return ours, theirs
