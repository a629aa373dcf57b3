import sys

import nbformat
import pytest
from nbclient import NotebookClient

from labkit.lab.widgets import progress_text, training_bar
from labkit.training.reports import StepReport


def report(step, steps=40, loss=0.4123, tokens_per_second=1530.4, seconds_left=48.2, validation_loss=None):
    return StepReport(step, steps, loss, 1e-3, 9, 1.0, tokens_per_second, seconds_left, validation_loss)


@pytest.mark.parametrize(
    "seconds, shown",
    [(0.2, "0 s"), (48.2, "48 s"), (99.4, "99 s"), (100, "2 min"), (3_600, "60 min"), (7_500, "2 h 5 min")],
)
def test_progress_text(seconds, shown):
    assert progress_text(report(12, seconds_left=seconds)) == (
        f"step 12 of 40 · loss 0.412 · 1,530 tokens/s · {shown} left"
    )


def test_a_validation_loss_stands_beside_the_loss():
    assert "loss 0.412 · validation 0.500 · 1,530 tokens/s" in progress_text(report(12, validation_loss=0.5))


def test_the_last_step_has_no_time_left():
    assert progress_text(report(40, loss=float("nan"))) == "step 40 of 40 · loss nan · 1,530 tokens/s"


@pytest.mark.parametrize(("left", "first"), [(5, 4), (48.2, 1)])
def test_a_file_gets_a_line_for_every_tenth_and_for_the_first_step_of_a_long_way(capsys, left, first):
    bar = training_bar("tickets")
    for step in range(1, 41):
        bar(report(step, seconds_left=left))
    out, err = capsys.readouterr()
    told = [int(line.removeprefix("tickets: step ").partition(" ")[0]) for line in err.splitlines()]
    assert not out and told == sorted({first, *range(4, 41, 4)})


def test_three_steps_give_three_lines(capsys):
    bar = training_bar()
    for step in range(1, 4):
        bar(report(step, steps=3))
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_terminal_gets_one_line_that_rewrites_itself(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = training_bar()
    for step in range(1, 41):
        bar(report(step))
    err = capsys.readouterr().err
    assert err.count("\r") == 40 and err.count("\n") == 1 and err.endswith("\n")


NOTEBOOK_CELL = """
import random
from labkit.lab.widgets import training_bar
from labkit.training.reports import StepReport

bar = training_bar()
for step in range(1, 21):
    bar(StepReport(step, 20, random.random(), 1e-3, 9, 1.0, tokens_per_second=random.random(), seconds_left=1))
"""


def test_in_a_notebook_the_output_is_the_same_each_time():
    stored = []
    for _ in range(2):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK_CELL)])
        NotebookClient(notebook, kernel_name="python3").execute()
        stored.append(notebook)
    (first,), (second,) = (notebook.cells[0].outputs for notebook in stored)
    assert first.output_type == "display_data" and not first.get("transient")
    assert first.data["text/plain"] == second.data["text/plain"]
    assert first.data["text/plain"] == "(training: a progress bar is shown here while the cell runs)"
    # the widget itself is real, and ends full
    view = first.data["application/vnd.jupyter.widget-view+json"]["model_id"]
    states = stored[0].metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    assert view in states
    assert [s.state["value"] for s in states.values() if s.model_name == "FloatProgressModel"] == [20]
