"""Notebook 05, Rank, α and targets: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb05 import exercises, questions  # noqa: F401
