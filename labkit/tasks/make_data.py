"""Write a task's data: ``python -m labkit.tasks.make_data tickets``. The same rows every time."""

import json
import sys

from labkit.errors import ConfigError
from labkit.storage.writing import write_atomically
from labkit.tasks import Task, distinct_rows, load_task

SEED = 2026
SIZES = {"train": 512, "validation": 64, "test": 256}


def splits(task: Task) -> dict[str, list[dict]]:
    """The rows of each split. No prompt occurs twice, in one split or across them.

    Raises:
        ConfigError: the task's rows come from real text, and no generator makes them.
    """
    if task.make_row is None:
        raise ConfigError(f"no generator makes the rows of {task.name}: its data card says where they come from")
    rows = distinct_rows(task.make_row, sum(SIZES.values()), SEED)
    cut = {}
    for split, size in SIZES.items():
        cut[split], rows = rows[:size], rows[size:]
    if task.make_test_row:
        known = {row["prompt"] for split in ("train", "validation") for row in cut[split]}
        rows = distinct_rows(task.make_test_row, SIZES["test"] + len(known), SEED + 1)
        cut["test"] = [row for row in rows if row["prompt"] not in known][: SIZES["test"]]
    return cut


def as_jsonl(rows: list[dict]) -> str:
    """One JSON object per line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        task = load_task(name)
        for split, rows in splits(task).items():
            write_atomically(task.files[split], as_jsonl(rows))
            print(f"{split}: {len(rows)} rows")
