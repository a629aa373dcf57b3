"""What notebook 06 reads of data size and row quality, in the form that the studies' own `tidy` makes."""

import json
import math

import pytest

import labkit
from labkit.evaluation.scoring import Score
from labkit.lab.experiments import rows_study as rows
from studies.data_size import crossing as crossing_module
from studies.data_size import curves, lora
from studies.row_quality import files
from studies.row_quality.cases import CASES, CLEAN

RIGHT = {8: 10, 24: 60, 72: 120, 240: 180, 600: 220, 1344: 240}  # of 336, with LoRA


@pytest.fixture
def sizes(monkeypatch):
    """LoRA as above, TF-IDF half, the nearest neighbor all but one, frozen features 150 at every size."""
    monkeypatch.setattr(crossing_module.crossing, "__defaults__", (0.95, 20, 0))
    monkeypatch.setattr(curves, "RESAMPLES", 50)

    def run(method, count, seed):
        right = {"LoRA": RIGHT[count], "TF-IDF": RIGHT[count] // 2, "nearest neighbor": 239, "frozen features": 150}
        wrong = list(range(right[method], 336))
        found = {"method": method, "rows": count, "seed": seed, "rows_asked": 336, "wrong": wrong}
        if method == "LoRA" and count in lora.LOOKED_AT:
            found["best"] = {"step": 6 * seed, "wrong": wrong[40:], "loss": 1.0}
        return found

    methods = ("LoRA", *curves.RIVALS["glosses"])
    runs = [run(method, count, seed) for method in methods for count in RIGHT for seed in curves.SEEDS]
    return json.loads(json.dumps(curves.tidy(runs, "glosses")))


def test_curves_are_in_percent_by_method_and_rows(sizes):
    found = rows.curves(sizes)
    assert found.keys() == {"LoRA", "TF-IDF", "nearest neighbor", "frozen features"} and list(found["LoRA"]) == list(
        RIGHT
    )
    assert found["LoRA"][72].mean == pytest.approx(100 * 120 / 336)


def test_rows_to_reach_a_score_are_read_off_the_curve():
    curve = {8: Score(10, 9, 11), 24: Score(30, 29, 31), 72: Score(50, 49, 51)}
    assert rows.rows_to_reach(curve, 40) == pytest.approx(math.sqrt(24 * 72))
    assert rows.rows_to_reach(curve, 30) == pytest.approx(24) and rows.rows_to_reach(curve, 5) == 8
    assert rows.rows_to_reach(curve, 60) == math.inf


def test_a_crossing_is_said_in_words(sizes):
    assert rows.crossing_said(sizes, "TF-IDF") == (
        "LoRA stays ahead of TF-IDF at every size (95 %: at every size; at every size)"
    )
    assert "from ≈131 rows on" in rows.crossing_said(sizes, "frozen features")
    nearly = rows.crossing_said(sizes, "nearest neighbor")
    assert (
        nearly.startswith("LoRA stays ahead of nearest neighbor from ≈1,290 rows on")
        and "not with 1,344 rows)" in nearly
    )


def test_comparisons_and_stopping_have_a_line_each(sizes):
    lines = rows.comparison_table(sizes, "frozen features").splitlines()
    assert (
        len(lines) == 6
        and lines[0].endswith("worse")
        and lines[-1].split()[:4] == ["1,344", "rows:", "≈26.8", "points"]
    )
    first, second = rows.stopping_table(sizes).splitlines()
    assert first == " 24 rows: lowest after 6, 12, 18 of 30 steps; stopping there: ≈11.9 points, better"
    assert second.startswith(" 72 rows")


@pytest.fixture
def quality(monkeypatch):
    """Each method has half of the test rows right on the clean file, 40 fewer with half of the labels wrong, and the
    even ones otherwise."""
    monkeypatch.setattr(curves, "RESAMPLES", 50)
    runs = []
    for method in files.METHODS:
        for name, case in CASES.items():
            for seed in case.seeds:
                wrong = range(168, 336) if name == CLEAN else range(128, 336) if "50" in name else range(0, 336, 2)
                runs.append({"case": name, "method": method, "seed": seed, "rows_asked": 336, "wrong": list(wrong)})
    return json.loads(json.dumps(files.tidy(runs)))


def test_changes_are_points_against_the_file_that_a_case_is_compared_with(quality):
    found = rows.changes(quality, ("LoRA", "TF-IDF"))
    assert set(found["50 % wrong labels"]) == {"LoRA", "TF-IDF"}
    assert found["50 % wrong labels"]["LoRA"].mean == pytest.approx(-100 * 40 / 336)
    assert rows.change(quality, "50 % wrong labels") == pytest.approx(-100 * 40 / 336)
    assert "a template alone\n(against 72 clean rows)" in found and len(found) == len(CASES) - 1
    assert "labels shuffled" not in rows.changes(quality, ("LoRA",), without=["labels shuffled"])
    assert rows.score(quality, "copies") == 0.5 and rows.score(quality, "50 % wrong labels", "TF-IDF") == 128 / 336
    assert rows.lost(quality, "50 % wrong labels", "LoRA") == pytest.approx(40 / 168)


def test_groups_have_their_own_scores(quality):
    leaked, unseen = (rows.group_change(quality, "test rows leaked", group).mean for group in ("leaked", "unseen"))
    assert leaked != unseen  # the groups together are all rows
    assert (120 * leaked + 216 * unseen) / 336 == pytest.approx(rows.change(quality, "test rows leaked"), abs=1e-9)
    lines = rows.group_table(quality, "rare categories", ("LoRA", "TF-IDF")).splitlines()
    assert {line.split()[0] for line in lines} == {"common", "middling", "rare"} and lines[0].count("points") == 2
    assert len(labkit.load_task("glosses").rows("test")) == 336
