"""Where the engine finds what the course asks: one folder for each notebook, imported when it is first asked for.

``labkit/course/nb03/`` holds the exercises and the quiz of notebook 03, and importing it registers both with
:mod:`labkit.lab`. So the engine knows no notebook by name. This is the one import that runs up the house, and the
test of the floors knows it.
"""

import importlib
import pkgutil
import re

_COURSE = "labkit.course"


def notebooks() -> list[str]:
    """The notebooks that have a folder, ``["00", "01", …]``."""
    course = importlib.import_module(_COURSE)
    names = (module.name for module in pkgutil.iter_modules(course.__path__) if module.ispkg)
    return sorted(name.removeprefix("nb") for name in names if re.fullmatch(r"nb\d\d", name))


def load(notebook: str) -> None:
    """Have the exercises and the quiz of `notebook`, ``"03"``, register themselves. Nothing happens if it has none."""
    if notebook in notebooks():
        importlib.import_module(f"{_COURSE}.nb{notebook}")


def course_map() -> tuple:
    """Every :class:`labkit.lab.progress_map.Notebook` of the course, in order, with those still to come."""
    return importlib.import_module(_COURSE).COURSE
