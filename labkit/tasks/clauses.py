"""Clauses: a clause of a contract → category, party and risk, as ``liability | Supplier | high``.

The risk cannot be looked up by a word. It is high for what is unlimited, one-sided, short or late, and each of these
means something else in each category: a number has to be compared with the house's limit, "each party" makes all the
difference for a secret and none for a debt. The rule and the limits stand nowhere in the prompt. Half of the test
rows, about, are worded as no training row is.
"""

import random
from collections.abc import Mapping, Sequence

from labkit.errors import ConfigError
from labkit.tasks import Task, course_files
from labkit.tasks.clauses_parts import (
    CATEGORIES,
    CLOSERS,
    DAYS,
    HOURS,
    LIMITS,
    OPENERS,
    PARTIES,
    PATTERNS,
    RISKS,
    Pattern,
)

SYSTEM = "Category, party and risk of the clause."


def make_row(draw: random.Random, new: bool = False) -> dict:
    """A clause with its labels; `new` takes the wordings that are for test rows."""
    category, risk = draw.choice(CATEGORIES), draw.choice(RISKS)
    while True:
        pattern = draw.choice([pattern for pattern in PATTERNS if pattern.category == category])
        party, days, hours = draw.choice(list(PARTIES)), draw.choice(DAYS), draw.choice(HOURS)
        if risk_of(pattern, party, days, hours) == risk:
            break
    who = PARTIES[party]
    sentence = draw.choice(pattern.new_wording if new else pattern.wording)
    opener, closer = draw.choice(OPENERS), draw.choice(CLOSERS)
    if opener and not sentence.startswith("{"):
        sentence = sentence[0].lower() + sentence[1:]
    clause = (opener + sentence + closer).format(
        who=who,
        Who=who if opener else who[0].upper() + who[1:],
        n=days,
        h=hours,
        c=f"{draw.randint(2, 19)}.{draw.randint(1, 9)}",
        money=f"EUR {draw.choice((5, 10, 25, 50, 75, 100, 250))},000",
    )
    return {"prompt": clause, "completion": f"{category} | {party} | {risk}"}


def risk_of(pattern: Pattern, party: str, days: int, hours: int) -> str:
    """The house's rule."""
    high = {
        "high": True,
        "low": False,
        "one-sided": party != "each",
        "days": days < LIMITS["days"],
        "hours": hours > LIMITS["hours"],
    }[pattern.risk]
    return "high" if high else "low"


def make_test_row(draw: random.Random) -> dict:
    """As :func:`make_row`; every second clause, about, is worded as no training row is."""
    return make_row(draw, new=draw.random() < 0.5)


# ---- score


LABELS = ("category", "party", "risk")


def labels_of(answer: str) -> tuple[str, ...]:
    """Category, party and risk of an answer such as ``liability | Supplier | high``; empty strings when it is none."""
    parts = tuple(part.strip() for part in answer.split("|"))
    return parts if len(parts) == len(LABELS) else ("",) * len(LABELS)


def score(answer: str, row: Mapping) -> dict[str, float]:
    """Are the labels right?

    Returns:
        ``all``: 1 when category, party and risk are right.
        ``category``, ``party``, ``risk``: 1 when that one is.
    """
    right = [given == wanted for given, wanted in zip(labels_of(answer), labels_of(row["completion"]))]
    return {"all": float(all(right)), **dict(zip(LABELS, map(float, right)))}


def summary(answers: Sequence[str], rows: Sequence[Mapping]) -> dict[str, float]:
    """Macro F1 of each label: every value of it counts the same, however often it occurs."""
    given = zip(*map(labels_of, answers))
    wanted = zip(*(labels_of(row["completion"]) for row in rows))
    return {f"{label}_f1": macro_f1(g, w) for label, g, w in zip(LABELS, given, wanted)}


def macro_f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    """The mean over the labels that occur in `wanted` of F1 = 2 · right / (times given + times wanted).

    Raises:
        ConfigError: there is nothing to compare, or not as much given as wanted.
    """
    if not wanted or len(given) != len(wanted):
        raise ConfigError(f"{len(given)} labels cannot be compared with {len(wanted)}")
    scores = []
    for label in set(wanted):
        right = sum(g == w == label for g, w in zip(given, wanted))
        scores.append(2 * right / (given.count(label) + wanted.count(label)))
    return sum(scores) / len(scores)


TASK = Task(
    "clauses", SYSTEM, score, course_files("clauses"), make_row, make_test_row=make_test_row, summary=summary,
    max_new_tokens=16,
)  # fmt: skip
