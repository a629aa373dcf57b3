"""Which two runs of two methods can be compared: the two that ended at the most similar loss."""

from collections.abc import Mapping, Sequence
from itertools import product


def final_loss(run: Mapping) -> float:
    """The last validation loss of a run of the study full_vs_lora."""
    return run["validation"][-1]["loss"]


def closest_pair(runs: Sequence[Mapping]) -> tuple[Mapping, Mapping]:
    """The LoRA run and the full run whose final losses differ least.

    Raises:
        ValueError: one of the two methods has no run.
    """
    by_method = [[run for run in runs if run["method"] == method] for method in ("lora", "full")]
    return min(product(*by_method), key=lambda pair: abs(final_loss(pair[0]) - final_loss(pair[1])))
