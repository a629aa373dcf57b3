import re

import pytest

from labkit import Question, quiz
from labkit.errors import ConfigError
from labkit.lab import content, quizzes
from labkit.lab.learner_record import QuizAnswer, read_record, record_path
from labkit.lab.quizzes import feedback, quiz_html, quiz_text

IDS = content.notebooks()
WHY = Question("Is `a < b`?", {"`yes`": "it is", "no": "you read it backwards"}, right="a")
HOW = Question("How?", {"so": "not so", "thus": "thus, & not so"}, right="b")


def test_each_option_gets_its_own_reason():
    assert feedback(WHY, "`yes`") == "✔ it is"
    assert feedback(WHY, "no") == "✗ you read it backwards"


def test_the_text_holds_every_option_and_no_answer():
    assert quiz_text([WHY, HOW]) == "1. Is `a < b`?\n   a) `yes`\n   b) no\n\n2. How?\n   a) so\n   b) thus"


def test_the_page_hides_each_answer_behind_a_line_and_escapes_what_is_not_markup():
    page = quiz_html([WHY, HOW])
    assert page.count("<details><summary>Answer</summary>") == page.count("</details>") == 2
    assert "<code>a &lt; b</code>" in page and "<p>b) thus<br>thus, &amp; not so</p>" in page
    assert "backwards" not in page and not re.search(r"\bid=|<script", page)


def test_a_plain_run_shows_the_questions_and_records_nothing(capsys):
    assert quiz("mine", [WHY]) is None
    assert capsys.readouterr().out == quiz_text([WHY]) + "\n"
    assert not record_path().exists()


def test_an_answer_gets_its_reason_at_once_and_is_recorded():
    first, second = quizzes._quiz_box("03", [WHY, HOW]).children
    question, buttons, reason = second.children
    assert buttons.value is None and reason.value == ""
    buttons.value = "so"
    assert reason.value == "✗ not so" and read_record().quizzes == {"03": {"How?": QuizAnswer("so", False)}}
    buttons.value = "thus"
    assert reason.value == "✔ thus, &amp; not so"
    assert read_record().quizzes == {"03": {"How?": QuizAnswer("thus", True)}}

    again = quizzes._quiz_box("03", [WHY, HOW]).children
    assert [one.children[1].value for one in again] == [None, "thus"], "the next kernel shows what was answered"
    assert again[1].children[2].value == reason.value


@pytest.mark.parametrize("id", IDS)
def test_a_quiz_of_the_course_can_be_asked_whole(id, capsys):
    quiz(id)
    questions = quizzes._questions(id)
    assert len({question.text for question in questions}) == len(questions), "each question is asked once"
    assert len(questions) >= 3, "three questions or more"
    for question in questions:
        reasons = [feedback(question, option) for option in question.options]
        assert len(set(reasons)) == len(reasons) and sum(reason.startswith("✔") for reason in reasons) == 1
    assert len({question.right for question in questions}) > 1, "the right answer does not always stand in one place"


def test_a_number_of_two_digits_will_do(capsys):
    quiz("10")
    asked = capsys.readouterr().out
    quiz(10)
    assert capsys.readouterr().out == asked


@pytest.mark.parametrize(
    "text, options, right, message",
    [
        ("Why?", {"a": "x"}, "a", "two options"),
        ("Why?", {"a": "x", "b": ""}, "a", "each with its reason"),
        ("", {"a": "x", "b": "y"}, "a", "needs a text"),
        ("Why?", {"a": "x", "b": "y"}, "c", "right is one of a, b, got 'c'"),
        ("Why?", {"yes": "x", "no": "y"}, "yes", "right is one of a, b"),
        ("Why?", {"yes": "x", "no": "y"}, "", "right is one of a, b"),
    ],
)
def test_an_incomplete_question_is_refused(text, options, right, message):
    with pytest.raises(ConfigError, match=message):
        Question(text, options, right)


@pytest.mark.parametrize("id", ["99", "nonsense", "../03", "", "3", 3, None])
def test_an_unknown_quiz_is_refused(id):
    with pytest.raises(ConfigError, match="there is no quiz .* in two digits"):
        quiz(id)
    with pytest.raises(ConfigError, match="has no questions"):
        quiz(id, [])
