"""Notebook 11, The ecosystem: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb11 import exercises, questions  # noqa: F401
