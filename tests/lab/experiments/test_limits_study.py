"""What notebook 05 reads of the limits: bits per trained number, and right tickets by dimension."""

from labkit.evaluation.scoring import Score
from labkit.lab.experiments import limits_study as limits
from studies import capacity


def learned(kept, given=2.0, **which):
    about = {"base": "real", "piece": "mlp.down_proj", "passes": 500, "r": 4, "given": given}
    return about | {"numbers": 100, "bits": 100 * given, "kept": kept} | which


STUDY = {
    "best": [
        learned(150.0),
        learned(99.0, 1),
        learned(10.0, 1, r=1),
        learned(45.0, 1, r=1, piece="mlp"),
        learned(140.0, base="shuffled"),
        learned(70.0, r=2),
        learned(80.0, r=2, passes=2000),
    ]
}


def test_bits_are_per_trained_number_and_rise_with_what_was_given():
    assert list(limits.kept_per_number(STUDY, r=4).items()) == [(1, 0.99), (2, 1.5)]
    assert limits.most_kept(STUDY, r=4) == 1.5 and limits.most_kept(STUDY, r=1, piece="mlp") == 0.45


def test_each_comparison_stands_beside_the_same_rank_and_strings():
    lines = limits.comparisons(STUDY).splitlines()
    assert [line.split("≈")[1:] for line in lines] == [
        ["0.45 bits per number (one matrix, as above: ", "0.10)"],
        ["1.4 bits per number (one matrix, as above: ", "1.5)"],
        ["0.80 bits per number (one matrix, as above: ", "0.70)"],
    ]


def test_a_run_without_a_score_has_nothing_right():
    score = {"mean": 0.5, "low": 0.25, "high": 0.75}
    best = [{"space": "LoRA", "d": d, "exact": exact} for d, exact in ((None, score), (100, None), (1000, score))]
    best.append({"space": "LoRA", "d": 10, "validation_loss": None, "broken": "step 1"})
    assert limits.right_by_dimension({"best": best}, "LoRA") == {
        100: Score(0, 0, 0), 1000: Score(50, 25, 75), 10: Score(0, 0, 0)
    }  # fmt: skip
    assert limits.right_with_all({"best": best}, "LoRA") == 50


def test_the_comparisons_are_in_the_studys_grid():
    for which in (*limits.BESIDE.values(), {"r": 8, "given": 3}):
        assert any((limits.OF_ALL | which).items() <= setting.items() for setting in capacity.GRID)
