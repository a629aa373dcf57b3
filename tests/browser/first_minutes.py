"""A learner's first minutes: notebook 00, Shift-Enter from the top, with a sentence of their own on the way."""

import time
from dataclasses import dataclass

from playwright.sync_api import BrowserContext, expect

from browser.jupyterlab import Lab
from browser.notebook_page import NotebookPage
from tests.notebooks.budgets import calibrate, slowdown

MESSAGE = (
    "Help, my lamp sparks. Bought July 19 for $48, order D44. Rosa"  # like those of the shop, and in none of its files
)


@dataclass(frozen=True)
class FirstMinutes:
    """What was seen up to the answer to :data:`MESSAGE`.

    Args:
        seconds: from ``make lab`` to the answer, with the time it took JupyterLab to print its address.
        slowdown: how many times slower this machine was meanwhile than the one for which minutes are stated.
        heads, answers: of the table below that cell.
    """

    seconds: float
    slowdown: float
    heads: list[str]
    answers: list[str]


def first_minutes(window: BrowserContext, lab: Lab) -> NotebookPage:
    """Notebook 00, all of it run cell by cell; its ``first_minutes`` are noted."""
    speed, began = [calibrate(), calibrate()], time.monotonic()
    notebook = NotebookPage(window, lab, "00")
    notebook.menu("Edit", "Clear Outputs of All Cells")
    own = notebook.cell("playground(model")
    its_code = own.locator(".cm-content").text_content()
    for number in range(notebook.code_cells.count()):
        cell = notebook.code_cells.nth(number)
        notebook.run(cell)
        if cell.locator(".cm-content").text_content() == its_code:
            own.locator("input[type=text]").fill(MESSAGE)
            own.locator("input[type=text]").press("Enter")
            expect(own).to_contain_text(f"You: {MESSAGE}")
            expect(own.get_by_role("button", name="Answer")).to_be_enabled()
            seconds = lab.seconds + time.monotonic() - began
            speed += [calibrate(), calibrate()]
            table = (own.locator(tag).all_text_contents() for tag in ("th", "td"))
            notebook.first_minutes = FirstMinutes(seconds, slowdown(speed), *table)
    return notebook
