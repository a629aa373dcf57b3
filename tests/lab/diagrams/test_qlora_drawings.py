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


def test_each_seed_has_its_points_and_the_mean_lies_in_its_interval():
    figure = qlora.by_seed([0.9, 0.8, 0.7], [0.87, 0.8, 0.76], (-2, 4))
    left, right = figure.axes
    assert [list(line.get_xdata()) for line in left.lines] == [[90, 80, 70], [87, 80, 76]]
    _, points, interval, mean = right.lines
    assert list(points.get_xdata()) == pytest.approx([-3, 0, 6])
    assert list(interval.get_xdata()) == [-2, 4] and mean.get_xdata()[0] == pytest.approx(1)


def test_a_step_is_lost_where_the_marks_are_far_apart():
    figure = qlora.rulers([0.02, 0.005], 2e-5)
    assert [word for word in words(figure) if word.startswith("near")] == [
        "near 0.02: the step is lost",
        "near 0.005: it moves",
    ]
    wide, narrow = ([x for x in ax.lines[1].get_xdata()] for ax in figure.axes)
    assert wide[31] - wide[30] == 2**-13 and narrow[31] - narrow[30] == 2**-15


def test_each_format_has_its_perplexity():
    figure = qlora.surprise({"float32": 14.9, "NF4": 19})
    assert list(figure.axes[0].lines[1].get_xdata()) == [14.9, 19]


def test_an_answer_is_wrapped_and_a_very_long_one_is_cut():
    right = '{"so": 1}'
    text, note = words(qlora.answers(["Hello"], ["so " * 50], [right]))
    first, *lines = text.splitlines()
    assert first == "Hello" and lines[0].startswith("  → so") and max(map(len, lines)) <= 92
    assert text.count("so") == 50 and note.split() == ["✗", "expected", "so:", "1"]
    text, _ = words(qlora.answers(["Hello"], ["so " * 500], [right]))
    assert len(text.split("\n\n")[0].splitlines()) == 4 and "[...]" in text


def test_a_line_of_json_breaks_at_a_comma_and_what_is_wrong_is_named_below_it():
    answer = '{"name":"Mira","order":"B31","product":"R7","date":"2026-09-25","amount":2371,"priority":"high"}'
    [text] = words(qlora.answers(["Hello"], [answer], [answer.replace(":", ": ")]))
    assert text.splitlines()[1:3] == ["  → " + answer[:78], "    " + answer[78:]]
    text, note = words(qlora.answers(["Hi", "Hello"], [answer] * 2, [answer, answer.replace("-25", "-05")]))
    assert note.splitlines()[-1] == "  ✗ expected date: 2026-09-05"
    assert text.splitlines()[len(note.splitlines()) - 1] == ""
