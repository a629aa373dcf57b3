"""Answers to notebook 02's exercises as people type them, not as the module writes them: who gets which message."""

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from torch import nn

from labkit.lab.checking import find
from labkit.lab.checking.judging import judge

GENERAL = "Your answer isn't right yet."


def line(each, answer):
    return judge(find(each), answer).lines[0]


def adam_in_place(w, g, m, v, t, lr):
    m.mul_(0.9).add_(g, alpha=0.1)
    v.mul_(0.999).addcmul_(g, g, value=0.001)
    w.sub_(lr * (m / (1 - 0.9**t)) / (torch.sqrt(v / (1 - 0.999**t)) + 1e-8))
    return [w, m, v]


def torchs_adam(w, g, m, v, t, lr):
    weight = nn.Parameter(w.clone())
    weight.grad = g.clone()
    adam = torch.optim.Adam([weight], lr=lr)
    adam.state[weight] = {"step": torch.tensor(t - 1.0), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    adam.step()
    return weight.detach(), adam.state[weight]["exp_avg"], adam.state[weight]["exp_avg_sq"]


def ledger_of_a_counter(events):
    now, best = Counter(), Counter()
    for kind, size in events:
        now[kind] += size
        if now.total() > best.total():
            best = now.copy()
    return best


def ledger_from_all_moments(events):
    def account(end):
        kinds = defaultdict(int)
        for kind, size in events[:end]:
            kinds[kind] += size
        return kinds

    return max(map(account, range(1, len(events) + 1)), key=lambda each: sum(each.values()))


def backward_by_index(layers, inputs, grad):
    for i in range(len(layers) - 1, -1, -1):
        x = inputs[i].clone()
        x.requires_grad = True
        torch.autograd.backward(layers[i](x), grad)
        grad = x.grad
    return grad


def backward_with_grad(layers, inputs, grad):
    for layer, x in zip(layers[::-1], inputs[::-1]):
        x.requires_grad_()
        weights = list(layer.parameters())
        grad, *found = torch.autograd.grad(layer(x), [x, *weights], grad)
        for p, g in zip(weights, found):
            p.grad = g
    return grad


@pytest.mark.parametrize(
    "each, answer",
    [
        ("02.1", lambda n, t, size: (n - t) * size + t * 4 * size),
        ("02.1", lambda n, t, size: np.int64(size) * (n + 3 * t)),
        ("02.1", lambda n, t, size: torch.tensor(size * (n + 3 * t)).item()),
        ("02.2", adam_in_place),
        ("02.2", torchs_adam),
        ("02.3", ledger_of_a_counter),
        ("02.3", ledger_from_all_moments),
        ("02.3", lambda events: {kind: size for kind, size in ledger_of_a_counter(events).items() if size}),
        ("02.4", backward_by_index),
        ("02.4", backward_with_grad),
    ],
)
def test_right_in_another_form(each, answer):
    verdict = judge(find(each), answer)
    assert verdict.mark == "✔", verdict.lines


def adam(w, g, m, v, t, lr, *, square=lambda g: g * g, root=torch.sqrt, correct=True, sign=-1):
    m, v = 0.9 * m + (1 - 0.9) * g, 0.999 * v + (1 - 0.999) * square(g)
    above, below = (m / (1 - 0.9**t), v / (1 - 0.999**t)) if correct else (m, v)
    return w + sign * lr * above / (root(below) + 1e-8), m, v


def ledger_without_a_copy(events):
    now, best, most = {}, {}, 0
    for kind, size in events:
        now[kind] = now.get(kind, 0) + size
        if sum(now.values()) > most:
            best, most = now, sum(now.values())
    return best


def ledger_of_kinds_apart(events):
    now, best = defaultdict(int), {}
    for kind, size in events:
        now[kind] += size
        best[kind] = max(best.get(kind, 0), now[kind])
    return best


def backward_to_ones(layers, inputs, grad):
    for layer, x in zip(reversed(layers), reversed(inputs)):
        x = x.detach().requires_grad_()
        layer(x).sum().backward()
        grad = x.grad
    return grad


def backward_without_passing_on(layers, inputs, grad):
    for i in reversed(range(len(layers))):
        x = inputs[i].requires_grad_()
        layers[i](x).backward(grad)
    return inputs[0].grad


def backward_through_the_chain(layers, inputs, grad):
    x = inputs[0].requires_grad_()
    nn.Sequential(*layers)(x).backward(grad)
    return x.grad


@pytest.mark.parametrize(
    "each, answer, message",
    [
        ("02.1", lambda n, t, size: size * (n + t + 2 * n), "every number Adam's averages"),
        ("02.1", lambda n, t, size: size * (n - t) + size * 3 * t, "three things for each trained"),
        ("02.1", lambda n, t, size: size * n + 3 * t, "only a part by `size`"),
        ("02.2", lambda *a: adam(*a, correct=False), "both averages as they are"),
        ("02.2", lambda *a: adam(*a, root=lambda v: v), "average square itself"),
        ("02.2", lambda *a: adam(*a, square=torch.abs), "gradient's size"),
        ("02.2", lambda *a: adam(*a, sign=1), "uphill"),
        ("02.2", lambda *a: adam(*a)[0], "weights alone"),
        ("02.2", lambda w, g, m, v, t, lr: adam(w, g, g, v, t, lr), GENERAL),  # its m isn't an average of anything
        ("02.3", ledger_without_a_copy, "left at the end"),
        ("02.3", ledger_of_kinds_apart, "each kind's own highest"),
        ("02.3", lambda events: dict(events), "only the last event of each kind"),
        ("02.4", backward_to_ones, "leave the incoming gradient out"),
        ("02.4", backward_without_passing_on, "gradient of the last one's output"),
        ("02.4", backward_through_the_chain, "whole chain again"),
    ],
)
def test_a_natural_mistake_is_named(each, answer, message):
    assert message in line(each, answer)


@pytest.mark.parametrize(
    "each, answer",
    [
        ("02.1", lambda n, t, size: size * (n + 5 * t)),
        ("02.1", lambda n, t, size: size * (3 * n + 2 * t)),
        ("02.2", lambda w, g, m, v, t, lr: (w - lr * g.sign(), m, v)),
        ("02.2", lambda w, g, m, v, t, lr: adam(w, g, m, v, t, lr)[:2]),
        ("02.3", lambda events: {kind: -size for kind, size in events}),
        ("02.4", lambda layers, inputs, grad: grad * layers[0](inputs[0])),
    ],
)
def test_another_wrong_answer_gets_no_message_that_is_not_its_own(each, answer):
    assert line(each, answer) == GENERAL


def test_the_stubs_are_not_attempted():
    def my_ledger(events): ...

    assert judge(find("02.3"), my_ledger).mark == "○"
