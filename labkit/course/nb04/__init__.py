"""Notebook 04, Train a LoRA: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb04 import exercises, questions  # noqa: F401
