"""The learner's own answers, to go on with: the class they wrote in notebook 03 is the one that notebook 04 trains.

An answer that passed its check is kept as the text the learner typed, in their own record. It comes back by being run
again, in a module of its own, and has to pass the check again.
"""

import linecache
import math
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from types import ModuleType
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional

from labkit.lab.checking.explaining import message_of
from labkit.lab.checking.form import Exercise, find
from labkit.lab.checking.guards import CappedOutput, TimeLimit, restored_state, within_time
from labkit.lab.checking.judging import RIGHT, judge
from labkit.lab.checking.typed import last_defined
from labkit.lab.learner_record import PASSED, read_record

Answer = TypeVar("Answer")

_passed: dict[str, object] = {}  # id -> the right answer itself, of this session
_SECONDS, _TRIAL_SECONDS = 5.0, 2.0

# What the notebooks' set-up cells import, and so what an answer may use without saying where it's from
_AT_HAND = {"torch": torch, "nn": nn, "F": functional, "math": math, "re": re}


def remember(id: str, answer) -> None:
    """Keep an answer that passed, for :func:`yours` in this session."""
    _passed[id] = answer


def yours(id: str, *, otherwise: Answer, trial: Callable[[Answer], object] | None = None) -> Answer:
    """Your own answer to exercise `id` if it has passed its check, else `otherwise`; a line says which.

    Your answer may come from another notebook: ``check`` keeps the text of what passed, in your own record, and here
    it's run again and checked again.

    Args:
        id: the exercise, ``"03.2"``.
        otherwise: what to go on with until you've solved it, usually the definition in a cell above.
        trial: calls an answer on as much as the notebook has for it. A right answer that takes more than two seconds
            for it, or fails, would hold up all later cells, so these go on with `otherwise`.
    """
    exercise, name = find(id), getattr(otherwise, "__name__", "the one above")
    if exercise is None:
        print(f"○ There's no exercise {id!r}, so we go on with {name}.")
        return otherwise
    if id not in _passed:
        kept = read_record().exercises.get(id)
        if kept is None or kept.state != PASSED:
            print(f"○ {id} isn't solved yet, so we go on with {name}.")
            return otherwise
        answer, problem = _again(exercise, kept.source)
        if problem:
            print(f"○ Your {id} {problem}, so we go on with {name}.")
            return otherwise
        remember(id, answer)
    if trial and (problem := _tried(trial, _passed[id])):
        print(f"○ Your {id} is right, but {problem}, so we go on with {name}.")
        return otherwise
    print(f"✔ {id} is solved: from here on, the code is yours.")
    return _passed[id]


def _tried(trial: Callable, answer) -> str:
    """What's the matter with a right answer on the notebook's own numbers, after "Your 07.3 is right, but"; or ""."""
    output = CappedOutput()
    try:
        with restored_state(), redirect_stdout(output), redirect_stderr(output):
            within_time(_TRIAL_SECONDS, lambda: trial(answer))
    except KeyboardInterrupt:
        raise
    except TimeLimit:
        return f"takes more than {_TRIAL_SECONDS:g} seconds with the next cells' numbers"
    except BaseException as error:
        return f"fails with the next cells' numbers ({message_of(error).rstrip('.')})"
    return ""


def _again(exercise: Exercise, source: str | None) -> tuple[object, str]:
    """What `source` defines if it still passes, and otherwise what's the matter, after "Your 03.2"."""
    if not source:
        return None, "passed, but its text wasn't kept"
    try:
        answer = _run_again(exercise.id, source)
        if judge(exercise, answer).mark == RIGHT:
            return answer, ""
    except KeyboardInterrupt:
        raise
    except TimeLimit:
        return None, f"was stopped after {_SECONDS:g} seconds"
    except BaseException as error:  # whatever the learner's text does, the notebook goes on
        return None, f"doesn't run by itself ({message_of(error).rstrip('.')})"
    return None, "doesn't pass outside its own notebook"


def _run_again(id: str, source: str):
    """What the last statement of `source` defines."""
    name, output = last_defined(source), CappedOutput()
    module, filename = ModuleType(f"your_{id.replace('.', '_')}"), f"<your {id}>"
    vars(module).update(_AT_HAND)
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    code = compile(source, filename, "exec")
    with restored_state(), redirect_stdout(output), redirect_stderr(output):
        within_time(_SECONDS, lambda: exec(code, vars(module)))
    return vars(module)[name]
