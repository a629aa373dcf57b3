"""Which rows: each file has what its name says, and the verdicts say what was put in."""

import json
import re
from collections import Counter

import pytest

import labkit
from studies import runner
from studies.choices.searching import NotYet
from studies.data_size import curves, rates, rivals
from studies.near_duplicates import Seen
from studies.row_quality import cases, files, predictions
from studies.row_quality.cases import CASES, CLEAN, FEWER
from studies.row_quality.template import PARTS, made

ABOUT = {"date": "2026-11-29", "machine": "a laptop", "versions": {"torch": "2.13"}}
GLOSSES = {split: list(labkit.load_task("glosses").rows(split)) for split in ("train", "validation", "test")}
PROMPTS = {split: {row["prompt"] for row in rows} for split, rows in GLOSSES.items()}
LABEL = {row["prompt"]: row["completion"] for rows in GLOSSES.values() for row in rows}


def labels(rows) -> Counter:
    return Counter(row["completion"] for row in rows)


# ---- the files


@pytest.mark.parametrize("name", CASES)
def test_a_file_has_its_lines_and_the_same_ones_again(name):
    case = CASES[name]
    for seed in case.seeds:
        rows = case.rows(seed)
        assert len(rows) == (72 if name == FEWER else 240) and rows == case.rows(seed)
        assert all(set(row) >= {"prompt", "completion"} for row in rows)
    if len(case.seeds) > 1:
        assert case.rows(1) != case.rows(2)


@pytest.mark.parametrize("name", [name for name in CASES if name != "test rows leaked"])
def test_no_file_but_the_leaked_one_has_a_validation_or_test_row(name):
    for seed in CASES[name].seeds:
        assert not {row["prompt"] for row in CASES[name].rows(seed)} & (PROMPTS["test"] | PROMPTS["validation"])


def test_clean_files_are_those_of_the_other_study():
    for name, count in files.LENT.items():
        assert CASES[name].rows(2) == curves.rows_of("glosses", count, 2)
        assert all(row["completion"] == LABEL[row["prompt"]] for row in CASES[name].rows(2))
        assert set(labels(CASES[name].rows(2)).values()) == {count // 24}


@pytest.mark.parametrize(
    "name, wrong", [("10 % wrong labels", 24), ("25 % wrong labels", 60), ("50 % wrong labels", 120)]
)
def test_so_many_labels_are_wrong(name, wrong):
    for seed in (1, 2, 3):
        rows = CASES[name].rows(seed)
        assert [row["prompt"] for row in rows] == [row["prompt"] for row in CASES[CLEAN].rows(seed)]
        assert sum(row["completion"] != LABEL[row["prompt"]] for row in rows) == wrong


def test_copies_are_half_of_their_file_and_it_stays_balanced():
    rows = CASES["copies"].rows(1)
    counts = Counter(row["prompt"] for row in rows)
    assert sorted(counts.values()) == [1] * 96 + [6] * 24 and set(labels(rows).values()) == {10}
    assert cases.summary(rows) == {"lines": 240, "different": 120}


def test_a_third_of_the_categories_is_rare_and_the_test_is_cut_by_that():
    for seed in (1, 2, 3):
        rows, groups = CASES["rare categories"].rows(seed), cases.by_rarity(seed)
        counts = labels(rows)
        assert Counter(counts.values()) == {22: 8, 7: 8, 1: 8}
        assert Counter(groups) == {"common": 112, "middling": 112, "rare": 112}
        for row, group in zip(GLOSSES["test"], groups):
            assert counts[row["completion"]] == cases.GROUPS[group]
    assert cases.by_rarity(1) != cases.by_rarity(2)


def test_half_of_the_leaked_file_is_test_rows_and_those_are_the_leaked_ones():
    for seed in (1, 2, 3):
        rows, groups = CASES["test rows leaked"].rows(seed), cases.by_leak(seed)
        there = {row["prompt"] for row in rows} & PROMPTS["test"]
        assert len(there) == 120 and set(labels(rows).values()) == {10}
        assert {row["prompt"] for row, group in zip(GLOSSES["test"], groups) if group == cases.LEAKED} == there


def test_shuffled_labels_are_the_same_labels_and_seldom_right():
    rows = CASES["labels shuffled"].rows(1)
    assert labels(rows) == labels(CASES[CLEAN].rows(1))
    assert sum(row["completion"] == LABEL[row["prompt"]] for row in rows) < 30


# ---- the template


def every_made_row() -> list[dict]:
    """As many of each category as the one with the fewest has."""
    return made(18, 0)


def test_a_template_has_the_tasks_categories_and_all_its_rows_differ():
    rows = every_made_row()
    assert PARTS.keys() == labels(GLOSSES["train"]).keys() and set(labels(rows).values()) == {18}
    assert len({row["prompt"] for row in rows}) == len(rows) == 432
    mixed = CASES["72 rows and a template"].rows(1)
    assert sum(row["prompt"] in PROMPTS["train"] for row in mixed) == 72 and set(labels(mixed).values()) == {10}
    with pytest.raises(ValueError):
        made(19, 0)


def test_no_made_row_is_nearly_a_validation_or_test_row_though_some_would_be():
    seen = Seen()
    for row in (*GLOSSES["validation"], *GLOSSES["test"]):
        seen.add(row["prompt"])
    assert not any(seen.like(row["prompt"]) for row in every_made_row())
    texts = [f"{first} {last}" for firsts, lasts in PARTS.values() for first in firsts for last in lasts]
    assert len(texts) == 480 and sum(bool(seen.like(text)) for text in texts) == 8


def test_made_rows_keep_the_tasks_own_rules():
    for row in every_made_row():
        name, text = row["completion"], row["prompt"]
        assert not re.search(rf"\b({name}s?|{name}es|{name[:-1]}ies)\b", text, re.IGNORECASE), text
        assert 4 <= len(text.split()) <= 25


# ---- the study, with runs that only pretend


def pretended(method: str, case: str, seed: int) -> list[int]:
    """Which test rows are wrong: half of them where it's clean, all rare ones, no leaked one, more with more noise."""
    if case == "rare categories":
        return [row for row, group in enumerate(cases.by_rarity(seed)) if group == "rare"]
    if case == "test rows leaked":
        return [row for row, group in enumerate(cases.by_leak(seed)) if group == cases.UNSEEN and row % 2]
    least = {"50 % wrong labels": 40, "labels shuffled": 10}.get(case, 168)
    return list(range(least, 336))


@pytest.fixture
def pretending(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "provenance", lambda *_: ABOUT)
    monkeypatch.setattr(rates, "rate_of", lambda rows, folder=None: 1e-3)

    def run(setting: dict, folder) -> dict:
        return {"rows_asked": 336, "wrong": pretended(setting["method"], setting["case"], setting["seed"])}

    monkeypatch.setattr(files, "run", run)
    return tmp_path


def test_the_verdicts_say_what_was_put_in(pretending):
    study = files.study(pretending)
    assert study.complete() == []
    found = json.loads((pretending / "row_quality.json").read_text())
    verdicts = {(each["case"], each["method"]): each for each in found["verdicts"]}
    for method in files.METHODS:
        assert verdicts["50 % wrong labels", method]["verdict"] == "worse"
        assert verdicts["10 % wrong labels", method]["verdict"] == "can't tell"
        assert verdicts["labels shuffled", method]["difference"]["mean"] == pytest.approx((10 - 168) / 336)
        assert verdicts["72 rows and a template", method]["against"] == FEWER
        assert (CLEAN, method) not in verdicts
    assert {each["verdict"] for each in found["against"]} == {"can't tell"}
    groups = {(each["case"], each["group"]): each for each in found["groups"] if each["method"] == "LoRA"}
    assert groups["rare categories", "rare"]["score"]["mean"] == 0
    assert groups["rare categories", "rare"]["verdict"] == "worse"
    assert groups["rare categories", "common"]["verdict"] == "better"
    assert groups["test rows leaked", "leaked"]["score"]["mean"] == 1
    assert groups["test rows leaked", "leaked"]["test_rows"] == 120
    unseen = groups["test rows leaked", "unseen"]
    assert unseen["test_rows"] == 216 and 0.4 < unseen["score"]["mean"] < 0.6


def test_lora_has_no_more_trainings_than_the_budget_allows():
    grid = files.study().grid
    trained = [each for each in grid if each["method"] == "LoRA" and each["case"] not in files.LENT]
    assert len(trained) == 23


def test_what_the_other_study_has_is_taken_from_it_and_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "provenance", lambda *_: ABOUT)
    monkeypatch.setattr(rates, "rate_of", lambda rows, folder=None: {72: 3e-3}.get(rows, 1e-3))
    clean = {"case": CLEAN, "method": "LoRA", "seed": 1, "learning_rate": 1e-3}
    assert clean in files.study(tmp_path).grid
    with pytest.raises(NotYet, match="clean waits for its run of LoRA"):
        files.run(clean, tmp_path)
    line = {"method": "LoRA", "rows": 240, "seed": 1, "steps": 60, "learning_rate": 1e-3}
    monkeypatch.setattr(curves, "SIZES", {"glosses": (72, 240)})
    stage = curves.study("glosses", tmp_path)
    assert line in stage.grid
    stage._append(line, {"rows_asked": 3, "wrong": [2]}, 99.0)
    found = files.run(clean, tmp_path)
    assert found["wrong"] == [2] and found["lent"]["study"] == "data_size"
    with pytest.raises(NotYet, match="waits for its run of TF-IDF"):
        files.run({"case": FEWER, "method": rivals.WORDS, "seed": 1}, tmp_path)


def test_without_a_rate_a_case_waits(tmp_path):
    setting = {"case": "copies", "method": "LoRA", "seed": 1, "learning_rate": None}
    with pytest.raises(NotYet, match="waits for its learning rate"):
        files.run(setting, tmp_path)


def test_every_question_has_predictions_that_are_older_than_the_runs():
    for each in (each for several in predictions.PREDICTIONS.values() for each in several):
        assert each.question.endswith("?") and each.expected and len(each.why) > 30
    assert all(predictions.DATE <= line["date"] for line in files.study().finished().values())
