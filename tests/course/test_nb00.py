"""Answers to notebook 00's exercises as people type them, not as the module writes them."""

import operator
import statistics
from fractions import Fraction

import numpy as np
import pytest
import torch

from labkit.lab.checking import find
from labkit.lab.checking.judging import judge


@pytest.mark.parametrize(
    "each, answer",
    [
        ("00.1", lambda trained, total: Fraction(trained, total)),
        ("00.1", lambda trained, total: 1 - (total - trained) / total),
        ("00.1", lambda trained, total: torch.tensor(trained) / total),
        ("00.2", (True, False, True, False)),
        ("00.2", [0.34 / 100 < 0.005, 12 < 10, 30 == 30, 0.5 > 0.5]),
        ("00.3", lambda answers, wanted: statistics.mean(map(float, map(operator.eq, answers, wanted)))),
        ("00.3", lambda answers, wanted: (np.array(answers) == np.array(wanted)).mean()),
    ],
)
def test_right_in_another_form(each, answer):
    verdict = judge(find(each), answer)
    assert verdict.mark == "✔", verdict.lines


def test_several_claims_misread_are_all_named():
    lines = judge(find("00.2"), [True, True, True, True]).lines
    assert lines[0] == "You misread the second and the fourth claim." and "12 below 10? Is 0.5" in lines[2]
