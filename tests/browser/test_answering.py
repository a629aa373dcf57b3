"""What a learner answers is judged at once, kept, and shown where they look for it."""

import json

import pytest

from browser.jupyterlab import REPOSITORY
from labkit.course.nb03.questions import QUESTIONS

THE_MAP = "labkit.progress()"


def record(lab) -> dict:
    """What is kept in the learner's data folder."""
    return json.loads((lab.learner / "progress.json").read_text())


def line_of_the_map(notebook_00, number: str) -> str:
    """A notebook's line, after the cell with the map has been run again."""
    cell = notebook_00.cell(THE_MAP)
    notebook_00.run(cell)
    [line] = [line for line in notebook_00.text(cell).split("\n") if line.startswith(f"★ {number} ")]
    return line


EXERCISES = {  # the function to write; a wrong line, the beginning of what is said about it, a right line
    "00.1": ("my_share", "return total / trained", "Your fraction is upside down", "return trained / total"),
    "03.3": (
        "my_merged_weight",
        "return W + alpha * (B @ A)",
        "Your update is r times too large.",
        "return W + alpha / A.shape[0] * (B @ A)",
    ),
}


@pytest.mark.parametrize("id", EXERCISES)
def test_an_exercise_done_wrongly_then_rightly(id, request, lab, notebook_00):
    number, (function, wrong, what_is_wrong, right) = id[:2], EXERCISES[id]
    notebook = request.getfixturevalue(f"notebook_{number}")
    cell = notebook.cell(f"def {function}(")
    notebook.wait_for(cell, f"○ {id} not attempted yet")

    notebook.rewrite(cell, "...", wrong)
    notebook.run(cell)
    notebook.wait_for(cell, f"✗ {id} {what_is_wrong}")
    assert record(lab)["exercises"][id] == {"state": "tried", "tries": 1, "passed_on": None, "source": None}
    assert "  ○○" in line_of_the_map(notebook_00, number)

    notebook.rewrite(cell, wrong, right)
    notebook.run(cell)
    notebook.wait_for(cell, f"✔ {id}")
    assert record(lab)["exercises"][id]["state"] == "passed" and record(lab)["exercises"][id]["tries"] == 2
    line = line_of_the_map(notebook_00, number)
    assert "  ●○" in line and "  1 of " in line


def test_what_a_learner_saves_is_kept_and_the_repository_stays_as_it_is(lab, notebook_00):
    cell = notebook_00.cell("def my_exact(")
    notebook_00.rewrite(cell, "...", "return sum(map(str.__eq__, answers, wanted)) / len(wanted)")
    notebook_00.save()
    assert "map(str.__eq__, answers, wanted)" in notebook_00.file.read_text()
    assert (REPOSITORY / "notebooks" / notebook_00.file.name).read_bytes() == lab.as_copied[notebook_00.file.name]


def test_a_quiz_question_answered_wrongly_then_rightly(lab, notebook_03):
    cell, question = notebook_03.cell('quiz("03")'), QUESTIONS[0]
    wrong = next(option for option in question.options if option != question.right_option)
    for option, mark in ((wrong, "✗"), (question.right_option, "✔")):
        notebook_03.option(cell, option).check()
        notebook_03.wait_for(cell, f"{mark} {question.options[option]}")
        assert record(lab)["quizzes"]["03"] == {question.text: {"said": option, "right": mark == "✔"}}
    assert question.options[wrong] not in notebook_03.text(cell), "the first reason is gone"


def test_a_prediction_is_set_beside_the_measurement(lab, notebook_00):
    asked, measured = notebook_00.cell('id="00.capitals"'), notebook_00.cell('reveal("00.capitals"')
    notebook_00.wait_for(measured, "Measured: one. (You made no prediction.)")
    notebook_00.option(asked, "both").check()
    notebook_00.wait_for(asked, "Noted. Now run the next cell.")
    notebook_00.run(measured)
    notebook_00.wait_for(measured, "You said: both. Measured: one. A surprise.")

    notebook_00.option(asked, "one").check()
    notebook_00.wait_for(asked, "so what you said before it stays: both.")
    prediction = record(lab)["predictions"]["00.capitals"]
    assert (prediction["said"], prediction["measured"]) == ("both", "one")
