import json
import os
import stat
import subprocess
import sys
from datetime import date

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from labkit.lab import learner_record
from labkit.lab.checking import check
from labkit.lab.learner_record import (
    Attempts,
    Prediction,
    QuizAnswer,
    Record,
    note_measured,
    note_prediction,
    note_quiz_answer,
    note_try,
    read_record,
    record_path,
    update_record,
)


@pytest.fixture(autouse=True)
def nothing_said_yet():
    learner_record._said.clear()


def test_a_fresh_learner_has_an_empty_record_and_no_file(capsys):
    assert read_record() == Record()
    assert not record_path().exists() and not capsys.readouterr().out


def test_tries_are_counted_up_to_the_first_right_answer():
    for passed in (False, False, True, False, True):
        assert note_try("03.1", passed)
    assert read_record().exercises == {"03.1": Attempts("passed", 3, date.today().isoformat())}


def test_a_prediction_may_change_until_it_is_measured():
    note_prediction("door", "Which one?", "A")
    note_prediction("door", "Which one?", "B")
    assert note_measured("door", "A")
    note_prediction("door", "Which one?", "A")
    assert read_record().predictions == {"door": Prediction("Which one?", "B", "A")}


def test_nobody_is_given_a_prediction_they_did_not_make():
    note_measured("door", "A")
    assert read_record().predictions == {}


def test_the_latest_quiz_answer_counts():
    note_quiz_answer("03", "Why?", "because", False)
    note_quiz_answer("03", "Why?", "α/√r", True)
    assert read_record().quizzes == {"03": {"Why?": QuizAnswer("α/√r", True)}}


@given(
    st.dictionaries(st.text(), st.builds(Attempts, st.sampled_from(["tried", "passed"]), st.integers(0, 99))),
    st.dictionaries(st.text(), st.builds(Prediction, st.text(), st.text(), st.none() | st.text())),
    st.dictionaries(st.text(), st.dictionaries(st.text(), st.builds(QuizAnswer, st.text(), st.booleans()))),
)
def test_round_trip(exercises, predictions, quizzes):
    def change(stored):
        stored.exercises, stored.predictions, stored.quizzes = exercises, predictions, quizzes

    assert update_record(change)
    assert read_record() == Record(exercises, predictions, quizzes)


GOOD = {"version": 2, "exercises": {}, "predictions": {}, "quizzes": {}}
DAMAGED = {
    "cut off": b'{"version": 2, "exercises": {"03.',
    "empty": b"",
    "not text": b"\xff\xfe\x00",
    "nested without end": b"[" * 100_000,
    "not an object": b"[1, 2]",
    "a part is missing": b'{"version": 2}',
    "of another version": json.dumps(GOOD | {"version": 3}).encode(),
    "exercises are a list": json.dumps(GOOD | {"exercises": ["03.1"]}).encode(),
    "an unknown state": json.dumps(GOOD | {"exercises": {"03.1": {"state": "won", "tries": 1}}}).encode(),
    "tries are text": json.dumps(GOOD | {"exercises": {"03.1": {"state": "tried", "tries": "1"}}}).encode(),
    "an unknown field": json.dumps(GOOD | {"exercises": {"03.1": {"score": 1}}}).encode(),
    "a prediction says nothing": json.dumps(GOOD | {"predictions": {"x": {"question": "?", "said": None}}}).encode(),
    "a quiz answer is a number": json.dumps(GOOD | {"quizzes": {"03": {"?": 1}}}).encode(),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_kept_aside_and_said_so_in_one_line(content, capsys):
    record_path().parent.mkdir(parents=True)
    record_path().write_bytes(content)
    assert read_record() == Record()
    said = capsys.readouterr().out
    aside = record_path().with_name("progress.damaged-1.json")
    assert said.count("\n") == 1 and str(aside) in said and aside.read_bytes() == content

    note_try("03.1", True)
    assert read_record().exercises["03.1"].state == "passed"
    record_path().write_bytes(content + b" ")
    note_try("03.2", False)
    assert list(read_record().exercises) == ["03.2"]
    assert aside.read_bytes() == content, "a second accident does not overwrite what the first one left"
    assert record_path().with_name("progress.damaged-2.json").read_bytes() == content + b" "


def test_a_folder_that_cannot_be_written_is_mentioned_once(tmp_path, monkeypatch, capsys):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    monkeypatch.setenv("LABKIT_DATA", str(in_the_way))
    for _ in range(3):
        assert note_try("03.1", True) is False
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and said.startswith("Your progress can't be saved in")
    assert read_record() == Record()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_can_still_be_read(capsys):
    note_try("03.1", True)
    folder = record_path().parent
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert note_try("03.2", True) is False
        assert list(read_record().exercises) == ["03.1"]
        assert capsys.readouterr().out.count("\n") == 1
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_kernel_that_hangs_with_the_lock_does_not_hang_this_one(monkeypatch, capsys):
    monkeypatch.setattr(learner_record, "_LOCK_SECONDS", 0.05)
    note_try("03.1", False)
    with FileLock(record_path().with_suffix(".lock")):
        assert note_try("03.1", True) is False
    assert "can't be saved" in capsys.readouterr().out
    assert note_try("03.1", True) is True


def test_kernels_do_not_lose_each_others_entries():
    program = (
        "import sys; from labkit.lab.learner_record import note_try\n"
        "for i in range(20): note_try(f'{sys.argv[1]}.{i}', True)"
    )
    kernels = [subprocess.Popen([sys.executable, "-c", program, str(kernel)]) for kernel in range(4)]
    assert [kernel.wait(timeout=120) for kernel in kernels] == [0] * 4
    assert len(read_record().exercises) == 80
    assert sorted(path.name for path in record_path().parent.iterdir() if path.suffix != ".lock") == ["progress.json"]


def test_check_records_what_it_judged(capsys):
    check("00.1")
    check("00.1", lambda trained, total: ...)
    check("00.999", 1)
    check("00.1", lambda trained, total: trained / total, record=False)
    assert read_record().exercises == {}, "not attempted, not an exercise, or not the learner's own"
    check("00.1", lambda trained, total: total / trained)
    assert read_record().exercises == {"00.1": Attempts("tried", 1)}
    check("00.1", lambda trained, total: trained / total)
    assert read_record().exercises["00.1"].state == "passed" and read_record().exercises["00.1"].tries == 2
    assert "✔ 00.1" in capsys.readouterr().out


def test_check_answers_where_nothing_can_be_saved(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_DATA", "/dev/null/labkit" if os.name == "posix" else str(tmp_path / "a:b"))
    for _ in range(2):
        check("00.1", lambda trained, total: trained / total)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("✔ 00.1")]) == 2
    assert len([line for line in lines if "can't be saved" in line]) == 1


def test_of_an_older_record_all_is_kept_but_exercises_that_mean_others_now():
    entry = {"state": "passed", "tries": 1, "passed_on": "2026-11-22"}
    said = {"question": "How many?", "said": "one", "measured": None}
    old = GOOD | {"version": 1, "exercises": {"03.1": entry, "07.1": entry}, "predictions": {"03.x": said}}
    record_path().parent.mkdir(parents=True, exist_ok=True)
    record_path().write_text(json.dumps(old), encoding="utf-8")
    assert set(read_record().exercises) == {"07.1"} and set(read_record().predictions) == {"03.x"}
    note_try("03.1", False)
    assert read_record().exercises == {"07.1": Attempts(**entry), "03.1": Attempts("tried", 1)}
