"""A notebook says about its exercises what their form says: title, minutes, difficulty, and the name of the answer."""

import ast
import inspect
import re
import textwrap
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


def signature(answer) -> str:
    """``my_loss(logits, labels)``, and of a class what its ``__init__`` takes: ``Layer(base, r, alpha)``"""
    return f"{answer.__name__}({', '.join(inspect.signature(answer).parameters)})"


def stub(cell: str) -> str:
    """The signature of the one function or class that a cell begins."""
    [begun] = [node for node in ast.parse(cell).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    function, first = begun, 0
    if isinstance(begun, ast.ClassDef):  # without self
        [function] = [node for node in begun.body if getattr(node, "name", "") == "__init__"]
        first = 1
    return f"{begun.name}({', '.join(argument.arg for argument in function.args.args[first:])})"


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
        assert stub(cell) == signature(each.solution)
        assert signature(each.solution) in each.prompt or inspect.isclass(each.solution) and name in each.prompt


def test_the_stub_of_a_class_is_compared_by_what_it_is_made_with():
    class Layer:
        def __init__(self, base, r, alpha):
            pass

    cell = f"{textwrap.dedent(inspect.getsource(Layer))}\n\ncheck('03.1', Layer)"
    assert stub(cell) == signature(Layer) == "Layer(base, r, alpha)"
