"""Runs a study, however often it's interrupted: a grid of settings, one line per finished run, a tidy result.

Each finished run is appended at once to ``data/results/lines/<name>.jsonl``, with recipe, date, machine and versions.
Kill the study at any moment and start it again: it runs what is missing. When the grid is complete, the lines become
``data/results/<name>.json``, in the grid's order, whatever the order in which the runs finished.

A line counts once its newline is written; what a kill left behind the last newline is ignored, and cut off before the
next line is written. Lines of settings that have left the grid stay and are ignored; lines of another recipe are
refused. Several processes may run a study at once: each takes a run that no other has.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from labkit.storage.writing import alone_at
from studies.processes import Died, in_a_process
from studies.results import RESULTS, provenance, write_result

LOCKS = Path(__file__).parents[1] / "build" / "studies"


class StudyError(RuntimeError):
    """A study that can't go on; the message is one sentence for the person who started it."""


@dataclass(frozen=True)
class Study:
    """A grid of settings and what to measure for each.

    Attributes:
        name: of its files.
        recipe: what all runs share and their results depend on, as JSON.
        grid: one dict per run, as JSON, in the order of the result.
        run: from a setting to its result, as JSON.
        packages: whose versions count, besides those of torch and labkit.
        tidy: from the runs, each a setting and its result in one dict, to what the result says of them.
        apart: each run is a process of its own, with a memory of its own; `run` must then be a module's function.
        timed: seconds are compared between runs, so one machine has to make them all.
        folder: where the result is written, and the lines in ``lines/``.
    """

    name: str
    recipe: dict
    grid: list[dict]
    run: Callable[[dict], dict]
    packages: tuple[str, ...] = ("transformers",)
    tidy: Callable[[list[dict]], dict] = lambda runs: {"runs": runs}
    apart: bool = False
    timed: bool = False
    folder: Path = RESULTS

    @property
    def lines(self) -> Path:
        """The file of finished runs."""
        return self.folder / "lines" / f"{self.name}.jsonl"

    def finished(self) -> dict[str, dict]:
        """The stored line of each setting, by :func:`_key`; of two for the same setting, the first.

        Raises:
            StudyError: a line is damaged, or comes from another recipe.
        """
        *lines, _torn = self.lines.read_bytes().split(b"\n") if self.lines.exists() else [b""]
        found = {}
        for place, line in ((f"{self.lines}:{number}", line) for number, line in enumerate(lines, 1)):
            try:
                stored = json.loads(line)
                setting, recipe = _key(stored["setting"]), _key(stored["recipe"])
            except (ValueError, KeyError, TypeError):
                raise StudyError(f"{place} is damaged: remove the line, and its run is made again") from None
            if recipe != _key(self.recipe):
                raise StudyError(f"{place} has another recipe: restore that, or move the file away to begin again")
            found.setdefault(setting, stored)
        return found

    def missing(self) -> list[dict]:
        """The settings that are still to be run."""
        finished = self.finished()
        return [setting for setting in self.grid if _key(setting) not in finished]

    def complete(self, runs: float = math.inf, minutes: float = math.inf) -> list[dict]:
        """Run what is missing, at most `runs` and beginning nothing new after `minutes`; return what is missing then.

        As soon as nothing is, the result is written.

        Raises:
            StudyError: as for :meth:`finished`; or a run in a process of its own died.
        """
        end = time.monotonic() + 60 * minutes
        while runs > 0 and time.monotonic() < end and self.run_one():
            runs -= 1
        missing = self.missing()
        if not missing:
            write_result(self.name, self.result(), self.folder)
        return missing

    def run_one(self) -> bool:
        """Run the first that's missing and that no other process is running; whether there was one.

        Raises:
            StudyError: as for :meth:`complete`.
        """
        for setting in self.missing():
            with ExitStack() as held:
                try:
                    held.enter_context(alone_at(self._to_lock(_key(setting)), patience=0))
                except TimeoutError:  # another process has it
                    continue
                if _key(setting) in self.finished():  # it had it a moment ago
                    continue
                began = time.monotonic()
                result = self._run(setting)
                self._append(setting, result, round(time.monotonic() - began, 1))
                return True
        return False

    def result(self) -> dict:
        """What is written of a complete grid. It names all dates, machines and versions that its lines have.

        Raises:
            StudyError: as for :meth:`finished`; or seconds are compared, and come from several machines.
        """
        finished = self.finished()
        lines = [finished[_key(setting)] for setting in self.grid]
        machines = {line["machine"] for line in lines}
        if self.timed and len(machines) > 1:
            raise StudyError(
                f"{self.lines} has seconds from {_joined(machines)}, which can't be compared: move the file away, and "
                "run all of it on one machine"
            )
        seconds = [line["seconds"] for line in lines]
        packages = dict.fromkeys(name for line in lines for name in line["versions"])
        return {
            "recipe": self.recipe,
            "date": _joined(line["date"] for line in lines),
            "machine": _joined(machines),
            "versions": {name: _joined(line["versions"].get(name) for line in lines) for name in packages},
            "seconds": None if None in seconds else round(sum(seconds), 1),  # None: a line older than this runner
            **self.tidy([line["setting"] | line["result"] for line in lines]),
        }

    def _to_lock(self, what: str) -> Path:
        """What a process locks that is at `what`. Beside the file of lines, a kill would leave litter to commit."""
        LOCKS.mkdir(parents=True, exist_ok=True)
        return LOCKS / sha256(f"{self.lines.absolute()} {what}".encode()).hexdigest()[:12]

    def _run(self, setting: dict) -> dict:
        try:
            return in_a_process(self.run, setting) if self.apart else self.run(setting)
        except Died as death:
            raise StudyError(f"the run {setting} died with exit code {death}: start again to go on from it") from None

    def _append(self, setting: dict, result: dict, seconds: float) -> None:
        stored = {"setting": setting, "seconds": seconds, **provenance(*self.packages), "recipe": self.recipe}
        line = json.dumps(stored | {"result": result}).encode() + b"\n"
        self.lines.parent.mkdir(parents=True, exist_ok=True)
        self.lines.touch()
        with alone_at(self._to_lock("lines")), open(self.lines, "r+b") as file:
            file.truncate(file.seek(file.read().rfind(b"\n") + 1))
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        shown = {name: value for name, value in result.items() if not isinstance(value, (dict, list))}
        print(f"{seconds:.0f} s: {setting} → {shown}", flush=True)


def _key(part: dict) -> str:
    return json.dumps(part, sort_keys=True)


def _joined(names: Iterable[str | None]) -> str:
    return " and ".join(sorted(set(names) - {None}))


# ---- the command line


def options(**more) -> argparse.ArgumentParser:
    """A parser of what every study understands; `more` goes to argparse."""
    parser = argparse.ArgumentParser(**more)
    parser.add_argument("--runs", type=int, default=math.inf, metavar="N", help="at most N more runs")
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="M", help="nothing new after M minutes")
    parser.add_argument("--list", action="store_true", help="only list what is missing")
    return parser


def follow(study: Study, chosen: argparse.Namespace) -> None:
    """Do with `study` what the command line says, and say what is missing after that."""
    try:
        missing = study.missing() if chosen.list else study.complete(chosen.runs, chosen.minutes)
    except StudyError as error:
        sys.exit(str(error))
    for setting in missing:
        print("missing:", json.dumps(setting, ensure_ascii=False))
    print(f"{study.name}: {len(study.grid) - len(missing)} of {len(study.grid)} runs are stored")


def go_on(stage: Callable[[Path], Study], runs: float, end: float, folder: Path = RESULTS) -> float:
    """Run what's missing of a stage, one run after the other, since each may change the grid. How many runs are left.

    Args:
        stage: the study, as what's stored in a folder has it by now.
        runs: how many there may be.
        end: of the clock :func:`time.monotonic`, after which nothing new begins.

    Raises:
        StudyError: as for :meth:`Study.complete`, or from the run.
    """
    while runs > 0 and time.monotonic() < end and stage(folder).run_one():
        runs -= 1
    stage(folder).complete(runs=0)  # where nothing is missing, it writes the result
    return runs


def in_stages(stages: Mapping[str, Callable[..., Study]], description: str) -> None:
    """The whole of a script of several stages, one after the other; the first line of its docstring describes it.

    Args:
        stages: by name, each from a folder of results, or none for the usual one, to the study.
    """
    parser = options(description=description.splitlines()[0])
    parser.add_argument("--stage", choices=stages, help="only this one")
    chosen = parser.parse_args()
    runs, end = chosen.runs, time.monotonic() + 60 * chosen.minutes
    for stage in [chosen.stage] if chosen.stage else stages:
        try:
            if not chosen.list:
                runs = go_on(stages[stage], runs, end)
            study = stages[stage]()
        except StudyError as error:
            sys.exit(str(error))
        # it says what's missing, and writes the result where nothing is
        follow(study, argparse.Namespace(list=chosen.list, runs=0, minutes=math.inf))


def main(study: Study, description: str) -> None:
    """The whole of a study's script; the first line of its docstring describes it."""
    follow(study, options(description=description.splitlines()[0]).parse_args())
