"""The command: stage after stage, as far as runs and minutes go."""

from pathlib import Path

import studies.court
from studies import runner
from studies.court import cost, final, rates
from studies.results import RESULTS

STAGES = {"rates": rates.study, "final": final.study, "cost": cost.study}


def go_on(stage: str, runs: float, end: float, folder: Path = RESULTS) -> float:
    """:func:`studies.runner.go_on` for a stage by its name."""
    return runner.go_on(STAGES[stage], runs, end, folder)


if __name__ == "__main__":
    runner.in_stages(STAGES, studies.court.__doc__)
