"""Everyday questions, to see what a narrow training does to everything else.

A model that was trained on one task may answer "What is the capital of France?" in that task's form: with a query, or
with a category. Two things are counted of its answers to 48 such questions: how many have the right answer in them, and
how many are in the task's form. `data/everyday/` has the questions, and says where they're from.
"""

import json
import re
from collections.abc import Callable, Mapping

from labkit.lab.experiments.routing import NEUTRAL
from labkit.tasks import Task, course_files
from labkit.tasks.glosses import CATEGORIES

OR = " | "  # between the answers to one question that are right


def score(answer: str, row: Mapping) -> dict[str, float]:
    """Is the right answer in it?

    Returns:
        ``right``: 1 when one of the row's answers is in `answer`, as words of their own. Capitals don't matter.
    """
    words = "|".join(map(re.escape, row["completion"].split(OR)))
    return {"right": float(bool(re.search(rf"(?<!\w)(?:{words})(?!\w)", answer, re.IGNORECASE)))}


def _is_object(answer: str) -> bool:
    try:
        return isinstance(json.loads(answer), dict)
    except ValueError:
        return False


_FORMS: dict[str, Callable[[str], bool]] = {
    "sql": lambda answer: re.match(r"\s*SELECT\s", answer) is not None,
    "glosses": lambda answer: answer.strip() in CATEGORIES,
    "tickets": _is_object,
}


def in_form_of(task: str, answer: str) -> bool:
    """Whether `answer` is of the form that `task` asks for, right or wrong.

    A query begins with SELECT, a category is one of the 24 and nothing else, a ticket is a JSON object. A category with
    a word more is none, so what's counted is rather too little.

    Args:
        task: "sql", "glosses" or "tickets".
    """
    return _FORMS[task](answer)


# The rows of the split "train" are other questions, with the base's own answers: to be replayed in a training
EVERYDAY = Task(
    "everyday",
    NEUTRAL,
    score,
    {split: file for split, file in course_files("everyday").items() if split != "validation"},
    max_new_tokens=24,
)
