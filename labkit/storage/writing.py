"""How labkit writes: aside first, then renamed, so that nobody meets half a file."""

import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.errors import LabkitError
from labkit.storage.paths import is_litter


def write_atomically(path: Path | str, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path`: a reader sees the old file or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def refuse_occupied(path: Path, kind: type[LabkitError], besides: Collection[str] = ()) -> None:
    """An error of this `kind` where `path` is a file, or a folder that holds more than files named in `besides`."""
    if not path.exists():
        return
    if not path.is_dir():
        raise kind(f"{path}: this is a file, and it will not be overwritten. Choose another folder")
    if others := sorted({entry.name for entry in path.iterdir() if not is_litter(entry.name)} - {*besides}):
        raise kind(f"{path}: this folder holds {others[0]}, and it will not be overwritten. Choose another folder")


@contextmanager
def folder_written_aside(path: Path | str) -> Iterator[Path]:
    """A new empty folder to fill; it becomes `path` when the ``with`` block ends without an error.

    An older folder at `path` is replaced whole. After an error, `path` is as it was. Who may read the folder may read
    its files: safetensors makes its own private to their owner.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:8]
    aside = path.with_name(f".{path.name}.{token}.tmp")
    aside.mkdir()
    try:
        yield aside
        for file in filter(Path.is_file, aside.rglob("*")):
            file.chmod(aside.stat().st_mode & 0o666)
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
        if path.exists():
            old = path.with_name(f".{path.name}.{token}.old")
            os.rename(path, old)
            os.rename(aside, path)
            shutil.rmtree(old)
        else:
            os.rename(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
