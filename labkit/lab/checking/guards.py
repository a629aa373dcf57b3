"""Running a learner's code so that nothing it does outlives the call.

What is guarded against: exceptions, ``sys.exit``, loops without end (in Python), recursion without end,
floods of output, inputs changed in place, and settings left changed (grad mode, default dtype, random
numbers, warnings). The learner's own interrupt (■ in Jupyter, Ctrl-C) still goes through.
"""

import copy
import ctypes
import io
import queue
import random
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from labkit.lab.checking.comparing import EXACT, difference


class TimeLimit(BaseException):
    """The time is up. No ``Exception``, so that a learner's ``except Exception`` does not catch it."""


@dataclass(frozen=True)
class Outcome:
    """What came of one call: a value or an error, which of the arguments were changed, and what was printed."""

    value: Any = None
    error: BaseException | None = None
    changed: tuple[int, ...] = ()
    printed: str = ""


def run(function: Callable, args: tuple, observe: Callable | None = None, seconds: float = 5.0) -> Outcome:
    """Call ``function(*args)`` on a copy of `args`, guarded.

    Args:
        function: the learner's.
        args: left as they are.
        observe: see :func:`labkit.lab.checking.exercise`; called within the same guard.
        seconds: the time limit.

    Raises:
        KeyboardInterrupt: the learner's own, only.
    """
    given, output = copy.deepcopy(args), CappedOutput()
    value = error = None

    def call():
        result = function(*given)
        return result if observe is None or result is ... else _observed(observe, args, given, result)

    try:
        with restored_state(), redirect_stdout(output), redirect_stderr(output):
            value = within_time(seconds, call)
    except KeyboardInterrupt:
        raise
    except BaseException as caught:
        error = caught
    changed = ()
    if observe is None:
        changed = tuple(i for i, pair in enumerate(zip(given, args)) if difference(*pair, EXACT) is not None)
    return Outcome(value, error, changed, output.text())


def _observed(observe: Callable, before: tuple, given: tuple, value):
    """What `observe` sees; None, "nothing was done", if nothing was returned and the input is untouched."""
    if value is None and difference(given, before, EXACT) is None:
        return None
    return observe(given, value)


@contextmanager
def restored_state() -> Iterator[None]:
    """Start from random seed 0; afterwards, grad mode, default dtype and all random numbers are as before."""
    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    python_random, numpy_random = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning comes once per place and process: not the same text twice
            torch.default_generator.manual_seed(0)
            random.seed(0)
            np.random.seed(0)
            with torch.enable_grad():
                yield
    finally:
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)
        random.setstate(python_random)
        np.random.set_state(numpy_random)


def within_time(seconds: float, function: Callable):
    """``function()``, stopped by :class:`TimeLimit` after `seconds`.

    A thread asks the interpreter to raise it in the calling thread. That works in a Jupyter kernel, under
    pytest, in any thread and on Windows, where alarm signals do not, and cannot be mistaken for the learner's
    own KeyboardInterrupt. It takes effect between two steps of Python code: one long call into C is not cut
    short. It is raised again and again, because a bare ``except:`` within the loop may swallow it.
    """
    caller, ended = ctypes.c_ulong(threading.get_ident()), []
    # The exception may arrive between any two steps, so what is shared with the thread must be impossible to
    # leave half done: these queues are C, while threading's events and joins are Python, and do get stuck.
    go, stop = queue.SimpleQueue(), queue.SimpleQueue()

    def nag():
        wait = go.get()
        while True:
            try:
                stop.get(timeout=wait)
                break
            except queue.Empty:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(caller, ctypes.py_object(TimeLimit))
                wait = 0.02
        ended.append(True)

    threading.Thread(target=nag, daemon=True, name="time limit").start()
    try:
        go.put(seconds)
        return function()
    finally:
        while True:
            try:
                stop.put(True)
                while not ended:
                    time.sleep(0.0002)
                # One may be still on its way: another takes its place, and is met here. Taken back instead, it would
                # leave Python 3.11 believing that something is pending, and hang it at the next call under a tracer.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(caller, ctypes.py_object(TimeLimit))
                while True:
                    time.sleep(0)
            except TimeLimit:  # or it arrived right here, when the learner's code had ended
                if ended:
                    break


class CappedOutput(io.TextIOBase):
    """A stream that keeps the beginning of what is printed and forgets the rest."""

    def __init__(self, lines: int = 5, columns: int = 160):
        self.lines, self.columns = lines, columns
        self.kept, self.cut = "", False

    def write(self, text: str) -> int:
        room = self.lines * self.columns * 2 - len(self.kept)
        self.kept += text[:room]
        self.cut = self.cut or len(text) > room
        return len(text)

    def text(self) -> str:
        """The first lines, none of them too long, and whether there was more."""
        lines = self.kept.rstrip().splitlines()
        more = ["…"] if self.cut or len(lines) > self.lines else []
        return "\n".join([line[: self.columns] for line in lines[: self.lines]] + more)
