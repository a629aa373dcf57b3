"""Refreshing a notebook: the kernel really runs, what holds is kept, and a notebook that fails is never stored."""

import base64
import io
import sys

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labkit.lab.outputs import keep_what_holds, normalise
from labkit.lab.refresh import RefreshRefused, main, refresh, run

pytestmark = pytest.mark.slow  # a simulation or a run of a notebook each


def write(folder, *sources, name="04_small.ipynb", budget=60):
    cells = [new_markdown_cell("# Small"), *map(new_code_cell, sources)]
    path = folder / name
    nbformat.write(new_notebook(cells=cells, metadata={"labkit": {"budget_seconds": budget}}), path)
    return path


def stored(path):
    return nbformat.read(path, as_version=4)


def ran(*texts, picture=None):
    """A notebook of one executed cell that printed `texts`, one chunk each, and drew `picture`."""
    outputs = [new_output("stream", name="stdout", text=text) for text in texts]
    if picture is not None:
        data = {"image/png": picture, "text/plain": "<Figure>"}
        outputs.append(new_output("display_data", data))
    notebook = new_notebook(cells=[new_code_cell("f()", execution_count=1, outputs=outputs)])
    normalise(notebook)
    return notebook


def drawn(height, **metadata):
    figure, axes = plt.subplots(figsize=(1, 1), dpi=40)
    axes.bar([0], [height])
    axes.set_ylim(0, 2)
    file = io.BytesIO()
    figure.savefig(file, metadata=metadata)
    plt.close(figure)
    return base64.b64encode(file.getvalue()).decode()


def test_refreshing_twice_gives_the_same_bytes_though_the_seconds_differ(tmp_path):
    path = write(tmp_path, "import time\nprint(f'≈{time.perf_counter() % 100:.6f} s')", "6 * 7")
    first = refresh(path)
    after_one = path.read_bytes()
    assert [change.cell for change in first] == ["cell-02", "cell-03"]
    assert refresh(path) == []
    assert path.read_bytes() == after_one
    assert after_one.endswith(b"}\n") and not after_one.endswith(b"\n\n")


def test_the_order_of_an_outputs_kinds_is_no_change(tmp_path):
    show = "from IPython.display import display\ndisplay({'text/plain': 'a', 'text/html': '<b>a</b>'}, raw=True)"
    path = write(tmp_path, f"{show}\nprint('first')")
    refresh(path)
    changed = stored(path)
    changed.cells[1].outputs[1].text = "another\n"
    nbformat.write(changed, path)
    assert [(change.old, change.new) for change in refresh(path)] == [("another", "first")]


def test_the_kernel_is_this_interpreter_offline_in_the_notebooks_folder(tmp_path):
    source = "import os, sys\nprint([sys.executable, os.getcwd(), os.environ['HF_HUB_OFFLINE']])"
    done = run(stored(write(tmp_path, source)), tmp_path)
    assert done.cells[1].outputs[0].text == f"{[sys.executable, str(tmp_path), '1']}\n"


def test_the_learners_progress_is_not_touched(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "mine"))
    source = (
        "from labkit.storage.paths import user_data_dir\nfrom labkit.storage.writing import write_atomically\n"
        "write_atomically(user_data_dir() / 'p', '1')"
    )
    run(stored(write(tmp_path, source)), tmp_path)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    "source, cause",
    [
        ("1 / 0", "cell-03 raised ZeroDivisionError"),
        ("import sys\nprint('careful', file=sys.stderr)", "cell-03 wrote to stderr.*\n.*\n.*\ncareful"),
        ("import time\ntime.sleep(60)", "cell-03 ran longer than 5 seconds"),
        ("import os\nos._exit(1)", "cell-03 took the kernel down"),
    ],
)
def test_a_notebook_that_does_not_run_cleanly_is_refused_and_left_alone(tmp_path, source, cause):
    path = write(tmp_path, "print('fine')", source)
    before = path.read_bytes()
    with pytest.raises(RefreshRefused, match=cause):
        refresh(path, timeout=5)
    assert path.read_bytes() == before


def test_check_reports_and_writes_nothing(tmp_path, capsys):
    path = write(tmp_path, "print('✔ seen: 12')")
    refresh(path)
    path.write_text(path.read_text(encoding="utf-8").replace("12", "13", 1), encoding="utf-8")  # the stored output
    before = path.read_bytes()
    assert main(["04", "--check", "--folder", str(tmp_path)]) == 1
    assert path.read_bytes() == before
    assert "cell-02: claim changed\n      - ✔ seen: 13\n      + ✔ seen: 12" in capsys.readouterr().out


def test_a_budget_overrun_is_said(tmp_path, capsys):
    refresh(write(tmp_path, "x = 1", budget=0.001))
    assert "over its budget" in capsys.readouterr().out


def test_an_unknown_number_lists_what_is_there(tmp_path, capsys):
    write(tmp_path, "x = 1")
    with pytest.raises(SystemExit, match="2"):
        main(["07", "--folder", str(tmp_path)])
    assert "no notebook 07" in (message := capsys.readouterr().err) and "04_small.ipynb" in message


def test_a_new_measured_value_keeps_the_stored_output():
    old, new = ran("≈1.3 s\n"), ran("≈12.5 s\n")
    assert keep_what_holds(old, new) == []
    assert new.cells[0].outputs[0].text == "≈1.3 s\n"


@pytest.mark.parametrize(
    "old, new",
    [("a\n12\n", "a\n13\n"), ("a\n", "a"), ("a\n", "a\n\n"), ("≈1 s, 12\n", "≈1 s, 13\n"), ("✔ a\n", ""), ("", "b")],
)
def test_whatever_nbval_would_notice_is_a_change(old, new):
    before, after = ran(old), ran(new)
    assert [change.exact for change in keep_what_holds(before, after)]
    assert after.cells[0].outputs[0].text == new


def test_a_picture_is_compared_by_its_pixels():
    old, new = ran(picture=drawn(1, Software="one")), ran(picture=drawn(1, Software="two"))
    kept = old.cells[0].outputs[0].data["image/png"]
    assert new.cells[0].outputs[0].data["image/png"] != kept
    assert keep_what_holds(old, new) == []
    assert new.cells[0].outputs[0].data["image/png"] == kept


def test_a_changed_picture_brings_the_text_of_its_own_run():
    old, new = ran("≈1.3 s\n", picture=drawn(1)), ran("≈2.7 s\n", picture=drawn(2))
    [change] = keep_what_holds(old, new)
    assert not change.exact and str(change) == "  cell-01: picture changed"
    assert new.cells[0].outputs[0].text == "≈2.7 s\n"


def test_normalising_merges_chunks_and_forgets_the_run():
    notebook = ran("one\n", "two\n")
    assert [output.text for output in notebook.cells[0].outputs] == ["one\ntwo\n"]
    notebook.metadata.update(widgets={}, labkit={"budget_seconds": 9}, language_info={"version": "3.11.7"})
    notebook.cells[0].metadata.update(execution={"iopub.status.busy": "…"}, tags=["kept"])
    notebook.cells[0].id = "f00"
    normalise(notebook)
    assert notebook.metadata.labkit.budget_seconds == 9
    assert "widgets" not in notebook.metadata and "version" not in notebook.metadata.language_info
    assert (notebook.cells[0].id, notebook.cells[0].metadata) == ("cell-01", {"tags": ["kept"]})


FIGURE = """import matplotlib.pyplot as plt
from labkit import axes, claim, show
ax = axes("Loss", "step", "loss")
ax.plot([0, 1], [2, 1], label="`r = 8` & more")
show(ax, alt="The loss falls from `2` & stays.")
print("open figures:", plt.get_fignums())
claim("stored share", 0.3, below=0.5, stored="2026-11-22")
claim("peak", 80.9e9, above=80e9, unit="GB", simulated=True)"""


def test_a_figure_is_stored_with_its_words_and_marks_to_the_letter(tmp_path, capsys):
    path = write(tmp_path, FIGURE)
    refresh(path)
    assert refresh(path) == [], "the same picture, the same words"
    picture, words, printed = stored(path).cells[1].outputs
    assert picture.metadata["image/png"]["alt"] == "The loss falls from `2` & stays."
    assert picture.data["text/plain"] == "Figure: The loss falls from `2` & stays."
    assert words.data["text/html"] == (
        "<details><summary>The picture in words</summary>The loss falls from <code>2</code> &amp; stays.</details>"
    )
    assert printed.text.splitlines() == [
        "open figures: []",
        "▣ stored share: 0.30 (stored, 2026-11-22)",
        "◇ peak: 80.9 GB (simulated)",
    ]


def test_a_pictures_new_words_are_stored_and_new_seconds_in_them_are_not():
    def shown(alt):
        notebook = ran(picture=drawn(1))
        notebook.cells[0].outputs[0].metadata = {"image/png": {"alt": alt}}
        return notebook

    for old, new, kept in [("", "A bar.", "A bar."), ("≈1.3 s", "≈2.6 s", "≈1.3 s"), ("A.", "B.", "B.")]:
        fresh = shown(new)
        assert keep_what_holds(shown(old), fresh) == []
        assert fresh.cells[0].outputs[0].metadata["image/png"]["alt"] == kept


@pytest.mark.parametrize("mark", "✔▣◇")
def test_a_claim_that_changed_is_called_one_whatever_its_mark(mark):
    [change] = keep_what_holds(ran(f"{mark} share: 0.30 (stored, 2026-11-22)\n"), ran(f"{mark} share: 0.31\n"))
    assert str(change).startswith("  cell-01: claim changed")
    assert change.exact


def test_a_folded_cell_stays_folded_and_nothing_else_of_an_editor_stays():
    notebook = new_notebook(cells=[new_code_cell("1"), new_code_cell("2")])
    notebook.cells[0].metadata = nbformat.from_dict({"jupyter": {"source_hidden": True, "outputs_hidden": True}})
    notebook.cells[1].metadata = nbformat.from_dict({"jupyter": {"source_hidden": False}, "scrolled": True})
    normalise(notebook)
    assert [cell.metadata for cell in notebook.cells] == [{"jupyter": {"source_hidden": True}}, {}]
