"""The drawings of notebook 09: every word on the page, and what's drawn is what was measured."""

import itertools

import matplotlib.pyplot as plt
import pytest
import torch

from labkit.lab.diagrams import merging
from labkit.quant.codebooks import nf4_codebook

SCORE = {"mean": 0.9, "low": 0.8, "high": 0.95}
DRAWN = {
    "apart and merged": merging.apart_and_merged,
    "on the grid": lambda: merging.on_the_grid(torch.arange(9) / 8, [(1, 0.3), (4, 0.7), (7, -0.4)], "eighths"),
    "past a power of two": merging.past_a_power_of_two,
    "updates": lambda: merging.update_sizes({"coarse": torch.rand(99) / 99, "fine": torch.rand(99)}),
    "ways": merging.ways_into_four_bits,
    "staircase": merging.staircase,
    "tickets of seeds": lambda: merging.right_tickets({"on one": {"kept\nseeds: 3": SCORE}}),
    "tickets": lambda: merging.right_tickets({"on one": {"kept": SCORE}, "on two": {"kept": SCORE, "lost": SCORE}}),
}


@pytest.mark.parametrize("name", DRAWN)
def test_words_are_readable_apart_and_on_the_page(name):
    figure = DRAWN[name]()
    figure.canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    placed = [text.get_window_extent() for text in texts]
    assert all(text.get_fontsize() >= 9 for text in texts)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(placed, 2))
    assert all(figure.bbox.x0 <= at.x0 and at.x1 <= figure.bbox.x1 and at.y0 >= 0 for at in placed)
    assert figure.get_figwidth() == 7
    plt.close(figure)


def test_a_weight_stays_or_moves_a_whole_step():
    figure = DRAWN["on the grid"]()
    said = [text.get_text() for text in figure.axes[0].texts if text.get_text()]
    plt.close(figure)
    assert said == ["+0.3 steps:\nit stays", "+0.7 steps:\nit moves a whole step", "−0.4 steps:\nit stays"]


def test_the_staircase_has_nf4s_steps():
    figure = merging.staircase()
    stairs, straight = figure.axes[0].get_lines()
    plt.close(figure)
    assert sorted(set(stairs.get_ydata())) == pytest.approx(nf4_codebook("cpu").tolist())
    assert list(straight.get_ydata()) == list(straight.get_xdata())


def test_each_way_has_its_mean_and_its_interval():
    figure = DRAWN["tickets"]()
    [ax] = figure.axes
    spans, means = ax.get_lines()[::2], ax.get_lines()[1::2]
    plt.close(figure)
    assert [list(span.get_xdata()) for span in spans] == [[80, 95]] * 3
    assert [line.get_xdata()[0] for line in means] == [90] * 3
    assert len({line.get_marker() for line in means}) == 2 and len(ax.get_legend().get_texts()) == 2
