"""What a study stored in `data/results`, as the notebooks read it."""

import json
from pathlib import Path


def read(path: Path | str) -> dict:
    """A study's result, with the ``day`` on which its last run ended."""
    study = json.loads(Path(path).read_text(encoding="utf-8"))
    return study | {"day": study["date"].split(" and ")[-1]}
