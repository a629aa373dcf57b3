"""A pytest plugin for the nbval run: is every notebook as quick as it says?

    pytest -p tests.notebooks.budgets --nbval … notebooks/

A notebook states its seconds on two ordinary cores in ``metadata.labkit.budget_seconds``. Other machines are
slower, and shared ones are slow at times, so a fixed piece of work is timed again and again during the run, and the
budgets are stretched by how much longer it usually takes here than it did where they were stated.
"""

import statistics
import time
from collections import defaultdict
from functools import cache
from pathlib import Path

import nbformat
import pytest
import torch
from torch.nn.functional import cross_entropy

# What `calibrate` gave where the budgets were stated: two cores, AVX2 kernels, nothing else running. (Taken back from a
# machine on which notebook 04 took 203 s instead of 159 s, and this 0.29 s.)
REFERENCE_SECONDS = 0.225
EVERY = 10  # seconds between calibrations; each takes a quarter of one
VOCABULARY, HIDDEN = 49_152, 576


@cache
def head() -> torch.Tensor:
    """The base's widest weight, 113 MB: no cache holds it, and memory decides how fast a training step is, too."""
    return torch.randn(VOCABULARY, HIDDEN, generator=torch.Generator().manual_seed(0))


def calibrate() -> float:
    """Seconds for what notebooks wait for most: a block and the output head, forward, and the way back to the input."""
    block = torch.nn.TransformerEncoderLayer(HIDDEN, 9, 1536, dropout=0.0, batch_first=True).requires_grad_(False)
    tokens = torch.randn(4, 64, HIDDEN, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight, labels = head(), torch.arange(256)
    began = time.perf_counter()
    cross_entropy(block(tokens).flatten(0, 1) @ weight.T, labels).backward()
    return time.perf_counter() - began


def slowdown(calibrations: list[float]) -> float:
    """How many times slower than the reference this machine usually was; never below 1.

    The median: one bad moment in a run of minutes excuses no notebook.
    """
    return max(1.0, statistics.median(calibrations) / REFERENCE_SECONDS)


def over_budget(seconds: dict[str, float], budgets: dict[str, float], factor: float) -> list[str]:
    """The notebooks that took longer than `factor` times their budget."""
    return [name for name, taken in seconds.items() if taken > factor * budgets.get(name, float("inf"))]


class Budgets:
    """Adds up the seconds of each notebook's cells, and fails the run when one is over its budget.

    Of several processes, the workers run the cells and calibrate, and the one that waits for them judges.
    """

    def __init__(self, runs_cells: bool = True):
        self.runs_cells = runs_cells
        self.seconds: dict[str, float] = defaultdict(float)
        self.calibrations: list[float] = []
        self.due = 0.0

    def calibrate(self):
        if self.runs_cells:
            self.calibrations.append(calibrate())
            self.due = time.monotonic() + EVERY

    def pytest_sessionstart(self):
        self.calibrate()

    def pytest_runtest_logreport(self, report):
        if (path := report.nodeid.split("::")[0]).endswith(".ipynb"):
            self.seconds[path] += report.duration
        if time.monotonic() > self.due:
            self.calibrate()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        self.calibrations += getattr(node, "workeroutput", {}).get("calibrations", [])  # a crashed one has none

    def pytest_sessionfinish(self, session):
        self.calibrate()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["calibrations"] = self.calibrations
            return
        root = session.config.rootpath
        self.budgets = {name: budget_of(root / name) for name in self.seconds}
        self.factor = slowdown(self.calibrations)
        if over_budget(self.seconds, self.budgets, self.factor) and session.exitstatus == 0:
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section(f"notebooks: seconds and budgets (this machine, now: {self.factor:.2f} × slower)")
        late = over_budget(self.seconds, self.budgets, self.factor)
        for name, taken in sorted(self.seconds.items()):
            verdict = "OVER BUDGET" if name in late else "in time"
            terminalreporter.write_line(f"{Path(name).name:32}{taken:7.1f} of {self.budgets[name]:5.0f} s  {verdict}")


def budget_of(path: Path) -> float:
    """What the notebook says it takes, in seconds on two ordinary cores."""
    return nbformat.read(path, 4).metadata.labkit.budget_seconds


def pytest_configure(config):
    waits_for_workers = config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput")
    config.pluginmanager.register(Budgets(runs_cells=not waits_for_workers))
