"""Notebook 02, The cost of full fine-tuning: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb02 import exercises, questions  # noqa: F401
