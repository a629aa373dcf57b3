"""Notebook 06, Data and evaluation: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb06 import exercises, questions  # noqa: F401
