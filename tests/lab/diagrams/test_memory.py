"""The drawings of notebook 02 say what the ledgers say."""

import io

import matplotlib.pyplot as plt
import pytest
import torch

from labkit.errors import ConfigError
from labkit.lab.diagrams.memory import (
    SHOWN,
    four_kinds,
    gradient_and_adam,
    memory_through_a_step,
    peaks_and_cards,
)
from labkit.simulation.ledger import PHASES, StepCost
from labkit.simulation.tally import KINDS, Section

GB = 10**9


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def ledger(**sizes):
    return dict.fromkeys(KINDS, 0) | {kind: size * GB for kind, size in sizes.items()}


def cost(**sizes):
    phases = {phase: ledger(weights=1) for phase in PHASES} | {"step": ledger(**sizes)}
    return StepCost(phases, {"context": GB}, {}, 1, 2, 3, 4)


def bytes_of(figure):
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getbuffer().nbytes


def test_each_bar_is_as_long_as_its_step_s_peak():
    costs = {"one": cost(weights=16, gradients=16, optimizer=32, workspace=2), "other": cost(weights=16, adapters=1)}
    ax = peaks_and_cards(costs, ["3060", "3090"], "title").axes[0]
    ends = {bar.get_y(): 0.0 for bar in ax.patches}
    for bar in ax.patches:
        ends[bar.get_y()] = max(ends[bar.get_y()], bar.get_x() + bar.get_width())
    assert list(ends.values()) == pytest.approx([each.peak / GB for each in costs.values()])
    words = [text.get_text() for text in ax.texts if text.get_text()]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one\n67.0 GB", "other\n18.0 GB"]
    assert words.count("weights") == 2 and "adapters" not in words, "what's wide enough has its name in it"
    assert "24 GB\ncard:\n25.8" in words


def test_a_card_s_line_stands_at_its_memory():
    ax = peaks_and_cards({"one": cost(weights=20)}, ["3060", "3090"], "title").axes[0]
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([12 * 2**30 / GB, 24 * 2**30 / GB])
    with pytest.raises(ConfigError, match="no card is known"):
        peaks_and_cards({"one": cost(weights=20)}, ["abacus"], "title")


def test_the_areas_of_a_step_add_up_at_every_moment():
    made = {"loaded": "adapters", "forward": "activations", "backward": "gradients", "step": "temporaries"}
    sections = [
        Section((phase, "all"), ledger(weights=2, **{kind: i})) for i, (phase, kind) in enumerate(made.items(), 1)
    ]
    ax = memory_through_a_step({"one": sections}).axes[0]
    areas = ax.collections
    assert len(areas) == len(SHOWN)
    highest = max(vertex[1] for area in areas for vertex in area.get_paths()[0].vertices)
    assert highest == pytest.approx(6) and ax.get_ylim()[1] > highest
    assert [text.get_text() for text in ax.texts] == ["forward", "backward", "update"]


def test_drawings_are_small_and_the_same_each_time():
    state = torch.get_rng_state()
    for draw in (four_kinds, gradient_and_adam):
        assert bytes_of(draw()) == bytes_of(draw()) < 80_000
    assert torch.equal(torch.get_rng_state(), state)
