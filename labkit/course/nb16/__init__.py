"""Notebook 16, What an adapter gives away: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb16 import exercises, questions  # noqa: F401
