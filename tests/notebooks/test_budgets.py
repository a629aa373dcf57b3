"""The budget plugin: its arithmetic, and a real run that is too slow."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.notebooks.budgets import REFERENCE_SECONDS, calibrate, over_budget, slowdown

ROOT = Path(__file__).parents[2]


def test_a_slow_machine_stretches_the_budgets_and_a_fast_one_does_not_shrink_them():
    assert slowdown([REFERENCE_SECONDS / 3]) == 1
    assert slowdown([2 * REFERENCE_SECONDS]) == pytest.approx(2)
    assert over_budget({"a": 15, "b": 25}, {"a": 10, "b": 10}, factor=2) == ["b"]


def test_it_is_the_median_that_stretches_them_and_not_the_slowest_moment():
    assert slowdown([REFERENCE_SECONDS] * 3 + [60 * REFERENCE_SECONDS] * 2) == 1
    assert slowdown([REFERENCE_SECONDS] + [3 * REFERENCE_SECONDS] * 2) == pytest.approx(3)


def test_calibration_is_about_work_and_repeats():
    first, second = calibrate(), calibrate()
    assert 0 < first < 10 * second and second < 10 * first


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "status", "verdict"), [(0.001, 1, "OVER BUDGET"), (120, 0, "in time")])
def test_a_notebook_over_its_budget_turns_a_green_run_red(budget, status, verdict, tmp_path):
    cell = nbformat.v4.new_code_cell("import time\ntime.sleep(1)", execution_count=1)
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"labkit": {"budget_seconds": budget}})
    nbformat.write(notebook, tmp_path / "slow.ipynb")
    options = ["-p", "tests.notebooks.budgets", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", tmp_path, tmp_path / "slow.ipynb"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert "1 passed" in done.stdout and verdict in done.stdout
    assert done.returncode == status
