"""Changelog: what changed in Python → the section of its changelog.

    Fix a data race on the lazily initialized dictionary of a type. → Core and Builtins

Real text: the entries of CPython's own NEWS, under the headings that its developers chose. It's what a team might want
to have sorted, with its natural shares (more than half of it is Library), and the test rows are from later versions
than the others. `studies/make_changelog.py` makes the rows.
"""

from collections.abc import Mapping

from labkit.tasks import Task, course_files
from labkit.tasks.glosses import summary

SYSTEM = "Section of the changelog entry."
SECTIONS = (
    "Build", "C API", "Core and Builtins", "Documentation", "IDLE", "Library", "Security", "Tests", "Tools/Demos",
    "Windows", "macOS",
)  # fmt: skip


def score(answer: str, row: Mapping) -> dict[str, float]:
    """Is it the right section?

    Returns:
        ``accuracy``: 1 when it is. Spaces at the ends don't matter; capitals do.
        ``valid``: 1 when the answer is one of the 11 sections, right or wrong.
    """
    given = answer.strip()
    return {"accuracy": float(given == row["completion"].strip()), "valid": float(given in SECTIONS)}


TASK = Task("changelog", SYSTEM, score, course_files("changelog"), summary=summary, max_new_tokens=8)
