"""Answers that are classes: each way of going wrong has a message that helps with a class."""

import example_exercises
import pytest
import torch
from torch import nn

from labkit.errors import ConfigError
from labkit.lab.checking import exercise
from labkit.lab.checking.judging import judge

each, Scaled = example_exercises.class_exercise, example_exercises.Scaled


class NoInit(nn.Module):
    def forward(self, x):
        return x


class TakesTooLittle(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base

    def forward(self, x):
        return self.base(x)


class NoForward(nn.Module):
    def __init__(self, base, factor):
        super().__init__()
        self.base, self.factor = base, factor

    def forwards(self, x):
        return self.factor * self.base(x)


class NoLayer:
    def __init__(self, base, factor):
        self.base, self.factor = base, factor

    def forward(self, x):
        return self.factor * self.base(x)


class Raises(Scaled):
    def forward(self, x):
        return self.base(x) @ self.base(x)


class ForgetsSelf(Scaled):
    def forward(self, x):
        return self.scale * self.base(x)


class ForgetsSuper(nn.Module):
    def __init__(self, base, factor):
        self.base, self.factor = base, factor

    def forward(self, x):
        return self.factor * self.base(x)


class ReturnsNothing(Scaled):
    def forward(self, x):
        self.factor * self.base(x)


class HidesTheBase(nn.Module):
    def __init__(self, base, factor):
        super().__init__()
        self.base, self.factor = [base], factor

    def forward(self, x):
        return self.factor * self.base[0](x)


class Halved(Scaled):
    def forward(self, x):
        return super().forward(x) / 3


class Stuck(Scaled):
    def forward(self, x):
        raise SystemExit


@pytest.mark.parametrize(
    "answer, message",
    [
        (NoInit, "Your class has no __init__ yet. It's called with base, factor."),
        (TakesTooLittle, "Your class's __init__ takes self, base. It's called with base, factor."),
        (NoForward, "Your class has no forward yet. Is it there under another name, or indented too far?"),
        (NoLayer, "Your class isn't a PyTorch layer yet: class NoLayer(nn.Module)."),
        (Raises, "return self.base(x) @ self.base(x)"),
        (ForgetsSelf, "has no attribute 'scale'"),
        (ForgetsSuper, "cannot assign module before Module.__init__() call"),
        (ReturnsNothing, "Look at the answer to a batch. It's None, and should be a tensor."),
        (HidesTheBase, "Look at how many parameters it has. Yours is 0; expected 2."),
        (Halved, "Look at the answer to a batch. Its values differ, most of all at"),
        (Stuck, "Your code asks Python to exit."),
        (Scaled(nn.Linear(3, 4), 2.0), 'not an object made from it: check("99.4", Scaled)'),
        (lambda base, factor: base, 'not a function: check("99.4", Scaled)'),
    ],
)
def test_a_wrong_class_has_a_clear_message(answer, message):
    verdict = judge(each, answer)
    assert verdict.mark == "✗" and message in " ".join(verdict.lines)


def test_the_constructors_arguments_are_told():
    assert any("With base (a Linear), factor = 2.0 (case 1 of 2)." in line for line in judge(each, Halved).lines)


def test_what_the_check_looks_for_and_the_class_lacks_is_named():
    observe = eval(compile("lambda args, layer: layer.merge()", "<frozen course>", "eval"))  # no code of the learner's
    looks_for_merge = exercise(**{**vars(each), "id": "99.5", "observe": observe})
    assert judge(looks_for_merge, Raises).lines[0] == "Your Raises has no merge."


def test_a_class_without_a_way_to_try_it_out_is_refused():
    with pytest.raises(ConfigError, match="a class needs cases, and observe"):
        exercise(**{**vars(each), "observe": None})


def test_a_class_that_is_right_in_its_own_way_passes():
    class Mine(nn.Module):
        def __init__(self, layer, by):
            super().__init__()
            self.layer = layer
            self.register_buffer("by", torch.tensor(by))

        def forward(self, inputs):
            return self.layer(inputs) * self.by

    assert judge(each, Mine).mark == "✔"
