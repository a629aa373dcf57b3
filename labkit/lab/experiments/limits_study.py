"""What `studies/capacity` and `studies/intrinsic_dimension` stored: bits per trained number, and how few numbers do."""

from collections.abc import Mapping

from labkit.evaluation.scoring import Score
from labkit.lab.claims import approx
from labkit.lab.experiments.choices_study import chosen, percent

OF_ALL = {"base": "real", "piece": "mlp.down_proj", "passes": 500}  # what's compared with the other runs
BESIDE = {  # title → what's different, and what stands beside it
    "r = 1, all three matrices of the MLP": {"piece": "mlp", "r": 1, "given": 1},
    "r = 4, the base's numbers shuffled": {"base": "shuffled", "r": 4, "given": 2},
    "r = 2, four times as long": {"passes": 2000, "r": 2, "given": 2},
}


def kept_per_number(study: Mapping, **which) -> dict[float, float]:
    """Bits kept per trained number, by how many there were to learn, about: strings are whole.

    Args:
        which: the rank ``r``, and what else differs from `OF_ALL`.
    """
    runs = chosen(study["best"], **OF_ALL | which)
    return {run["given"]: run["kept"] / run["numbers"] for run in sorted(runs, key=lambda run: run["given"])}


def most_kept(study: Mapping, **which) -> float:
    """The most bits per trained number that were kept."""
    return max(kept_per_number(study, **which).values())


def comparisons(study: Mapping) -> str:
    """One line for each of `BESIDE`: bits per number kept there, and with the one matrix of the real base."""
    lines = []
    for title, which in BESIDE.items():
        [here] = kept_per_number(study, **which).values()
        [usual] = kept_per_number(study, r=which["r"], given=which["given"]).values()
        lines.append(f"{title:<39}{approx(here):>6} bits per number (one matrix, as above: {approx(usual)})")
    return "\n".join(lines)


def right_by_dimension(study: Mapping, space: str) -> dict[int, Score]:
    """Right tickets in percent, by how many numbers were trained in "all weights" or in "LoRA"."""
    return {run["d"]: _right(run) for run in chosen(study["best"], space=space) if run["d"] is not None}


def right_with_all(study: Mapping, space: str) -> float:
    """Right tickets in percent where everything in a space was trained."""
    return _right(chosen(study["best"], space=space, d=None)[0]).mean


def _right(run: Mapping) -> Score:
    """A loss that rules out right answers wasn't followed by a score: then none is right."""
    return percent(run["exact"]) if run.get("exact") else Score(0.0, 0.0, 0.0)
