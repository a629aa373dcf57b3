"""The drawings of notebook 12 show what they were given, inside their frames, in letters one can read."""

import math

import matplotlib.pyplot as plt
import pytest
import torch
from readable import no_two_labels_meet, texts_are_large_enough_and_inside

from labkit.evaluation.scoring import Score
from labkit.lab.diagrams import court, family
from labkit.lab.experiments.court_study import NAMES, Standing

TASKS = ("sql", "glosses")
LOSSES = {method: {rate: 0.1 + abs(math.log10(rate) + 3) for rate in (1e-4, 1e-3, 1e-2)} for method in NAMES}


def standing(method, right=0.7, forgetting=0.05, verdict="can't tell", predicted="can't tell"):
    gain = None if method == "lora" else Score(right - 0.7, right - 0.75, right - 0.65)
    return Standing(
        method, 10_000, 1e-3, right, forgetting, (forgetting, forgetting), 0.01, 3, gain, verdict, predicted, 0
    )


FOUND = {task: {method: standing(method) for method in NAMES} for task in TASKS}


@pytest.fixture(params=["where", "row", "first steps", "singular values", "losses", "right", "verdicts"])
def figure(request):
    S = torch.linspace(9, 1, 30)
    drawn = {
        "where": family.where_they_train,
        "row": lambda: family.length_and_direction(*torch.tensor([[1.2, 0.5], [1.5, 1.5], [0.9, 0.9]])),
        "first steps": lambda: family.first_steps([1, 4], {"α/r": [1, 0.5]}, {"α/r": [1, 1]}),
        "singular values": lambda: family.singular_values({"a layer": S, "noise": S}, {"a layer": 5.0, "noise": 3.0}),
        "losses": lambda: court.losses_by_rate(dict.fromkeys(TASKS, LOSSES)),
        "right": lambda: court.right_against_forgetting(FOUND, dict.fromkeys(TASKS, 0.05)),
        "verdicts": lambda: court.verdicts(FOUND),
    }[request.param]()
    drawn.canvas.draw()
    yield drawn
    plt.close(drawn)


def test_texts_are_large_enough_and_inside_the_figure(figure):
    texts_are_large_enough_and_inside(figure)


def test_no_two_labels_meet(figure):
    no_two_labels_meet(figure)


def test_every_method_has_its_place_in_the_drawing():
    words = " ".join(text.get_text() for text in family.where_they_train().axes[0].texts)
    assert all(name in words for name in NAMES.values())


def test_a_ring_is_at_each_best_rate_and_a_cross_where_training_broke_off():
    losses = LOSSES | {"dora": {1e-3: 0.3, 1e-2: math.inf}}
    ax = court.losses_by_rate({"sql": losses}).axes[0]
    rings = [line for line in ax.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in rings] == [-3.0] * len(NAMES)
    [cross] = [line for line in ax.lines if line.get_marker() == "x"]
    assert cross.get_xdata()[0] == -2.0 and cross.get_ydata()[0] == list(losses).index("dora")


def test_what_came_out_otherwise_is_empty():
    surprise = standing("dora", 0.9, verdict="better")
    expected = standing("full", 0.9, verdict="better", predicted="better")
    found = FOUND["sql"] | {"dora": surprise, "full": expected}
    ax = court.verdicts({"sql": found}).axes[0]
    marks = [line for line in ax.lines if line.get_marker() == "^" and len(line.get_xdata())]
    assert [line.get_markerfacecolor() == "white" for line in marks] == [False, True], "full, then DoRA"
    assert [line.get_xdata()[0] for line in marks] == pytest.approx([20, 20])
