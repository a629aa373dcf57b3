"""The study of the real tasks: its runs, what the court lends, the verdicts, and a tiny run of each kind."""

import json
import math
from functools import partial

import pytest
import torch
from tiny_course import tasks_in, tiny_base

import labkit
from labkit.evaluation.comparing import paired_difference
from studies import runner
from studies.choices.searching import NotYet
from studies.court import final as courts_final
from studies.court import rates as courts_rates
from studies.court import training
from studies.real_tasks import __main__ as command
from studies.real_tasks import final, predictions, rates, seconds
from studies.real_tasks.rates import COMPARED, FULL, LORA, QLORA, RATES, candidate
from studies.runner import go_on
from studies.task_baselines import tables

ABOUT = {"date": "2026-11-29", "machine": "a laptop", "versions": {"torch": "2.13"}}
EVER = math.inf


def pretended_rate(setting: dict) -> dict:
    """LoRA does best with 1e-3, at the end of its grid, and the others in the middle of theirs."""
    best = 3e-4 if setting["method"] == "full" else 3e-3 if "base" in setting else 1e-3
    return {"validation_loss": abs(math.log10(setting["learning_rate"] / best)), "losses": []}


def pretended_final(setting: dict) -> dict:
    """All have the first 200 test rows right, and after 150 steps the first 300; with shuffled answers, none."""
    rows = len(labkit.load_task(setting["task"]).rows("test"))
    right = 0 if "shuffled" in setting else {60: 200, 150: 300}[setting.get("steps", 60)]
    return {"rows": rows, "wrong": [{"row": row, "answer": "no"} for row in range(right, rows)]}


@pytest.fixture
def pretended(monkeypatch):
    """No run takes any time."""
    monkeypatch.setattr(runner, "provenance", lambda *_: ABOUT)
    monkeypatch.setattr(rates, "lent", lambda stage, setting: pretended_rate(setting))
    monkeypatch.setattr(final, "run", lambda setting, folder: pretended_final(setting))
    monkeypatch.setattr(final, "paired_difference", partial(paired_difference, resamples=200))


def line(name: str, methods: dict[str, int], folder) -> None:
    """Store lines of a task's baselines, each with so many right answers from the first row on."""
    study, rows = tables.study(name, folder), labkit.load_task(name).rows("test")
    for setting in study.grid:
        right = methods.get(setting["method"], 0)
        answers = [row["completion"] if place < right else "no" for place, row in enumerate(rows)]
        study._append(setting, {"answers": answers[:96] if setting.get("examples") else answers}, 1.0)


def test_every_method_is_at_its_own_best_rate_and_nothing_waits(pretended, tmp_path):
    go_on(RATES.study, EVER, EVER, tmp_path)
    study = final.study(tmp_path)
    assert RATES.study(tmp_path).missing() == [] and len(study.grid) == 3 * (4 + 2 + 1 + 1) + 2 + 2
    assert {final.name_of(each): each["learning_rate"] for each in study.grid if each["task"] == "changelog"} == {
        "LoRA, 60 steps": 1e-3,
        "LoRA, 150 steps": 1e-3,
        "QLoRA, 60 steps": 3e-3,
        "full fine-tuning, 60 steps": 3e-4,
        "LoRA, 60 steps, training answers shuffled": 1e-3,
    }
    assert all(each["seed"] != courts_rates.SEED for each in study.grid)


def test_what_waits_for_a_rate_comes_last_and_says_so(pretended, tmp_path, monkeypatch):
    go_on(RATES.study, 3, EVER, tmp_path)  # LoRA's on glosses, with 1e-3 at the end: its grid goes on below
    go_on(RATES.study, 2, EVER, tmp_path)
    monkeypatch.undo()
    waits = [each["learning_rate"] is None for each in final.study(tmp_path).grid]
    assert waits == sorted(waits) and waits.count(False) == 2 * 3 + 1
    with pytest.raises(NotYet, match="finish the stage rates first"):
        final.run(final.study(tmp_path).grid[-1], tmp_path)


def test_the_verdicts_are_by_row_against_each_baseline_and_against_lora(pretended, tmp_path):
    for name in COMPARED:
        line(name, {"TF-IDF": 200, "letters in context": 100, "words in context": 300}, tmp_path)
    for stage in (RATES.study, final.study):
        go_on(stage, EVER, EVER, tmp_path)
    stored = json.loads((tmp_path / "real_tasks.json").read_text())
    verdicts = {(each["task"], each["name"], each["against"]): each for each in stored["verdicts"]}
    assert verdicts["changelog", "LoRA, 60 steps", "TF-IDF"]["verdict"] == "can't tell"
    assert verdicts["changelog", "LoRA, 150 steps", "TF-IDF"]["verdict"] == "better"
    assert verdicts["glosses", "LoRA, 150 steps", "the base, 8 examples"]["rows"] == 96
    assert verdicts["glosses", "QLoRA, 60 steps", "LoRA, 60 steps"]["difference"]["mean"] == 0
    assert verdicts["genus", "LoRA, 150 steps", "words in context"]["verdict"] == "can't tell"
    assert not any("shuffled" in part for key in verdicts for part in key)
    assert all(key in verdicts for key in predictions.PREDICTIONS), "what was predicted is decided"
    assert {key for key, each in verdicts.items() if each["predicted"]} == set(predictions.PREDICTIONS)
    assert len(stored["runs"]) == 28 and stored["runs"][0]["wrong"][0] == 200


def test_the_court_lends_what_it_has_made(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(runner, "provenance", lambda *_: ABOUT)
    monkeypatch.setattr(rates, "trained", lambda *_, **__: asked.append(1) or (_ for _ in ()).throw(training.Broken()))
    study = courts_rates.study(tmp_path)
    theirs = next(each for each in study.grid if (each["method"], each["task"]) == ("lora", "glosses"))
    study._append(theirs, {"validation_loss": 0.5, "losses": [1.0]}, 9.0)
    found = rates.tried(candidate(LORA, "glosses") | {"learning_rate": theirs["learning_rate"]}, tmp_path)
    assert found["validation_loss"] == 0.5 and found["lent"]["study"] == "court_rates" and not asked
    for name, task in ((QLORA, "glosses"), (FULL, "glosses"), (LORA, "changelog")):
        assert rates.tried(candidate(name, task) | {"learning_rate": 3e-3}, tmp_path)["validation_loss"] is None
    assert len(asked) == 3

    setting = final.setting_of(LORA, "glosses", 60, 1, tmp_path) | {"learning_rate": 3e-3}
    court = courts_final.study(tmp_path)
    court._append({each: setting[each] for each in setting if each != "steps"}, {"rows": 7, "perplexity": 2.0}, 9.0)
    lent = final.run(setting, tmp_path)
    assert lent["rows"] == 7 and lent["lent"]["study"] == "court" and "perplexity" not in lent


def test_the_predictions_have_reasons_and_are_older_than_every_run():
    for each in predictions.PREDICTIONS.values():
        assert each.verdict in ("better", "worse", "can't tell") and len(each.why) > 10
    assert predictions.SHUFFLED.keys() == set(final.SHUFFLED)
    for stage in command.STAGES.values():
        for stored in stage().finished().values():
            assert predictions.DATE <= stored["date"]


# ---- tiny runs


@pytest.fixture
def tiny(monkeypatch, tmp_path, one_thread):
    """Tiny tasks, a tiny base, and two steps."""

    def base(**form):
        model, tokenizer = tiny_base()
        return (labkit.quantize_model(model) if form else model), tokenizer

    for module in (training, seconds):
        monkeypatch.setattr(module, "fresh_base", base)
    monkeypatch.setattr(labkit, "load_task", tasks_in(tmp_path), raising=False)
    monkeypatch.setattr(training, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(rates, "TRIED", dict.fromkeys(COMPARED, 2))
    for name, value in {"to warm up": 1, "timed": 2}.items():
        monkeypatch.setitem(seconds.STEPS, name, value)
    return tmp_path


@pytest.mark.parametrize("name", [LORA, QLORA, FULL])
def test_each_method_is_tried_trained_and_timed(tiny, name):
    setting = candidate(name, "changelog") | {"learning_rate": 1e-3}
    found = rates.tried(setting, tiny)
    assert found["validation_loss"] > 0 and len(found["losses"]) == 2
    scored = final.run(setting | {"steps": 3, "seed": courts_rates.SEED}, tiny)
    assert scored["rows"] == 6 and len(scored["losses"]) == 3 and scored["trained"] > 0
    assert len(scored["wrong"]) == round(6 * (1 - scored["scores"]["exact"]["mean"]))
    assert seconds.run(setting)["seconds_a_step"] > 0
    json.dumps([found, scored])


def test_with_shuffled_answers_another_model_comes_out(tiny):
    setting = candidate(LORA, "genus") | {"learning_rate": 1e-2, "steps": 3, "seed": 1}
    right, shuffled = final.run(setting, tiny), final.run(setting | {"shuffled": True}, tiny)
    assert right["validation_loss"] != shuffled["validation_loss"]


def test_a_run_that_breaks_off_has_every_row_wrong(tiny):
    found = final.run(candidate(FULL, "genus") | {"learning_rate": 1e30, "steps": 3, "seed": 1}, tiny)
    assert found["broken"].startswith("step ") and courts_final.right([found | {"seed": 1}]).sum() == 0
    assert torch.equal(courts_final.right([found | {"seed": 1}]), torch.zeros(1, 6, dtype=torch.float64))
