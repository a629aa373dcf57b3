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
