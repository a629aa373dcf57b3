"""Glosses: what a dictionary says of a noun → which of 24 kinds of things it is.

    a spell of hot weather → time

The first task of real text: people wrote these definitions for WordNet 3.0 and sorted its nouns into files, one per
kind. No definition names its own kind, and where kinds touch, the answer is what the dictionary's authors decided.
`studies/make_glosses.py` makes the rows.
"""

from collections.abc import Mapping, Sequence

from labkit.tasks import Task, course_files
from labkit.tasks.clauses import macro_f1

SYSTEM = "Category of the definition."
CATEGORIES = (
    "act", "animal", "artifact", "attribute", "body", "cognition", "communication", "event", "feeling", "food", "group",
    "location", "object", "person", "phenomenon", "plant", "possession", "process", "quantity", "relation", "shape",
    "state", "substance", "time",
)  # fmt: skip


def score(answer: str, row: Mapping) -> dict[str, float]:
    """Is it the right category?

    Returns:
        ``accuracy``: 1 when it is. Spaces at the ends don't matter; capitals do, as in `clauses`.
        ``valid``: 1 when the answer is one of the 24 categories, right or wrong.
    """
    given = answer.strip()
    return {"accuracy": float(given == row["completion"].strip()), "valid": float(given in CATEGORIES)}


def summary(answers: Sequence[str], rows: Sequence[Mapping]) -> dict[str, float]:
    """Macro F1: an answer that's given too often costs its category."""
    given, wanted = [answer.strip() for answer in answers], [row["completion"].strip() for row in rows]
    return {"macro_f1": macro_f1(given, wanted)}


TASK = Task("glosses", SYSTEM, score, course_files("glosses"), summary=summary, max_new_tokens=8)
