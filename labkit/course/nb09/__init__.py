"""Notebook 09, Merge: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb09 import exercises, questions  # noqa: F401
