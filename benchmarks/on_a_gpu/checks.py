"""The tests marked gpu, and notebook 08: pytest on the card, each outcome sent as soon as it's there."""

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MARK = "gpu"
NOTEBOOK = "notebooks/08_qlora.ipynb"
# as `make test-notebooks` compares it: to the letter, and only what stands behind ≈ may differ
NBVAL = ("--nbval", "--nbval-current-env", "--nbval-cell-timeout", "180", "--nbval-sanitize-with")
_COLORS = re.compile(r"\x1b\[\d*m")


def tests(setting: dict, send: Callable[[dict], None]) -> None:
    """Each test that's marked gpu."""
    run_pytest(["-m", MARK, *map(str, marked_files())], send)


def marked_files() -> list[Path]:
    """The files with such tests; to import all the others would take half a minute."""
    return [file for file in sorted((ROOT / "tests").rglob("test_*.py")) if f"mark.{MARK}" in file.read_text("utf-8")]


def notebook(setting: dict, send: Callable[[dict], None]) -> None:
    """Each cell of notebook 08, whose outputs were stored on a CPU. ``setting["notebook"]`` names another one."""
    if setting["tiny"] and "notebook" not in setting:
        return send({"left_out": "the notebook has one size; make test-notebooks NB=08 runs it on a CPU"})
    os.environ["LABKIT_DEVICE"] = setting["device"]  # the kernel inherits it
    run_pytest([*NBVAL, str(ROOT / "tests/nbval-sanitize.cfg"), str(setting.get("notebook", ROOT / NOTEBOOK))], send)


def run_pytest(arguments: list[str], send: Callable[[dict], None]) -> None:
    """Run pytest in this process, and send a row for each test."""
    os.chdir(ROOT)
    code = pytest.main(["-q", "-p", "no:cacheprovider", *arguments], plugins=[_Sender(send)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        send({"wrong": f"pytest couldn't run them: {code.name.lower().replace('_', ' ')}"})


class _Sender:
    def __init__(self, send: Callable[[dict], None]):
        self.send = send

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)  # a notebook's cell has none
            said = (crash.message if crash else report.longreprtext).strip().splitlines() or ["no reason given"]
            shown = _COLORS.sub("", report.longreprtext)[-1500:]
            self.send({"test": report.nodeid, "wrong": f"failed: {_COLORS.sub('', said[0])}", "shown": shown})
        elif report.skipped:
            self.send({"test": report.nodeid, "left_out": report.longrepr[2].removeprefix("Skipped: ")})
        elif report.when == "call":
            self.send({"test": report.nodeid, "seconds": round(report.duration, 2)})


def counted(rows: list[dict]) -> dict:
    """How many passed; how many were left out for which reason; and each that failed."""
    return {
        "passed": sum("wrong" not in row and "left_out" not in row for row in rows),
        "left_out": dict(Counter(row["left_out"] for row in rows if "left_out" in row)),
        "failed": {row.get("test", "all"): row.get("shown", row["wrong"]) for row in rows if "wrong" in row},
    }
