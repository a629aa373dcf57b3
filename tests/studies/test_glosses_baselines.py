"""What `glosses` and the other real tasks give to simple methods: what is stored is what the cards say."""

import json
import re

import pytest

import labkit
from labkit.evaluation.scoring import bootstrap_interval
from labkit.storage.paths import course_data_dir
from studies import glosses_baselines as study
from studies import task_baselines
from studies.results import RESULTS

RUNS = json.loads((RESULTS / "glosses_baselines.json").read_text(encoding="utf-8"))["runs"]
STORED = {each.name.removesuffix("_baselines"): list(each.finished().values()) for each in task_baselines.STUDIES}


def card_of(name: str) -> str:
    return (course_data_dir() / name / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["glosses", *STORED])
def test_every_stored_score_is_that_of_the_stored_answers(name):
    task = labkit.load_task(name)
    runs = RUNS if name == "glosses" else [line["result"] for line in STORED[name]]
    assert runs
    for run in runs:
        rows = task.rows("test").select(range(len(run["answers"])))
        by_row = [task.score(answer, row) for answer, row in zip(run["answers"], rows)]
        headline = next(iter(by_row[0]))
        right = [each[headline] for each in by_row]
        score = run["scores"][headline]
        assert score["mean"] == pytest.approx(sum(right) / len(right))
        assert (score["low"], score["high"]) == pytest.approx(bootstrap_interval(right))


def test_with_shuffled_labels_there_is_only_chance():
    shuffled = [run["scores"]["accuracy"] for run in RUNS if run.get("shuffled")]
    assert shuffled and all(score["high"] < 0.1 for score in shuffled), "one in 24 is 4 %"


def test_with_shuffled_sections_no_method_knows_more_than_the_commonest_one():
    scores = {
        (line["setting"]["method"], line["setting"].get("shuffled")): line["result"]["scores"]
        for line in STORED["changelog"]
    }
    commonest, shuffled = scores["the commonest section", False], scores["TF-IDF", True]
    assert shuffled["accuracy"]["low"] <= commonest["accuracy"]["mean"]
    assert shuffled["macro_f1"]["high"] < 0.2 < scores["TF-IDF", False]["macro_f1"]["low"]


def test_the_card_has_the_stored_table():
    assert study.table(RUNS) in card_of("glosses")
    assert re.search(r"\| the base, 8 examples \| [\d.]+ % \|", card_of("glosses"))


@pytest.mark.parametrize("name", STORED)
def test_a_card_has_every_stored_line_of_its_table(name):
    table = task_baselines.table(name, [line["setting"] | line["result"] for line in STORED[name]])
    for line in table.splitlines():
        assert line in card_of(name).splitlines()


@pytest.mark.parametrize("name", STORED)
def test_what_needs_no_model_comes_first(name):
    """So that --runs N leaves the slow ones for later."""
    methods = [setting["method"] for setting in task_baselines.grid(name)]
    slow = [method == "base" or method.startswith("frozen") for method in methods]
    assert slow == sorted(slow) and any(slow) and not slow[0]
