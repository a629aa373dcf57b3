"""What fills the memory of a training step: four kinds, how they come and go, what Adam keeps, which card holds it."""

from collections.abc import Iterable, Mapping

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from labkit.lab.claims import approx
from labkit.lab.plots import COLOURS, plt, use_style
from labkit.simulation.cards import card_named
from labkit.simulation.ledger import StepCost
from labkit.simulation.tally import Section

SHOWN = {
    "weights": "weights",
    "adapters": "adapters",
    "optimizer": "Adam's averages",
    "gradients": "gradients",
    "activations": "activations",
    "temporaries": "scratch space",
}
# in an order in which neighbors stay apart in grayscale
COLOUR = dict(zip(SHOWN, (COLOURS[0], COLOURS[1], COLOURS[3], COLOURS[2], COLOURS[5], "#c5e4dc")))
UPDATE_WIDTH = 4  # an update has three moments, which would be hard to see beside two for each layer
REST = "#b9b9c4"


def peaks_and_cards(costs: Mapping[str, StepCost], cards: Iterable[str], title: str) -> Figure:
    """A bar for each step's peak, made of its kinds of memory, and a line for each card.

    Args:
        costs: name of the method -> what its step takes.
        cards: names for :func:`labkit.simulation.cards.card_named`, smallest first.
        title: of the figure.
    """
    use_style()
    figure, ax = plt.subplots(figsize=(7, 1.45 + 0.5 * len(costs)))
    names, left = list(costs), dict.fromkeys(costs, 0.0)
    ledgers = {name: cost.phases[cost.peak_phase] for name, cost in costs.items()}
    rest = {n: cost.peak - sum(ledgers[n][kind] for kind in SHOWN) for n, cost in costs.items()}
    for kind, label in [*SHOWN.items(), ("rest", "GPU driver, kernels")]:
        sizes = {n: (rest[n] if kind == "rest" else ledgers[n][kind]) / 1e9 for n in names}
        if any(sizes.values()):
            colour = COLOUR.get(kind, REST)
            ax.barh(names, sizes.values(), left=left.values(), height=0.62, color=colour, label=label)
        left = {n: left[n] + sizes[n] for n in names}
    largest = max(left.values())
    for n, end in left.items():
        peak = approx(costs[n].peak, "GB").removeprefix("≈")
        ax.text(end + 0.012 * largest, n, peak, va="center", backgroundcolor="white", zorder=3)
    for card in map(card_named, cards):
        ax.axvline(card.usable_bytes / 1e9, color="#555555", linewidth=1.2, linestyle=(0, (4, 2)), zorder=2)
        sold = card.name.split(", ")[1]
        ax.annotate(f"{sold}\ncard", (card.usable_bytes / 1e9, 1.01), xycoords=("data", "axes fraction"), ha="center")
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set(xlabel="peak memory of a step (GB)", xlim=(0, 1.2 * largest))
    ax.set_title(title, pad=34)
    figure.legend(loc="outside lower center", ncols=4, fontsize=9)
    return figure


def four_kinds() -> Figure:
    """One layer's step: what's kept of it, with three boxes of W's shape and one as long as the batch."""
    use_style()
    figure, ax = plt.subplots(figsize=(7, 3.3))
    _box(ax, (0.2, 2.75), (1.9, 0.8), "x: inputs\ntokens × in", "activations")
    _box(ax, (3.6, 2.4), (1.5, 1.5), "W\nout × in", "weights")
    _box(ax, (3.6, 0.2), (1.5, 1.5), "gradient\nof W", "gradients")
    _box(ax, (6.6, 0.2), (1.5, 1.5), "average\ngradient", "optimizer")
    _box(ax, (8.3, 0.2), (1.5, 1.5), "average\nsquare", "optimizer")
    for start, end, words, place in (
        ((2.1, 3.15), (3.6, 3.15), "forward", (2.85, 3.32)),
        ((5.1, 3.15), (6.4, 3.15), "y, to the next layer", (5.25, 3.32)),
        ((1.15, 2.75), (3.55, 0.95), "backward:\nx is needed again", (0.2, 1.3)),
        ((5.1, 0.95), (6.6, 0.95), "Adam", (5.85, 1.12)),
        ((7.4, 1.7), (5.15, 2.75), "update W", (6.55, 2.3)),
    ):
        ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color="#333333", linewidth=1.4))
        ax.text(*place, words, ha="center" if words in ("forward", "Adam") else "left", va="bottom")
    ax.text(0.2, 3.72, "grows with the tokens", fontsize=9, style="italic")
    ax.plot([3.6, 3.6, 9.8, 9.8], [0.05, -0.05, -0.05, 0.05], color="#555555", linestyle="-", marker="", linewidth=1)
    ax.text(6.7, -0.12, "each as large as W", fontsize=9, style="italic", ha="center", va="top")
    ax.set(xlim=(0, 10), ylim=(-0.45, 4.1))
    ax.axis("off")
    return figure


def _box(ax: Axes, corner: tuple[float, float], size: tuple[float, float], words: str, kind: str) -> None:
    ax.add_patch(Rectangle(corner, *size, facecolor=COLOUR[kind], edgecolor="#222222", linewidth=1))
    centre = (corner[0] + size[0] / 2, corner[1] + size[1] / 2)
    ax.text(*centre, words, ha="center", va="center", color="black" if kind == "activations" else "white")


def gradient_and_adam(seed: int = 0) -> Figure:
    """Left, one gradient step down a slope. Right, noisy gradients and the two averages that Adam makes of them."""
    use_style()
    figure, (slope, noise) = plt.subplots(1, 2, figsize=(7, 3.0), width_ratios=(1, 1.3))
    w = torch.linspace(-0.6, 2.6, 100)
    slope.plot(w, (w - 1).square(), color="#777777", linestyle="-", marker="")
    slope.plot([2.2, 1.55], [1.44, 0.3025], "o", color=COLOURS[2], markersize=8, linestyle="")
    slope.annotate("", (1.58, 0.36), (2.18, 1.42), arrowprops={"arrowstyle": "-|>", "linewidth": 1.6})
    slope.text(1.0, 1.55, "one step\ndownhill", ha="center")
    slope.set(title="A gradient step", xlabel="one weight", ylabel="loss", xticks=[], yticks=[])
    gradients = 0.5 + torch.randn(60, generator=torch.Generator().manual_seed(seed))
    mean, square, lines = 0.0, 0.0, []
    for t, g in enumerate(gradients.tolist(), start=1):
        mean, square = 0.9 * mean + 0.1 * g, 0.99 * square + 0.01 * g * g
        lines.append((mean / (1 - 0.9**t), (square / (1 - 0.99**t)) ** 0.5))
    averages, sizes = zip(*lines)
    noise.axhline(0, color="#bbbbbb", linewidth=0.8)
    noise.plot(gradients, "o", color="#9a9aa5", markersize=3.5, linestyle="", label="gradient")
    noise.plot(sizes, color=COLOURS[3], linestyle="--", marker="", label="√(average square)")
    noise.plot(averages, color=COLOURS[0], linestyle="-", marker="", linewidth=2.2, label="average gradient")
    noise.set(title="What Adam remembers, for each weight", xlabel="step", ylabel="value", ylim=(-2.4, 4.6))
    noise.legend(loc="upper right", fontsize=9)
    return figure


def memory_through_a_step(steps: Mapping[str, list[Section]]) -> Figure:
    """Memory from moment to moment of a step, one panel for each of `steps`.

    Args:
        steps: title of the panel -> the step's sections, in their order, as
            :func:`labkit.simulation.tracing.trace_step` returns them.
    """
    use_style()
    figure, panels = plt.subplots(1, len(steps), figsize=(7, 3.3), sharey=True, squeeze=False)
    for ax, (title, sections) in zip(panels[0], steps.items()):
        widths = {"loaded": 0, "step": UPDATE_WIDTH}
        moments = [each for each in sections for _ in range(widths.get(each.name[0], 1))]
        series = [[each.peak[kind] / 1e9 for each in moments] for kind in SHOWN]
        ax.stackplot(range(len(moments)), series, colors=[COLOUR[k] for k in SHOWN], labels=SHOWN.values(), step="mid")
        phases = [each.name[0] for each in moments]
        for phase, label in (("forward", "forward"), ("backward", "backward"), ("step", "update")):
            first, count = phases.index(phase), phases.count(phase)
            ax.text(first + count / 2 - 0.5, 1.01, label, transform=ax.get_xaxis_transform(), ha="center", fontsize=9)
            if first:
                ax.axvline(first - 0.5, color="#555555", linewidth=0.9, linestyle=(0, (4, 2)))
        ax.set(xlim=(-0.5, len(moments) - 0.5), xticks=[], xlabel="time, layer by layer")
        ax.set_title(title, pad=18)
        ax.grid(False, axis="x")
    panels[0][0].set(ylabel="memory (GB)")
    panels[0][0].set_ylim(0, 1.06 * max(sum(e.peak.values()) for s in steps.values() for e in s) / 1e9)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=9, columnspacing=1, handlelength=1.2)
    return figure
