"""The stored study of merge-aware training, ticket by ticket."""

import json

from labkit.lab.experiments.merge_study import (
    AWARE,
    BEST,
    RATE,
    USUAL,
    read_runs,
    rows_right,
    seeds_of,
    with_interval,
    with_seeds,
)


def run(trained_on, rate, seed, loss=1.0, aware=False, **wrong):
    ways = {way: {"rows": 4, "wrong": [{"row": row} for row in rows]} for way, rows in wrong.items()}
    ways["in four bits"] = {"rows": 4, "wrong": [{"row": 0}], "validation loss": loss}
    return {"trained on": trained_on, "merge-aware": aware, "learning rate": rate, "seed": seed, "ways": ways}


ROUTES = [
    {"trained on": "float32", "way": "merged, then four bits", "rows": 4, "wrong": []},
    {"trained on": "four bits", "way": "kept apart", "rows": 4, "wrong": []},
]


def test_each_ticket_has_the_share_of_seeds_that_got_it_right():
    runs = [
        run("four bits", 0.1, 0),
        run("four bits", RATE, 0, **{"kept apart": [1, 2]}),
        run("four bits", RATE, 1, **{"kept apart": [2]}),
    ]
    found, seeds = rows_right(runs, [])
    assert found == {USUAL: {"QLoRA, kept apart": [1, 0.5, 0, 1], "QLoRA, requantized": [0, 1, 1, 1]}}
    assert seeds == {(USUAL, "QLoRA, kept apart"): 2, (USUAL, "QLoRA, requantized"): 2}
    assert [way["seeds"] for way in with_seeds(found, seeds)[USUAL].values()] == [2, 2]
    score = with_interval([1, 0.5, 0, 1])
    assert score["mean"] == 0.625 and 0 <= score["low"] < 0.625 < score["high"] <= 1


def test_what_is_still_to_be_run_comes_from_the_other_study():
    found, seeds = rows_right([run("four bits", RATE, 0, **{"kept apart": [3]})], ROUTES)
    assert found[USUAL]["QLoRA, kept apart"] == [1, 1, 1, 0]
    assert found[USUAL]["LoRA, merged, then quantized"] == [1] * 4 and set(seeds.values()) == {1}


def test_the_best_rate_is_that_of_the_lower_validation_loss_however_many_seeds():
    known = {"trained_on": "four bits", "aware": True}
    runs = [
        run("four bits", rate, seed, loss, True) for rate, seed, loss in ((0.1, 0, 3.0), (0.1, 1, 1.0), (0.2, 0, 1.5))
    ]
    runs += [run("four bits", 0.3, 0, 0.1), run("four bits", None, None)]
    assert seeds_of(runs, **known, rate=BEST) == [runs[2]]
    assert seeds_of(runs, **known, rate=0.1) == runs[:2] and seeds_of(runs, **known, rate=0.4) == []
    assert seeds_of([], **known, rate=BEST) == [] and list(rows_right(runs, [])[0]) == [AWARE]


def test_the_result_is_read_and_before_there_is_one_the_lines(tmp_path):
    one = run("float32", 0.1, 0)
    setting, result = {"seed": 0}, {name: value for name, value in one.items() if name != "seed"}
    (tmp_path / "lines").mkdir()
    line = json.dumps({"setting": setting, "result": result, "date": "2026-11-29", "recipe": {}})
    (tmp_path / "lines" / "study.jsonl").write_text(line + "\n")
    assert read_runs(tmp_path / "study.json") == {"date": "2026-11-29", "runs": [one]}
    (tmp_path / "study.json").write_text(json.dumps({"date": "2026-11-30", "runs": []}))
    assert read_runs(tmp_path / "study.json")["date"] == "2026-11-30"
