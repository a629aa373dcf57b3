"""Notebook 01, Low rank and the SVD: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb01 import exercises, questions  # noqa: F401
