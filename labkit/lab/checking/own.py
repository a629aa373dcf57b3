"""The learner's own answers, to go on with: the class they wrote in notebook 03 is the one that notebook 04 trains.

An answer that passed its check is kept as the text the learner typed, in their own record. It comes back by being run
again, in a module of its own, and has to pass the check again.
"""

import inspect
import linecache
import math
import textwrap
from types import ModuleType
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional

from labkit.lab.checking.form import find
from labkit.lab.checking.guards import restored_state, within_time
from labkit.lab.checking.judging import RIGHT, judge
from labkit.lab.learner_record import PASSED, read_record

Answer = TypeVar("Answer")

_passed: dict[str, object] = {}  # id -> the right answer itself, of this session
_SECONDS = 5.0

# What the notebooks' set-up cells import, and so what an answer may use without saying where it's from
_AT_HAND = {"torch": torch, "nn": nn, "F": functional, "math": math}


def remember(id: str, answer) -> None:
    """Keep an answer that passed, for :func:`yours` in this session."""
    _passed[id] = answer


def source_of(answer) -> str | None:
    """The text of a function or class as its author typed it; None for a value, or where there is no text."""
    if not (inspect.isfunction(answer) or inspect.isclass(answer)):
        return None
    try:
        return textwrap.dedent(inspect.getsource(answer))
    except (OSError, TypeError, IndentationError):
        return None


def yours(id: str, *, otherwise: Answer) -> Answer:
    """Your own answer to exercise `id` if it has passed its check, else `otherwise`; a line says which.

    Your answer may come from another notebook: ``check`` keeps the text of what passed, in your own record, and here it
    is run again and checked again.

    Args:
        id: the exercise, ``"03.2"``.
        otherwise: what to go on with until you have solved it, usually the definition in a cell above.
    """
    name = getattr(otherwise, "__name__", "the one above")
    exercise = find(id)
    kept = read_record().exercises.get(id)
    if exercise is None or not (id in _passed or (kept and kept.state == PASSED)):
        print(f"○ {id} isn't solved yet, so we go on with {name}.")
        return otherwise
    if id in _passed:
        print(f"✔ {id} is solved: from here on, the code is yours.")
        return _passed[id]
    try:
        answer = _run_again(id, kept.source)
    except BaseException as error:  # whatever the learner's text does, the notebook goes on
        if isinstance(error, KeyboardInterrupt):
            raise
        print(f"○ Your {id} doesn't run by itself ({type(error).__name__}: {error}), so we go on with {name}.")
        return otherwise
    if judge(exercise, answer).mark != RIGHT:
        print(f"○ Your {id} doesn't pass outside its own notebook, so we go on with {name}.")
        return otherwise
    _passed[id] = answer
    print(f"✔ {id} is solved: from here on, the code is yours.")
    return answer


def _run_again(id: str, source: str | None):
    """What the last definition in `source` defines."""
    if not source:
        raise ValueError("its text wasn't kept; check it once more in its own notebook")
    module, filename = ModuleType(f"your_{id.replace('.', '_')}"), f"<your {id}>"
    vars(module).update(_AT_HAND)
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    code = compile(source, filename, "exec")
    before = set(vars(module))
    with restored_state():
        within_time(_SECONDS, lambda: exec(code, vars(module)))
    defined = [value for name, value in vars(module).items() if name not in before and name != "__builtins__"]
    return defined[-1]
