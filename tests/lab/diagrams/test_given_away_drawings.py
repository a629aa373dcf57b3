"""What an adapter gives away, in pictures: what's drawn is what was measured."""

import pytest
import torch
from matplotlib import pyplot as plt

from labkit.forensics.membership import roc
from labkit.forensics.traces import ModuleUpdate
from labkit.lab.diagrams import given_away as drawings


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_an_update_is_in_its_block_and_kind_and_the_largest_is_ringed():
    updates = [
        ModuleUpdate("model.layers.1.self_attn.v_proj", 0.05),
        ModuleUpdate("model.layers.0.mlp.down_proj", 0.02),
    ]
    figure = drawings.update_maps({"sql": updates, "clauses": updates[1:]})
    first, second = figure.axes
    values = first.get_images()[0].get_array()
    assert values.shape == (7, 2) and values[2, 1] == 5 and values[6, 0] == 2 and values.mask[0, 0]
    assert [line.get_xydata()[0].tolist() for line in first.get_lines()] == [[1, 2]]
    assert first.get_title(loc="left") == "sql: darkest is 5.0 % of W" and "2.0 %" in second.get_title(loc="left")


def test_a_push_that_names_a_task_is_framed():
    table = {"sql": {"sql": 3.0, "voice": -0.5}, "voice": {"sql": 0.1, "voice": 0.4}}
    ax = drawings.pushes(table, least=2.75)
    frames = [(round(each.get_x() + 0.46), round(each.get_y() + 0.42)) for each in ax.patches]
    assert frames == [(0, 0)] and [text.get_text() for text in ax.texts] == ["3.0", "-0.5", "0.1", "0.4"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["sql", "voice"]


def test_a_curve_begins_before_the_first_step():
    ax = drawings.by_look({"Edda": [0.5, 3.0, 8.0], "Bea": [0.4, 0.4, 0.5]}, most=8)
    most, edda, bea = ax.get_lines()
    assert edda.get_xydata().tolist() == [[0, 0.5], [1, 3], [2, 8]] and bea.get_label() == "Bea"
    assert set(most.get_ydata()) == {8}


def test_each_customer_is_a_circle_that_is_filled_where_the_address_comes_out():
    canaries = [
        {"rows": 0, "exposure": 1.0, "greedy": False},
        {"rows": 32, "exposure": 16.0, "greedy": True},
        {"rows": 32, "exposure": 12.0, "greedy": False},
    ]
    lines = {line.get_label(): line for line in drawings.exposure_by_rows(canaries, most=16, chance=1.44).get_lines()}
    assert lines["mean"].get_ydata().tolist() == [1, 14] and set(lines["chance"].get_ydata()) == {1.44}
    assert lines["its likeliest answer gives it away"].get_ydata().tolist() == [16]
    assert sorted(lines["it doesn't"].get_ydata()) == [1, 12]
    assert {round(x) for x in lines["it doesn't"].get_xdata()} == {0, 1}
    hidden = drawings.exposure_by_rows(canaries[:1], most=16, chance=1.44)
    assert "its likeliest answer gives it away" not in {line.get_label() for line in hidden.get_lines()}


def test_a_roc_curve_is_in_percent_beside_a_coin():
    ax = drawings.roc_curves({"few rows": roc([2.0, 1.0], [0.0])}, false_alarms=0.05)
    curve, coin, line = ax.get_lines()
    assert curve.get_xydata().tolist() == [[0, 0], [0, 50], [0, 100], [100, 100]]
    assert coin.get_xydata().tolist() == [[0, 0], [100, 100]] and set(line.get_xdata()) == {5}
    assert torch.tensor(curve.get_ydata()).diff().min() >= 0
