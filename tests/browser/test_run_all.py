"""A notebook opened and run from top to bottom: all of it works, and nothing on the page is a warning."""

import re

import nbformat
import pytest

SHOWS_A_WIDGET = re.compile(r"^(labkit\.)?(predict|quiz|playground|rank_slider)\(|training_bar\(", re.MULTILINE)


@pytest.fixture(params=["00", "01", "03"])
def notebook(request):
    return request.getfixturevalue(f"notebook_{request.param}")


@pytest.fixture
def stored(lab, notebook):
    """The code cells as they are in the repository."""
    cells = nbformat.reads(lab.as_copied[notebook.file.name].decode(), as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def test_every_cell_ran_once_in_order_with_no_error_and_no_warning(notebook, stored):
    cells = notebook.whole_run.cells
    assert [text for cell in cells for text in cell.errors] == []
    assert [cell.prompt for cell in cells] == [f"[{number}]:" for number in range(1, len(stored) + 1)]


def test_what_it_printed_is_what_is_stored(notebook, stored):
    for before, now in zip(stored, notebook.whole_run.cells):
        assert now.code == before.source.replace("\n", "")
        printed = "".join(output.get("text", "") for output in before.outputs)
        assert [line for line in printed.split("\n") if "≈" not in line and line not in now.output] == []


def test_every_widget_is_alive(notebook, stored):
    expected = [bool(SHOWS_A_WIDGET.search(cell.source)) for cell in stored]
    assert sum(expected) >= 3
    assert [cell.widgets for cell in notebook.whole_run.cells] == expected
    assert not any("Error displaying widget" in cell.output for cell in notebook.whole_run.cells)


def test_nothing_pops_up_and_the_browser_has_no_complaint(notebook):
    assert notebook.whole_run.popups == []
    assert notebook.whole_run.complaints == []
