"""No test is lost between the lanes of the Makefile."""

import re
from pathlib import Path

import pytest
from conftest import EVERY_TEST, LANES

from benchmarks.on_a_gpu.checks import MARK, marked_files

ROOT = Path(__file__).parents[1]
BROWSER = ROOT / "tests" / "browser"  # in a lane of its own, `make test-browser`


def targets() -> dict[str, str]:
    """Target -> what its recipe hands to pytest with -m."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = r'^([\w-]+): setup\n\t.*\$\(UNITS\) -m "?([^"\n]*?)"?(?: -.*)?$'
    assert re.search(r"^test-gpu: setup\n\t.*-m benchmarks\.on_a_gpu$", text, re.MULTILINE)
    return {**dict(re.findall(recipe, text, re.MULTILINE)), "test-gpu": MARK}  # which calls pytest by itself


def runs(target: str, marks: set[str]) -> bool:
    """Whether `target` has a test with `marks`. pytest's expressions are Python's."""
    return eval(targets()[target], {name: name in marks for name in LANES | {"hypothesis"}})


def test_every_test_is_in_one_lane_and_every_lane_is_run(request):
    collected, on_a_gpu = request.config.stash[EVERY_TEST], marked_files()
    assert request.node.nodeid in collected
    for test, marks in collected.items():
        assert len(marks) <= 1, f"{test} is marked {' and '.join(sorted(marks))}: one lane is enough"
        assert "gpu" not in marks or ROOT / test.split("::")[0] in on_a_gpu
    for marks in (set(), *({lane} for lane in LANES)):
        assert runs("test-units", marks) != runs("test-long", marks), f"every test is in one of the two: {marks}"
        assert runs("check", marks) == (not marks), "the quick lane has what no mark takes out"
        assert runs("test-gpu", marks) == ("gpu" in marks)
    assert runs("test-long", {"hypothesis"}), "there with all their examples"


def test_every_test_is_in_a_file_that_pytest_collects():
    for file in (ROOT / "tests").rglob("*.py"):
        if re.search(r"^(async )?def test_|^class Test", file.read_text(encoding="utf-8"), re.MULTILINE):
            # one that needs a process of its own is run by a neighbor, which names it
            neighbors = [other.read_text(encoding="utf-8") for other in file.parent.glob("test_*.py")]
            run = file.name.startswith("test_") or any(f'"{file.name}"' in text for text in neighbors)
            assert run, f"pytest does not look into {file.relative_to(ROOT)}"


def test_every_file_with_tests_was_collected(request):
    """Of the folders and files that this run was asked for."""
    asked = [(ROOT / argument.split("::")[0]).resolve() for argument in request.config.args if "::" not in argument]
    collected = {ROOT / test.split("::")[0] for test in request.config.stash[EVERY_TEST]}
    for file in (ROOT / "tests").rglob("test_*.py"):
        if BROWSER not in file.parents and any(file == path or path in file.parents for path in asked):
            assert file in collected, f"{file.relative_to(ROOT)} has no test"


@pytest.mark.parametrize("lane", sorted(LANES))
def test_a_lane_is_explained_in_one_sentence(lane, request):
    [text] = [line for line in request.config.getini("markers") if line.startswith(f"{lane}: ")]
    assert text.endswith(".") and text.count(".") == 1
