"""From `make lab` to an adapter that a learner trained themselves."""

import json

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

MINUTES = 5


def test_from_make_lab_to_an_adapter_of_ones_own_in_five_minutes(notebook_00):
    training, again = map(notebook_00.cell, ("labkit.train(", "after = ticket_for("))
    expect(training.locator(".widget-label").last).to_contain_text("step 40 of 40")
    notebook_00.wait_for(again, "✔ the trained model writes this customer's ticket, character for character")
    noted = notebook_00.first_minutes
    assert noted.heads == ["The base", "With the adapter"]
    assert not noted.answers[0].startswith("{") and json.loads(noted.answers[1])["order"] == "D44"
    assert noted.seconds < 60 * MINUTES * noted.slowdown
