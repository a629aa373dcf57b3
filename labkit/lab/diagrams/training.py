"""Walking downhill: what a gradient step is, what Adam changes, and what happens if gradients are never zeroed."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from labkit.lab.plots import COLOURS, MARKERS, use_style

_GRAY = "#8a8a8a"


def walks(height: Callable[[Tensor], Tensor], paths: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Each path in a map of its own, seen from above, over lines of equal height.

    Args:
        height: of a place ``w``, a tensor of two numbers, each of them a tensor.
        paths: by title, the places of a walk, start included.
    """
    use_style()
    figure, all_axes = plt.subplots(1, len(paths), figsize=(7, 2.5), sharex=True, sharey=True, squeeze=False)
    everywhere = np.concatenate([np.asarray(path) for path in paths.values()])
    (left, bottom), (right, top) = everywhere.min(0) - 0.6, everywhere.max(0) + 0.6
    x, y = np.meshgrid(np.linspace(left, right, 160), np.linspace(bottom, top, 160))
    heights = height(torch.tensor(np.stack([x, y]))).numpy()
    for number, (ax, (title, path)) in enumerate(zip(all_axes[0], paths.items())):
        ax.contour(x, y, heights, levels=heights.max() * np.linspace(0.05, 1, 6) ** 2, colors="#d0d0d0", linewidths=0.9)
        ax.plot(*zip(*path), color=COLOURS[number], marker=MARKERS[number], markersize=3, linewidth=1.2)
        ax.plot(0, 0, marker="+", color=_GRAY, markersize=11, markeredgewidth=2)
        ax.set(title=title, xlabel="w[0]", xlim=(left, right), ylim=(bottom, top))
        ax.annotate("start", path[0], xytext=(2, 7), textcoords="offset points", fontsize=9)
        ax.annotate("bottom", (0, 0), xytext=(0, -24), textcoords="offset points", fontsize=9, ha="center")
        ax.grid(False)
    all_axes[0][0].set_ylabel("w[1]")
    return figure


def forgetting(runs: Sequence[Mapping], base_perplexity: float) -> Figure:
    """What each finished run forgot, against the loss it ended at, with its learning rate beside its point.

    Args:
        runs: of the study full_vs_lora: each has ``method``, ``learning_rate``, ``validation`` and ``perplexity``.
        base_perplexity: of the base, before any training.
    """
    use_style()
    figure, ax = plt.subplots(figsize=(7, 3.4))
    for number, (method, label) in enumerate({"lora": "LoRA", "full": "full fine-tuning"}.items()):
        chosen = [run for run in runs if run["method"] == method]
        points = [(run["validation"][-1]["loss"], run["perplexity"]) for run in chosen]
        ax.scatter(*zip(*points), color=COLOURS[3 * number], marker=MARKERS[number], s=45, label=label, zorder=3)
        for run, (loss, perplexity) in zip(chosen, points):
            rate = f"{run['learning_rate']:.0e}".replace("e-0", "e-")
            left = max(point[1] for point in points) == perplexity  # or two labels meet
            shift, side = ((-5, 5), "right") if left else ((5, 5), "left")  # above the line of the base
            ax.annotate(rate, (loss, perplexity), xytext=shift, textcoords="offset points", fontsize=9, ha=side)
    ax.axhline(base_perplexity, color=_GRAY, linestyle=":", marker="", label="base, before training")
    ax.set(title="What each run forgot (beside each point: its learning rate)", xlim=(0.003, 0.01), ylim=(10, 43))
    ax.set(xlabel="final validation loss (nats per token)", ylabel="perplexity on other text")
    ax.legend(loc="upper right")
    return figure
