"""A notebook says about its exercises what their form says: title, minutes, difficulty, and the name of the answer."""

import ast
import inspect
import re
from pathlib import Path

import nbformat
import pytest

from labkit.lab.checking import Exercise, all_exercises

NOTEBOOKS = {path.name[:2]: path for path in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb")}
EXERCISES = [each for each in all_exercises() if each.id[:2] in NOTEBOOKS]
every_exercise = pytest.mark.parametrize("each", EXERCISES, ids=lambda each: each.id)


def heading(each: Exercise) -> str:
    """``**04.2 · The loss of one row** (6 minutes, medium, important).``"""
    difficulty = ("easy", "easy", "medium", "hard", "hard")[each.difficulty - 1]
    importance = ", important" if each.importance > 3 else ""
    return f"**{each.id} · {each.title}** ({each.minutes} minutes, {difficulty}{importance})."


def signature(function) -> str:
    """``my_loss(logits, labels)``"""
    return f"{function.__name__}({', '.join(inspect.signature(function).parameters)})"


def cells_about(each: Exercise) -> tuple[str, str]:
    """The cell that checks the exercise first, and the text above it."""
    cells = nbformat.read(NOTEBOOKS[each.id[:2]], as_version=4).cells
    for above, cell in zip(cells, cells[1:]):
        if cell.cell_type == "code" and f'check("{each.id}"' in cell.source:
            return above.source, cell.source
    raise AssertionError(f"no cell checks {each.id}")


@every_exercise
def test_the_notebook_announces_the_exercise_as_the_form_does(each):
    above, _ = cells_about(each)
    assert heading(each) in above


@every_exercise
def test_the_learner_completes_what_the_solution_defines(each):
    _, cell = cells_about(each)
    name = each.solution.__name__
    assert f'check("{each.id}", {name})' in cell
    if each.cases is None:
        assert f"{name} = ..." in cell and re.search(rf"\b{name}\b", each.prompt)
    else:
        [stub] = [node for node in ast.parse(cell).body if isinstance(node, ast.FunctionDef)]
        asked = f"{stub.name}({', '.join(argument.arg for argument in stub.args.args)})"
        assert asked == signature(each.solution) and asked in each.prompt
