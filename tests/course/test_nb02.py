"""Answers to notebook 02's exercises as people type them, not as the module writes them: who gets which message."""

import numpy as np
import pytest
import torch

from labkit.lab.checking import find
from labkit.lab.checking.judging import judge

GENERAL = "Your answer isn't right yet."


def line(each, answer):
    return judge(find(each), answer).lines[0]


@pytest.mark.parametrize(
    "each, answer",
    [
        ("02.1", lambda n, t, size: (n - t) * size + t * 4 * size),
        ("02.1", lambda n, t, size: np.int64(size) * (n + 3 * t)),
        ("02.1", lambda n, t, size: torch.tensor(size * (n + 3 * t)).item()),
        ("02.2", lambda shapes, r: int(sum(np.array(shapes).sum(0)) * r)),
        ("02.3", lambda w, t, frozen, again: 2 * w * t * (3 - frozen + again)),
        ("02.3", lambda w, t, frozen, again: 2 * w * t * (1 + again) + 2 * w * t * (2 - frozen)),
        ("02.4", lambda three, four, depth: (four + (four - three) * (depth - 4)).max()),
        ("02.4", lambda three, four, depth: (three + (four - three) * (depth - 3)).max().item()),
        ("02.4", lambda three, four, depth: np.max(three.numpy() + (four - three).numpy() * (depth - 3))),
        ("02.4", lambda three, four, depth: max(a + (b - a) * (depth - 3) for a, b in zip(three, four))),
        ("02.5", lambda flops, steps, peak, share, price: price * steps * flops / peak / share / 60 / 60),
    ],
)
def test_right_in_another_form(each, answer):
    assert judge(find(each), answer).mark == "✔"


@pytest.mark.parametrize(
    "each, answer, message",
    [
        ("02.1", lambda n, t, size: size * (n + t + 2 * n), "averages are counted for every number"),
        ("02.1", lambda n, t, size: size * (n - t) + size * 3 * t, "only three are counted"),
        ("02.1", lambda n, t, size: size * n + 3 * t, "Only the weights are multiplied"),
        ("02.2", lambda shapes, r: sum(2 * r * i + 2 * r * o for o, i in shapes), "twice too much"),
        ("02.2", lambda shapes, r: sum(r * r for _ in shapes), "r × r numbers are counted."),
        ("02.2", lambda shapes, r: sum(o * r + r * r + r * i for o, i in shapes), "besides A and B"),
        ("02.3", lambda w, t, frozen, again: 2 * w * t * (2 if frozen else 3 + again), "frozen weights, checkpointing"),
        ("02.3", lambda w, t, frozen, again: 2 * w * t * (2 - frozen + again), "One product is missing"),
        ("02.3", lambda w, t, frozen, again: 2 * w * t * (2 - frozen), "and checkpointing changes nothing"),
        ("02.3", lambda w, t, frozen, again: 2 * w * t * (4 if again else 3 - frozen), "freezing changes nothing"),
        ("02.4", lambda three, four, depth: (four + (four - three) * (depth - 3)).max(), "one layer too many"),
        ("02.4", lambda three, four, depth: (four + (four - three) * (depth - 5)).max().item(), "one layer too few"),
        ("02.4", lambda three, four, depth: (three + (four - three) * depth).max(), "three layers too many"),
        ("02.4", lambda three, four, depth: (four + (four - three) * depth).max(), "four layers too many"),
        ("02.5", lambda flops, steps, peak, share, price: flops * steps / peak / share / 60 * price, "each minute"),
    ],
)
def test_a_natural_mistake_is_named(each, answer, message):
    assert message in line(each, answer)


@pytest.mark.parametrize(
    "each, answer",
    [
        ("02.1", lambda n, t, size: size * (n + 5 * t)),
        ("02.1", lambda n, t, size: size * (3 * n + 2 * t)),
        ("02.2", lambda shapes, r: 3 * sum(r * (o + i) for o, i in shapes)),
        ("02.2", lambda shapes, r: sum(r * (o + i) + r for o, i in shapes)),
        ("02.3", lambda w, t, frozen, again: 2 * w * t * (5 - frozen + again)),
        ("02.3", lambda w, t, frozen, again: 2 * w * (3 - frozen + again)),
        ("02.4", lambda three, four, depth: (three + (four - three) * (depth - 7)).max()),
        ("02.4", lambda three, four, depth: (three + (four - three) * (depth - 3)).min()),
        ("02.5", lambda flops, steps, peak, share, price: flops * steps / (peak * share) / 1800 * price),
    ],
)
def test_another_wrong_answer_gets_no_message_that_is_not_its_own(each, answer):
    assert line(each, answer) == GENERAL


def test_the_general_message_of_a_peak_shows_both_numbers():
    verdict = judge(find("02.4"), lambda three, four, depth: (three + four).min())
    assert verdict.lines[0] == GENERAL and "Yours is 12; expected 60." in verdict.lines[1]
