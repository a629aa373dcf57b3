"""Figures of choices: what's drawn is what was measured."""

import pytest
from matplotlib import pyplot as plt

from labkit.evaluation.scoring import Score
from labkit.lab.diagrams import choosing
from labkit.lab.diagrams.choosing import Panel


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def curves(ax):
    """What lies on the axes by label, rings and crosses aside."""
    found = zip(*ax.get_legend_handles_labels())
    return {label: dict(zip(*handle.get_data())) for handle, label in found}


def test_a_valley_shows_each_finished_rate_rings_the_best_and_crosses_the_broken():
    tried = {1e-2: None, 1e-3: 0.5, 1e-4: 2.0}
    [ax] = choosing.valleys({"sql": {"LoRA": tried}}).axes
    assert curves(ax) == {"LoRA": {1e-4: 2.0, 1e-3: 0.5}} and ax.get_xscale() == "log"
    _, ring, cross = ax.get_lines()
    assert (ring.get_marker(), *ring.get_xydata()[0]) == ("o", 1e-3, 0.5)
    assert (cross.get_marker(), cross.get_xdata()[0]) == ("x", 1e-2)


def test_panels_share_their_axis_their_looks_and_one_legend():
    figure = choosing.valleys({"a": {"x": {1: 1.0}, "y": {1: 2.0}}, "b": {"y": {1: 3.0}}})
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim() and first.get_legend() is None
    assert first.get_lines()[3].get_color() == second.get_lines()[0].get_color() != first.get_lines()[0].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y"]


@pytest.mark.parametrize(("losses", "scale"), [([1.0, 2.9], "linear"), ([1.0, 3.1], "log")])
def test_losses_that_differ_by_more_than_a_few_times_get_a_logarithmic_axis(losses, scale):
    assert choosing.valleys({"a": {"x": dict(enumerate(losses, 1))}}).axes[0].get_yscale() == scale
    figure = choosing.over_steps({"x": dict(enumerate(losses))}, "title", "loss")
    assert figure.axes[0].get_yscale() == scale and curves(figure.axes[0])["x"] == dict(enumerate(losses))


def test_a_score_is_drawn_with_its_interval_and_a_number_without():
    panel = Panel("right", "right (%)", {"scores": {8: Score(50, 40, 70)}, "numbers": {8: 3.0}}, {"base": 10.0})
    [ax] = choosing.by_number([panel], "rank").axes
    (scores, numbers), [tick] = ax.containers, ax.get_xticks()
    assert tick == 8 and "base" in ax.get_legend_handles_labels()[1]
    [[low, high]] = scores[2][0].get_segments()
    assert (scores[0].get_ydata()[0], low[1], high[1]) == (50, 40, 70)
    [[low, high]] = numbers[2][0].get_segments()
    assert low[1] == high[1] == 3


def test_tasks_have_losses_of_their_own_and_choices_of_one_task_share_them():
    panels = {"sql": {"x": {1: 0.1, 2: None}}, "glosses": {"x": {1: 2.0, 2: 9.0}}}
    first, second = choosing.valleys(panels, shared=False).axes
    assert first.get_ylim() != second.get_ylim() and (first.get_yscale(), second.get_yscale()) == ("linear", "log")


def test_only_curves_with_intervals_are_moved_apart_and_a_diagonal_is_where_both_are_the_same():
    panel = Panel("kept", "bits", {"r = 1": {1: 0.5, 2: 0.5}, "r = 8": {1: 1.0, 2: 1.5}}, diagonal="all of it")
    [ax] = choosing.by_number([panel], "given").axes
    found = {line.get_label(): line for line in ax.get_lines()}
    assert list(found["all of it"].get_xdata()) == list(found["all of it"].get_ydata()) == [1, 2]
    assert [list(container[0].get_xdata()) for container in ax.containers] == [[1, 2], [1, 2]]
    scores = {label: {8: Score(50, 40, 70)} for label in ("a", "b")}
    [ax] = choosing.by_number([Panel("right", "%", scores)], "rank").axes
    one, other = (container[0].get_xdata()[0] for container in ax.containers)
    assert one == 8 < other < 9


def test_intervals_stand_in_rows_from_the_top_beside_a_line():
    [ax] = choosing.intervals("t", "x", {"first": Score(1, 0, 2), "second": Score(-1, -3, 1)}, at=0).axes
    bar, dot, *_, line = ax.get_lines()
    assert (list(bar.get_xdata()), dot.get_xdata()[0], set(line.get_xdata())) == ([0, 2], 1, {0})
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["first", "second"] and ax.yaxis.get_inverted()


def test_on_one_scale_each_group_has_a_look_and_a_line_in_the_legend():
    [ax] = choosing.on_one_scale("t", "bits", {"need": {"a": 10, "b": 20}, "room": {"c": 1e6}}).axes
    assert [line.get_xdata()[0] for line in ax.get_lines()] == [10, 20, 1e6] and ax.get_xscale() == "log"
    a, b, c = (line.get_marker() for line in ax.get_lines())
    assert a == b != c and ax.get_legend_handles_labels()[1] == ["need", "room"]


def test_the_three_rules_agree_at_rank_eight_and_differ_elsewhere():
    [ax] = choosing.scales([1, 8, 64]).axes
    fixed, rslora, twice = (list(line.get_ydata()) for line in ax.get_lines())
    assert fixed == [16, 2, 0.25] and twice == [2, 2, 2]
    assert rslora == pytest.approx([2 * 8**0.5, 2, 2 / 8**0.5])
