"""One JupyterLab and one browser for all tests here, and a picture of the page when a test fails."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from browser.jupyterlab import REPOSITORY, make_lab

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SIZE = {"width": 1400, "height": 1000}
_windows = []  # open ones, for the pictures


def missing() -> str | None:
    """What these tests need and do not find here."""
    if Path(sys.prefix).resolve() != (REPOSITORY / ".venv").resolve():
        return "they start `make lab`, so run them where it lives, in .venv, with `make test-browser`"
    if find_spec("playwright") is None:
        return "the package playwright is not installed"
    if not any(map(shutil.which, _BROWSERS)):
        return f"no browser found (looked for {', '.join(_BROWSERS)})"
    return None


@pytest.fixture(scope="session")
def equipped():
    """Skips, with the reason, where something is missing; fails instead where LABKIT_REQUIRE_BROWSER is set."""
    if reason := missing():
        (pytest.fail if os.environ.get("LABKIT_REQUIRE_BROWSER") else pytest.skip)(f"browser tests: {reason}")


@pytest.fixture(scope="session")
def lab(equipped, tmp_path_factory):
    with make_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def window(equipped):
    """The learner's browser window; each notebook gets a tab in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=next(filter(None, map(shutil.which, _BROWSERS))))
        window = browser.new_context(viewport=_SIZE)
        _windows.append(window)
        yield window
        _windows.remove(window)
        browser.close()


def _whole_run(number: str):
    """A fixture: the notebook, opened and run from top to bottom once, for all tests that go on from there.

    The first one cell by cell, with a look at the clock; the others by *Run All Cells*.
    """

    @pytest.fixture(scope="session", name=f"notebook_{number}")
    def opened_and_run(lab, window):
        from browser.first_minutes import first_minutes
        from browser.notebook_page import NotebookPage

        if number == "00":
            notebook = first_minutes(window, lab)
        else:
            notebook = NotebookPage(window, lab, number)
            notebook.run_all()
        notebook.whole_run = notebook.sight()
        yield notebook
        # JupyterLab says the one thing whenever a kernel is restarted; there is nothing else to forgive
        assert [text for text in notebook.complaints if not text.startswith("Connection lost, reconnecting")] == []

    return opened_and_run


notebook_00, notebook_01, notebook_03 = map(_whole_run, ("00", "01", "03"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where a test fails, keep what the learner would see, and say where it is."""
    report = yield
    if report.failed and "tmp_path" in item.funcargs:
        for number, page in enumerate(page for window in _windows for page in window.pages):
            picture = item.funcargs["tmp_path"] / f"page-{number}.png"
            page.screenshot(path=picture)
            report.sections.append(("screenshot", f"{page.url} looked like this: {picture}"))
    return report
