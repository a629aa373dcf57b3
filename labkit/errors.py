"""The errors labkit raises on purpose. Each message says what happened and what to do about it."""

import errno
import os
import sys
import warnings


def printable(text: str, keep: str = "\n") -> str:
    """`text` with an escape in the place of whatever doesn't show itself, except the characters in `keep`.

    A stranger's text can move a terminal's cursor, write a line over another, turn the direction of reading (U+202E),
    or hide a letter of no width in a name.
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def showable(text: str) -> str:
    """What a model wrote, to be shown: it may have been trained to move a terminal's cursor, or to turn a line around.

    What joins letters and emoji stays.
    """
    return printable(text, keep="\n\t\u200c\u200d")


def system_error(error: OSError) -> str:
    """What the system refused, in a sentence."""
    full = error.errno == errno.ENOSPC
    if not isinstance(error.filename, (str, bytes)) or not error.strerror:
        return f"{error}. Make room on that disk" if full else str(error)
    remedy = "Make room on that disk" if full else "Check the path, and your rights to it"
    return f"{os.fsdecode(error.filename)} can't be used ({error.strerror}). {remedy}"


def reason_of(error: Exception) -> str:
    """What somebody else's code has to say, as a part of a sentence: its first line, or else the kind of error."""
    return (str(error).strip().split("\n")[0] or type(error).__name__).rstrip(".")


class LabkitError(Exception):
    """Base of every error labkit raises on purpose. Whatever its message quotes, a terminal can print it."""

    def __str__(self) -> str:
        return printable(super().__str__())


class LabkitWarning(UserWarning):
    """What works, with other numbers than you may expect. ``warnings.filterwarnings`` silences it by this class."""


def warn(message: str) -> None:
    """A LabkitWarning that points at the line outside labkit which led to it, however deep inside it was seen."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("labkit", "contextlib"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, LabkitWarning, stacklevel=level)


class ConfigError(LabkitError, ValueError):
    """A setting that cannot be honoured: a negative rank, a target that matches nothing."""


class BaseModelError(LabkitError):
    """The base model could not be fetched, verified or loaded."""


class AdapterError(LabkitError):
    """An adapter folder that cannot be used; the message names the file and the cause."""


class TrainingError(LabkitError):
    """Training cannot go on: the loss is not a number, or a checkpoint does not fit the run."""


class DataError(LabkitError):
    """Bad training or test data.

    Args:
        problem: what is wrong, in a few words.
        remedy: what the reader can do about it.
        source: where it is, as ``file`` or ``file:line``.
    """

    def __init__(self, problem: str, remedy: str, source: str):
        super().__init__(f"{source}: {problem}. {remedy}")
        self.problem, self.remedy, self.source = problem, remedy, source


class ClaimFailed(LabkitError, AssertionError):
    """A notebook's claim did not hold when it was measured."""
