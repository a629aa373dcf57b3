"""The court's three results, brought together: best rates and places, means over seeds, tables of what is known."""

import math

import pytest

from labkit.lab.experiments import court_study as study
from labkit.lab.experiments.court_study import NAMES
from labkit.lab.experiments.stored_study import read
from studies.court import grids
from studies.court.final import tidy
from studies.court.methods import COURT, setting_of
from studies.court.rates import tidy as tidy_rates
from studies.court.training import TASKS
from studies.results import RESULTS

LOSSES = {"lora": {1e-3: 0.2, 3e-3: 0.1, 1e-2: 0.3}, "full": {1e-5: 0.4, 1e-4: 0.05}, "vera": {3e-3: 0.9, 3e-2: 0.15}}


def rates_result():
    """As the stage writes it, of two tasks, with a training that broke off."""
    runs = [
        setting_of(method, task=task, learning_rate=rate) | {"validation_loss": loss}
        for task in TASKS
        for method, tried in LOSSES.items()
        for rate, loss in tried.items()
    ]
    runs.append(setting_of("full", task="sql", learning_rate=1e-3) | {"validation_loss": None, "broken": "step 3: …"})
    return tidy_rates(runs)


def final_result(**wrong):
    """As the stage writes it: ten rows; for each method, the number of wrong ones."""
    common = {"rows": 10, "relative_change": 0.01, "intruders": {"found": 4, "looked_at": 10, "by_kind": {}}}
    runs = []
    for task in TASKS:
        base = {"method": "base", "task": task, "learning_rate": None, "seed": None, "perplexity": 10.0, "rows": 10}
        runs.append(base | {"scores": {}, "wrong": [{"row": row} for row in range(8)]})
        for method in COURT:
            for seed in (1, 2, 3):
                setting = setting_of(method, task=task, learning_rate=1e-3, seed=seed)
                rows = [{"row": row} for row in range(wrong.get(method, 5))]
                found = {"trained": 7, "scores": {}, "wrong": rows, "perplexity": 10.0 * math.e ** (0.1 * seed)}
                runs.append(setting | common | found)
    broken = {"scores": None, "relative_change": None, "intruders": None, "perplexity": None}
    runs[-1] |= broken | {"wrong": [{"row": row} for row in range(10)]}
    return tidy(runs)


def test_the_names_are_the_courts_and_in_its_order_but_for_their_places():
    assert set(NAMES) == set(COURT)
    assert sum(map(len, study.PLACES.values())) == len(NAMES)


def test_losses_are_by_rate_and_what_broke_off_is_worse_than_any():
    losses = study.losses_by_rate(rates_result(), "sql")
    assert losses["full"] == LOSSES["full"] | {1e-3: math.inf} and losses["vera"] == LOSSES["vera"]
    for tried in losses.values():
        assert study.best_rate(tried) == grids.best({rate: loss for rate, loss in tried.items()})


def test_places_at_ones_own_rate_and_at_loras():
    losses = study.losses_by_rate(rates_result(), "sql")
    assert study.ranked(losses) == {"full": 0.05, "lora": 0.1, "vera": 0.15}
    assert study.ranked(losses, 3e-3) == {"lora": 0.1, "vera": 0.9, "full": math.inf}
    assert study.nearest_rate({1e-3: 0, 1e-2: 0}, 2e-3) == 1e-3 and study.nearest_rate({1e-3: 0, 1e-2: 0}, 4e-3) == 1e-2


def test_the_table_has_both_places():
    lines = study.rate_table(study.losses_by_rate(rates_result(), "sql")).splitlines()
    assert lines[1].split() == ["full", "0.0001", "0.050", "1", "0.001", "broke", "off", "3"]
    assert lines[2].split() == ["LoRA", "0.003", "0.100", "2", "0.003", "0.100", "1"]


def test_a_standing_is_a_mean_over_seeds_and_a_broken_seed_got_nothing_right():
    court = final_result(vera=9, full=1)
    found = study.standings(court, "sql")
    assert list(found) == list(NAMES)
    assert found["lora"].difference is None and found["lora"].verdict == ""
    assert found["full"].right == pytest.approx(0.9) and found["full"].verdict == "better"
    assert found["vera"].right == pytest.approx(0.1) and found["vera"].verdict == "worse" == found["vera"].predicted
    assert found["dora"].forgetting == pytest.approx(0.2) and found["dora"].intruders == 4
    last = study.standings(court, TASKS[-1])[list(COURT)[-1]]
    assert last.forgot == pytest.approx((0.1, 0.2)) and found["lora"].forgot[0] <= found["lora"].forgetting
    assert last.broken == 1 and last.right == pytest.approx(1 / 3) and last.forgetting == pytest.approx(0.15)
    assert study.base_right(court, "sql") == pytest.approx(0.2)
    counts = study.verdict_counts(court)
    assert sum(counts[kind] for kind in ("better", "can't tell", "worse")) == len(court["verdicts"])
    assert "broke off: 1" in study.court_table(study.standings(court, TASKS[-1]))


def test_what_costs_what():
    latency = {"base": 0.05, "method": 0.06}
    run = {"trained": 2000, "measured_peak_bytes": 10**9, "seconds_a_step": 1.5, "file_bytes": 2 * 10**6}
    runs = [
        {"method": "lora", "latency": {"apart": latency, "merged": {"base": 0.05, "method": 0.05}}} | run,
        {"method": "prompt", "latency": {"apart": latency, "merged": None}} | run,
    ]
    lines = study.cost_table({"runs": runs}).splitlines()
    assert lines[1].split() == ["LoRA", "2,000", "≈1.0", "GB", "≈1.5", "s", "≈2.0", "MB", "≈1.2×", "≈1.0×"]
    assert lines[2].endswith("–")


@pytest.mark.skipif(not (RESULTS / "court.json").exists(), reason="the court hasn't finished")
def test_the_stored_results_can_be_read():
    rates, court, cost = (read(RESULTS / f"{name}.json") for name in ("court_rates", "court", "court_cost"))
    for task in TASKS:
        best = {each["method"]: each["learning_rate"] for each in rates["best"] if each["task"] == task}
        assert {method: study.best_rate(at) for method, at in study.losses_by_rate(rates, task).items()} == best
        assert {each.method: each.rate for each in study.standings(court, task).values()} == best
    assert len(study.cost_table(cost).splitlines()) == len(COURT) + 1
