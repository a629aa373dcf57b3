"""What `solution` shows is what a learner may type: in a cell of its own, it passes."""

import math
import re

import example_exercises
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labkit import solution
from labkit.lab.checking import all_exercises
from labkit.lab.checking.judging import judge


@pytest.mark.parametrize("each", [*all_exercises(), *example_exercises.EVERY_KIND], ids=lambda each: each.id)
def test_what_is_shown_passes_when_it_is_typed_in(each, capsys):
    solution(each.id)
    shown, explanation = capsys.readouterr().out.rsplit(f"\n\n{each.explanation}", 1)
    assert explanation == "\n"
    cell = {"math": math, "re": re, "torch": torch, "nn": nn, "F": F}
    exec(shown, cell)
    verdict = judge(each, cell[each.solution.__name__])
    assert verdict.mark == "✔", verdict.lines


def test_a_value_is_shown_as_the_lines_that_lead_to_it(capsys):
    solution("99.2")
    assert capsys.readouterr().out.startswith("share_trained = 460_800 / 134_515_008\n\n460,800 numbers are trained")
