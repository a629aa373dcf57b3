"""The command: stage after stage, as far as runs and minutes go."""

import argparse
import math
import sys
import time

import studies.real_tasks
from studies.real_tasks import final, seconds
from studies.real_tasks.rates import RATES
from studies.runner import StudyError, follow, go_on, options

STAGES = {"rates": RATES.study, "final": final.study, "seconds": seconds.study}


def main() -> None:
    parser = options(description=studies.real_tasks.__doc__.splitlines()[0])
    parser.add_argument("--stage", choices=STAGES, help="only this one")
    chosen = parser.parse_args()
    runs, end = chosen.runs, time.monotonic() + 60 * chosen.minutes
    for stage in [chosen.stage] if chosen.stage else STAGES:
        try:
            if not chosen.list:
                runs = go_on(STAGES[stage], runs, end)
            study = STAGES[stage]()
        except StudyError as error:
            sys.exit(str(error))
        # it says what's missing, and writes the result where nothing is
        follow(study, argparse.Namespace(list=chosen.list, runs=0, minutes=math.inf))


if __name__ == "__main__":
    main()
