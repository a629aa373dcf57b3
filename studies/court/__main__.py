"""The command: stage after stage, as far as runs and minutes go."""

import argparse
import math
import sys
import time
from pathlib import Path

import studies.court
from studies.court import cost, final, rates
from studies.results import RESULTS
from studies.runner import StudyError, follow, options

STAGES = {"rates": rates.study, "final": final.study, "cost": cost.study}


def go_on(stage: str, runs: float, end: float, folder: Path = RESULTS) -> float:
    """Run what's missing of a stage, one run after the other, since each may change the grid. How many runs are left.

    Args:
        runs: how many there may be.
        end: of the clock :func:`time.monotonic`, after which nothing new begins.
    """
    while runs > 0 and time.monotonic() < end and STAGES[stage](folder).run_one():
        runs -= 1
    STAGES[stage](folder).complete(runs=0)  # where nothing is missing, it writes the result
    return runs


def main() -> None:
    parser = options(description=studies.court.__doc__.splitlines()[0])
    parser.add_argument("--stage", choices=STAGES, help="only this one")
    chosen = parser.parse_args()
    runs, end = chosen.runs, time.monotonic() + 60 * chosen.minutes
    for stage in [chosen.stage] if chosen.stage else STAGES:
        try:
            if not chosen.list:
                runs = go_on(stage, runs, end)
            study = STAGES[stage]()
        except StudyError as error:
            sys.exit(str(error))
        # it says what's missing, and writes the result where nothing is
        follow(study, argparse.Namespace(list=chosen.list, runs=0, minutes=math.inf))


if __name__ == "__main__":
    main()
