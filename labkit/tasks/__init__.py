"""Tasks: what the model is to learn, where its rows are, and how an answer is scored."""

import heapq
import importlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets import Dataset

from labkit.errors import ConfigError, DataError
from labkit.storage.paths import course_data_dir
from labkit.tasks.conversations import as_question, common_system
from labkit.tasks.rows import STANDARD_INPUT, read_rows

GENERATED = ("tickets", "sql", "voice", "clauses")  # from templates, in labkit.tasks.make_data
TASKS = (*GENERATED, "glosses", "genus", "changelog", "diacritics")  # the others are real text, made in studies/


@dataclass(frozen=True)
class Task:
    """One thing to learn.

    Attributes:
        name: short name, also of its folder.
        system: the system prompt, the same for training and for asking.
        score: ``score(answer, row) -> {metric: value}``; the first metric is the headline.
        files: the JSONL file of each split.
        make_row: draws a row from a ``random.Random``; None when the rows cannot be generated.
        make_test_row: draws test rows, where those are to hold what no training row holds.
        summary: ``summary(answers, rows) -> {metric: value}``, for what is no mean over rows, such as macro F1.
        max_new_tokens: where an answer is cut off at the latest; None means what :meth:`token_limit` says.
        held: rows of splits that were read already: standard input and pipes can be read once.
    """

    name: str
    system: str
    score: Callable[[str, Mapping], dict[str, float]]
    files: Mapping[str, Path]
    make_row: Callable[[random.Random], dict] | None = None
    make_test_row: Callable[[random.Random], dict] | None = None
    summary: Callable[[Sequence[str], Sequence[Mapping]], dict[str, float]] | None = None
    max_new_tokens: int | None = 64
    held: Mapping[str, Dataset] = field(default_factory=dict, repr=False)

    def rows(self, split: str) -> Dataset:
        """The rows of a split.

        Raises:
            ConfigError: there is no such split.
            DataError: its file is not as it should be.
        """
        if split not in self.files:
            raise ConfigError(f"{self.name} has no split {split!r}; it has {', '.join(self.files)}")
        return self.held[split] if split in self.held else read_rows(self.files[split])

    def token_limit(self, tokenizer, rows: Sequence[Mapping]) -> int:
        """How many tokens an answer to `rows` may have: `max_new_tokens`, or a quarter more than the longest completion
        has, and 8 to end it with."""
        if self.max_new_tokens is not None:
            return self.max_new_tokens
        answers = (as_question(row).get("completion") for row in rows)
        longest = heapq.nlargest(256, (text for text in answers if isinstance(text, str)), key=len)
        tokens = max((len(tokenizer(text, verbose=False).input_ids) for text in longest), default=0)
        return tokens + tokens // 4 + 8


def load_task(name: str) -> Task:
    """A task of the course, by name.

    Raises:
        ConfigError: there is no task of that name.
    """
    if name not in TASKS:
        raise ConfigError(f"there is no task {name!r}; there are: {', '.join(TASKS)}")
    return importlib.import_module(f"labkit.tasks.{name}").TASK


def task_from_files(files: Mapping[str, Path | str], system: str | None = None, format: str = "auto") -> Task:
    """A task from a learner's own rows: scored by exact match. Each file is read once.

    Args:
        files: the file of each split, such as ``{"train": "mine.jsonl"}``; ``-`` is standard input.
        system: the system prompt. If there is none and all rows bring the same one, that's the task's.
        format: what the fields of a row are (see :func:`labkit.read_rows`).

    Raises:
        DataError: a file is not as it should be (see :func:`labkit.read_rows`).
    """
    paths = {split: Path(path) for split, path in files.items()}
    held = {split: read_rows(path, format) for split, path in paths.items()}
    first = next(iter(paths.values()))
    name = "stdin" if str(first) in STANDARD_INPUT else first.stem
    if system is None:  # so that the adapter's folder says what it was trained with
        system = common_system(row for rows in held.values() for row in rows.to_list())
    return Task(name, system or "Answer the user.", exact_match, paths, max_new_tokens=None, held=held)


def exact_match(answer: str, row: Mapping) -> dict[str, float]:
    """1 when the answer is the completion, white space at the ends aside."""
    return {"exact": float(answer.strip() == row["completion"].strip())}


def course_files(name: str) -> dict[str, Path]:
    """The files of a course task: ``data/<name>/<split>.jsonl``."""
    return {split: course_data_dir() / name / f"{split}.jsonl" for split in ("train", "validation", "test")}


def distinct_rows(make_row: Callable[[random.Random], dict], count: int, seed: int) -> list[dict]:
    """`count` rows with different prompts, the same for the same seed.

    Raises:
        DataError: the generator cannot make that many different prompts.
    """
    draw, rows = random.Random(seed), {}
    for _ in range(100 * count):
        row = make_row(draw)
        rows.setdefault(row["prompt"], row)
        if len(rows) == count:
            return list(rows.values())
    raise DataError(f"only {len(rows)} different prompts came up", f"Ask for fewer than {count}", "generator")
