"""The stored study of merge-aware training, ticket by ticket."""

from labkit.lab.experiments.merge_study import USUAL, rows_right, seeds_of, with_interval


def run(trained_on, rate, seed, loss=1.0, **wrong):
    ways = {way: {"rows": 4, "wrong": [{"row": row} for row in rows]} for way, rows in wrong.items()}
    ways["in four bits"] = {"rows": 4, "wrong": [{"row": 0}], "validation loss": loss}
    return {"trained on": trained_on, "merge-aware": False, "learning rate": rate, "seed": seed, "ways": ways}


def test_each_ticket_has_the_share_of_seeds_that_got_it_right():
    runs = [
        run("four bits", 0.1, 0),
        run("four bits", 0.2, 0, **{"kept apart": [1, 2]}),
        run("four bits", 0.2, 1, **{"kept apart": [2]}),
    ]
    assert rows_right(runs) == {USUAL: {"QLoRA, kept apart": [1, 0.5, 0, 1], "QLoRA, requantized": [0, 1, 1, 1]}}
    score = with_interval([1, 0.5, 0, 1])
    assert score["mean"] == 0.625 and 0 <= score["low"] < 0.625 < score["high"] <= 1


def test_the_rate_with_the_most_seeds_counts_and_then_the_lower_loss():
    runs = [run("float32", 0.1, 0, loss=1.0), run("float32", 0.2, 0, loss=0.5), run("four bits", None, None)]
    assert seeds_of(runs)["float32", False] == [runs[1]]
    assert seeds_of([*runs, run("float32", 0.1, 1)])["float32", False] == [runs[0], run("float32", 0.1, 1)]
