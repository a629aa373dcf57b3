"""Answers to notebook 03's exercises as people type them, not as the module writes them: what each of them is told."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from wrong_answers import Wrong, nb03

from labkit.course.nb03 import exercises
from labkit.lab.checking import find
from labkit.lab.checking.judging import judge


def line(each, answer):
    return judge(find(each), answer).lines[0]


def layer(start=None, forward=None, scaling=lambda alpha, r: alpha / r):
    """A class typed from the formula, with one thing changed."""

    class Mine(nn.Module):
        def __init__(self, base, r, alpha, dropout=0.0):
            super().__init__()
            self.base = base
            for parameter in base.parameters():
                parameter.requires_grad = False
            self.A = nn.Linear(base.in_features, r, bias=False)
            self.B = nn.Linear(r, base.out_features, bias=False)
            self.B.weight.data.fill_(0)
            if start:
                start(self.A.weight, self.B.weight)
            self.scaling = scaling(alpha, r)
            self.p = dropout

        def forward(self, x):
            if forward:
                return forward(self, x)
            update = F.linear(F.dropout(x, self.p, self.training), self.A.weight) @ self.B.weight.T
            return self.base(x) + update * self.scaling

    return Mine


@pytest.mark.parametrize("each", ["03.1", "03.2"])
def test_the_solution_is_looked_at_to_the_end(each):
    exercise = find(each)
    for case in exercise.cases():
        seen = exercise.observe(case.args, exercise.solution(*case.args))
        assert None not in seen.values()


@pytest.mark.parametrize(
    "start",
    [
        None,
        lambda A, B: nn.init.kaiming_uniform_(A, a=math.sqrt(5)),
        lambda A, B: nn.init.kaiming_uniform_(A),
        lambda A, B: nn.init.kaiming_normal_(A),
        lambda A, B: nn.init.xavier_uniform_(A),
        lambda A, B: nn.init.xavier_normal_(A),
        lambda A, B: nn.init.normal_(A, std=0.02),
        lambda A, B: nn.init.normal_(A, std=1 / A.shape[0]),
        lambda A, B: nn.init.orthogonal_(A),
    ],
)
def test_any_sensible_random_start_is_right(start):
    assert judge(find("03.1"), layer(start)).mark == "✔"


def thinned(self, x):
    return F.dropout(x, self.p, self.training)


def answers(base=lambda self, x: self.base(x), update=lambda self, x: self.B(self.A(thinned(self, x)))):
    return lambda self, x: base(self, x) + self.scaling * update(self, x)


@pytest.mark.parametrize(
    "answer, message",
    [
        (layer(lambda A, B: nn.init.eye_(A)), "A isn't random"),
        (layer(lambda A, B: nn.init.ones_(A)), "A isn't random"),
        (layer(lambda A, B: nn.init.normal_(A)), "too large"),
        (layer(lambda A, B: nn.init.xavier_uniform_(B)), "disturbs the model"),
        (layer(lambda A, B: nn.init.ones_(B)), "disturbs the model"),
        (layer(lambda A, B: (nn.init.zeros_(A), nn.init.xavier_uniform_(B))), "the other way round"),
        (layer(lambda A, B: nn.init.zeros_(A)), "never learn"),
        (layer(scaling=lambda alpha, r: alpha // r), "rounded down"),
        (layer(scaling=lambda alpha, r: alpha), "r times too large"),
        (layer(scaling=lambda alpha, r: alpha / r**0.5), "rsLoRA"),
        (layer(forward=lambda self, x: self.base(x) + self.B(self.A(x))), "leaves out the scaling"),
        (layer(forward=answers(update=lambda self, x: self.B(self.A(x)))), "never uses dropout"),
        (layer(forward=answers(base=lambda self, x: self.base(x).detach())), "No gradient passes"),
        (
            layer(
                forward=answers(
                    base=lambda self, x: self.base(thinned(self, x)), update=lambda self, x: self.B(self.A(x))
                )
            ),
            "base's input too",
        ),
        (layer(forward=answers(base=lambda self, x: 0)), "own answer is missing"),
        (layer(forward=answers(base=lambda self, x: x @ self.base.weight.T)), "loses the bias"),
        (layer(forward=answers(update=lambda self, x: self.A(self.B(x)))), "B first"),
        (layer(forward=answers(update=lambda self, x: x @ (self.B.weight @ self.A.weight))), "wrong way round"),
        (layer(forward=answers(update=lambda self, x: self.B(self.A(self.base(x))))), "instead of x"),
    ],
)
def test_a_natural_mistake_in_the_layer_is_named(answer, message):
    assert message in line("03.1", answer)


def inject_while_walking(model, targets, Layer, r, alpha):
    for p in model.parameters():
        p.requires_grad = False
    found = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            for target in targets:
                if ("." + name).endswith("." + target):
                    parent, _, last = name.rpartition(".")
                    setattr(model.get_submodule(parent), last, Layer(module, r=r, alpha=alpha))
                    found.append(name)
                    break
    return found


def inject_by_parts(model, targets, Layer, r, alpha):
    model.requires_grad_(False)
    names = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and any(
            name.split(".")[-len(t.split(".")) :] == t.split(".") for t in targets
        ):
            names += [name]
    for name in names:
        model.set_submodule(name, Layer(model.get_submodule(name), r, alpha))
    return tuple(names)


@pytest.mark.parametrize("answer", [inject_while_walking, inject_by_parts])
def test_other_ways_to_inject_are_right(answer):
    assert judge(find("03.2"), answer).mark == "✔"


def test_an_injection_by_last_name_or_target_by_target_is_named():
    def by_target(model, targets, Layer, r, alpha):
        model.requires_grad_(False)
        found = []
        for target in targets:
            for name, module in list(model.named_modules()):
                if isinstance(module, nn.Linear) and name.endswith("." + target):
                    model.set_submodule(name, Layer(module, r, alpha))
                    found.append(name)
        return found

    def by_last_name(model, targets, Layer, r, alpha):
        model.requires_grad_(False)
        found = []
        for name, module in list(model.named_modules()):
            if isinstance(module, nn.Linear) and name.split(".")[-1] in targets:
                model.set_submodule(name, Layer(module, r, alpha))
                found.append(name)
        return found

    assert "model's order" in line("03.2", by_target)
    assert "two parts" in line("03.2", by_last_name)


@pytest.mark.parametrize(
    "each, answer, message",
    [
        ("03.3", lambda W, A, B, alpha, dropout: W + (alpha // len(A)) * B @ A, "rounded down"),
        ("03.3", lambda W, A, B, alpha, dropout: W + alpha / len(A) * B @ A / (1 - dropout), "make up for the dropout"),
        ("03.3", lambda W, A, B, alpha, dropout: W.add_(alpha / len(A) * B @ A), "W itself has changed"),
        ("03.4", lambda h, heads, kv, n, r: n * r * 2 * (2 * h + h + h // kv), "hidden // kv_heads"),
        ("03.4", lambda h, heads, kv, n, r: n * r * 8 * h, "as wide as q_proj"),
        ("03.4", lambda h, heads, kv, n, r: n * r * (2 * h + h + h // heads * kv), "q_proj and v_proj only"),
    ],
)
def test_a_natural_mistake_is_named(each, answer, message):
    assert message in line(each, answer)


def test_the_learners_layer_runs_as_the_exercise_runs_it():
    torch.manual_seed(0)
    base = nn.Linear(6, 5)
    ours, x = exercises.MyLoRA(base, 2, 3), torch.randn(4, 6)
    nn.init.normal_(ours.B.weight)
    expected = F.linear(x, base.weight + 1.5 * ours.B.weight @ ours.A.weight, base.bias)
    torch.testing.assert_close(ours(x), expected)


@pytest.mark.parametrize("each", nb03.RIGHT, ids=lambda each: each[2])
def test_an_unusual_right_answer_is_right(each):
    assert Wrong(*each).verdict().mark == "✔"
