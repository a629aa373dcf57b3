"""What notebook 06 reads of the real tasks: names, the best simple method, and comparisons, in the study's own form."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

import labkit
from labkit.errors import ConfigError
from labkit.evaluation.comparing import paired_difference
from labkit.lab.experiments import real_tasks_study as real
from labkit.lab.experiments.stored_study import read
from studies.real_tasks import final, rates, seconds
from studies.task_baselines import tables

RESULTS = Path(__file__).parents[3] / "data" / "results"
SIMPLE = {task: read(RESULTS / f"{task}_baselines.json") for task in real.TASKS}


@pytest.fixture
def trained(monkeypatch):
    """What `tidy` makes of made-up runs: LoRA has the first 100 and 200 rows right, and all others from row 50 on."""
    monkeypatch.setattr(type(final.RATES), "best", lambda *_: 1e-3)
    monkeypatch.setattr(final, "paired_difference", partial(paired_difference, resamples=100))
    runs = []
    for setting in final.study(RESULTS).grid:
        rows = len(labkit.load_task(setting["task"]).rows("test"))
        right = range(100 if setting["steps"] == 60 else 200)
        if final.name_of(setting) == "full fine-tuning, 60 steps":
            right = range(50, 150 + setting["seed"])
        wrong = [{"row": row, "answer": "no"} for row in range(rows) if row not in right or "shuffled" in setting]
        runs.append(setting | {"rows": rows, "wrong": wrong, "scores": {}})
    return json.loads(json.dumps(final.tidy(runs, RESULTS)))


def test_lines_have_the_names_of_the_cards_and_of_the_verdicts():
    for task, simple in SIMPLE.items():
        assert list(real.lines(simple, task)) == [tables.title(run, tables.TABLES[task]) for run in simple["runs"]]
        assert len(real.lines(simple, task)) == len(simple["runs"])


def test_the_best_simple_method_is_chosen_without_the_test_rows():
    found = {task: real.best_simple(SIMPLE[task], task) for task in real.TASKS}
    assert found == {
        "glosses": "frozen features, best layer",
        "changelog": "TF-IDF, every section alike",
        "genus": "words in context",
        "diacritics": "letters in context",
    }


@pytest.mark.parametrize("task", real.TASKS)
def test_right_answers_make_the_stored_score(task):
    for line in SIMPLE[task]["runs"]:
        found = real.right_answers(line, task)
        assert found.shape == (len(line["answers"]),)
        assert 100 * found.double().mean().item() == pytest.approx(real.score_of(line).mean, abs=1e-3)


def test_the_four_tasks_have_three_scores_each(trained):
    found = real.four_tasks(SIMPLE, trained)
    assert list(found) == list(real.TASKS) and all(len(scores) == 3 for scores in found.values())
    assert found["genus"][real.LONG].mean == 50 and found["genus"]["the best simple method"].mean == pytest.approx(
        78.25
    )


def test_a_comparison_is_in_points_with_its_verdict(trained):
    score, verdict = real.against(trained, "diacritics", real.LONG, "letters in context")
    assert score.mean == pytest.approx(100 * 200 / 220 - 66.36, abs=0.01) and verdict == "better"
    with pytest.raises(ConfigError, match="no run with"):
        real.against(trained, "glosses", real.LONG, "nothing")


def test_only_one_right_is_the_mean_over_seeds(trained):
    """Full has 50 of LoRA's 100 rows, and 50 + seed others."""
    found = real.only_one_right(trained, "glosses", "LoRA, 60 steps", "full fine-tuning, 60 steps")
    assert found == pytest.approx(sum(50 + 50 + seed for seed in final.SEEDS) / 3 / 336)
    assert real.only_one_seed_right(trained, "glosses", "LoRA, 60 steps") == 0
    apart = [abs(one - other) for one in final.SEEDS for other in final.SEEDS if one < other]
    assert real.only_one_seed_right(trained, "glosses", "full fine-tuning, 60 steps") == pytest.approx(
        sum(apart) / len(apart) / 336
    )


def test_the_table_has_every_line_with_its_minutes(trained):
    compared = [(name, task) for task, names in rates.COMPARED.items() for name in names]
    took = {"runs": [rates.candidate(name, task) | {"seconds_a_step": 2.0} for name, task in compared]}
    assert [each["task"] for each in seconds.study(RESULTS).grid] == [each["task"] for each in took["runs"]]
    minutes = real.minutes_of(RESULTS / "lines" / "changelog_baselines.jsonl", "changelog")
    text = real.table(SIMPLE["changelog"], trained, took, "changelog", minutes)
    by_name = {line[:54].strip(): line[54:].split() for line in text.splitlines()[1:]}
    assert len(by_name) == len(SIMPLE["changelog"]["runs"]) + 5
    assert by_name["LoRA, 150 steps"][:2] == ["≈50.8", "%"] and by_name["LoRA, 150 steps"][-1] == "≈5.0"
    assert by_name["full fine-tuning, 60 steps (one seed)"][-1] == "≈2.0"
    assert by_name["TF-IDF"][:2] == ["≈65.5", "%"] and minutes["frozen features, best layer"] > 6
    assert torch.isfinite(torch.tensor(list(minutes.values()))).all()
