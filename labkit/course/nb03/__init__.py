"""Notebook 03, The LoRA layer: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb03 import exercises, questions  # noqa: F401
