"""The form an exercise is written in, and where the written ones are found.

One folder a notebook: ``labkit/course/nb03/exercises.py`` holds 03.1, 03.2, … and is imported when one of them
is first asked for. A wrong answer is recognised by running the mistake that leads to it, so every mistake
is real code, or a real value, and is tested like the solution.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from labkit.errors import ConfigError
from labkit.lab import content


class Case:
    """The arguments of one call of the learner's function, by position: their names are the learner's own."""

    def __init__(self, *args):
        self.args = args


@dataclass(frozen=True)
class Tolerance:
    """How close is right: |answer − expected| ≤ atol + rtol · |expected|, for every number.

    Whole numbers are compared exactly.
    """

    rtol: float = 1e-4
    atol: float = 1e-6


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give, and what to tell them.

    Args:
        answer: the mistaken function; for an exercise about a value, the mistaken value.
        symptom: what your answer does ("You give every weight a gradient.").
        misconception: what it may come from.
        look: a place, a question or something to try; a full sentence.
    """

    answer: Any
    symptom: str
    misconception: str
    look: str


def mistake(symptom: str, misconception: str, look: str) -> Callable[[Callable], Mistake]:
    """A decorator: makes the function or class below it a :class:`Mistake`, beside what is said of it."""
    return lambda answer: Mistake(answer, symptom, misconception, look)


@dataclass(frozen=True)
class Exercise:
    """One exercise. Made by :func:`exercise`, which says what the fields are."""

    id: str
    title: str
    prompt: str
    minutes: int
    difficulty: int
    importance: int
    solution: Any
    explanation: str
    hints: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    cases: Callable[[], list[Case]] | None
    observe: Callable | None
    shows: str
    close: Tolerance
    seconds: float


_REGISTRY: dict[str, Exercise] = {}


def exercise(
    id: str,
    *,
    title: str,
    prompt: str,
    minutes: int,
    difficulty: int,
    importance: int,
    solution,
    explanation: str,
    hints: list[str],
    mistakes: list[Mistake],
    cases: Callable[[], list[Case]] | None = None,
    observe: Callable | None = None,
    shows: str = "",
    close: Tolerance | None = None,
    seconds: float = 5.0,
) -> Exercise:
    """Write an exercise and make it known.

    Args:
        id: notebook and number, ``"03.1"``.
        title, prompt: a few words; the task as the notebook puts it.
        minutes: how long it takes; difficulty, importance: 1 to 5.
        solution: the right function, or class; a class needs ``observe``. Without ``cases``: the right value, or a
            function without arguments that computes it.
        explanation: why the solution is right, shown below its source.
        hints: from the first nudge to nearly the code.
        mistakes: at least three. The first whose answers are the learner's on *all* cases is named, so the
            cases must tell them apart.
        cases: makes the inputs, fresh and the same each time; called with every random seed at 0.
        observe: what to compare when it isn't what the function returns. ``observe(args, result)`` is
            called after each call (``result`` may be a layer to try out; ``args`` a model that was to be
            changed). A dict with phrases for keys, ``{"the answer before training": …}``, reads well in a message.
            An exercise with ``observe`` may change its input; any other may not.
        shows: one line that a right answer is rewarded with.
        close: how close is right; ``Tolerance()`` when not given.
        seconds: how long one call may take.

    Raises:
        ConfigError: the form is not filled in as said above, or the id is taken.
    """
    if not re.fullmatch(r"\d\d\.\d+", id):
        raise ConfigError(f"an exercise's id is notebook.number, as in '03.1', got {id!r}")
    taken = _REGISTRY.get(id)
    if taken is not None and taken.title != title:  # the same title is the same module, loaded again
        raise ConfigError(f"exercise {id} is there already: {taken.title}")
    if not (1 <= difficulty <= 5 and 1 <= importance <= 5 and minutes >= 1):
        raise ConfigError(f"exercise {id}: difficulty and importance are 1 to 5, minutes at least 1")
    if len(mistakes) < 3:
        raise ConfigError(f"exercise {id} needs at least three known mistakes, has {len(mistakes)}")
    if isinstance(solution, type) and (cases is None or observe is None):
        raise ConfigError(f"exercise {id}: a class needs cases, and observe to try it out")
    if not all([title, prompt, explanation, *hints, hints]):
        raise ConfigError(f"exercise {id}: title, prompt, explanation and hints must not be empty")
    _REGISTRY[id] = Exercise(
        id=id,
        title=title,
        prompt=prompt,
        minutes=minutes,
        difficulty=difficulty,
        importance=importance,
        solution=solution,
        explanation=explanation,
        hints=tuple(hints),
        mistakes=tuple(mistakes),
        cases=cases,
        observe=observe,
        shows=shows,
        close=close or Tolerance(),
        seconds=seconds,
    )
    return _REGISTRY[id]


def find(id: str) -> Exercise | None:
    """The exercise called `id`, or None; its notebook's folder is imported if need be."""
    id = str(id)
    if id not in _REGISTRY:
        content.load(id[:2])
    return _REGISTRY.get(id)


def known_ids() -> list[str]:
    """The ids of all exercises of the course, in order."""
    return [known.id for known in all_exercises()]


def all_exercises() -> Iterator[Exercise]:
    """Every exercise of every notebook's folder, in the course's order."""
    notebooks = content.notebooks()
    for notebook in notebooks:
        content.load(notebook)
    for id in sorted(_REGISTRY, key=lambda id: [int(part) for part in id.split(".")]):
        if id[:2] in notebooks:
            yield _REGISTRY[id]
