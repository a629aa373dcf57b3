"""Titles, and what each notebook shows, have one place: README, notebook 00 and every heading say the same."""

import re
from pathlib import Path

import nbformat
import pytest

from labkit.course import COURSE

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}


def lines_of_tables(text: str) -> list[str]:
    return re.findall(r"^\| .*\d\d .* \|$", text, re.MULTILINE)


def test_the_readme_lists_the_course():
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## The notebooks")[1].split("## ")[0]
    named = [f"{each.number} {each.title}{' ★' if each.core else ''}" for each in COURSE]
    named = [name if each.minutes else f"({name})" for name, each in zip(named, COURSE)]
    assert lines_of_tables(text) == [f"| {name} | {each.shows} |" for name, each in zip(named, COURSE)]


def test_notebook_00_lists_the_course():
    cells = nbformat.read(NOTEBOOKS["00"], as_version=4).cells
    [text] = [cell.source for cell in cells if "| notebook | what it shows |" in cell.source]
    wanted = ["| **00 Start here** | you are here |"]
    for each in COURSE[1:]:
        name = f"{each.number} {each.title}"
        link = f"[{name}]({NOTEBOOKS[each.number].name})" if each.minutes else f"{name}, to come"
        wanted.append(f"| {link} | {each.shows} |")
    assert lines_of_tables(text) == wanted


@pytest.mark.parametrize("each", [each for each in COURSE if each.minutes], ids=lambda each: each.number)
def test_a_notebook_has_its_title(each):
    heading = nbformat.read(NOTEBOOKS[each.number], as_version=4).cells[0].source.splitlines()[0]
    assert heading == f"# {int(each.number)} · {each.title}"
