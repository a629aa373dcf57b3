"""Figures of evidence: what's drawn is what was measured."""

import pytest
from matplotlib import pyplot as plt

from labkit.evaluation.scoring import Score
from labkit.lab.diagrams import evidence


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_rows_hold_their_series_which_look_the_same_in_all_of_them():
    rows = {"first": {"a": Score(5, 1, 9), "b": Score(6, 5, 7)}, "second": {"b": Score(2, 1, 3)}}
    figure = evidence.grouped("t", "right (%)", rows, at=0)
    [ax] = figure.axes
    dots = [line for line in ax.get_lines() if line.get_marker() not in ("", "None")]
    assert sorted(line.get_xdata()[0] for line in dots) == [2, 5, 6]
    of_b = [line for line in dots if line.get_xdata()[0] in (6, 2)]
    assert of_b[0].get_color() == of_b[1].get_color() != dots[0].get_color()
    bars = [tuple(line.get_xdata()) for line in ax.get_lines() if line.get_linestyle() == "-"]
    assert set(bars) == {(1, 9), (5, 7), (1, 3)}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["first", "second"] and ax.yaxis.get_inverted()


def test_one_series_needs_no_legend():
    assert not evidence.grouped("t", "x", {"one": {"a": Score(1, 0, 2)}}).legends


def test_a_bargain_has_a_mark_for_each_choice_and_a_line_for_what_there_was():
    panels = {
        "sql": {"nothing": (Score(90, 80, 95), Score(5, 0, 10)), "replay": (Score(88, 80, 95), Score(50, 40, 60))}
    }
    figure = evidence.bargains(panels, {"sql": 60.0}, "task (%)", "everyday (%)")
    [ax] = figure.axes
    points = [container[0].get_xydata()[0].tolist() for container in ax.containers]
    assert points == [[90, 5], [88, 50]] and ax.get_title("left") == "sql"
    assert 60.0 in [line.get_ydata()[0] for line in ax.get_lines()]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["nothing", "replay"]
