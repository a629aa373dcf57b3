"""Titles, and what each notebook shows, have one place: README, notebook 00 and every heading say the same."""

import re
from pathlib import Path

import nbformat
import pytest

from labkit.course import COURSE
from labkit.lab.checking.form import find, known_ids

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}


def lines_of_tables(text: str) -> list[str]:
    return re.findall(r"^\| .*\d\d .* \|$", text, re.MULTILINE)


def test_the_readme_lists_the_course():
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## The notebooks")[1].split("## ")[0]
    named = [f"{each.number} {each.title}{' ★' if each.core else ''}" for each in COURSE]
    named = [name if each.minutes else f"({name})" for name, each in zip(named, COURSE)]
    assert lines_of_tables(text) == [f"| {name} | {each.shows} |" for name, each in zip(named, COURSE)]


def test_the_readmes_minutes_are_those_of_the_map():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    route = {each.number: each for each in COURSE if each.evening}
    evening, short = (
        sum(each.evening for each in route.values() if each.number not in out) for out in ((), ("01", "02"))
    )
    whole = sum(each.minutes for each in route.values())
    exercises = sum(find(id).minutes for id in known_ids() if id[:2] in route)
    assert f"An evening** ({evening} minutes; {short} without 01 and 02)" in text
    assert f"Half a day** ({whole} minutes, and {exercises} more with all exercises)" in text


def test_notebook_00_leads_to_every_notebook():
    cells = nbformat.read(NOTEBOOKS["00"], as_version=4).cells
    [text] = [cell.source for cell in cells if "Open one: 00 · " in cell.source]
    there = [each.number for each in COURSE if each.minutes]
    assert re.findall(r"\[(\d\d)\]\(([\w.]+)\)", text) == [(number, NOTEBOOKS[number].name) for number in there[1:]]
    to_come = [each.number for each in COURSE if not each.minutes]
    verb = "is" if len(to_come) == 1 else "are"
    assert not to_come or f"({' and '.join(to_come)} {verb} still to come.)" in text


@pytest.mark.parametrize("each", [each for each in COURSE if each.minutes], ids=lambda each: each.number)
def test_a_notebook_has_its_title(each):
    heading = nbformat.read(NOTEBOOKS[each.number], as_version=4).cells[0].source.splitlines()[0]
    assert heading == f"# {int(each.number)} · {each.title}"
