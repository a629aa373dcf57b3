"""How large the first update is at each rank, one curve for each way to scale it."""

import numpy as np
from matplotlib.figure import Figure

from labkit.lab.plots import axes


def update_against_rank(ranks: list[int], sizes: dict[str, list[float]]) -> Figure:
    """The curves on two logarithmic axes, each beginning at 1 and labelled at its end.

    Args:
        ranks: in rising order.
        sizes: for each curve's label, the update's size at each rank, in any unit.
    """
    ax = axes(
        "Size of the update after one step of Adam", "rank r", "times the size at r = 1", xscale="log", yscale="log"
    )
    for label, curve in sizes.items():
        grown = np.array(curve) / curve[0]
        ax.plot(ranks, grown)
        ax.annotate(label, (ranks[-1], grown[-1]), (8, 0), textcoords="offset points", va="center")
    ax.set_xticks(ranks, ranks, minor=False)
    ax.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
    ax.minorticks_off()
    ax.set_xlim(ranks[0] * 0.9, ranks[-1] * 2.2)
    return ax.get_figure()
