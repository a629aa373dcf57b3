"""What a stranger gets: the package with its stub and its types, the hooks, and the papers.

``python tests/test_package.py`` writes the stub anew.
"""

import ast
import importlib.util
import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import labkit

ROOT = Path(__file__).parents[1]
STUB = ROOT / "labkit" / "__init__.pyi"
TYPED = ROOT / "tests" / "public_names.py"
[HOOKS] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

# What can be any object: a tokenizer with transformers' methods, and whatever a cell measured or a learner answered
ANYTHING = {"tokenizer", "value", "equals", "answer"}


def expected_stub() -> str:
    """The front door as an editor can read it: what `labkit._HOME` says, as imports."""
    return "".join(sorted(f"from labkit.{home} import {name} as {name}\n" for name, home in labkit._MODULE_OF.items()))


def test_the_stub_has_every_public_name():
    message = "write it anew: .venv/bin/python tests/test_package.py"
    assert STUB.read_text(encoding="utf-8") == expected_stub(), message


@pytest.mark.slow
def test_a_built_package_is_whole_with_the_stub_and_the_mark_of_types(tmp_path):
    def files(folder: Path) -> set[str]:
        found = (path for path in folder.joinpath("labkit").rglob("*") if path.is_file())
        return {str(path.relative_to(folder)) for path in found if path.suffix != ".pyc"}

    shutil.copytree(ROOT / "labkit", tmp_path / "labkit")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    build = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "build_py", "--build-lib", "built"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    assert files(tmp_path / "built") == files(ROOT) >= {"labkit/__init__.pyi", "labkit/py.typed"}


def test_every_public_name_is_used_where_types_are_checked():
    nodes = list(ast.walk(ast.parse(TYPED.read_text(encoding="utf-8"))))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "labkit"}
    used |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(labkit.__all__) - used == set()


def mypy(*paths: Path) -> list[list[int]]:
    """The lines of each of `paths` that mypy objects to."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--output=json", *map(str, paths)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode in (0, 1) and not run.stderr, run.stderr
    problems = [found for found in map(json.loads, run.stdout.splitlines()) if found["severity"] == "error"]
    where = {(Path(ROOT, problem["file"]).resolve(), problem["line"]) for problem in problems}
    return [sorted(line for file, line in where if file == path.resolve()) for path in paths]


@pytest.mark.slow
def test_the_types_of_public_names_let_right_calls_pass_and_no_wrong_one():
    source = TYPED.read_text(encoding="utf-8")
    wrong = [number for number, line in enumerate(source.splitlines(), start=1) if "# type: ignore[" in line]
    # Always the same file: of one it knows by its content, mypy's cache tells the problems under the old path
    unmarked = ROOT / "build" / "unmarked.py"
    unmarked.parent.mkdir(exist_ok=True)
    unmarked.write_text(re.sub(r"  # type: ignore\[.*", "", source), encoding="utf-8")
    assert mypy(TYPED, unmarked) == [[], wrong]


@pytest.mark.parametrize("name", labkit.__all__)
def test_a_public_name_says_what_it_takes_and_gives(name):
    value = getattr(labkit, name)
    if isinstance(value, type) and issubclass(value, Exception):
        return
    signature = inspect.signature(value)
    untold = [p.name for p in signature.parameters.values() if p.annotation is p.empty and p.kind != p.VAR_KEYWORD]
    assert set(untold) <= ANYTHING
    assert isinstance(value, type) or signature.return_annotation is not signature.empty


@pytest.mark.parametrize("hook", HOOKS["hooks"], ids=lambda hook: hook["id"])
def test_a_hook_names_what_is_there(hook):
    program, *arguments = hook["entry"].split()
    assert hook["language"] == "system" and program.startswith(".venv/bin/"), "no network: the course's own tools"
    assert [name for name in arguments if "/" in name and not (ROOT / name.split("::")[0]).exists()] == []


def test_the_papers_know_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.findall(r"^## (\d\S*)", CHANGELOG, re.MULTILINE)[0]
    assert citation["version"] == newest == VERSION


def moved() -> list[tuple[str, list[str]]]:
    """The changelog's table of what has moved since the last version: an old module, and the new ones."""
    unreleased = re.search(r"^## Unreleased\n(.*?)^## ", CHANGELOG, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`labkit.*?) \| (.*) \|$", unreleased[1] if unreleased else "", re.MULTILINE)
    return [(old, re.findall(r"`(labkit[\w.]*)`", new)) for left, new in rows for old in re.findall(r"`(.*?)`", left)]


def test_the_changelog_says_where_a_module_went():
    for old, new in moved():
        assert new and all(importlib.util.find_spec(name) for name in new), f"{old}: {new}"


if __name__ == "__main__":
    STUB.write_text(expected_stub(), encoding="utf-8")
