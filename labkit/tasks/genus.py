"""Genus: a noun and what a dictionary says of it → the word in it that names the noun's kind.

    stiletto: a small dagger with a tapered blade → dagger

Real text, as `glosses` is: people wrote these definitions for WordNet 3.0, and a row's answer is what they listed the
noun under. No kind of the test rows occurs in training, so an answer has to be read, and can't be remembered.
`studies/make_genus.py` makes the rows.
"""

import re
from collections.abc import Mapping

from labkit.tasks import Task, course_files

SYSTEM = "The word in the definition that names the kind."


def score(answer: str, row: Mapping) -> dict[str, float]:
    """Is it the right word?

    Returns:
        ``accuracy``: 1 when it is. Spaces at the ends don't matter; capitals and the plural do, since answers quote
            the word as the definition has it.
        ``quoted``: 1 when the answer is a single word of the definition, right or wrong.
    """
    given = answer.strip()
    words = re.findall(r"\w+", row["prompt"].partition(": ")[2])
    return {"accuracy": float(given == row["completion"].strip()), "quoted": float(given in words)}


TASK = Task("genus", SYSTEM, score, course_files("genus"), max_new_tokens=12)
