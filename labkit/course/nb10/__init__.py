"""Notebook 10, Swap adapters: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb10 import exercises, questions  # noqa: F401
