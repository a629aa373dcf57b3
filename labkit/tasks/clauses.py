"""Clauses: a clause of a contract → its category, the words that decide, and the risk.

    payment | without notice | high

What somebody may or must do tells the category, and the terms tell the risk: high for what has no limit, low for what
is limited in amount, in time or to a purpose. Every second test row, about, joins an act with terms that it is joined
with in no training row. The terms are quoted so that a reviewer sees why, and because a small model finds the risk far
more easily once it has written down what it depends on.
"""

import random
from collections.abc import Mapping, Sequence

from labkit.errors import ConfigError
from labkit.tasks import Task, course_files
from labkit.tasks.clauses_parts import CATEGORIES, CLOSERS, DAYS, OPENERS, PARTIES, RISKS

SYSTEM = "Category, terms and risk of the clause."


def make_row(draw: random.Random, new: bool = False) -> dict:
    """A clause with its labels; `new` joins an act with terms that are kept for test rows."""
    category, risk, act = draw.choice(list(CATEGORIES)), draw.choice(RISKS), draw.randrange(5)
    chosen = draw.choice([terms for terms in range(5) if kept_for_test(act, terms) is new])
    terms = getattr(CATEGORIES[category], risk)[chosen].format(
        n=draw.choice(DAYS), money=f"EUR {draw.choice((5, 10, 25, 50, 75, 100, 250))},000"
    )
    sentence = f"{CATEGORIES[category].acts[act]} {terms}."
    who, opener, closer = draw.choice(PARTIES), draw.choice(OPENERS), draw.choice(CLOSERS)
    if opener and not sentence.startswith("{"):
        sentence = sentence[0].lower() + sentence[1:]
    clause = (opener + sentence + closer).format(
        who=who,
        Who=who if opener else who[0].upper() + who[1:],
        c=f"{draw.randint(2, 19)}.{draw.randint(1, 9)}",
    )
    return {"prompt": clause, "completion": f"{category} | {terms} | {risk}"}


def kept_for_test(act: int, terms: int) -> bool:
    """Whether no training row joins this act with these terms: so it is for one in five of each act's terms."""
    return (act + terms) % 5 == 0


def make_test_row(draw: random.Random) -> dict:
    """As :func:`make_row`; every second clause, about, is joined as no training row is."""
    return make_row(draw, new=draw.random() < 0.5)


# ---- score


LABELS = ("category", "terms", "risk")


def labels_of(answer: str) -> tuple[str, str, str]:
    """Category, terms and risk of an answer such as ``payment | at once | high``; empty strings when it is none."""
    parts = tuple(part.strip() for part in answer.split("|"))
    return parts if len(parts) == len(LABELS) else ("", "", "")


def score(answer: str, row: Mapping) -> dict[str, float]:
    """Are the labels right?

    Returns:
        ``accuracy``: 1 when category and risk are.
        ``category``, ``terms``, ``risk``: 1 when that one is; the terms count if they're quoted to the letter.
    """
    right = {
        label: float(given == wanted)
        for label, given, wanted in zip(LABELS, labels_of(answer), labels_of(row["completion"]))
    }
    return {"accuracy": right["category"] * right["risk"], **right}


def summary(answers: Sequence[str], rows: Sequence[Mapping]) -> dict[str, float]:
    """Macro F1 of category and of risk: every value counts the same, however often it occurs."""
    given = [labels_of(answer) for answer in answers]
    wanted = [labels_of(row["completion"]) for row in rows]
    return {
        f"{label}_f1": macro_f1([labels[place] for labels in given], [labels[place] for labels in wanted])
        for place, label in ((0, "category"), (2, "risk"))
    }


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
    max_new_tokens=28,
)  # fmt: skip
