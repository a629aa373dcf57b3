"""The drawings of notebook 04 show what they were given, inside their frames, in letters one can read."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from readable import no_two_labels_meet, texts_are_large_enough_and_inside

from labkit.lab.diagrams.training import forgetting, walks

STUDY = json.loads((Path(__file__).parents[3] / "data/results/full_vs_lora.json").read_text())
PATHS = {"down": [(-4.0, 1.0), (-2.0, 0.5), (0.0, 0.0)], "away": [(-4.0, 1.0), (5.0, -3.0)]}


def bowl(w):
    return 0.1 * w[0] ** 2 + 2 * w[1] ** 2


@pytest.fixture(params=["walks", "forgetting"])
def figure(request):
    drawn = walks(bowl, PATHS) if request.param == "walks" else forgetting(STUDY["runs"], STUDY["base_perplexity"])
    drawn.canvas.draw()
    yield drawn
    plt.close(drawn)


def test_texts_are_large_enough_and_inside_the_figure(figure):
    texts_are_large_enough_and_inside(figure)


def test_no_two_labels_meet(figure):
    no_two_labels_meet(figure)


def test_every_walk_is_drawn_whole_in_its_own_frame():
    drawn = walks(bowl, PATHS)
    assert [ax.get_title(loc="left") for ax in drawn.axes] == list(PATHS)
    for ax, path in zip(drawn.axes, PATHS.values()):
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert list(zip(*ax.lines[0].get_data())) == path
        assert all(left < x < right and bottom < y < top for x, y in path)
    plt.close(drawn)


def test_every_run_is_a_point_beside_its_rate():
    drawn = forgetting(STUDY["runs"], STUDY["base_perplexity"])
    [ax] = drawn.axes
    points = sorted(tuple(point) for dots in ax.collections for point in dots.get_offsets().tolist())
    runs = sorted((run["validation"][-1]["loss"], run["perplexity"]) for run in STUDY["runs"])
    assert [pytest.approx(point) for point in points] == runs
    assert sorted(text.get_text() for text in ax.texts) == ["1e-3", "1e-4", "2e-3", "2e-5", "5e-4", "5e-5"]
    plt.close(drawn)
