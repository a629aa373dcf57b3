import json
from pathlib import Path

import pytest

import labkit
from labkit.cli import main
from labkit.course import COURSE
from labkit.lab.checking.form import find, known_ids
from labkit.lab.learner_record import Attempts, Record, note_try
from labkit.lab.progress_map import map_data, map_text

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
IDS = ["00.1", "03.1", "03.2", "04.1"]


def row(text, number):
    return next(line for line in text.splitlines() if line[2:4] == number)


def test_a_fresh_learner_has_passed_nothing():
    text = map_text(Record(), IDS)
    assert row(text, "03") == "★ 03 The LoRA layer, by hand             45       + 25       70  ○○  0 of 2"
    assert row(text, "06") == "  06 Data and evaluation            to come"
    assert text.endswith("\nYou've passed 0 of 4 exercises.")


def test_the_evening_route_leaves_out_what_is_optional_and_has_the_exercises_that_build():
    route = [notebook for notebook in COURSE if notebook.evening]
    assert [notebook.number for notebook in route] == ["00", "01", "02", "03", "04"]
    building = {"02": ["02.1"], "03": ["03.1", "03.2"], "04": ["04.1", "04.2"]}
    for notebook in route:
        built = sum(find(id).minutes for id in building.get(notebook.number, []))
        assert notebook.core and built < notebook.evening <= notebook.minutes + built


def test_the_minutes_under_the_map_add_up():
    ids, route = known_ids(), [notebook for notebook in COURSE if notebook.evening]
    whole = sum(notebook.minutes for notebook in route)
    exercises = sum(find(id).minutes for id in ids if id < "05")
    text = map_text(Record(), ids)
    assert f"00 to 04 take {whole} minutes, and {exercises} more with all exercises" in text
    assert f"The evening route takes {sum(notebook.evening for notebook in route)}:" in text
    assert row(text, "07").split()[-5] == "–", "not on that route"


def test_what_was_passed_shows_and_what_was_tried_does_not():
    learner = Record({"03.2": Attempts("passed", 2, "2026-01-05"), "03.1": Attempts("tried", 4)})
    text = map_text(learner, IDS)
    assert row(text, "03").endswith("●○  1 of 2") and row(text, "04").endswith("○  0 of 1")
    assert text.endswith("You've passed 1 of 4 exercises.")


def test_exercises_that_are_no_longer_there_do_not_count():
    learner = Record({"99.1": Attempts("passed", 1, "2026-01-05")})
    assert map_text(learner, IDS) == map_text(Record(), IDS)


def test_the_data_hold_every_exercise_once():
    data = map_data(Record({"03.2": Attempts("passed", 2, "2026-01-05", "def my_inject(): ...")}), IDS)
    assert [id for notebook in data for id in notebook["exercises"]] == IDS
    assert data[3]["exercises"]["03.2"] == {"state": "passed", "tries": 2, "passed_on": "2026-01-05"}


def test_the_notebook_and_the_terminal_print_the_same(capsys):
    labkit.progress()
    fresh = capsys.readouterr().out
    assert main(["progress"]) == 0 and capsys.readouterr().out == fresh
    note_try("00.1", passed=True)
    labkit.progress()
    moved = capsys.readouterr().out
    of = sum(id.startswith("00.") for id in known_ids())
    assert row(fresh, "00").endswith(f"{'○' * of}  0 of {of}")
    assert row(moved, "00").endswith(f"●{'○' * (of - 1)}  1 of {of}")
    assert main(["progress", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["exercises"]["00.1"]["state"] == "passed"


def test_every_exercise_of_the_course_has_its_place_on_the_map():
    timed = {notebook.number for notebook in COURSE if notebook.minutes}
    assert {id[:2] for id in known_ids()} <= timed, (
        "give COURSE in labkit/course/__init__.py the minutes of the new notebook"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_that_is_there_is_on_the_map_with_its_minutes(path):
    assert [notebook.minutes is not None for notebook in COURSE if notebook.number == path.name[:2]] == [True]
