"""What `studies/merge_aware.py` stored, as one number for each test ticket: the share of seeds that got it right.

Until it has every run, what stands in its lines counts; and of ordinary training, what `studies/merge_routes.py` stored
by the same recipe with one seed.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.evaluation.scoring import bootstrap_interval

USUAL, AWARE = "trained as usual", "trained for the merge"
RATE = 2e-3  # the recipe's learning rate
BEST = None  # of the rates that were tried, the best on the validation rows
WAYS = {  # group, name: trained on what, merge-aware or not, at which rate, used how; and what merge_routes calls it
    (USUAL, "QLoRA, kept apart"): ("four bits", False, RATE, "kept apart", "kept apart"),
    (USUAL, "QLoRA, dequantized"): ("four bits", False, RATE, "dequantized, bfloat16", "dequantized, bfloat16"),
    (USUAL, "QLoRA, requantized"): ("four bits", False, RATE, "in four bits", "requantized"),
    (USUAL, "QLoRA at 5× rate, requantized"): ("four bits", False, 5 * RATE, "in four bits", None),
    (USUAL, "LoRA, merged, then quantized"): ("float32", False, RATE, "in four bits", "merged, then four bits"),
    (AWARE, "QLoRA, requantized"): ("four bits", True, BEST, "in four bits", None),
    (AWARE, "LoRA, merged, then quantized"): ("float32", True, RATE, "in four bits", None),
}


def read_runs(path: Path | str) -> dict:
    """The study's ``date`` and ``runs``, from its result, or from the lines of the runs there are."""
    path = Path(path)
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    lines = path.parent / "lines" / f"{path.stem}.jsonl"
    stored = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    return {"date": max(each["date"] for each in stored), "runs": [each["setting"] | each["result"] for each in stored]}


def seeds_of(runs: Sequence[Mapping], trained_on: str, aware: bool, rate: float | None) -> list[Mapping]:
    """The runs of one kind of training, one per seed.

    `rate` is a learning rate, or `BEST`: the one with the lowest validation loss after the merge into four bits, as a
    mean over its seeds.
    """
    rates: dict[float, list[Mapping]] = defaultdict(list)
    for run in runs:  # the base alone has no seed
        if run["seed"] is not None and (run["trained on"], run["merge-aware"]) == (trained_on, aware):
            rates[run["learning rate"]].append(run)

    def loss(of_rate: list[Mapping]) -> float:
        return sum(run["ways"]["in four bits"]["validation loss"] for run in of_rate) / len(of_rate)

    return min(rates.values(), key=loss, default=[]) if rate is BEST else rates[rate]


def rows_right(runs: Sequence[Mapping], routes: Sequence[Mapping]) -> tuple[dict[str, dict[str, list[float]]], dict]:
    """For each of `WAYS`, the share of seeds that got each test ticket right, in the rows' order.

    Args:
        runs: of merge_aware.
        routes: the ways of merge_routes, for what `runs` doesn't have.

    Returns:
        Group → way → shares; and the number of seeds behind each (group, way).
    """
    found, seeds = {}, {}
    for (group, name), (trained_on, aware, rate, way, route) in WAYS.items():
        used = [run["ways"][way] for run in seeds_of(runs, trained_on, aware, rate) if way in run["ways"]]
        used = used or [each for each in routes if (each["trained on"], each["way"]) == (trained_on, route)]
        if used:
            wrong = [{answer["row"] for answer in each["wrong"]} for each in used]
            shares = [sum(row not in rows for rows in wrong) / len(used) for row in range(used[0]["rows"])]
            found.setdefault(group, {})[name], seeds[group, name] = shares, len(used)
    return found, seeds


def with_interval(shares: Sequence[float]) -> dict[str, float]:
    """Mean and 95 % interval over the tickets, as ``mean``, ``low`` and ``high``."""
    low, high = bootstrap_interval(shares)
    return {"mean": sum(shares) / len(shares), "low": low, "high": high}


def with_seeds(right: Mapping[str, Mapping[str, Sequence[float]]], seeds: Mapping[tuple, int]) -> dict[str, dict]:
    """What :func:`rows_right` found as group → way → mean, interval, and the number of ``seeds``."""
    return {
        group: {way: with_interval(shares) | {"seeds": seeds[group, way]} for way, shares in ways.items()}
        for group, ways in right.items()
    }
