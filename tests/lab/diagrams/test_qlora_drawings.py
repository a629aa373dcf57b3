"""The drawings of notebook 08 show what they're given."""

import matplotlib.pyplot as plt
import pytest

from labkit.lab.diagrams import qlora


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def words(figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts] + [text.get_text() for text in figure.texts]


def test_four_bits_have_an_eighth_of_the_area():
    figure = qlora.lora_beside_qlora()
    squares = {round(box.get_width(), 3) for box in figure.axes[0].patches if hasattr(box, "get_width")}
    assert min(squares) ** 2 * 8 == pytest.approx(max(squares) ** 2, rel=0.01)
    assert "4 bits\nper weight" in words(figure)


def test_the_bars_are_as_long_as_the_bytes_and_say_their_sum():
    rows = {"dense": {"a": 4e9, "b": 1e9}, "small": {"a": 0.5e9, "b": 1e9}}
    figure = qlora.stacked_bytes("Memory", rows)
    assert sorted(bar.get_width() for bar in figure.axes[0].patches) == [0.5, 1, 1, 4]
    assert words(figure) == ["≈5.0 GB", "≈1.5 GB"]


def test_each_seed_has_its_point_and_the_mean_lies_in_its_interval():
    figure = qlora.by_seed([-3, 0, 6], (-2, 4))
    _, points, interval, mean = figure.axes[0].lines
    assert list(points.get_xdata()) == [-3, 0, 6]
    assert list(interval.get_xdata()) == [-2, 4] and mean.get_xdata()[0] == 1


def test_each_format_has_its_perplexity():
    figure = qlora.surprise({"float32": 14.9, "NF4": 19})
    assert list(figure.axes[0].lines[1].get_xdata()) == [14.9, 19]


def test_an_answer_is_wrapped_and_a_very_long_one_is_cut():
    [text] = words(qlora.answers(["Hello"], ["so " * 50]))
    first, *lines = text.splitlines()
    assert first == "Hello" and lines[0].startswith("  → so") and max(map(len, lines)) <= 96
    assert text.count("so") == 50
    [text] = words(qlora.answers(["Hello"], ["so " * 500]))
    assert len(text.splitlines()) == 4 and "[...]" in text
