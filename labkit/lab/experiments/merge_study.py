"""What `studies/merge_aware.py` stored, way by way: each at the recipe's learning rate, and at the best there was."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from labkit.evaluation.scoring import bootstrap_interval
from labkit.lab.claims import approx

USUAL, AWARE = "trained as usual", "trained for the merge"
RATE = 2e-3  # the recipe's learning rate
WAYS = {  # group, name: trained on what, merge-aware or not, used how
    (USUAL, "QLoRA, kept apart"): ("four bits", False, "kept apart"),
    (USUAL, "QLoRA, dequantized"): ("four bits", False, "dequantized, bfloat16"),
    (USUAL, "QLoRA, requantized"): ("four bits", False, "in four bits"),
    (USUAL, "LoRA, merged, then quantized"): ("float32", False, "in four bits"),
    (AWARE, "QLoRA, requantized"): ("four bits", True, "in four bits"),
    (AWARE, "LoRA, merged, then quantized"): ("float32", True, "in four bits"),
}


class Way(NamedTuple):
    """How one way went at one learning rate, over its seeds.

    Attributes:
        rate: the learning rate.
        seeds: how many trainings there were.
        right: for each test ticket, in the rows' order, the share of seeds that got it right.
        loss: per token of the test rows, before any merge, as training saw the model; the mean over the seeds.
        arrived: how much of the update is left after the merge into four bits; the mean over the seeds. None for the
            ways that end elsewhere.
    """

    rate: float
    seeds: int
    right: list[float]
    loss: float
    arrived: float | None

    @property
    def mean(self) -> float:
        """Right tickets, as a share."""
        return fmean(self.right)

    @property
    def behind(self) -> str:
        """What's behind it: the rate, and the number of seeds."""
        return f"rate {self.rate:g}, seeds: {self.seeds}"


def ways_of(runs: Sequence[Mapping]) -> dict[tuple[str, str], list[Way]]:
    """For each of `WAYS` that was run: at the recipe's rate, and then at the best one, if that's another.

    The best rate has the lowest validation loss after the merge into four bits, as a mean over its seeds.
    """
    found = {}
    for key, (trained_on, aware, used) in WAYS.items():
        at: dict[float, list[Mapping]] = {}
        for run in runs:  # the base alone has no seed
            if run["seed"] is not None and (run["trained on"], run["merge-aware"]) == (trained_on, aware):
                at.setdefault(run["learning rate"], []).append(run)
        best = min(at, key=lambda rate: _mean(at[rate], "validation loss"), default=RATE)
        ways = [_way(rate, at.get(rate, []), used) for rate in dict.fromkeys((RATE, best))]
        if any(ways):
            found[key] = [way for way in ways if way]
    return found


def _way(rate: float, runs: Sequence[Mapping], used: str) -> Way | None:
    """The runs of one rate, or None if there are none that were used in this way."""
    runs = [run for run in runs if used in run["ways"]]
    if not runs:
        return None
    wrong = [{answer["row"] for answer in run["ways"][used]["wrong"]} for run in runs]
    right = [fmean(row not in rows for rows in wrong) for row in range(runs[0]["ways"][used]["rows"])]
    arrived = _mean(runs, "update arrived") if used == "in four bits" else None
    return Way(rate, len(runs), right, fmean(run["loss in training"] for run in runs), arrived)


def _mean(runs: Sequence[Mapping], what: str) -> float:
    return fmean(run["ways"]["in four bits"][what] for run in runs)


def with_interval(shares: Sequence[float]) -> dict[str, float]:
    """Mean and 95 % interval over the tickets, as ``mean``, ``low`` and ``high``."""
    low, high = bootstrap_interval(shares)
    return {"mean": fmean(shares), "low": low, "high": high}


def grouped(ways: Mapping[tuple[str, str], Sequence[Way]]) -> dict[str, dict[str, dict]]:
    """What :func:`ways_of` found as group → name, with rate and seeds below it → score, to be drawn."""
    found: dict[str, dict[str, dict]] = {}
    for (group, name), at in ways.items():
        found.setdefault(group, {}).update({f"{name}\n{way.behind}": with_interval(way.right) for way in at})
    return found


def table(ways: Mapping[tuple[str, str], Sequence[Way]]) -> str:
    """What :func:`ways_of` found, one line each."""
    lines = []
    for (group, name), at in ways.items():
        for way in at:
            mean, low, high = (approx(share, "%") for share in with_interval(way.right).values())
            lines.append(f"{group:<22}{name:<29}{way.behind:<21}{mean:>8} ({low} to {high})")
    return "\n".join(lines)


def more(one: Way, other: Way) -> str:
    """How many more tickets `one` gets right than `other`, in percentage points, with its interval over the tickets."""
    gain = with_interval([a - b for a, b in zip(one.right, other.right)])
    low, mean, high = (approx(100 * gain[each]) for each in ("low", "mean", "high"))
    return f"{mean} percentage points (95 % interval: {low} to {high})"
