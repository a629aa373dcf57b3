"""The map of the course, and how far the learner is on it."""

from dataclasses import asdict, dataclass

from labkit.lab.checking.form import known_ids
from labkit.lab.content import course_map
from labkit.lab.learner_record import PASSED, Attempts, Record, read_record


@dataclass(frozen=True)
class Notebook:
    """One notebook of the course.

    Args:
        number: ``"03"``.
        title: a few words, as in the notebook's heading.
        minutes: of reading, running and exercises together; None while it's still to come.
        shows: what it shows, in a line that gives no prediction's answer away.
        core: whether it's on the core path.
        evening: minutes that the evening route takes in it, which leaves out what's optional; 0 if it isn't on it.
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
    lines = [f"     {'notebook':<{width}}  minutes  evening  exercises passed"]
    for notebook in course_map():
        passed = [record.exercises.get(id, Attempts()).state == PASSED for id in ids if id[:2] == notebook.number]
        minutes = "to come" if notebook.minutes is None else str(notebook.minutes)
        dots = f"{'●' * sum(passed)}{'○' * passed.count(False)}  {sum(passed)} of {len(passed)}" if passed else ""
        star = "★" if notebook.core else " "
        evening = notebook.evening or ("–" if notebook.minutes else "")
        lines.append(f"{star} {notebook.number} {notebook.title:<{width}}  {minutes:>7}  {evening:>7}  {dots}".rstrip())
    done = sum(record.exercises.get(id, Attempts()).state == PASSED for id in ids)
    route = [notebook for notebook in course_map() if notebook.evening]
    evening, whole = sum(notebook.evening for notebook in route), sum(notebook.minutes for notebook in route)
    routes = f"★ is the core path. {route[0].number} to {route[-1].number} take {whole} minutes, or {evening} in an "
    routes += "evening that leaves out what's optional."
    return "\n".join([*lines, "", routes, f"You've passed {done} of {len(ids)} exercises."])


def map_data(record: Record, ids: list[str]) -> list[dict]:
    """The map as data: each notebook's fields, and ``exercises``, by id what :class:`Attempts` holds but the text."""
    return [
        asdict(notebook)
        | {"exercises": {id: _state(record.exercises.get(id)) for id in ids if id[:2] == notebook.number}}
        for notebook in course_map()
    ]


def _state(attempts: Attempts | None) -> dict:
    fields = asdict(attempts or Attempts())
    del fields["source"]  # the learner's own
    return fields
