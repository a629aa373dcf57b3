"""What `studies/merge_aware.py` stored, as one number for each test ticket: the share of seeds that got it right."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from labkit.evaluation.scoring import bootstrap_interval

USUAL, AWARE = "trained as usual", "trained for the merge"
WAYS = {  # how the notebook calls it: how it was trained, and how it was used
    (USUAL, "QLoRA, kept apart"): ("QLoRA", "kept apart"),
    (USUAL, "QLoRA, dequantized"): ("QLoRA", "dequantized, bfloat16"),
    (USUAL, "QLoRA, requantized"): ("QLoRA", "in four bits"),
    (USUAL, "LoRA, merged, then quantized"): ("LoRA", "in four bits"),
    (AWARE, "QLoRA, requantized"): ("QLoRA, merge-aware", "in four bits"),
    (AWARE, "LoRA, merged, then quantized"): ("LoRA, merge-aware", "in four bits"),
}


def seeds_of(runs: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """The runs of each kind of training, one per seed: those at the learning rate that has the most seeds, and of
    equally many the lowest validation loss in four bits."""
    kinds: dict[str, dict[float, list[Mapping]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        kinds[run["trained"]][run["learning rate"]].append(run)

    def suits(of_rate: list[Mapping]) -> tuple[int, float]:
        losses = [run["ways"]["in four bits"]["validation loss"] for run in of_rate if "in four bits" in run["ways"]]
        return len(of_rate), -min(losses, default=0.0)

    return {kind: max(rates.values(), key=suits) for kind, rates in kinds.items()}


def rows_right(runs: Sequence[Mapping]) -> dict[str, dict[str, list[float]]]:
    """For each of `WAYS` that was stored, the share of seeds that got each test ticket right, in the rows' order."""
    chosen, found = seeds_of(runs), {}
    for (group, name), (kind, way) in WAYS.items():
        used = [run["ways"][way] for run in chosen.get(kind, []) if way in run["ways"]]
        if used:
            wrong = [{answer["row"] for answer in each["wrong"]} for each in used]
            shares = [sum(row not in rows for rows in wrong) / len(used) for row in range(used[0]["rows"])]
            found.setdefault(group, {})[name] = shares
    return found


def with_interval(shares: Sequence[float]) -> dict[str, float]:
    """Mean and 95 % interval over the tickets, as ``mean``, ``low`` and ``high``."""
    low, high = bootstrap_interval(shares)
    return {"mean": sum(shares) / len(shares), "low": low, "high": high}
