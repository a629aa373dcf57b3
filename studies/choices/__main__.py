"""The command: choice after choice, as far as runs and minutes go."""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import studies.choices
from studies.choices import batch, few_rows, overlap, rank, targets, weights, wrong_settings
from studies.choices.searching import NotYet
from studies.results import RESULTS
from studies.runner import Study, StudyError, follow, go_on, options

Stage = Callable[..., Study]  # of the folder of results
STAGES: dict[str, tuple[Stage, ...]] = {
    "rank": (rank.RATES.study, rank.final),
    "targets": (targets.CONTEST.rates.study, targets.CONTEST.final),
    "weights": (weights.CONTEST.rates.study, weights.CONTEST.final),
    "overlap": (overlap.study,),
    "wrong_settings": (wrong_settings.study,),
    "few_rows": (few_rows.study,),
    "batch": (batch.RATES.study, batch.final),
}


def run_all(names: Iterable[str], runs: float, end: float, folder: Path = RESULTS) -> list[str]:
    """Run what's missing, until nothing more can be: what waits for a rate is tried again once others have run.

    Args:
        runs: how many there may be; `end`: of the clock :func:`time.monotonic`, after which nothing new begins.

    Returns:
        What still waits for something, each in a sentence.
    """
    stages, waiting, before = [stage for name in names for stage in STAGES[name]], [""], -1
    while waiting and (stored := _stored(stages, folder)) > before:  # something is new since the last time
        waiting, before = [], stored
        for stage in stages:
            had = _stored([stage], folder)
            try:
                go_on(stage, runs, end, folder)
            except NotYet as reason:
                waiting.append(str(reason))
            runs -= _stored([stage], folder) - had
    return waiting


def _stored(stages: Iterable[Stage], folder: Path) -> int:
    return sum(len(stage(folder).finished()) for stage in stages)


def main() -> None:
    parser = options(description=studies.choices.__doc__.splitlines()[0])
    parser.add_argument("--stage", choices=STAGES, help="only this one")
    chosen = parser.parse_args()
    names = [chosen.stage] if chosen.stage else list(STAGES)
    try:
        if not chosen.list:
            for reason in run_all(names, chosen.runs, time.monotonic() + 60 * chosen.minutes):
                print(reason)
        for stage in (stage for name in names for stage in STAGES[name]):
            # it says what's missing, and writes the result where nothing is
            follow(stage(), argparse.Namespace(list=chosen.list, runs=0, minutes=math.inf))
    except StudyError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
