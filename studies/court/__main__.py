"""The command: stage after stage, as far as runs and minutes go."""

import argparse
import math
import sys
import time
from pathlib import Path

import studies.court
from studies import runner
from studies.court import cost, final, rates
from studies.results import RESULTS
from studies.runner import StudyError, follow, options

STAGES = {"rates": rates.study, "final": final.study, "cost": cost.study}


def go_on(stage: str, runs: float, end: float, folder: Path = RESULTS) -> float:
    """:func:`studies.runner.go_on` for a stage by its name."""
    return runner.go_on(STAGES[stage], runs, end, folder)


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
