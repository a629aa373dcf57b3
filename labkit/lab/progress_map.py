"""The map of the course, and how far the learner is on it."""

from dataclasses import asdict, dataclass

from labkit.lab.checking.form import find, known_ids
from labkit.lab.content import course_map
from labkit.lab.learner_record import PASSED, Attempts, Record, read_record


@dataclass(frozen=True)
class Notebook:
    """One notebook of the course.

    Args:
        number: ``"03"``.
        title: a few words, as in the notebook's heading.
        minutes: of reading and running; the exercises say their own. None while it's still to come.
        shows: what it shows, in a line that gives no prediction's answer away.
        core: whether it's on the core path.
        evening: minutes that the evening route takes in it, with the exercises that build what the next cells use, and
            without what's optional; 0 if it isn't on it.
    """

    number: str
    title: str
    minutes: int | None
    shows: str = ""
    core: bool = False
    evening: int = 0


def progress() -> None:
    """Print the map of the course: each notebook, its minutes, and how many of its exercises you've passed.

    ``check`` keeps the count. ``labkit progress`` prints the same in a terminal.
    """
    print(map_text(read_record(), known_ids()))


def map_text(record: Record, ids: list[str]) -> str:
    """The map as lines of text.

    Args:
        record: the learner's record.
        ids: the course's exercises, ``["00.1", "03.1", …]``.
    """
    width = max(len(notebook.title) for notebook in course_map())
    lines = [f"     {'notebook':<{width}}  minutes  exercises  evening  passed"]
    for notebook in course_map():
        passed = [_state_of(record, id) == PASSED for id in _ids_of(notebook, ids)]
        minutes = "to come" if notebook.minutes is None else str(notebook.minutes)
        exercises = f"+ {_exercise_minutes(notebook, ids)}" if passed else ""
        evening = notebook.evening or ("–" if notebook.minutes else "")
        dots = f"{'●' * sum(passed)}{'○' * passed.count(False)}  {sum(passed)} of {len(passed)}" if passed else ""
        star = "★" if notebook.core else " "
        columns = f"{minutes:>7}  {exercises:>9}  {evening:>7}  {dots}"
        lines.append(f"{star} {notebook.number} {notebook.title:<{width}}  {columns}".rstrip())
    done = sum(_state_of(record, id) == PASSED for id in ids)
    return "\n".join([*lines, "", _routes(ids), f"You've passed {done} of {len(ids)} exercises."])


def _routes(ids: list[str]) -> str:
    route = [notebook for notebook in course_map() if notebook.evening]
    whole, exercises = sum(each.minutes for each in route), sum(_exercise_minutes(each, ids) for each in route)
    evening = sum(each.evening for each in route)
    return "\n".join(
        [
            f"★ is the core path. {route[0].number} to {route[-1].number} take {whole} minutes, "
            f"and {exercises} more with all exercises.",
            f"The evening route takes {evening}: no optional sections, only the first part of 02,",
            "and only the exercises that build what comes next.",
        ]
    )


def _ids_of(notebook: Notebook, ids: list[str]) -> list[str]:
    return [id for id in ids if id[:2] == notebook.number]


def _exercise_minutes(notebook: Notebook, ids: list[str]) -> int:
    return sum(find(id).minutes for id in _ids_of(notebook, ids))


def _state_of(record: Record, id: str) -> str:
    return record.exercises.get(id, Attempts()).state


def map_data(record: Record, ids: list[str]) -> list[dict]:
    """The map as data: each notebook's fields, and ``exercises``, by id what :class:`Attempts` holds but the text."""
    return [
        asdict(notebook) | {"exercises": {id: _state(record.exercises.get(id)) for id in _ids_of(notebook, ids)}}
        for notebook in course_map()
    ]


def _state(attempts: Attempts | None) -> dict:
    fields = asdict(attempts or Attempts())
    del fields["source"]  # the learner's own
    return fields
