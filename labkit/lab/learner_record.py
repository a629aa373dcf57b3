"""The learner's record: exercises, predictions and quiz answers, kept in the user's data folder as one JSON file.

Nothing here ever raises into a notebook: you can learn without saved progress. What went wrong is said in one line.
Several kernels may write at once, so every change is read, made and written under a lock.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path

from filelock import FileLock

from labkit.storage.paths import user_data_dir
from labkit.storage.writing import write_atomically

NOT_ATTEMPTED, TRIED, PASSED = "not attempted", "tried", "passed"
_VERSION = 2
# since version 1, these ids mean other exercises
_RENUMBERED = ("00.", "01.", "02.", "03.", "04.", "07.3", "08.1", "09.4", "10.1", "10.2", "10.3", "11.")
_LOCK_SECONDS = 5.0  # a change takes milliseconds; after this long, another process hangs


@dataclass(frozen=True)
class Attempts:
    """How it stands with one exercise.

    Args:
        state: "not attempted", "tried" or "passed". Once passed, it stays so.
        tries: answers judged, up to and with the first right one.
        passed_on: the day of the first right answer, as an ISO date.
        source: the latest right answer as typed, if it's a function or a class: what :func:`labkit.yours` goes on with.
    """

    state: str = NOT_ATTEMPTED
    tries: int = 0
    passed_on: str | None = None
    source: str | None = None

    def __post_init__(self):
        _require(self.state in (NOT_ATTEMPTED, TRIED, PASSED) and type(self.tries) is int)
        _require(self.passed_on is None or isinstance(self.passed_on, str))
        _require(self.source is None or isinstance(self.source, str))


@dataclass(frozen=True)
class Prediction:
    """What the learner said before an experiment, and, once it was revealed, what was measured."""

    question: str
    said: str
    measured: str | None = None

    def __post_init__(self):
        _require(isinstance(self.question, str) and isinstance(self.said, str))
        _require(self.measured is None or isinstance(self.measured, str))


@dataclass(frozen=True)
class QuizAnswer:
    """The learner's latest answer to a quiz question."""

    said: str
    right: bool

    def __post_init__(self):
        _require(isinstance(self.said, str) and isinstance(self.right, bool))


@dataclass
class Record:
    """Everything known about a learner.

    Args:
        exercises: by id, ``"03.1"``.
        predictions: by id.
        quizzes: by the quiz's id, then by question.
    """

    exercises: dict[str, Attempts] = field(default_factory=dict)
    predictions: dict[str, Prediction] = field(default_factory=dict)
    quizzes: dict[str, dict[str, QuizAnswer]] = field(default_factory=dict)


def record_path() -> Path:
    """Where the record is kept; :func:`labkit.storage.paths.user_data_dir` says how to move it."""
    return user_data_dir() / "progress.json"


def read_record() -> Record:
    """The learner's record; a new one if there is none yet, or if it can't be read (which is said)."""
    try:
        return _parsed(record_path().read_bytes())
    except FileNotFoundError:
        return Record()
    except OSError as error:
        _say_once(f"Your progress in {record_path()} can't be read ({error.strerror or error}). Everything else works.")
        return Record()
    except _Damaged:
        update_record(lambda record: None)
        return Record()


def update_record(change: Callable[[Record], None]) -> bool:
    """Read the record, let `change` alter it, and write it, with no other kernel in between.

    Returns:
        Whether it was saved. If not, a line has said why, once.
    """
    path = record_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_LOCK_SECONDS):
            try:
                record = _parsed(path.read_bytes())
            except FileNotFoundError:
                record = Record()
            except _Damaged:
                aside = _set_aside(path)
                print(f"Your progress couldn't be read. It's kept in {aside}, and a new record was started.")
                record = Record()
            change(record)
            write_atomically(path, json.dumps({"version": _VERSION, **asdict(record)}, indent=1) + "\n")
    except (OSError, NotImplementedError) as error:  # read-only, full, or a file system that has no locks
        reason = getattr(error, "strerror", None) or str(error)
        _say_once(f"Your progress can't be saved in {path.parent} ({reason}). Everything else works.")
        return False
    return True


def note_try(id: str, passed: bool, source: str | None = None) -> bool:
    """Record that an answer to exercise `id` was judged. After the first right one, only a new right text counts."""

    def change(record: Record) -> None:
        before = record.exercises.get(id, Attempts())
        if before.state == PASSED:
            if passed and source:
                record.exercises[id] = replace(before, source=source)
            return
        day = date.today().isoformat() if passed else None
        record.exercises[id] = Attempts(PASSED if passed else TRIED, before.tries + 1, day, source if passed else None)

    return update_record(change)


def note_prediction(id: str, question: str, said: str) -> bool:
    """Record what the learner expects. Once the measurement is revealed, what was said before it stays."""

    def change(record: Record) -> None:
        before = record.predictions.get(id)
        if before is None or before.measured is None:
            record.predictions[id] = Prediction(question, said)

    return update_record(change)


def note_measured(id: str, measured: str) -> bool:
    """Record what came out, beside the prediction `id` if there is one."""

    def change(record: Record) -> None:
        if id in record.predictions:
            before = record.predictions[id]
            record.predictions[id] = Prediction(before.question, before.said, measured)

    return update_record(change)


def note_quiz_answer(id: str, question: str, said: str, right: bool) -> bool:
    """Record the latest answer to a question of quiz `id`."""

    def change(record: Record) -> None:
        record.quizzes.setdefault(id, {})[question] = QuizAnswer(said, right)

    return update_record(change)


class _Damaged(Exception):
    """The file is not a record as this version writes it."""


def _require(holds: bool) -> None:
    if not holds:
        raise TypeError("not an entry of a learner's record")


def _parsed(content: bytes) -> Record:
    try:
        stored = json.loads(content)
        version = stored.pop("version")
        _require(version in (1, _VERSION))
        if version == 1:
            stored["exercises"] = {id: e for id, e in stored["exercises"].items() if not id.startswith(_RENUMBERED)}
        return Record(
            exercises={id: Attempts(**entry) for id, entry in stored.pop("exercises").items()},
            predictions={id: Prediction(**entry) for id, entry in stored.pop("predictions").items()},
            quizzes={
                id: {question: QuizAnswer(**entry) for question, entry in answers.items()}
                for id, answers in stored.pop("quizzes").items()
            },
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _Damaged from error


def _set_aside(path: Path) -> Path:
    """Rename the damaged file to the first name that is free, so that a second accident overwrites nothing."""
    number = 1
    while (aside := path.with_suffix(f".damaged-{number}.json")).exists():
        number += 1
    return path.rename(aside)


_said: set[str] = set()


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        print(line)
