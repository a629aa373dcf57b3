import contextlib
import io
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit import predict, reveal, show_surprises, surprises
from labkit.errors import ConfigError
from labkit.lab import predictions
from labkit.lab.learner_record import Prediction, note_measured, read_record, record_path
from labkit.lab.predictions import comparison, note_on_choice

QUESTION, OPTIONS = "Which of the two has a gradient?", ["only A", "only B", "both"]


@pytest.fixture(autouse=True)
def new_session():
    predictions._asked.clear()


def box(id="door"):
    """The widgets as a learner has them in front of them: question, buttons, note."""
    return predictions._prediction_box(id, QUESTION, tuple(OPTIONS)).children


def test_a_plain_run_shows_question_and_options_and_records_nothing(capsys):
    assert predict(QUESTION, OPTIONS) is None
    reveal(QUESTION, "only B")
    assert capsys.readouterr().out == (
        "Your prediction: Which of the two has a gradient?\n  ○ only A\n  ○ only B\n  ○ both\n"
        "Measured: only B. (You made no prediction.)\n"
    )
    assert not record_path().exists()


def test_a_press_is_recorded_and_revealed(capsys):
    predict(QUESTION, OPTIONS, id="door")
    capsys.readouterr()
    question, buttons, note = box()
    assert buttons.value is None and QUESTION in question.value
    buttons.value = "both"
    assert note.value.startswith("Noted") and read_record().predictions == {"door": Prediction(QUESTION, "both")}
    reveal("door", "only B")
    assert capsys.readouterr().out == "You said: both. Measured: only B. A surprise.\n"
    assert read_record().predictions == {"door": Prediction(QUESTION, "both", "only B")}


def test_the_next_kernel_shows_the_earlier_choice_and_after_the_measurement_keeps_it():
    box()[1].value = "both"
    assert box()[1].value == "both"
    note_measured("door", "only B")
    question, buttons, note = box()
    buttons.value = "only B"
    assert "before it stays: both" in note.value and read_record().predictions["door"].said == "both"


def test_an_option_of_an_older_course_presses_no_button():
    box()[1].value = "both"
    assert predictions._prediction_box("door", QUESTION, ("yes", "no")).children[1].value is None


def test_code_and_special_characters_are_shown_as_they_are():
    question, buttons, note = predictions._prediction_box("x", "Is `a < b`?", ("`a < b`", "no")).children
    assert "<code>a &lt; b</code>" in question.value
    assert buttons.options[0] == ("a < b", "`a < b`")


def test_where_nothing_can_be_saved_the_learner_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "file"))
    question, buttons, note = box()
    buttons.value = "both"
    assert "couldn't be saved" in note.value
    assert note_on_choice("both", None) == note.value


def test_a_prediction_that_came_true():
    assert comparison("both", "both") == "You said: both. Measured: both. As you expected."


@pytest.mark.parametrize("options", [[], ["one"], ["a", "a"], ["a", ""], ["a", 1]])
def test_options_that_are_no_choice_are_refused(options):
    with pytest.raises(ConfigError, match="at least two options"):
        predict("Which?", options)


def test_a_measurement_that_was_no_option_is_refused():
    predict(QUESTION, OPTIONS, id="door")
    with pytest.raises(ConfigError, match="'neither' is not one of its options"):
        reveal("door", "neither")


def test_surprises_are_the_measured_predictions_that_did_not_come_true():
    answers = [Prediction("p?", "a", "b"), Prediction("q?", "a", "a"), Prediction("not yet?", "a")]
    assert surprises(answers) == [
        "You made 2 predictions, and 1 came true.",
        "What surprised you:",
        "  p?",
        "    you said: a · measured: b",
    ]
    assert surprises(answers[1:]) == ["You made 1 prediction, and it came true."]
    assert surprises(answers[:1])[0] == "You made 1 prediction, and it didn't come true."
    assert surprises(answers[2:]) == surprises([]) == ["No prediction of yours has been measured yet."]


def test_the_page_is_made_from_the_record(capsys):
    box()[1].value = "both"
    reveal("door", "only B")
    show_surprises()
    assert QUESTION in capsys.readouterr().out


# options with ranges

THREE = {"less": (None, 0.01), "some": (0.01, 0.1), "more": (0.1, None)}


@pytest.mark.parametrize(
    "number, option", [(0, "less"), (-5.0, "less"), (0.01, "some"), (0.0999, "some"), (0.1, "more"), (1e9, "more")]
)
def test_a_number_finds_its_option(number, option, capsys):
    predict("How much?", THREE, id="share")
    reveal("share", number)
    reveal("share", np.float64(number))
    reveal("share", torch.tensor(number, dtype=torch.float64))
    reveal("share", option)
    assert capsys.readouterr().out.count(f"Measured: {option}. ") == 4


@st.composite
def ranges(draw):
    """Options whose ranges touch or leave gaps, in any order."""
    limits = sorted(draw(st.lists(st.floats(-1e9, 1e9), min_size=4, max_size=8, unique=True)))
    pairs = list(itertools.pairwise(limits))[:: draw(st.integers(1, 2))]
    if draw(st.booleans()):
        pairs[0] = (None, pairs[0][1])
    if draw(st.booleans()):
        pairs[-1] = (pairs[-1][0], None)
    return {f"option {i}": pair for i, pair in draw(st.permutations(list(enumerate(pairs))))}


@given(ranges(), st.floats(-2e9, 2e9) | st.just(math.inf) | st.just(-math.inf) | st.just(math.nan), st.data())
def test_any_number_falls_into_exactly_one_range_or_is_refused(options, number, data):
    number = data.draw(st.sampled_from([number, *(limit for pair in options.values() for limit in pair if limit)]))
    holding = [
        option
        for option, (low, high) in options.items()
        if math.isfinite(number) and (low is None or low <= number) and (high is None or number < high)
    ]
    assert len(holding) <= 1
    if len(options) < 2:
        return
    predictions._asked.clear()
    with contextlib.redirect_stdout(io.StringIO()) as out:
        predict("Where?", options, id="place")
        if holding:
            reveal("place", number)
            assert out.getvalue().endswith(f"Measured: {holding[0]}. (You made no prediction.)\n")
        else:
            with pytest.raises(ConfigError):
                reveal("place", number)


@pytest.mark.parametrize(
    "options",
    [
        {"a": (None, 2), "b": (1, None)},
        {"a": (0, 1), "b": (1, 1)},
        {"a": (2, 1), "b": (3, 4)},
        {"a": (None, None), "b": (1, 2)},
        {"a": (0, 1), "b": (0, 1)},
        {"a": (0, 1), "b": (math.nan, 2)},
    ],
)
def test_ranges_that_overlap_or_hold_nothing_are_refused(options):
    with pytest.raises(ConfigError, match="its ranges overlap, or one of them is empty"):
        predict("Which?", options)


@pytest.mark.parametrize("range_", [(1,), (1, 2, 3), 1, "ab", ("a", "b"), None])
def test_what_is_no_range_is_refused(range_):
    with pytest.raises(ConfigError, match="a range is a pair of numbers or None"):
        predict("Which?", {"a": range_, "b": (5, 6)})


@pytest.mark.parametrize("measured", ["a lot", None, [0.5], math.inf, math.nan])
def test_what_is_no_number_has_no_range(measured):
    predict("How much?", THREE, id="share")
    with pytest.raises(ConfigError, match="share"):
        reveal("share", measured)


def test_the_record_holds_the_option_and_not_the_number(capsys):
    predict("How much?", THREE, id="share")
    predictions._prediction_box("share", "How much?", tuple(THREE)).children[1].value = "more"
    reveal("share", 0.02)
    assert read_record().predictions == {"share": Prediction("How much?", "more", "some")}
    assert capsys.readouterr().out.endswith("You said: more. Measured: some. A surprise.\n")


def test_a_stored_or_simulated_answer_says_so(capsys):
    predict("Which card?", {"24 GB": (None, 24), "80 GB": (24, None)}, id="99.card")
    capsys.readouterr()
    reveal("99.card", 60, simulated=True)
    reveal("99.card", 20, stored=True)
    assert capsys.readouterr().out.splitlines() == [
        "Simulated: 80 GB. (You made no prediction.)",
        "Stored: 24 GB. (You made no prediction.)",
    ]
