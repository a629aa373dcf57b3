"""A learner's first minutes: from `make lab` to an adapter they trained themselves."""

import json
import time

import pytest

from tests.notebooks.budgets import calibrate, slowdown

expect = pytest.importorskip("playwright.sync_api").expect

MINUTES = 5
MESSAGE = (
    "Help, my lamp sparks. Bought July 19 for $48, order D44. Rosa"  # like those of the shop, and in none of its files
)


def test_from_make_lab_to_an_adapter_of_ones_own_in_five_minutes(equipped, window, tmp_path):
    from browser.jupyterlab import make_lab
    from browser.notebook_page import NotebookPage

    speed, began = [calibrate(), calibrate()], time.monotonic()
    with make_lab(tmp_path) as lab:
        notebook = NotebookPage(window, lab, "00")
        notebook.menu("Edit", "Clear Outputs of All Cells")
        training, again, own = map(notebook.cell, ("labkit.train(", "after = ticket_for(", "playground(model"))
        for number in range(notebook.code_cells.count()):  # Shift-Enter, from the top
            cell = notebook.code_cells.nth(number)
            notebook.run(cell)
            assert notebook.error(cell).count() == 0
            if cell.locator(".cm-content").text_content() == own.locator(".cm-content").text_content():
                break
        expect(training.locator(".widget-label").last).to_contain_text("step 40 of 40")
        notebook.wait_for(again, "✔ the trained model writes this customer's ticket, character for character")

        own.locator("input[type=text]").fill(MESSAGE)
        own.locator("input[type=text]").press("Enter")
        expect(own).to_contain_text(f"You: {MESSAGE}")
        expect(own.get_by_role("button", name="Answer")).to_be_enabled()
        seconds = time.monotonic() - began
        heads, answers = own.locator("th").all_text_contents(), own.locator("td").all_text_contents()
        notebook.page.close()
    assert heads == ["The base", "With the adapter"]
    assert not answers[0].startswith("{") and json.loads(answers[1])["order"] == "D44"
    speed += [calibrate(), calibrate()]
    assert seconds < 60 * MINUTES * slowdown(speed)
