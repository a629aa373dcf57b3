"""Each candidate's own learning rate, looked for by the loss on the validation rows, and runs that the court has made.

The rates of a grid are half decades apart, and it grows where the best is at an end, as the court's do. Between them,
:func:`vertex` reads off where the lowest loss would be: a ratio of two best rates could only be 3, 10 or 30 otherwise.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from studies.court import final, grids, rates
from studies.court.training import RECIPE
from studies.results import RESULTS
from studies.runner import Study, StudyError

SEED = rates.SEED  # scores come from other seeds, so that no rate is judged by the run that it was chosen for
RATES_RECIPE = {**RECIPE, "seed": SEED}


class NotYet(StudyError):
    """A run waits for a learning rate that another stage has still to find."""


# ---- what the court has made already


def tried(setting: dict, folder: Path) -> dict:
    """The validation loss after one training with the first seed: the court's, where it has had the same."""
    return lent(rates.study(folder), setting) or rates.run(setting)


def scored(setting: dict, folder: Path) -> dict:
    """One training, or the base, scored and measured as the court does: by the court, where it has had the same."""
    if setting["learning_rate"] is None and setting["method"] != "base":
        raise NotYet(f"{setting} waits for its learning rate: finish the stage before first")
    return lent(final.study(folder), setting) or final.run(setting)


def lent(stage: Study, setting: dict) -> dict | None:
    """The stored result of the same setting, with the line it's from; None where there isn't any."""
    for line in stage.finished().values():
        if line["setting"] == setting:
            return line["result"] | {"lent": {"study": stage.name, "date": line["date"], "machine": line["machine"]}}
    return None


# ---- the search


@dataclass(frozen=True)
class Search:
    """A study that looks for the best learning rate of several candidates.

    Attributes:
        name: of its files.
        recipe: as a :class:`studies.runner.Study` has it.
        candidates: each a setting without a learning rate, and the middle of its first rates, in half decades.
        run: from a setting and the folder of results to a result with a ``validation_loss``, or None in its place.
        first: how many rates are tried at first, an odd number.
    """

    name: str
    recipe: dict
    candidates: list[tuple[dict, int]]
    run: Callable[[dict, Path], dict] = tried
    first: int = 3

    def study(self, folder: Path = RESULTS) -> Study:
        """The grid as far as the stored lines have it: it may grow with each run."""
        losses = self._losses(folder)
        grid = [
            candidate | {"learning_rate": rate}
            for candidate, middle in self.candidates
            for rate in grids.grid(middle, losses.get(_key(candidate), {}), self.first)
        ]
        return replace(self._empty(folder), grid=grid)

    def best(self, candidate: dict, folder: Path = RESULTS) -> float | None:
        """The candidate's best rate; None as long as its grid isn't complete."""
        middle = next(middle for each, middle in self.candidates if each == candidate)
        return grids.settled(middle, self._losses(folder).get(_key(candidate), {}), self.first)

    def _empty(self, folder: Path) -> Study:
        return Study(self.name, self.recipe, [], lambda setting: self.run(setting, folder), tidy=tidy, folder=folder)

    def _losses(self, folder: Path) -> dict[str, dict[float, float | None]]:
        lines = self._empty(folder).finished().values()
        return _by_candidate([line["setting"] | line["result"] for line in lines], [c for c, _ in self.candidates])


def tidy(runs: list[dict]) -> dict:
    """The best rate of each candidate, and the runs.

    A best rate comes with its loss, with ``at_an_end`` where its grid stopped growing too soon, and with its vertex.
    """
    told = ("validation_loss", "losses", "broken", "lent", "learning_rate")
    candidates = [{name: value for name, value in each.items() if name not in told} for each in runs]
    best = []
    for key, losses in _by_candidate(runs, candidates).items():
        rate = grids.best(losses)
        found = {"learning_rate": rate, "validation_loss": losses[rate], "vertex": vertex(losses)}
        best.append(json.loads(key) | found | {"at_an_end": rate in (min(losses), max(losses))})
    return {"best": best, "runs": runs}


def vertex(losses: grids.Losses) -> float | None:
    """Where a parabola through the best rate and its two neighbors is lowest, over the rate's logarithm.

    None where the best is at an end, or has a neighbor at which training broke off.
    """
    rates_, best = sorted(losses), grids.best(losses)
    place = rates_.index(best)
    three = rates_[max(place - 1, 0) : place + 2]
    if len(three) < 3 or any(losses[rate] is None for rate in three):
        return None
    bend, slope, _ = np.polyfit([math.log10(rate) for rate in three], [losses[rate] for rate in three], 2)
    return float(10 ** (-slope / (2 * bend))) if bend > 0 else best


def _by_candidate(runs: list[dict], candidates: list[dict]) -> dict[str, dict[float, float | None]]:
    """The losses of runs by candidate, then by learning rate; runs of none of the candidates are left out."""
    found: dict[str, dict[float, float | None]] = {_key(candidate): {} for candidate in candidates}
    names = {name for candidate in candidates for name in candidate}
    for each in runs:
        key = _key({name: each[name] for name in names if name in each})
        if key in found:
            found[key][each["learning_rate"]] = each["validation_loss"]
    return found


def _key(candidate: dict) -> str:
    return json.dumps(candidate, sort_keys=True)
