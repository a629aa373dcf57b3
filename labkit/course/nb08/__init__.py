"""Notebook 08, QLoRA: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb08 import exercises, questions  # noqa: F401
