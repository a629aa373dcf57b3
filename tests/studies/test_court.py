"""The court: which rates it tries, how its stages follow each other, and a tiny one from the first run to the last."""

import json
import math
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_course import tasks_in, tiny_base

import labkit
from studies import runner
from studies.court import __main__ as command
from studies.court import cost, final, grids, methods, predictions, rates, training
from studies.court.methods import AGAINST, COURT
from studies.runner import StudyError

ABOUT = {"date": "2026-11-29", "machine": "a laptop", "versions": {"torch": "2.13"}}
EVER = math.inf


# ---- which rates are tried


def test_rates_are_half_decades():
    assert [grids.rate_at(place) for place in (-8, -7, -6, -1, 0, 1)] == [1e-4, 3e-4, 1e-3, 0.3, 1.0, 3.0]


def after(losses_of, middle: int = -6) -> tuple[list[float], float | None]:
    """The grid in the end, and the chosen rate, when each rate that is asked for is tried."""
    tried = {}
    while new := [rate for rate in grids.grid(middle, tried) if rate not in tried]:
        assert grids.settled(middle, tried) is None
        tried[new[0]] = losses_of(new[0])
    return grids.grid(middle, tried), grids.settled(middle, tried)


FIVE = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]


def test_a_best_rate_inside_needs_no_more():
    assert after(lambda rate: abs(math.log(rate / 3e-3))) == (FIVE, 3e-3)


@pytest.mark.parametrize(
    "wanted, grid, found",
    [
        (1e-4, [3e-5, *FIVE], 1e-4),
        (3e-5, [1e-5, 3e-5, *FIVE], 3e-5),
        (1e-9, [1e-5, 3e-5, *FIVE], 1e-5),  # still at the end, and that's enough
        (1e-2, [*FIVE, 3e-2], 1e-2),
        (1e9, [*FIVE, 3e-2, 0.1], 0.1),
    ],
)
def test_a_grid_grows_where_its_best_is_at_an_end(wanted, grid, found):
    assert after(lambda rate: abs(math.log(rate / wanted))) == (grid, found)


def test_a_rate_that_broke_off_is_worse_than_any_other():
    assert after(lambda rate: None if rate > 2e-3 else -rate) == (FIVE, 1e-3)
    assert after(lambda rate: None)[0] == [1e-5, 3e-5, *FIVE]  # all of them are too high


def test_of_equal_losses_the_smallest_rate_wins():
    assert grids.best({1e-2: 0.5, 1e-3: 0.5, 1e-4: 0.6}) == 1e-3


@given(st.integers(-9, 0), st.lists(st.one_of(st.none(), st.floats(0, 9)), min_size=9, max_size=9))
def test_whatever_the_losses_are_the_grid_ends_and_the_lowest_is_chosen(middle, losses):
    of = {grids.rate_at(middle - 4 + place): loss for place, loss in enumerate(losses)}
    grid, chosen = after(lambda rate: of[rate], middle)
    first = [grids.rate_at(place) for place in range(middle - 2, middle + 3)]
    assert 5 <= len(grid) <= 7 and grid == sorted(grid) and set(first) <= set(grid)
    known = [of[rate] for rate in grid if of[rate] is not None]
    assert of[chosen] == (min(known) if known else None)
    if chosen in (grid[0], grid[-1]):
        assert len(grid) == 7


# ---- the stages, with runs that only pretend


def pretended_rate(setting: dict) -> dict:
    """Full fine-tuning does best far below its grid, all others in the middle of theirs."""
    at = COURT[setting["method"]].middle - (4 if setting["method"] == "full" else 0)
    return {"validation_loss": abs(math.log10(setting["learning_rate"]) * 2 - at), "losses": []}


def pretended_final(setting: dict) -> dict:
    """All answer half of 80 rows, VeRA fewer and DoRA more."""
    right = {"base": 0, "vera": 10, "dora": 70}.get(setting["method"], 40)
    wrong = [{"row": row, "answer": "no"} for row in range(right, 80)]
    more = {"base": 0}.get(setting["method"], 0.1)
    return {"rows": 80, "wrong": wrong, "perplexity": math.exp(2 + more), "rate": setting["learning_rate"]}


@pytest.fixture(autouse=True)
def the_court_keeps_its_order():
    """What a test takes out of a dict comes back at its end, and results are written in the court's order."""
    before = dict(COURT)
    yield
    COURT.clear()
    COURT.update(before)


@pytest.fixture
def pretended(monkeypatch):
    """The rivals are four, and no run takes any time."""
    for method in COURT.keys() - {"full", "lora", "dora", "vera"}:
        monkeypatch.delitem(COURT, method)
    monkeypatch.setattr(runner, "provenance", lambda *_: ABOUT)
    monkeypatch.setattr(rates, "run", pretended_rate)
    monkeypatch.setattr(final, "run", pretended_final)


def test_the_rates_of_full_fine_tuning_go_on_below_and_no_others(pretended, tmp_path):
    assert command.go_on("rates", EVER, EVER, tmp_path) == EVER
    study = rates.study(tmp_path)
    assert study.missing() == [] and len(study.grid) == 5 * 2 * len(COURT) + 2 * 2
    stored = json.loads((tmp_path / "court_rates.json").read_text())
    assert stored == json.loads(json.dumps(study.result()))
    ends = {(each["method"], each["task"]) for each in stored["best"] if each["at_an_end"]}
    assert ends == {("full", "sql"), ("full", "glosses")}
    assert rates.chosen(tmp_path)["full", "sql"] == 1e-6 and rates.chosen(tmp_path)["lora", "glosses"] == 1e-3


def test_a_sitting_ends_after_its_runs_and_the_next_goes_on(pretended, tmp_path):
    assert command.go_on("rates", 3, EVER, tmp_path) == 0
    assert len(rates.study(tmp_path).finished()) == 3
    assert command.go_on("rates", EVER, time.monotonic(), tmp_path) == EVER  # no time left
    assert len(rates.study(tmp_path).finished()) == 3 and rates.chosen(tmp_path) == {}
    command.go_on("rates", 2, EVER, tmp_path)
    assert rates.chosen(tmp_path) == {}  # full fine-tuning has five, and goes on below
    command.go_on("rates", 2, EVER, tmp_path)
    assert rates.chosen(tmp_path) == {("full", "sql"): 1e-6}


def test_settings_that_were_changed_are_tried_again(pretended, tmp_path, monkeypatch):
    command.go_on("rates", EVER, EVER, tmp_path)
    monkeypatch.setitem(methods.COURT, "vera", methods.entry(-3, r=64))
    missing = rates.study(tmp_path).missing()
    assert len(missing) == 10 and {each["settings"]["r"] for each in missing} == {64}
    assert ("vera", "sql") not in rates.chosen(tmp_path)


def test_the_final_stage_takes_the_best_rates_and_judges(pretended, tmp_path):
    command.go_on("rates", EVER, EVER, tmp_path)
    command.go_on("final", EVER, EVER, tmp_path)
    stored = json.loads((tmp_path / "court.json").read_text())
    assert len(stored["runs"]) == 2 + 2 * 3 * len(COURT)
    best = rates.chosen(tmp_path)
    trained = [each for each in stored["runs"] if each["method"] != "base"]
    assert all(each["rate"] == best[each["method"], each["task"]] for each in trained)
    assert all(each["forgetting"] == pytest.approx(0.1) for each in trained)
    verdicts = {(each["method"], each["task"]): each["verdict"] for each in stored["verdicts"]}
    assert len(verdicts) == 2 * (len(COURT) - 1) and AGAINST not in {method for method, _ in verdicts}
    for task in training.TASKS:
        assert verdicts["vera", task] == "worse" and verdicts["dora", task] == "better"
        assert verdicts["full", task] == "can't tell"


def test_before_the_rates_there_is_no_final(tmp_path):
    study = final.study(tmp_path)
    assert all(setting["learning_rate"] is None for setting in study.grid)
    with pytest.raises(StudyError, match="lora has no rate for sql yet"):
        final.run(next(setting for setting in study.grid if setting["method"] == "lora"))


# ---- the predictions


def test_every_rival_of_lora_has_a_prediction_with_a_reason():
    assert predictions.PREDICTIONS.keys() == COURT.keys() - {AGAINST}
    for each in predictions.PREDICTIONS.values():
        assert {each.sql, each.glosses} <= {"better", "worse", "can't tell"} and len(each.why) > 30


def test_they_are_older_than_every_run():
    for stage in command.STAGES.values():
        for line in stage().finished().values():
            assert predictions.DATE <= line["date"]


# ---- a tiny court


@pytest.fixture
def tiny(monkeypatch, tmp_path, one_thread):
    """Tiny tasks, a tiny base, and two steps of four rows."""

    for module in (training, final, cost):
        monkeypatch.setattr(module, "fresh_base", tiny_base)
    monkeypatch.setattr(labkit, "load_task", tasks_in(tmp_path), raising=False)
    monkeypatch.setattr(labkit, "perplexity", lambda *_: 7.0, raising=False)  # of 4,096 tokens, otherwise
    monkeypatch.setattr(training, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(methods, "_layers", {})
    monkeypatch.setattr(training, "STEPS", 4)
    for name, value in {"for memory": 2, "to warm up": 1, "timed": 2}.items():
        monkeypatch.setitem(cost.STEPS, name, value)
    monkeypatch.setattr(cost, "ROUNDS", 1)
    return tmp_path


def setting_for(method: str, **more) -> dict:
    setting = methods.setting_of(method, task="sql", learning_rate=1e-3, **more)
    if "r" in setting["settings"]:
        setting["settings"]["r"] = 4
    return setting


@pytest.mark.parametrize("method", COURT)
def test_each_method_is_trained_and_measured(tiny, method):
    tried = rates.run(setting_for(method))
    assert tried["validation_loss"] > 0 and len(tried["losses"]) == 4
    found = final.run(setting_for(method, seed=rates.SEED))
    assert found["validation_loss"] == pytest.approx(tried["validation_loss"])  # the same seed, the same run
    assert found["rows"] == 6 and found["perplexity"] == 7 and found["trained"] > 0
    apart = method in ("bitfit", "bottleneck", "prefix", "prompt")
    assert (found["relative_change"] is None) == apart == (found["intruders"] is None)
    if not apart:
        assert found["relative_change"] > 0 and found["intruders"]["looked_at"] > 0
    json.dumps(found)
    assert not any(training.CHECKPOINTS.rglob("*.safetensors"))


def test_the_base_is_measured_as_it_is(tiny):
    found = final.run({"method": "base", "task": "sql", "learning_rate": None, "seed": None})
    assert found["rows"] == 6 and "relative_change" not in found


def test_a_rate_that_is_no_use_is_a_result(tiny):
    found = rates.run(setting_for("full") | {"learning_rate": 1e30})
    assert found["validation_loss"] is None and found["broken"].startswith("step ")


def test_a_final_run_that_breaks_off_has_every_row_wrong(tiny):
    found = final.run(setting_for("full", seed=1) | {"learning_rate": 1e30})
    assert found["broken"].startswith("step ") and found["perplexity"] is None
    assert final.right([found | {"seed": 1}]).sum() == 0 and found["rows"] == 6


def test_a_killed_run_goes_on_and_ends_in_the_same_bits(tiny, monkeypatch):
    whole, *_, losses = training.train(setting_for("lora"), 1, 1e-2)
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)
    real, steps = labkit.train, []

    def killed(*args, **named):
        def on_step(report):
            steps.append(report.step)
            if len(steps) == 3:
                raise InterruptedError

        return real(*args, on_step=on_step, **named)

    monkeypatch.setattr(labkit, "train", killed, raising=False)
    with pytest.raises(InterruptedError):
        training.train(setting_for("lora"), 1, 1e-2)
    again, *_, same = training.train(setting_for("lora"), 1, 1e-2)
    assert steps == [1, 2, 3, 3, 4] and same == losses
    for name, parameter in whole.parameters.items():
        assert torch.equal(parameter, again.parameters[name])


@pytest.mark.parametrize("method", COURT)
def test_what_each_method_costs_is_measured(tiny, method):
    found = cost.run(setting_for(method))
    assert found["trained"] > 0 and found["seconds_a_step"] > 0
    assert found["simulated_peak_bytes"] > 0 and type(found["measured_peak_bytes"]) is int
    assert found["file_bytes"] >= 4 * found["trained"] * (method not in ("ia3",))
    assert found["file"] == ("the trained tensors" if method in ("full", "spectrum", "bottleneck") else "PEFT's")
    apart = method in ("bitfit", "bottleneck", "prefix", "prompt")
    assert (found["latency"]["merged"] is None) == apart and found["latency"]["apart"]["method"] > 0
    json.dumps(found)


def test_all_that_a_stage_depends_on_is_json_and_a_fresh_stage_lacks_everything(tmp_path):
    stages = [stage(tmp_path) for stage in command.STAGES.values()]
    assert len({stage.name for stage in stages}) == 3
    for stage in stages:
        assert json.loads(json.dumps(stage.recipe)) == stage.recipe and stage.missing() == stage.grid


@pytest.mark.slow
def test_a_court_of_three_from_the_first_run_to_the_last(tiny, monkeypatch):
    for method in COURT.keys() - {"lora", "ia3", "prefix"}:
        monkeypatch.delitem(COURT, method)
    here = replace(cost.study(tiny), apart=False)  # a process of its own wouldn't know the tiny base
    monkeypatch.setitem(command.STAGES, "cost", lambda folder: here)
    for stage in command.STAGES:
        command.go_on(stage, EVER, EVER, tiny)
        assert command.STAGES[stage](tiny).missing() == []
    stored = json.loads((tiny / "court.json").read_text())
    assert len(stored["runs"]) == 2 + 3 * 2 * 3 and len(stored["verdicts"]) == 2 * 2
    best = {
        (each["method"], each["task"]): each for each in json.loads((tiny / "court_rates.json").read_text())["best"]
    }
    for each in stored["runs"][2:]:
        assert each["learning_rate"] == best[each["method"], each["task"]]["learning_rate"]
        assert len(each["wrong"]) == round(each["rows"] * (1 - each["scores"]["exact"]["mean"]))
    assert [each["method"] for each in json.loads((tiny / "court_cost.json").read_text())["runs"]] == list(COURT)
