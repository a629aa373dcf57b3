"""The files: what's wrong with the 240 lines of each, and which parts of the test it's about."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import labkit
from studies.data_size import curves, lora
from studies.drawing import Row, by_label, counts_by_group, drawn, mislabeled, with_copies
from studies.row_quality.template import made
from studies.tickets_controls import shuffled

LINES, CATEGORIES = 240, 24
CLEAN, FEWER = "clean", "72 clean rows"
FEW = 72
NOISE = {"10 % wrong labels": 0.1, "25 % wrong labels": 0.25, "50 % wrong labels": 0.5}
GROUPS = {"common": 22, "middling": 7, "rare": 1}  # rows of each of the group's categories; 8 · (22 + 7 + 1) are 240
LEAKED, UNSEEN = "leaked", "unseen"
LEAKED_OF_EACH = 5  # test rows of each category among the lines


@lru_cache
def rows_of(split: str) -> tuple[Row, ...]:
    return tuple(labkit.load_task(lora.TASK).rows(split))


def clean(seed: int) -> list[Row]:
    """Ten rows of each category, the same as in `studies.data_size`."""
    return curves.rows_of(lora.TASK, LINES, seed)


def few(seed: int) -> list[Row]:
    """Three rows of each category, the same as in `studies.data_size`."""
    return curves.rows_of(lora.TASK, FEW, seed)


def copies(seed: int) -> list[Row]:
    """Five rows of each category, and one of the five five times more."""
    return with_copies(clean(seed)[: LINES // 2], CATEGORIES, 5)


def rare(seed: int) -> list[Row]:
    """22, 7 or 1 rows of a category; which, the seed says."""
    group_of = groups_of_labels(seed)
    piles = by_label(drawn(rows_of("train"), len(rows_of("train")), seed))
    chosen = [row for label, pile in piles.items() for row in pile[: GROUPS[group_of[label]]]]
    return drawn(chosen, LINES, seed, balanced=False)


def leak(seed: int) -> list[Row]:
    """Five rows of each category from training, and five from the test."""
    return [*clean(seed)[: LINES // 2], *drawn(rows_of("test"), LEAKED_OF_EACH * CATEGORIES, seed)]


def with_template(seed: int) -> list[Row]:
    """Three real rows of each category, and seven from the template."""
    return [*few(seed), *made((LINES - FEW) // CATEGORIES, seed)]


@dataclass(frozen=True)
class Case:
    """A file of rows.

    Attributes:
        rows: from a seed to the lines.
        against: the case it's compared with; None for one that others are compared with.
        seeds: with which it's run.
        groups: from a seed to the group of each test row, where it's about parts of the test.
    """

    rows: Callable[[int], list[Row]]
    against: str | None = CLEAN
    seeds: tuple[int, ...] = curves.SEEDS
    groups: Callable[[int], list[str]] | None = None


def groups_of_labels(seed: int) -> dict[str, str]:
    return counts_by_group(list(by_label(rows_of("train"))), GROUPS, seed)


def by_rarity(seed: int) -> list[str]:
    """For each test row, how common its category is in the file."""
    group_of = groups_of_labels(seed)
    return [group_of[row["completion"]] for row in rows_of("test")]


def by_leak(seed: int) -> list[str]:
    """For each test row, whether it's in the file."""
    there = {row["prompt"] for row in leak(seed)}
    return [LEAKED if row["prompt"] in there else UNSEEN for row in rows_of("test")]


def _noisy(share: float) -> Callable[[int], list[Row]]:
    return lambda seed: mislabeled(clean(seed), share, seed)


CASES = {
    CLEAN: Case(clean, against=None),
    FEWER: Case(few),
    **{name: Case(_noisy(share)) for name, share in NOISE.items()},
    "copies": Case(copies),
    "rare categories": Case(rare, groups=by_rarity),
    "test rows leaked": Case(leak, groups=by_leak),
    "72 rows and a template": Case(with_template, against=FEWER),
    "a template alone": Case(lambda seed: made(LINES // CATEGORIES, seed), against=FEWER, seeds=(1,)),
    "labels shuffled": Case(lambda seed: shuffled(clean(seed)), seeds=(1,)),
}


def summary(rows: Sequence[Row]) -> dict:
    """What a file has, for whoever wants to see that it's as it says."""
    return {"lines": len(rows), "different": len({row["prompt"] for row in rows})}
