"""Where labkit keeps things."""

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path


def cache_dir() -> Path:
    """The folder for what can be fetched again (base models). ``LABKIT_CACHE`` moves it."""
    return Path(os.environ.get("LABKIT_CACHE") or user_cache_path("labkit"))


def user_data_dir() -> Path:
    """The folder for what is the learner's own (progress). ``LABKIT_DATA`` moves it."""
    return Path(os.environ.get("LABKIT_DATA") or user_data_path("labkit"))


def course_data_dir() -> Path:
    """The course's own ``data/`` folder: task data, stored results."""
    return Path(__file__).parents[2] / "data"
