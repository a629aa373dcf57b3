"""What notebooks 05 and 12 read of the choices: by setting, by rule, by pair, and with intervals."""

import math

import pytest

from labkit.errors import ConfigError
from labkit.evaluation.scoring import Score
from labkit.lab.experiments import choices_study as choices
from studies.choices import rank

LORA8 = {"method": "lora", "settings": {"r": 8, "lora_alpha": 16}, "task": "sql"}
RSLORA = {"method": "rslora", "settings": {"r": 64, "lora_alpha": 2 * math.sqrt(8)}, "task": "sql"}
RUNS = [
    LORA8 | {"learning_rate": 1e-2, "validation_loss": None},
    LORA8 | {"learning_rate": 1e-3, "validation_loss": 0.5},
    RSLORA | {"learning_rate": 1e-3, "validation_loss": 0.4},
]


def test_losses_are_found_by_what_a_run_or_its_settings_say_and_rise_by_rate():
    assert list(choices.losses(RUNS, method="lora").items()) == [(1e-3, 0.5), (1e-2, None)]
    assert choices.losses(RUNS, r=64) == {1e-3: 0.4} == choices.losses(RUNS, method="rslora", task="sql")
    assert choices.finished(choices.losses(RUNS, r=8)) == {1e-3: 0.5}
    with pytest.raises(ConfigError, match="no run with .*'r': 4"):
        choices.losses(RUNS, r=4)


def test_at_rank_eight_the_rules_are_one_run_and_elsewhere_each_has_its_own():
    at_eight = [choices.losses_of_rank(RUNS, rule, 8) for rule in choices.RULES]
    assert at_eight == [{1e-3: 0.5, 1e-2: None}] * 3
    assert choices.losses_of_rank(RUNS, "rsLoRA", 64) == {1e-3: 0.4}
    with pytest.raises(ConfigError, match="no run with"):
        choices.losses_of_rank(RUNS, "α = 2r", 64)


def test_the_floor_is_the_vertex_or_the_best_rate_where_there_is_none():
    study = {
        "best": [LORA8 | {"learning_rate": 1e-3, "vertex": 2e-3}, RSLORA | {"learning_rate": 3e-3, "vertex": None}]
    }
    assert choices.vertex(study, method="lora") == 2e-3 == choices.vertex_of_rank(study, "rsLoRA", 8)
    assert choices.vertex_of_rank(study, "rsLoRA", 64) == 3e-3


def scored(name, seed, wrong, rows=4, **more):
    return {"name": name, "task": "sql", "seed": seed, "rows": rows, "wrong": wrong} | more


def test_right_answers_are_in_the_order_of_the_seeds_and_their_share_has_an_interval():
    runs = [scored(8, 2, [0, 1]), scored(8, 1, [3]), scored(64, 1, [])]
    assert choices.right(choices.chosen(runs, name=8)).tolist() == [[1, 1, 1, 0], [0, 0, 1, 1]]
    share = choices.share_right(runs, name=8)
    assert share.mean == 62.5 and 0 <= share.low < 62.5 < share.high <= 100
    assert choices.share_right(runs, name=64).mean == 100
    assert choices.mean_of([*runs, scored(8, 3, [], rows=None)], "rows", name=8) == 4


def test_verdicts_are_in_percentage_points():
    difference = {"mean": -0.05, "low": -0.125, "high": 0.02}
    study = {"verdicts": [{"task": "sql", "name": "q, v", "difference": difference, "verdict": "can't tell"}]}
    assert choices.differences(study, task="sql") == {"q, v": Score(-5, -12.5, 2)}
    assert choices.verdict_table(study).split() == "sql q, v ≈-5.0 points (≈-12.5 to ≈2.0) can't tell".split()


def test_an_overlap_is_that_of_all_directions_as_a_mean_over_the_kinds_of_layers():
    def side(whole, chance):
        return {"output": {"phi": [[1, 1], [1, whole]], "of_random": [[0, 0], [0, chance]]}}

    adapters = [{"r": 8, "seed": 0}, {"r": 64, "seed": 1}]
    alone = {"q": {"effective_rank": [4, 6], "of_random": [7, 8]}, "v": {"effective_rank": [2, 3], "of_random": [7, 8]}}
    runs = [{"adapters": adapters[:1], "by_kind": alone}]
    runs += [{"adapters": adapters, "by_kind": {"q": side(0.5, 0.25), "v": side(0.75, 0.25)}}]
    assert choices.overlap(runs, (8, 0), (64, 1), "output") == (0.625, 0.25)
    assert choices.effective_ranks(runs, 8) == (3.75, 7.5)
    with pytest.raises(ConfigError, match="no run with adapters"):
        choices.overlap(runs, (64, 1), (8, 0), "output")


def test_a_curve_is_the_mean_of_the_seeds_that_finished_without_the_start():
    def run(seed, *losses):
        curve = [{"step": 10 * place, "validation_loss": loss} for place, loss in enumerate(losses)]
        return {"name": "r = 1", "rate": "best", "seed": seed, "curve": curve or None}

    assert choices.mean_curve([run(1, 9, 2, 1), run(2, 9, 4, 2), run(3)], "r = 1", "best") == {10: 3, 20: 1.5}


def test_few_rows_are_told_seed_by_seed():
    def run(rate, seed, lowest, last):
        losses = [0.5, *[0.01] * 7, 0.05]  # of the eight at the end, the mean is 0.015
        return {
            "name": "r = 1", "rate": rate, "seed": seed, "curve": [{"step": 0}], "losses": losses,
            "lowest": lowest, "last": last,
        }  # fmt: skip

    broken = {"name": "full", "rate": "best", "seed": 1, "curve": None} | dict.fromkeys(("lowest", "last"))
    runs = [run("best", 1, 0.2, 0.25), run("best", 2, 0.3, 0.3), run("a third", 1, 0.1, 0.1)]
    runs += [broken, broken | {"rate": "a third"}]
    _, best, third, *lost = choices.few_rows_table(runs).splitlines()
    assert best.split("  ")[0] == "r = 1" and best.endswith("≈0.015   ≈0.20 → ≈0.25   ≈0.30 → ≈0.30")
    assert third.endswith("a third of it            ≈0.015   ≈0.10 → ≈0.10")
    assert all(line.split()[-2:] == ["broke", "off"] for line in lost) and len(lost) == 2


def test_what_is_worse_than_the_base_is_named():
    metrics = {"execution": {"mean": 0.25}, "valid_sql": {"mean": 0.5}}
    run = {"case": "rate × 30", "validation_loss": 8.0, "perplexity": 900.0, "scores": metrics}
    run["below"] = {"validation_loss": True, "perplexity": False}
    run["against_shown"] = {"execution": {"verdict": "worse"}, "valid_sql": {"verdict": "better"}}
    assert choices.worse_in(run) == ["loss", "right answers"] and choices.worse_in({"case": "the base"}) == []
    shown = {"case": "the base, shown rows", "validation_loss": None, "perplexity": 25.0, "scores": metrics}
    head, bad, base, broken = choices.mistakes_table([run, shown, {"case": "α = 512", "broken": "step 3"}]).splitlines()
    assert bad.split() == "rate × 30 ≈8.0 ≈900 ≈25.0 % loss, right answers".split()
    assert base.split()[-3:] == ["≈25.0", "≈25.0", "%"] and "–" in base and "broke off" in broken


def test_the_rules_are_the_study_s():
    assert list(choices.RULES) == list(rank.SCALINGS) and choices.SAME == rank.SAME
    for rule, of_rank in choices.RULES.items():
        for r in rank.RATED:
            if r != rank.SAME:
                assert tuple(of_rank(r).values()) == rank.SCALINGS[rule](r)
