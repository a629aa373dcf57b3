"""Notebook 07, Quantization and NF4: its exercises and its quiz, registered when this is imported."""

from labkit.course.nb07 import exercises, questions  # noqa: F401
