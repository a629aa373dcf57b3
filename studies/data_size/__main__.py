"""The command: the rates, then the curves of each task, as far as runs and minutes go."""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import studies.data_size
from studies.data_size import curves, rates
from studies.results import RESULTS
from studies.runner import Study, StudyError, follow, go_on, options

STAGES: dict[str, Callable[..., Study]] = {"rates": rates.study} | {
    task: partial(curves.study, task) for task in curves.NAMES
}


def run_all(names: Iterable[str], runs: float, end: float, folder: Path = RESULTS) -> None:
    """Run what's missing: at most `runs`, and nothing new after `end`, of the clock :func:`time.monotonic`."""
    for name in names:
        runs = go_on(STAGES[name], runs, end, folder)


def main() -> None:
    parser = options(description=studies.data_size.__doc__.splitlines()[0])
    parser.add_argument("--stage", choices=STAGES, help="only this one")
    chosen = parser.parse_args()
    names = [chosen.stage] if chosen.stage else list(STAGES)
    try:
        if not chosen.list:
            run_all(names, chosen.runs, time.monotonic() + 60 * chosen.minutes)
        for name in names:
            follow(STAGES[name](), argparse.Namespace(list=chosen.list, runs=0, minutes=math.inf))
    except StudyError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
