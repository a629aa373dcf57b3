"""A paired difference: its interval beside a bootstrap written out, and beside the formula; what is refused."""

import math
import random

import numpy as np
import pytest
import torch

from labkit.errors import ConfigError
from labkit.evaluation.comparing import paired_difference, verdict
from labkit.evaluation.scoring import Score


def scores(mean: float, seeds: int, rows: int, seed: int) -> torch.Tensor:
    return (torch.rand(seeds, rows, generator=torch.Generator().manual_seed(seed)) < mean).double()


def test_the_interval_is_that_of_a_bootstrap_written_out():
    ours, theirs = scores(0.7, 3, 40, 0), scores(0.5, 3, 40, 1)
    found, draw, means = paired_difference(ours, theirs), random.Random(0), []
    difference = (ours - theirs).numpy()
    for _ in range(4000):
        seeds, rows = draw.choices(range(3), k=3), draw.choices(range(40), k=40)
        means.append(np.mean([difference[seed][rows].mean() for seed in seeds]))
    low, high = np.quantile(means, [0.025, 0.975])
    assert found.mean == pytest.approx((ours - theirs).mean().item())
    assert found.low == pytest.approx(low, abs=0.02) and found.high == pytest.approx(high, abs=0.02)


def test_with_one_seed_it_is_about_the_normal_interval_of_the_rows():
    ours, theirs = scores(0.6, 1, 400, 2), scores(0.5, 1, 400, 3)
    found, difference = paired_difference(ours, theirs), ours - theirs
    half = 1.96 * difference.std(correction=0).item() / math.sqrt(400)
    assert found.high - found.mean == pytest.approx(half, rel=0.1)


def test_pairs_see_what_two_intervals_apart_would_not():
    """Rows are of very different difficulty, and ours is a little better on every one of them."""
    theirs = torch.linspace(0, 0.9, 50).repeat(3, 1)
    assert verdict(paired_difference(theirs + 0.01, theirs)) == "better"
    assert verdict(paired_difference(theirs - 0.01, theirs)) == "worse"


def test_the_same_answers_tell_nothing_apart():
    same = scores(0.5, 3, 30, 0)
    assert paired_difference(same, same) == Score(0, 0, 0)
    assert verdict(Score(0, 0, 0)) == "can't tell" == verdict(Score(0.01, -0.02, 0.04))


def test_one_lucky_seed_of_three_is_not_enough():
    theirs = torch.zeros(3, 200)
    ours = theirs.clone()
    ours[0] = 1
    assert verdict(paired_difference(ours, theirs)) == "can't tell"


def test_it_is_false_alarm_about_as_often_as_the_level_says():
    """Of pairs from the same coin. Seeds differ in nothing here, so that the bootstrap over rows is what counts."""
    alarms = 0
    for trial in range(200):
        ours, theirs = scores(0.5, 3, 100, 2 * trial), scores(0.5, 3, 100, 2 * trial + 1)
        alarms += verdict(paired_difference(ours, theirs, resamples=400)) != "can't tell"
    assert alarms / 200 < 0.1


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(ConfigError, match="only the same seeds and rows"):
        paired_difference(torch.zeros(3, 4), torch.zeros(3, 5))
    with pytest.raises(ConfigError, match=r"shape \(seeds, rows\), got \(3,\)"):
        paired_difference(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ConfigError, match="shape"):
        paired_difference(torch.zeros(0, 3), torch.zeros(0, 3))
    with pytest.raises(ConfigError, match="resamples"):
        paired_difference(torch.zeros(1, 3), torch.zeros(1, 3), resamples=0)
