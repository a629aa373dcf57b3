"""How many rows a claim needs: beside the exact probabilities of McNemar's test, and beside the verdicts themselves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from labkit.errors import ConfigError
from labkit.evaluation.comparing import paired_difference, verdict
from labkit.evaluation.power import chance_to_tell, rows_needed


def exact_power(difference: float, disagreement: float, rows: int, level: float) -> float:
    """How often McNemar's test (without its correction) finds the better one: every possible pair of counts, weighed.

    The disagreements are binomial, and of these, so are the ones that ours wins.
    """
    z, total = norm.ppf((1 + level) / 2), 0.0
    share = (disagreement + difference) / 2 / disagreement
    for disagreed in range(1, rows + 1):
        won = np.arange(disagreed + 1)
        told = (2 * won - disagreed) / math.sqrt(disagreed) > z
        total += binom.pmf(disagreed, rows, disagreement) * binom.pmf(won[told], disagreed, share).sum()
    return total


CASES = [(0.10, 0.30, 0.95), (0.05, 0.20, 0.95), (0.15, 0.25, 0.90), (0.08, 0.10, 0.95), (0.07, 0.40, 0.99)]


@pytest.mark.parametrize("difference, disagreement, level", CASES)
def test_with_so_many_rows_mcnemars_test_finds_it_as_often_as_asked(difference, disagreement, level):
    for power in (0.5, 0.8):
        rows = rows_needed(difference, disagreement, power, level)
        assert power - 0.01 < exact_power(difference, disagreement, rows, level) < power + 0.06
    for rows in (60, 336):
        exact = exact_power(difference, disagreement, rows, level)
        assert -0.02 < exact - chance_to_tell(difference, disagreement, rows, level) < 0.06


def test_the_verdict_is_better_about_as_often():
    """Simulated: answers of one seed to each row, judged as every study judges them."""
    difference, disagreement, rows, draw = 0.10, 0.30, 240, np.random.default_rng(0)
    shares = [(disagreement + difference) / 2, (disagreement - difference) / 2, 1 - disagreement]
    found = 0
    for _ in range(200):
        ours = draw.choice([1.0, -1.0, 0.0], p=shares, size=(1, rows))
        found += verdict(paired_difference(ours, np.zeros_like(ours), resamples=300)) == "better"
    assert found / 200 == pytest.approx(chance_to_tell(difference, disagreement, rows), abs=0.09)


def test_ten_points_between_two_unlike_methods_take_what_is_computed_by_hand():
    """δ = 0.1, ψ = 0.3: (1.959964 · 0.547723 + 0.841621 · 0.538516)² / 0.01 = 233.1."""
    assert rows_needed(0.1, 0.3) == 234


@given(st.floats(0.01, 1), st.floats(0.02, 1), st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_one_is_the_reverse_of_the_other(part, disagreement, power, level):
    difference = part * disagreement
    rows = rows_needed(difference, disagreement, power, level)
    assert rows == rows_needed(-difference, disagreement, power, level)
    assert chance_to_tell(difference, disagreement, rows, level) >= power - 1e-9
    if rows > 1:
        assert chance_to_tell(difference, disagreement, rows - 1, level) < power + 1e-9


@given(st.floats(0.01, 0.2), st.floats(0.2, 1))
def test_half_the_difference_takes_about_four_times_the_rows_and_less_disagreement_takes_fewer(
    difference, disagreement
):
    rows = rows_needed(difference, disagreement)
    assert rows_needed(difference / 2, disagreement) >= 4 * (rows - 1)
    assert rows_needed(difference, max(difference, disagreement / 2)) <= rows


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="one of 0 can't be seen"):
        rows_needed(0, 0.3)
    with pytest.raises(ConfigError, match="at least as large a disagreement"):
        rows_needed(0.3, 0.2)
    with pytest.raises(ConfigError, match="disagreement must be a share"):
        chance_to_tell(0.3, 1.2, 100)
    with pytest.raises(ConfigError, match="power"):
        rows_needed(0.1, 0.2, power=1)
    with pytest.raises(ConfigError, match="level"):
        rows_needed(0.1, 0.2, level=95)
    with pytest.raises(ConfigError, match="rows must be a whole number"):
        chance_to_tell(0.1, 0.2, 0)
    with pytest.raises(ConfigError, match="disagreement"):
        rows_needed(float("nan"), float("nan"))
    with pytest.raises(ConfigError, match="difference of nan"):
        rows_needed(float("nan"), 0.2)
