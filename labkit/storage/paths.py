"""Where labkit keeps things, and what in a folder is nobody's."""

import os
import re
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

# of the Finder, of Explorer, and of copies from a Mac to other disks
_LITTER = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini", re.IGNORECASE)


def cache_dir() -> Path:
    """The folder for what can be fetched again (base models). ``LABKIT_CACHE`` moves it."""
    return Path(os.environ.get("LABKIT_CACHE") or user_cache_path("labkit"))


def user_data_dir() -> Path:
    """The folder for what is the learner's own (progress). ``LABKIT_DATA`` moves it."""
    return Path(os.environ.get("LABKIT_DATA") or user_data_path("labkit"))


def course_data_dir() -> Path:
    """The course's own ``data/`` folder: task data, stored results."""
    return Path(__file__).parents[2] / "data"


def is_litter(name: str) -> bool:
    """Whether a file of that name holds nothing, and a desktop left it in a folder that somebody looked into."""
    return _LITTER.fullmatch(name) is not None
