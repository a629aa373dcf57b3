"""The budget plugin: its arithmetic, and a real run that is too slow."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from tests.notebooks.budgets import REFERENCE_SECONDS, Budgets, calibrate, over_budget, slowdown

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


def written(folder: Path, **budgets: float) -> list[Path]:
    """Notebooks by name, each with one cell and so many seconds for it."""
    for name, budget in budgets.items():
        cell = nbformat.v4.new_code_cell("import time\ntime.sleep(0.1)", execution_count=1)
        notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"labkit": {"budget_seconds": budget}})
        nbformat.write(notebook, folder / f"{name}.ipynb")
    return [folder / f"{name}.ipynb" for name in budgets]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [[], ["-n", "2", "--dist", "loadfile"]], ids=["one process", "two"])
def test_a_notebook_over_its_budget_turns_a_green_run_red(processes, tmp_path):
    options = ["-p", "tests.notebooks.budgets", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env", *processes]
    notebooks = written(tmp_path, slow=0.001, quick=120)
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", tmp_path, *notebooks]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert "2 passed" in done.stdout and done.returncode == 1
    assert re.search(r"^slow.ipynb .* OVER BUDGET$", done.stdout, re.MULTILINE)
    assert re.search(r"^quick.ipynb .* in time$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(("seconds", "before", "after"), [(1, 0, 0), (1e6, 0, 1), (1e6, 2, 2), (1, 1, 1)])
def test_a_run_in_time_stays_as_it_was(seconds, before, after, tmp_path):
    budgets = Budgets()
    [path] = written(tmp_path, quick=120)
    budgets.seconds[path.name] = seconds
    session = SimpleNamespace(exitstatus=before, config=SimpleNamespace(rootpath=tmp_path))
    budgets.pytest_sessionfinish(session)
    assert session.exitstatus == after
