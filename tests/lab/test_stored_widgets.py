"""What predictions, quizzes and the map leave in a notebook: the same each time, so that nbval compares it strictly."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit.lab.refresh import run

CELLS = [
    "import labkit",
    "labkit.predict('Will it grow?', ['yes', 'no'], id='grow')",
    "labkit.reveal('grow', 'yes')",
    "labkit.quiz('03')",
    "labkit.check('00.1')",
    "labkit.progress()\nlabkit.show_surprises()",
    "labkit.yours('03.1', otherwise=int)(3)",
    "import io\nfrom ipywidgets import HTML\nfrom labkit.lab.widgets import show_widget\n"
    "drawn = io.BytesIO()\nlabkit.axes('Loss', 'step', 'loss').figure.savefig(drawn)\nlabkit.lab.plots.plt.close()\n"
    "show_widget(HTML('turn me'), 'A loss that falls.', png=drawn.getvalue())",
]
SANITIZE = Path(__file__).parents[1] / "nbval-sanitize.cfg"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    notebook = run(new_notebook(cells=[new_code_cell(cell) for cell in CELLS]), folder)
    nbformat.write(notebook, folder / "asked.ipynb")
    return folder / "asked.ipynb"


@pytest.mark.slow
def test_question_options_and_answers_can_be_read_without_a_kernel(stored):
    _, asked, revealed, quiz, *_ = nbformat.read(stored, as_version=4).cells
    assert asked.outputs[0].data == {"text/plain": "Your prediction: Will it grow?\n  ○ yes\n  ○ no"}
    assert revealed.outputs[0].text == "Measured: yes. (You made no prediction.)\n"
    assert set(quiz.outputs[0].data) == {"text/plain", "text/html"}
    assert quiz.outputs[0].data["text/html"].count("<details>") == 5


@pytest.mark.slow
def test_what_stands_for_a_widget_has_words_and_the_next_class_is_said(stored):
    *_, yours, widget = nbformat.read(stored, as_version=4).cells
    printed, value = yours.outputs
    assert printed.text == "○ 03.1 isn't solved yet, so we go on with int.\n" and value.data["text/plain"] == "3"
    assert widget.outputs[0].metadata == {"image/png": {"alt": "A loss that falls."}}


@pytest.mark.slow
def test_nbval_finds_them_unchanged_and_nothing_is_recorded(stored, tmp_path):
    learner = tmp_path / "plain-run"
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider"]
    command += ["--nbval-sanitize-with", str(SANITIZE), str(stored)]
    result = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"LABKIT_DATA": str(learner)}, cwd=stored.parent
    )
    assert result.returncode == 0, result.stdout
    assert f"{len(CELLS)} passed" in result.stdout
    assert not learner.exists()
