"""The drawings of notebook 10 show what they were given, inside their frames, in letters one can read."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from readable import no_two_labels_meet, texts_are_large_enough_and_inside

from labkit.lab.diagrams.swapping import ROUTERS, on_the_way, routers, shades, what_lies_where

SIZES = {"tickets": 1_100_000, "sql": 1_500_000, "voice": 2_500_000, "clauses": 2_500_000}
RUNS = [
    {"weights": {"sql": 1 - share, "voice": share}, "task": task, "metric": "score", "mean": share, "low": 0, "high": 1}
    for share in (1.0, 0.0, 0.5)
    for task in ("sql", "voice")
]
OTHERS = [RUNS[0] | {"weights": {"sql": 1.0, "voice": 1.0}}, RUNS[0] | {"weights": {"sql": 0.5, "clauses": 0.5}}]


@pytest.fixture(params=["what lies where", "shades", "on the way", "routers"])
def figure(request):
    drawn = {
        "what lies where": lambda: what_lies_where(538_060_032, SIZES),
        "shades": lambda: shades([[0, 51.2], [100, 3]], ["a", "b"], ["c", "d"], "A title", xlabel="x", ylabel="y"),
        "routers": lambda: routers(dict.fromkeys(ROUTERS, RUNS[4]), 0.25),
        "on the way": lambda: on_the_way(RUNS + OTHERS, "sql", "voice"),
    }[request.param]()
    drawn = drawn if isinstance(drawn, Figure) else drawn.figure
    drawn.canvas.draw()
    yield drawn
    plt.close(drawn)


def test_texts_are_large_enough_and_inside_the_figure(figure):
    texts_are_large_enough_and_inside(figure)


def test_no_two_labels_meet(figure):
    no_two_labels_meet(figure)


def test_every_adapter_is_drawn_with_its_size():
    words = [text.get_text() for text in what_lies_where(538_060_032, SIZES).axes[0].texts]
    assert "base\n538 MB" in words and "tickets\n1.1 MB" in words
    for name in SIZES:
        assert sum(name in text.split("\n") for text in words) == 3, "on disk, in memory and in the batch"


def test_the_way_goes_from_the_first_to_the_second_then_both_in_full_and_leaves_other_blends_out():
    ax = on_the_way(RUNS + OTHERS, "sql", "voice")
    lines = [container.lines[0] for container in ax.containers]
    for line in lines[::2]:
        assert line.get_xdata().tolist() == [0, 0.5, 1] and line.get_ydata().tolist() == [0, 50, 100]
    assert [line.get_ydata().tolist() for line in lines[1::2]] == [[100], []], "OTHERS has both at 1 for sql only"
