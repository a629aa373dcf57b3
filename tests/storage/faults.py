"""Have one call of the operating system fail, or be the last before a kill: the first, the second, … of what is done.

Counted are the calls that name something below one folder. Writing by safetensors is two of them: the file isn't begun,
and half of it is there.
"""

import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

BY_PATH = "open mkdir rename replace unlink rmdir chmod listdir scandir stat lstat utime truncate".split()


class Killed(BaseException):
    """The process is no more: nothing it does reaches the disk from here on."""


class Calls:
    """Within a ``with`` block, the `nth` call below `root` fails with `error`, or is the last (None).

    Attributes:
        names: of the calls so far.
    """

    def __init__(self, monkeypatch, root: Path, nth: int = 0, error: int | None = None):
        self.root, self.nth, self.error = str(root), nth, error
        self.names: list[str] = []
        self._patch = monkeypatch

    @property
    def struck(self) -> bool:
        """Whether there were so many calls."""
        return len(self.names) >= self.nth > 0

    def __enter__(self):
        for name in BY_PATH:
            self._patch.setattr(os, name, self._counted(name, getattr(os, name)))
        self._patch.setattr(os, "fsync", self._counted("fsync", os.fsync))
        opened = self._counted("open", builtins.open, self._file)
        self._patch.setattr(builtins, "open", opened)
        self._patch.setattr(io, "open", opened)
        self._patch.setattr(safetensors.torch, "serialize_file", self._serialize(safetensors.torch.serialize_file))
        return self

    def __exit__(self, *_):
        self._patch.undo()

    def _ours(self, place: object) -> bool:
        return isinstance(place, int) or os.fspath(place).startswith(self.root)

    def _count(self, name: str, halfway: Callable[[], None] = lambda: None) -> None:
        self.names.append(name)
        if len(self.names) == self.nth:
            halfway()
            if self.error is not None:
                raise OSError(self.error, os.strerror(self.error))
        if self.error is None and self.struck:
            raise Killed

    def _counted(self, name: str, call: Callable, dressed: Callable = lambda result, _: result) -> Callable:
        def counted(place=".", *arguments, **named):
            if not self._ours(place) and "dir_fd" not in named:
                return call(place, *arguments, **named)
            self._count(name)
            return dressed(call(place, *arguments, **named), arguments)

        return counted

    def _file(self, file, arguments):
        if arguments and set(arguments[0]) & set("wax+"):
            whole = file.write

            def write(content):
                def half():
                    whole(content[: len(content) // 2])
                    file.flush()

                self._count("write", half)
                return whole(content)

            return _Proxy(file, write)
        return file

    def _serialize(self, call: Callable) -> Callable:
        def serialize_file(tensors, filename, *arguments, **named):
            def half():
                call(tensors, filename, *arguments, **named)
                size = Path(filename).stat().st_size // 2
                with open(filename, "r+b") as file:
                    file.truncate(size)

            for halfway in (lambda: None, half):
                try:
                    self._count("safetensors", halfway)
                except OSError as error:
                    raise SafetensorError(f"I/O error: {error.strerror} (os error {error.errno})") from None
            return call(tensors, filename, *arguments, **named)

        return serialize_file


class _Proxy:
    """A file whose `write` is another."""

    def __init__(self, file, write):
        self._file, self.write = file, write

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *error):
        return self._file.__exit__(*error)
