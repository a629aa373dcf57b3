"""What the tasks of real text give without fine-tuning: what is stored is what the cards say."""

import pytest

import labkit
from labkit.evaluation.scoring import bootstrap_interval
from labkit.storage.paths import course_data_dir
from studies.task_baselines.tables import TABLES, as_markdown, so_far, study, title

STORED = {name: so_far(study(name)) for name in TABLES}


@pytest.mark.parametrize("name", STORED)
def test_every_stored_score_is_that_of_the_stored_answers(name):
    task = labkit.load_task(name)
    assert STORED[name]
    for run in STORED[name]:
        rows = task.rows("test").select(range(len(run["answers"])))
        by_row = [task.score(answer, row) for answer, row in zip(run["answers"], rows)]
        headline = next(iter(by_row[0]))
        right = [each[headline] for each in by_row]
        score = run["scores"][headline]
        assert score["mean"] == pytest.approx(sum(right) / len(right))
        assert (score["low"], score["high"]) == pytest.approx(bootstrap_interval(right))


def scores_of(name: str) -> dict[tuple[str, bool], dict]:
    return {(run["method"], run.get("shuffled", False)): run["scores"] for run in STORED[name]}


def test_with_shuffled_labels_there_is_only_chance():
    shuffled = [scores["accuracy"] for (_, is_shuffled), scores in scores_of("glosses").items() if is_shuffled]
    assert shuffled and all(score["high"] < 0.1 for score in shuffled), "one in 24 is 4 %"


def test_with_shuffled_sections_no_method_knows_more_than_the_commonest_one():
    scores = scores_of("changelog")
    commonest, shuffled = scores["the commonest section", False], scores["TF-IDF", True]
    assert shuffled["accuracy"]["low"] <= commonest["accuracy"]["mean"]
    assert shuffled["macro_f1"]["high"] < 0.2 < scores["TF-IDF", False]["macro_f1"]["low"]


@pytest.mark.parametrize("name", STORED)
def test_a_card_has_every_stored_line_of_its_table(name):
    card = (course_data_dir() / name / "README.md").read_text(encoding="utf-8")
    assert as_markdown(name, STORED[name]) in card


@pytest.mark.parametrize("name", TABLES)
def test_every_line_has_a_title_of_its_own(name):
    titles = [title(setting, TABLES[name]) for setting in study(name).grid]
    assert len(set(titles)) == len(titles)
    assert any(each.startswith("the base, no examples") for each in titles)
