"""What `studies/merge_aware.py` stored, as one number for each test ticket: the share of seeds that got it right."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from labkit.evaluation.scoring import bootstrap_interval

USUAL, AWARE = "trained as usual", "trained for the merge"
WAYS = {  # group and name: what it was trained on, whether merge-aware, and how it was used
    (USUAL, "QLoRA, kept apart"): ("four bits", False, "kept apart"),
    (USUAL, "QLoRA, dequantized"): ("four bits", False, "dequantized, bfloat16"),
    (USUAL, "QLoRA, requantized"): ("four bits", False, "in four bits"),
    (USUAL, "LoRA, merged, then quantized"): ("float32", False, "in four bits"),
    (AWARE, "QLoRA, requantized"): ("four bits", True, "in four bits"),
    (AWARE, "LoRA, merged, then quantized"): ("float32", True, "in four bits"),
}


def seeds_of(runs: Sequence[Mapping]) -> dict[tuple, list[Mapping]]:
    """The runs of each kind of training, one per seed: those at the learning rate that has the most seeds, and of
    equally many the lowest validation loss in four bits."""
    kinds: dict[tuple, dict[float, list[Mapping]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run["seed"] is not None:  # the base alone has none
            kinds[run["trained on"], run["merge-aware"]][run["learning rate"]].append(run)

    def suits(of_rate: list[Mapping]) -> tuple[int, float]:
        return len(of_rate), -min(run["ways"]["in four bits"]["validation loss"] for run in of_rate)

    return {kind: max(rates.values(), key=suits) for kind, rates in kinds.items()}


def rows_right(runs: Sequence[Mapping]) -> dict[str, dict[str, list[float]]]:
    """For each of `WAYS` that was stored, the share of seeds that got each test ticket right, in the rows' order."""
    chosen, found = seeds_of(runs), {}
    for (group, name), (*kind, way) in WAYS.items():
        used = [run["ways"][way] for run in chosen.get(tuple(kind), []) if way in run["ways"]]
        if used:
            wrong = [{answer["row"] for answer in each["wrong"]} for each in used]
            shares = [sum(row not in rows for rows in wrong) / len(used) for row in range(used[0]["rows"])]
            found.setdefault(group, {})[name] = shares
    return found


def with_interval(shares: Sequence[float]) -> dict[str, float]:
    """Mean and 95 % interval over the tickets, as ``mean``, ``low`` and ``high``."""
    low, high = bootstrap_interval(shares)
    return {"mean": sum(shares) / len(shares), "low": low, "high": high}
