"""Everyday questions: the check knows right from wrong, and no question gives its answer away."""

import json
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit.lab.experiments.everyday import EVERYDAY, OR, in_form_of, score
from labkit.tasks.glosses import CATEGORIES
from studies.forgetting import other_rows

QUESTIONS, OTHERS = (list(EVERYDAY.rows(split)) for split in ("test", "train"))
FORMS = ("sql", "glosses", "tickets")


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("A spider has eight legs.", 1),
        ("8", 1),
        ("EIGHT!", 1),
        ("It has 18 legs.", 0),
        ("eighteen", 0),
        ("SELECT legs FROM spiders", 0),
        ("", 0),
    ],
)
def test_a_right_answer_has_one_of_the_words(answer, right):
    assert score(answer, {"completion": "8 | eight"}) == {"right": right}


def test_signs_and_spaces_of_an_answer_are_its_own():
    assert score("The formula is H₂O.", {"completion": "H2O | H₂O"})["right"]
    assert score("in South America, mostly", {"completion": "South America"})["right"]
    assert not score("in America, to the South", {"completion": "South America"})["right"]
    assert not score("a+b", {"completion": "a.b"})["right"]


@pytest.mark.parametrize("row", QUESTIONS, ids=lambda row: row["prompt"])
def test_no_question_gives_its_answer_away_and_no_answer_is_of_a_tasks_form(row):
    assert not score(row["prompt"], row)["right"]
    for answer in row["completion"].split(OR):
        assert score(f"I think it's {answer}.", row)["right"]
        assert not any(in_form_of(task, answer) for task in FORMS)


def test_there_are_as_many_as_is_said_and_all_are_different():
    assert (len(QUESTIONS), len(OTHERS)) == (48, 24)
    prompts = [row["prompt"].lower() for row in QUESTIONS + OTHERS]
    assert len(set(prompts)) == 72
    assert not any(one in other or other in one for one, other in combinations(prompts, 2))


def test_what_a_form_is():
    for task, own in {
        "sql": "SELECT name FROM cats",
        "glosses": " animal\n",
        "tickets": '{"order": "A-1"}',
    }.items():
        assert [name for name in FORMS if in_form_of(name, own)] == [task]
    for answer in ("Paris", "Select a city: Paris.", "animals", "an animal", "[1]", "{", "5", ""):
        assert not any(in_form_of(task, answer) for task in FORMS)


@pytest.mark.parametrize("task", FORMS)
def test_every_answer_of_a_task_is_of_its_form(task):
    rows = labkit.load_task(task).rows("test")
    assert all(in_form_of(task, answer) for answer in rows["completion"])


@given(st.text(max_size=30))
def test_a_category_is_the_whole_answer(text):
    assert in_form_of("glosses", text) == (text.strip() in CATEGORIES)


def test_no_such_task_has_a_form():
    with pytest.raises(KeyError):
        in_form_of("voice", "Ahoy.")


# ---- the other rows


def test_the_other_rows_are_the_requests_with_whole_sentences_that_are_of_no_form():
    assert tuple(row["prompt"] for row in OTHERS) == other_rows.REQUESTS
    for row in OTHERS:
        assert row["system"] == EVERYDAY.system and row["completion"] == other_rows.whole_sentences(row["completion"])
        assert len(row["completion"].split()) > 3 and not any(in_form_of(task, row["completion"]) for task in FORMS)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("It rains. Then the sun shines on", "It rains."),
        ('She said "no." And', 'She said "no."'),
        ("Do this: 1. Wash it! 2. Dry", "Do this: 1. Wash it!"),
        ("Version 2.5 is here", "Version 2.5 is here"),
        ("One. Two? Three!", "One. Two? Three!"),
    ],
)
def test_an_answer_ends_with_its_last_whole_sentence(answer, kept):
    assert other_rows.whole_sentences(answer) == kept


@pytest.mark.slow
def test_the_other_rows_are_what_the_base_says():
    """A word may differ on another processor: most of the answers must be the same."""
    again = other_rows.rows()
    assert sum(one["completion"] == row["completion"] for one, row in zip(again, OTHERS)) >= 20


def test_the_file_comes_back_as_it_was_written():
    lines = EVERYDAY.files["train"].read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["completion"] for line in lines] == [row["completion"] for row in OTHERS]
