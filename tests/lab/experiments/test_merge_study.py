"""The stored study of merge-aware training, ticket by ticket."""

import pytest

from labkit.lab.experiments.merge_study import (
    AWARE,
    RATE,
    USUAL,
    grouped,
    more,
    table,
    ways_of,
    with_interval,
)
from labkit.lab.experiments.stored_study import read
from studies.merge_aware import STUDY
from studies.results import RESULTS

APART, DENSE, PUT_BACK, MERGED = (
    (USUAL, name)
    for name in ("QLoRA, kept apart", "QLoRA, dequantized", "QLoRA, requantized", "LoRA, merged, then quantized")
)


def run(trained_on, rate, seed, loss=1.0, aware=False, **wrong):
    ways = {way: {"rows": 4, "wrong": [{"row": row} for row in rows]} for way, rows in wrong.items()}
    ways["in four bits"] = {
        "rows": 4,
        "wrong": [{"row": 0}],
        "validation loss": loss,
        "update arrived": 10 * (rate or 0),
    }
    setting = {"trained on": trained_on, "merge-aware": aware, "learning rate": rate, "seed": seed}
    return setting | {"loss in training": loss / 2, "ways": ways}


def test_each_ticket_has_the_share_of_seeds_that_got_it_right():
    runs = [
        run("four bits", RATE, 0, 3.0, **{"kept apart": [1, 2]}),
        run("four bits", RATE, 1, **{"kept apart": [2]}),
    ]
    ways = ways_of(runs)
    assert list(ways) == [APART, PUT_BACK]
    (apart,), (put_back,) = ways.values()
    assert (apart.right, apart.mean, apart.seeds, apart.loss, apart.arrived) == ([1, 0.5, 0, 1], 0.625, 2, 1.0, None)
    assert put_back.right == [0, 1, 1, 1] and put_back.arrived == pytest.approx(10 * RATE)
    score = with_interval(apart.right)
    assert score["mean"] == 0.625 and 0 <= score["low"] < 0.625 < score["high"] <= 1


def test_the_recipes_rate_comes_first_and_then_the_best_on_validation_rows_however_many_seeds():
    runs = [run("four bits", rate, 0, loss) for rate, loss in ((0.1, 0.5), (RATE, 2.0), (0.2, 0.3))]
    runs += [run("four bits", 0.2, 1, 0.9), run("four bits", 0.4, 0, 0.1, True), run("four bits", None, None)]
    runs += [run("float32", RATE, 0, 0.2), run("float32", 0.1, 0, 0.4)]
    rates = {key: [way.rate for way in at] for key, at in ways_of(runs).items()}
    assert rates == {PUT_BACK: [RATE, 0.1], MERGED: [RATE], (AWARE, "QLoRA, requantized"): [0.4]}
    assert ways_of([]) == {} == ways_of([run("four bits", None, None)])


def test_a_way_thats_used_at_one_rate_only_is_shown_there():
    runs = [run("four bits", RATE, 0, **{"dequantized, bfloat16": [3]}), run("four bits", 0.1, 0, 0.5)]
    assert [way.rate for way in ways_of(runs)[DENSE]] == [RATE]


def test_a_row_says_rate_and_seeds_in_the_drawing_and_in_the_table():
    ways = ways_of([run("four bits", RATE, 0), run("four bits", 0.1, 0, 0.5)])
    names = ["QLoRA, requantized\nrate 0.002, seeds: 1", "QLoRA, requantized\nrate 0.1, seeds: 1"]
    assert list(grouped(ways)[USUAL]) == names and grouped(ways)[USUAL][names[0]]["mean"] == 0.75
    first, second = table(ways).splitlines()
    assert first.split() == f"{USUAL} QLoRA, requantized rate 0.002, seeds: 1 ≈75.0 %".split() + first.split()[-5:]
    assert "rate 0.1, seeds: 1" in second


def test_the_difference_is_taken_ticket_by_ticket():
    one, other = ways_of([run("four bits", RATE, 0, **{"kept apart": [1, 2, 3]})]).values()
    assert more(*other, *one).startswith("≈50.0 percentage points (95 % interval: ")
    assert more(*one, *one).startswith("≈0 percentage points")


def test_of_the_stored_study_every_way_has_all_seeds_at_the_recipes_rate_or_its_best():
    study = read(RESULTS / "merge_aware.json")
    assert study["date"] and len(study["runs"]) == len(STUDY.grid)
    ways = ways_of(study["runs"])
    assert [max(way.seeds for way in at) for at in ways.values()] == [3] * 6
