"""What the stored study of full fine-tuning found, in pictures: all its matrices, and what r pieces keep."""

import numpy as np
from matplotlib.figure import Figure

from labkit.lab.plots import COLOURS, axes


def all_matrices(study: dict) -> Figure:
    """The energy in the first 8 pieces of every weight and of its update, by block.

    Args:
        study: ``data/results/full_update.json`` as read.
    """
    ax = axes("All matrices of all blocks", "block", "energy in 8 pieces (%)", ylim=(0, 100))
    for label, kind, part, look in (
        ("updates, attention", "update", "self_attn", {"marker": "^", "color": COLOURS[3]}),
        ("updates, MLP", "update", "mlp", {"marker": "^", "color": COLOURS[3], "markerfacecolor": "white"}),
        ("weights", "weight", "", {"marker": "o", "color": COLOURS[0]}),
    ):
        rows = [row for row in study["spectra"] if part in row["name"]]
        blocks = [int(row["name"].split(".")[2]) for row in rows]
        ax.plot(blocks, [100 * row[kind]["energy_8"] for row in rows], linestyle="", label=label, **look)
    ax.legend(loc="upper right", ncols=3)
    return ax.get_figure()


def tickets_by_rank(study: dict) -> Figure:
    """How many tickets the model still gets right when every update keeps only its first r pieces.

    Args:
        study: ``data/results/full_update.json`` as read.
    """
    cuts = [cut for cut in study["cuts"] if "rank" in cut]
    ranks = [cut["rank"] for cut in cuts]
    mean, low, high = (100 * np.array([cut["exact"][end] for cut in cuts]) for end in ("mean", "low", "high"))
    labels = ("Every update cut to its first r pieces", "r, log scale", "tickets right (%)")
    ax = axes(*labels, height=2.8, xscale="log", ylim=(-4, 106))
    ax.errorbar(ranks, mean, yerr=[mean - low, high - mean], capsize=3, label="share, and its 95 % interval")
    ax.set_xticks(ranks, ranks)
    ax.minorticks_off()
    ax.legend(loc="upper left")
    return ax.get_figure()
