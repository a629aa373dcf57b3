"""What went wrong when a learner's function was called, in words and with the line of their own code."""

import inspect
import linecache
import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from labkit.lab.checking.guards import TimeLimit

_LIBRARIES = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parents[2]),
    "<frozen",
)


def error_lines(error: BaseException, seconds: float) -> list[str]:
    """What `error` means for the learner, and where in their code it came up. No traceback."""
    if isinstance(error, TimeLimit):
        return [f"Your code was stopped after {seconds:g} seconds.", "Is there a loop that never ends?"]
    if isinstance(error, SystemExit):
        return ["Your code asks Python to exit.", "Return the answer, and leave exit() out.", *_line(error)]
    if isinstance(error, RecursionError):
        return ["Your function calls itself without end.", "What makes it stop?", *_line(error)]
    return [f"Your code raises {message_of(error)}", *_line(error)]


def message_of(error: BaseException) -> str:
    """The kind and the text of `error`, in one line that's the same in every run."""
    try:
        text = str(error)
    except Exception:
        text = ""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(text.split()))  # addresses differ from run to run
    text = text if len(text) <= 300 else text[:299] + "…"
    return f"{type(error).__name__}: {text}" if text else f"{type(error).__name__}."


def _line(error: BaseException) -> list[str]:
    """The innermost line of the learner's own code on the way to the error; nothing if there is none."""
    own = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(_LIBRARIES)
    ]
    if not own:
        return []
    code = linecache.getline(*own[-1]).strip()
    return [f"It happens in line {own[-1][1]}: {code}" if code else f"It happens in line {own[-1][1]}."]


def class_error_lines(error: BaseException, answer: type, seconds: float) -> list[str]:
    """The same for a learner's class, which is also tried out from the outside."""
    own, missing = _line(error), isinstance(error, AttributeError) and error.name
    if own or not isinstance(error, Exception) or isinstance(error, RecursionError):
        return error_lines(error, seconds)
    if missing and isinstance(error.obj, answer):
        return [
            f"Your {answer.__name__} has no {missing}.",
            "Is it called something else, or missing a self. in front?",
        ]
    returns = " Does its forward return something?" if "NoneType" in str(error) else ""
    return [f"Your {answer.__name__} can't be used: {message_of(error)}{returns}"]


def signature_problem(function: Callable, solution: Callable, args: tuple) -> str | None:
    """A sentence if `function` can't be called with as many arguments as the solution takes.

    For a class, that's its ``__init__``.
    """
    is_class, given = inspect.isclass(function), ", ".join(_names(solution, args))
    if is_class and args and function.__init__ in (object.__init__, nn.Module.__init__):
        return f"Your class has no __init__ yet. It's called with {given}."
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins do not tell
        return None
    try:
        signature.bind(*args)
    except TypeError:
        takes = ", ".join(signature.parameters) or "no arguments"
        what = "Your class's __init__" if is_class else "Your function"
        beside = "self, " if is_class and signature.parameters else "self and " if is_class else ""
        return f"{what} takes {beside}{takes}. It's called with {given or 'none'}."
    return None


def class_problem(answer: type, solution: type) -> str | None:
    """A sentence if the class `answer` lacks what any use of it needs."""
    if issubclass(solution, nn.Module):
        if not issubclass(answer, nn.Module):
            return f"Your class isn't a PyTorch layer yet: class {answer.__name__}(nn.Module)."
        if answer.forward is nn.Module.forward:
            return "Your class has no forward yet. Is it there under another name, or indented too far?"
    return None


def describe_call(solution: Callable, args: tuple, case: str) -> str:
    """The input of one call in a line: ``With x of shape (4, 16), r = 8 (case 2 of 3).``"""
    given = ", ".join(_describe(name, value) for name, value in zip(_names(solution, args), args))
    return f"With {given} ({case})." if given else f"In {case}."


def _names(solution: Callable, args: tuple) -> list[str]:
    names = list(inspect.signature(solution).parameters)
    return names + [f"argument {i + 1}" for i in range(len(names), len(args))]


def _describe(name: str, value) -> str:
    if isinstance(value, Tensor):
        return f"{name} of shape {tuple(value.shape)}"
    shown = _outline(value)
    if isinstance(value, nn.Module) or len(shown) > 100:
        return f"{name} (a {type(value).__name__})"
    return f"{name} = {shown}"


def _outline(value) -> str:
    """The value as Python writes it, of a tensor its shape: ``[(2×5 tensor, 4×2 tensor, 0.5)]``."""
    if isinstance(value, Tensor):
        return f"{'×'.join(map(str, value.shape)) or 'one-number'} tensor"
    if type(value) in (list, tuple):
        inside = ", ".join(map(_outline, value))
        return f"[{inside}]" if type(value) is list else f"({inside})"
    return repr(value)
