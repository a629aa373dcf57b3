"""Notebook 00, Start here: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb00 import exercises, questions  # noqa: F401
