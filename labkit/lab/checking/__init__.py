"""Exercises: ``check`` an answer, ask for a ``hint``, see the ``solution``.

None of the three ever raises, and what they print is the same each time, so a notebook with its
exercises untouched runs from top to bottom and compares to the letter.
"""

import ast
import inspect
import re
import textwrap

from labkit.lab.checking.form import (
    Case,
    Exercise,
    Mistake,
    Tolerance,
    all_exercises,
    exercise,
    find,
    known_ids,
    mistake,
)
from labkit.lab.checking.judging import NOT_ATTEMPTED, RIGHT, judge
from labkit.lab.checking.own import remember, yours
from labkit.lab.checking.typed import text_to_keep
from labkit.lab.learner_record import note_try

__all__ = [
    "Case",
    "Exercise",
    "Mistake",
    "Tolerance",
    "all_exercises",
    "check",
    "exercise",
    "hint",
    "mistake",
    "solution",
    "yours",
]

_hints_given: dict[str, int] = {}


def check(id: str, answer=None, *, record: bool = True) -> None:
    """Say how it stands with your answer to exercise `id`.

    Prints ``○`` not attempted yet, with the first hint; ``✔`` right; or ``✗`` with what's wrong, what
    may be behind it and where to look. Your code runs on copies of several inputs, with a time limit, and
    can't harm the notebook. Your progress is kept.

    Args:
        id: the exercise, ``"03.1"``.
        answer: your function or class itself, or your value, as the exercise asks.
        record: False for an example that isn't your own: your progress stays as it is.
    """
    if (found := _found(id)) is None:
        return
    try:
        verdict = judge(found, answer)
    except Exception as error:
        print(f"✗ {id} can't be judged ({type(error).__name__}). Is your answer an ordinary Python value?")
        return
    if record and verdict.mark != NOT_ATTEMPTED:
        right = verdict.mark == RIGHT
        note_try(found.id, passed=right, source=text_to_keep(answer) if right else None)
        if right:
            remember(found.id, answer)
    print(f"{verdict.mark} {id} {verdict.lines[0]}")
    for line in verdict.lines[1:]:
        print(f"  {line}")
    if verdict.printed:
        print("  Your code printed, for the first input:")
        print(textwrap.indent(verdict.printed, "  | ", lambda line: True))


def hint(id: str) -> None:
    """Print a hint for exercise `id`; each further call goes one level deeper."""
    if (found := _found(id)) is None:
        return
    number = min(_hints_given.get(id, 0) + 1, len(found.hints))
    _hints_given[id] = number
    print(f"Hint {number} of {len(found.hints)}: {found.hints[number - 1]}")
    if number == len(found.hints):
        print(f'That was the last hint. labkit.solution("{id}") shows the answer.')


def solution(id: str) -> None:
    """Print the tested solution of exercise `id`, with an explanation."""
    if (found := _found(id)) is None:
        return
    print(f"{_as_typed(found)}\n\n{found.explanation}")


def _as_typed(exercise: Exercise) -> str:
    """The solution as it would stand in the learner's cell: a function whole, a value as the lines that lead to it."""
    answer = exercise.solution
    if not callable(answer):
        return repr(answer)
    source = textwrap.dedent(inspect.getsource(answer)).rstrip()
    if exercise.cases is not None:
        return source
    definition = ast.parse(source).body[0]
    first = definition.body[1 if ast.get_docstring(definition) else 0]
    inside = textwrap.dedent("\n".join(source.splitlines()[first.lineno - 1 :]))
    return re.sub(r"^return ", f"{definition.name} = ", inside, flags=re.MULTILINE)


def _found(id: str) -> Exercise | None:
    """The exercise, or None after saying that there's none."""
    if callable(id):
        print('The exercise comes first, as a text: check("00.1", my_answer).')
        return None
    found = find(id)
    if found is None:
        print(f"There's no exercise {id!r}. There are: {', '.join(known_ids())}.")
    return found
