"""How labkit writes: aside first, then renamed, so that nobody meets half a file.

A folder that replaces another takes two renames, since most systems have no single one: the old folder goes to a name
that ends in ``.old``, then the new one takes its place. Whatever goes wrong in between, the old one is whole. A failed
rename brings it back at once; after a kill the next read does (:func:`restored`), or the next write, which also clears
away what killed writers left. One writer at a time is at a path, so what lies beside it then belongs to nobody.
"""

import os
import re
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from labkit.errors import LabkitError
from labkit.storage.paths import is_litter

PATIENCE = 60.0  # seconds that a writer waits for another one at the same path
_WINDOWS = os.name == "nt"
_TOKEN = "[0-9a-f]{8}"  # in the name of what a writer has beside its path


def write_atomically(path: Path | str, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path`: a reader sees the old file or the new one, never a part."""
    with file_written_aside(path) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def file_written_aside(path: Path | str) -> Iterator[Path]:
    """A free name to write a file to; it becomes `path` when the ``with`` block ends without an error."""
    path = Path(path)
    with _aside(path) as aside:
        yield aside
        with open(aside, "r+b") as file:  # Windows flushes only what it may write to
            os.fsync(file.fileno())
        _rename(aside, path)


@contextmanager
def folder_written_aside(path: Path | str) -> Iterator[Path]:
    """A new empty folder to fill; it becomes `path` when the ``with`` block ends without an error.

    An older folder at `path` is replaced whole; where `path` is a link, what it points to. After an error, `path` is as
    it was. Who may read the folder may read its files: safetensors makes its own private to their owner.

    Raises:
        OSError: whatever the system refuses, also where safetensors meets it; another program has been writing to
            `path` for :data:`PATIENCE` seconds.
    """
    path = Path(os.path.realpath(path))
    with _aside(path) as aside:
        aside.mkdir()
        with _system_errors_of_safetensors(path):
            yield aside
        for file in filter(Path.is_file, aside.rglob("*")):
            file.chmod(aside.stat().st_mode & 0o666)
            with open(file, "r+b") as handle:  # Windows flushes only what it may write to
                os.fsync(handle.fileno())
        for folder in (aside, *filter(Path.is_dir, aside.rglob("*"))):
            _flush_names(folder)
        _swap(aside, path)


def restored(path: Path | str) -> Path:
    """`path`, and the folder there again if somebody was killed while replacing it. Call it before looking there."""
    path = Path(path)
    if not os.path.exists(path):
        with suppress(OSError, ValueError):  # reading says better what is wrong
            target = Path(os.path.realpath(path))
            if _leftovers(target, "old"):
                with alone_at(target) as alone:
                    if alone:  # or it may be a live writer's
                        _settle(target)
    return path


def remove_folder(path: Path | str) -> None:
    """Remove the folder `path`, if it's there: it is gone at once, and what can't be removed no longer has its name.

    Raises:
        OSError: it stays, whole.
    """
    path = Path(path)
    if path.is_dir():
        with _aside(path) as aside, suppress(FileNotFoundError):  # of several processes, another was quicker
            _rename(path, aside)


def refuse_occupied(path: Path, kind: type[LabkitError], besides: Collection[str] = ()) -> None:
    """An error of this `kind` where `path` is a file, or a folder that holds more than files named in `besides`."""
    if not restored(path).exists():
        return
    if not path.is_dir():
        raise kind(f"{path}: this is a file, and labkit won't overwrite it. Choose another folder")
    if others := sorted({entry.name for entry in path.iterdir() if not is_litter(entry.name)} - {*besides}):
        raise kind(f"{path}: this folder holds {others[0]}, and labkit won't overwrite it. Choose another folder")


@contextmanager
def alone_at(path: Path, patience: float = PATIENCE) -> Iterator[bool]:
    """Nobody else is in such a ``with`` block for `path`, in any process. Ends with the process, however that ends.

    Args:
        path: what is to be written; its folder must be there. The lock is a file beside it, and gone afterwards.
        patience: seconds to wait for somebody else; a negative number waits for ever.

    Yields:
        Whether that holds: not every file system has locks, and without them it is up to the user.

    Raises:
        TimeoutError: somebody else stays too long.
        OSError: nothing can be written beside `path`.
    """
    place = path.with_name(f".{path.name}.lock")
    is_new = not place.exists()
    try:
        place.touch()
    except OSError:
        if not place.exists():  # another user's lock, perhaps, which can't be touched
            raise
    lock = FileLock(place)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise TimeoutError(f"{path}: another program is writing here. Wait until it's done, or end it") from None
    except (OSError, NotImplementedError):
        if is_new:
            with suppress(OSError):
                place.unlink()
        yield False
        return
    try:
        yield True
    finally:
        try:
            if not _WINDOWS:  # where nobody can remove what is open, and filelock does it
                with suppress(OSError):  # a process that waits checks that the file it has locked is still there
                    place.unlink()
        finally:
            with suppress(OSError):
                lock.release()


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A free name beside `path`, for this writer alone. Nothing stays there, or of writers that were killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:8]
    with alone_at(path) as alone:
        try:
            if alone:
                _settle(path)
            yield path.with_name(f".{path.name}.{token}.tmp")
            _flush_names(path.parent)
        finally:
            with suppress(OSError):  # what stays here is cleared away by the next writer
                _settle(path, _TOKEN if alone else token)


def _swap(aside: Path, path: Path) -> None:
    old = aside.with_suffix(".old")
    try:
        if os.path.lexists(path):
            try:
                _rename(path, old)
            except OSError as error:
                reason = (
                    f"the folder there can't be replaced ({error.strerror}). If a program uses its files, as a base or "
                    "an adapter that's loaded may do, end it first"
                )
                raise OSError(error.errno, reason, str(path)) from error
        _rename(aside, path)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(path):
            with suppress(OSError):
                _rename(old, path)
        raise


def _settle(path: Path, token: str = _TOKEN) -> None:
    """Bring back the folder whose successor didn't come, and remove what else writers of `path` left beside it."""
    for old in _leftovers(path, "old", token):
        # never a part of a folder under a name that could be brought back
        _rename(old, old.with_suffix(".tmp") if os.path.lexists(path) else path)
    for leftover in _leftovers(path, "tmp", token):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _leftovers(path: Path, kind: str, token: str = _TOKEN) -> list[Path]:
    name = re.compile(rf"\.{re.escape(path.name)}\.{token}\.{kind}")
    return [path.with_name(entry) for entry in os.listdir(path.parent) if name.fullmatch(entry)]


def _rename(source: Path, target: Path) -> None:
    for wait in (0.1, 0.3, 1, None):
        try:
            return os.replace(source, target)
        except PermissionError:
            if not _WINDOWS or wait is None:  # there, virus scanners keep new files open for a moment
                raise
            time.sleep(wait)


def _flush_names(folder: Path) -> None:
    """Have the names in `folder` outlast a power cut, on systems that can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _system_errors_of_safetensors(path: Path) -> Iterator[None]:
    try:
        yield
    except SafetensorError as error:  # it has the system's error in its text only
        if (found := re.search(r"([^:]+) \(os error (\d+)\)", str(error))) is None:
            raise
        reason, number = found[1].strip(), int(found[2])
        raise OSError(number, reason, str(path), number) from error  # once as Unix counts, once as Windows does
