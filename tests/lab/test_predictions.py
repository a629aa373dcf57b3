import pytest

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
    assert "is kept: both" in note.value and read_record().predictions["door"].said == "both"


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
    assert "could not be saved" in note.value
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
    assert surprises(answers[:1])[0] == "You made 1 prediction, and it did not come true."
    assert surprises(answers[2:]) == surprises([]) == ["No prediction of yours has been measured yet."]


def test_the_page_is_made_from_the_record(capsys):
    box()[1].value = "both"
    reveal("door", "only B")
    show_surprises()
    assert QUESTION in capsys.readouterr().out
