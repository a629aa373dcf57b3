"""Files from elsewhere that rows are made of: each is read only if it's the very file that a recipe was written for."""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from labkit.errors import DataError
from labkit.storage.paths import course_data_dir
from labkit.storage.writing import write_atomically

UNPACKED = Path(__file__).parents[1] / "build" / "sources"  # where the recipes tell you to put what they read


def read_source(file: Path, sha256: str, expected: str, missing: str, other: str) -> bytes:
    """What is in `file`.

    Args:
        sha256: of the file that's meant.
        expected: what that is, such as "WordNet 3.0's file as Debian has it".
        missing, other: what to do when the file isn't there, and when it's another one.

    Raises:
        DataError: it can't be read, or is another file.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"can't be read ({error.strerror})", missing, str(file)) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"isn't {expected}", other, str(file))
    return content


def as_csv(header: Sequence[str], rows: Iterable[Sequence]) -> str:
    """A table, with one line per row."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return table.getvalue()


def write_task(name: str, files: dict[str, str]) -> None:
    """Write a task's files into its folder, and say how long each is."""
    for file, content in files.items():
        write_atomically(course_data_dir() / name / file, content)
        print(f"{file}: {len(content.splitlines())} lines")
