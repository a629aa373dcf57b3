"""A course small enough to study in seconds: tasks of a few rows, and a base that trains in milliseconds."""

import json
from collections.abc import Callable
from pathlib import Path

from conftest import make_tiny_llama, make_tiny_tokenizer

from labkit.tasks import Task, exact_match


def tiny_base() -> tuple:
    """A model and its tokenizer, made again each time."""
    return make_tiny_llama(max_position_embeddings=512), make_tiny_tokenizer()


def tasks_in(folder: Path, score: Callable = exact_match, train: int = 12) -> Callable[[str], Task]:
    """What stands in for :func:`labkit.load_task`: a task of any name, its rows written to `folder`.

    Args:
        train: how many training rows; there are 5 for validation and 6 for the test.
    """

    def load_task(name: str) -> Task:
        files = {split: folder / f"{name}-{split}.jsonl" for split in ("train", "validation", "test")}
        for file, count in zip(files.values(), (train, 5, 6)):
            rows = [{"prompt": f"{name} {i}", "completion": f"ok {i}"} for i in range(count)]
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return Task(name, f"Say {name}.", score, files, max_new_tokens=3)

    return load_task
