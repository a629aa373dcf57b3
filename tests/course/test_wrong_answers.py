"""No wrong answer that somebody thought of passes, and the common ones are recognised by name."""

import pytest
from wrong_answers import Wrong, summary, wrong_answers

from labkit.lab.checking.form import find
from labkit.lab.checking.judging import RIGHT, WRONG

ANSWERS = wrong_answers()


@pytest.mark.parametrize("each", ANSWERS, ids=str)
def test_a_wrong_answer_is_wrong_and_known_where_it_should_be(each):
    verdict = each.verdict()
    assert verdict.mark == WRONG, verdict.lines
    assert each.recognised() or not each.named, f"no known mistake: {' '.join(verdict.lines)}"


def test_each_is_given_once_and_with_what_was_thought():
    assert len({(each.exercise, each.text) for each in ANSWERS}) == len(ANSWERS)
    assert all(each.thought and find(each.exercise) for each in ANSWERS)


def test_a_text_is_an_expression_or_a_definition():
    assert Wrong("00.1", "lambda trained, total: trained / total", "").verdict().mark == RIGHT
    assert Wrong("00.1", "def any_name(a, b):\n    return a / b\n", "").verdict().mark == RIGHT
    assert Wrong("00.1", "half = 2\nmine = lambda a, b: a / half", "").verdict().mark == WRONG


def test_the_summary_counts_what_is_recognised_and_shows_what_is_not():
    known = Wrong("00.1", "lambda trained, total: total / trained", "upside down")
    unknown = Wrong("00.1", "lambda trained, total: trained / total + 7", "seven more")
    first, shown, last = summary([known, unknown]).splitlines()
    assert first == "00.1     1 of   2 recognised" and last == "all      1 of   2 recognised, 50%"
    assert "seven more: Your answer isn't right yet. Yours is" in shown
