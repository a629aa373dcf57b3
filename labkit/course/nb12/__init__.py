"""Notebook 12, The family: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb12 import exercises, questions  # noqa: F401
