"""What Windows does otherwise, on the system that is here: what its users meet, in a test that anybody can run.

A folder is no file to open. Only what may be written to can be flushed. Nothing is renamed onto a folder, and no file
or folder in use is renamed, replaced or removed. Text has other line ends and another encoding if none is named. Some
names are not to be had, and a name is there in one spelling only. What Unix alone has is missing.

As a plugin (``pytest -p windows``, with this folder in PYTHONPATH) it is so in every test.
"""

import builtins
import errno
import fcntl
import io
import os
import re
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock

from labkit.storage import writing

FORBIDDEN = re.compile(r'.*[<>:"|?*\\\x00-\x1f].*|.*[ .]|(con|prn|aux|nul|com\d|lpt\d)(\..*)?', re.IGNORECASE)
UNIX_ONLY = ["fork", "forkpty", "getuid", "geteuid", "getgid", "chown", "fchmod", "sched_getaffinity"]
UNIX_ONLY += ["getloadavg", "uname", "mkfifo", "wait", "killpg", "pread", "nice", "openpty"]


def in_use(place) -> bool:
    """Whether this process has `place`, or something below it, open or mapped."""
    place = os.path.realpath(place)
    mapped = [line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line]
    opened = []
    for handle in _listdir("/proc/self/fd"):
        try:
            opened.append(os.readlink(f"/proc/self/fd/{handle}"))
        except OSError:
            continue
    return any(path == place or path.startswith(place + os.sep) for path in (*mapped, *opened))


_listdir = os.listdir


@pytest.fixture(autouse=True)
def windows(monkeypatch, tmp_path):
    """Within a test, what happens below `tmp_path` happens as on Windows."""
    if not os.path.exists("/proc/self/maps"):
        pytest.skip("nothing says here which files are in use")

    def ours(place):
        return not isinstance(place, int) and os.path.realpath(place).startswith(str(tmp_path))

    def refuse(place, why=errno.EACCES):
        raise OSError(why, os.strerror(why), str(place))

    def check_name(place):
        folder, name = os.path.split(os.fspath(place))
        if FORBIDDEN.fullmatch(name):
            refuse(place, errno.EINVAL)
        twins = {entry for entry in _listdir(folder or ".") if entry.lower() == name.lower()} - {name}
        assert not twins, f"{name} is the same as {twins}"

    kept = {name: getattr(os, name) for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "open", "chmod")}

    def rename(source, target, replacing=False):
        if ours(source):
            check_name(target)
            if os.path.isdir(target) or in_use(source) or (os.path.exists(target) and in_use(target)):
                refuse(target)
            if os.path.exists(target) and not replacing:
                refuse(target, errno.EEXIST)
        return kept["replace"](source, target)

    def remove(place, how, **named):
        if ours(place) and in_use(place):
            refuse(place)
        return kept[how](place, **named)

    def mkdir(place, mode=0o777, **named):
        if ours(place):
            check_name(place)
            mode = 0o777
        return kept["mkdir"](place, mode, **named)

    def open_low(place, flags, mode=0o777, **named):
        if ours(place):
            if os.path.isdir(place):
                refuse(place)
            if flags & os.O_CREAT:
                check_name(place)
        return kept["open"](place, flags, mode, **named)

    def chmod(place, mode, **named):
        return kept["chmod"](place, 0o666 if mode & 0o200 else 0o444, **named) if ours(place) else None

    def fsync(handle):
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            refuse(handle, errno.EBADF)

    whole = builtins.open

    def open_(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *rest, **named):
        if ours(file):
            if os.path.isdir(file):
                refuse(file)
            if set(mode) & set("wax"):
                check_name(file)
            if "b" not in mode:
                encoding = encoding or "cp1252"
                newline = "\r\n" if newline is None and set(mode) & set("wax+") else newline
        return whole(file, mode, buffering, encoding, errors, newline, *rest, **named)

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "replace", lambda source, target: rename(source, target, replacing=True))
    monkeypatch.setattr(os, "unlink", lambda place, **named: remove(place, "unlink", **named))
    monkeypatch.setattr(os, "remove", lambda place, **named: remove(place, "unlink", **named))
    monkeypatch.setattr(os, "rmdir", lambda place, **named: remove(place, "rmdir", **named))
    monkeypatch.setattr(os, "mkdir", mkdir)
    monkeypatch.setattr(os, "open", open_low)
    monkeypatch.setattr(os, "chmod", chmod)
    monkeypatch.setattr(os, "fsync", fsync)
    for module in (builtins, io):
        monkeypatch.setattr(module, "open", open_)
    unlock = FileLock._release

    def unlock_and_remove(lock):  # as filelock does there, where nobody can remove what is open
        unlock(lock)
        with suppress(OSError):
            os.unlink(lock.lock_file)

    monkeypatch.setattr(FileLock, "_release", unlock_and_remove)
    monkeypatch.setattr(shutil, "_use_fd_functions", False)  # there are none that begin at an open folder
    for name in UNIX_ONLY:
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.delattr(signal, "SIGKILL")
    monkeypatch.setattr(writing, "_WINDOWS", True)
    monkeypatch.setattr(writing.time, "sleep", lambda seconds: None)
