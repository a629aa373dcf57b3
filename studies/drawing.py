"""Rows drawn by a seed, and what can be wrong with them: each a function from rows to rows."""

import random
from collections.abc import Mapping, Sequence

Row = Mapping[str, str]  # prompt and completion


def by_label(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each completion, in the order they come; the completions by name."""
    found: dict[str, list[Row]] = {label: [] for label in sorted({row["completion"] for row in rows})}
    for row in rows:
        found[row["completion"]].append(row)
    return found


def drawn(rows: Sequence[Row], count: int, seed: int, balanced: bool = True) -> list[Row]:
    """`count` of the rows, in random order. Fewer of the same seed are among the more.

    Args:
        balanced: take one row of each label, and again, as long as there are some; where `count` isn't that many times
            the labels, the last round has only some of them. Otherwise rows are drawn as they come.

    Raises:
        ValueError: there aren't that many rows.
    """
    if count > len(rows):
        raise ValueError(f"{count} rows can't be drawn from {len(rows)}")
    draw = random.Random(seed)
    if not balanced:
        return draw.sample(list(rows), len(rows))[:count]
    piles = {label: draw.sample(pile, len(pile)) for label, pile in by_label(rows).items()}
    order: list[Row] = []
    while len(order) < count:
        left = [label for label, pile in piles.items() if pile]
        order += [piles[label].pop() for label in draw.sample(left, len(left))]
    return order[:count]


def mislabeled(rows: Sequence[Row], share: float, seed: int) -> list[Row]:
    """The rows, a share of them with another completion, any of the others that occur with the same probability.

    Those that are wrong at a lower share are wrong in the same way at a higher one.
    """
    draw, labels = random.Random(seed), list(by_label(rows))
    wrong = {
        place: draw.choice([each for each in labels if each != row["completion"]]) for place, row in enumerate(rows)
    }
    places = set(draw.sample(range(len(rows)), len(rows))[: round(share * len(rows))])
    return [{**row, "completion": wrong[place]} if place in places else row for place, row in enumerate(rows)]


def with_copies(rows: Sequence[Row], originals: int, copies: int) -> list[Row]:
    """The rows, and `copies` more of each of the first `originals`."""
    return [*rows, *(copies * list(rows[:originals]))]


def counts_by_group(labels: Sequence[str], counts: Mapping[str, int], seed: int) -> dict[str, str]:
    """Which label is in which group, drawn: as many labels in each.

    Raises:
        ValueError: the labels can't be dealt out evenly.
    """
    if len(labels) % len(counts):
        raise ValueError(f"{len(labels)} labels can't be dealt out to {len(counts)} groups evenly")
    order, size = random.Random(seed).sample(sorted(labels), len(labels)), len(labels) // len(counts)
    return {label: group for place, group in enumerate(counts) for label in order[place * size : (place + 1) * size]}
