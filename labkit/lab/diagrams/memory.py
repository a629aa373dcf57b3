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
OUTSIDE, REST = "GPU driver, kernels", "#b9b9c4"  # what no tensor takes
NAMED_FROM = 0.15  # of the longest bar: a part as wide as this has its name in it


def peaks_and_cards(costs: Mapping[str, StepCost], cards: Iterable[str], title: str) -> Figure:
    """A bar for each step's peak, made of its kinds of memory, and a line for each card.

    Args:
        costs: name of the method -> what its step takes.
        cards: names for :func:`labkit.simulation.cards.card_named`, smallest first.
        title: of the figure.
    """
    use_style()
    figure, ax = plt.subplots(figsize=(7, 1.6 + 0.5 * len(costs)))
    names, left = list(costs), dict.fromkeys(costs, 0.0)
    ledgers = {name: cost.phases[cost.peak_phase] for name, cost in costs.items()}
    rest = {n: cost.peak - sum(ledgers[n][kind] for kind in SHOWN) for n, cost in costs.items()}
    longest = max(cost.peak for cost in costs.values()) / 1e9
    for kind, label in [*SHOWN.items(), ("rest", OUTSIDE)]:
        sizes = {n: (rest[n] if kind == "rest" else ledgers[n][kind]) / 1e9 for n in names}
        if any(sizes.values()):
            colour = COLOUR.get(kind, REST)
            bars = ax.barh(names, sizes.values(), left=left.values(), height=0.62, color=colour, label=label)
            wide = [label if size > NAMED_FROM * longest else "" for size in sizes.values()]
            ink = "black" if kind == "temporaries" else "white"
            ax.bar_label(bars, wide, label_type="center", color=ink, fontsize=9)
        left = {n: left[n] + sizes[n] for n in names}
    peaks = [approx(costs[n].peak, "GB").removeprefix("≈") for n in names]
    ax.set_yticks(range(len(names)), [f"{n}\n{peak}" for n, peak in zip(names, peaks)])
    for card in map(card_named, cards):
        size = card.usable_bytes / 1e9
        ax.axvline(size, color="#555555", linewidth=1.2, linestyle=(0, (4, 2)), zorder=0.9)  # behind the bars
        words = f"{card.name.split(', ')[1]}\ncard:\n{size:.3g}"
        ax.annotate(words, (size, 1.01), xycoords=("data", "axes fraction"), ha="center", fontsize=9)
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set(xlabel="peak memory of a step (GB)", xlim=(0, 1.13 * longest))
    ax.set_title(title, pad=44)
    figure.legend(loc="outside lower center", ncols=4, fontsize=9)
    return figure


def four_kinds() -> Figure:
    """One layer's step as a loop: forward to the loss, back to the gradient, and through Adam's averages to W."""
    use_style()
    figure, ax = plt.subplots(figsize=(7, 3.4))
    _box(ax, (0.1, 3.0), (1.8, 0.8), "x: inputs\ntokens × in", "activations")
    _box(ax, (3.0, 2.65), (1.5, 1.5), "W\nout × in", "weights")
    _box(ax, (8.5, 3.05), (1.3, 0.7), "loss")
    _box(ax, (6.8, 0.3), (1.5, 1.5), "gradient\nof W\nout × in", "gradients")
    _box(ax, (4.4, 0.3), (1.5, 1.5), "average\nsquare\nout × in", "optimizer")
    _box(ax, (2.8, 0.3), (1.5, 1.5), "average\ngradient\nout × in", "optimizer")
    ax.add_patch(Rectangle((2.7, 0.2), 3.3, 1.7, fill=False, edgecolor="#555555", linestyle=(0, (4, 2))))
    _path(ax, (1.9, 3.4), (3.0, 3.4))
    _path(ax, (4.5, 3.4), (8.5, 3.4))
    _path(ax, (9.15, 3.05), (9.15, 1.05), (8.3, 1.05))
    _path(ax, (6.8, 1.05), (6.0, 1.05))
    _path(ax, (3.75, 1.9), (3.75, 2.65))
    _path(ax, (1.0, 3.0), (1.0, -0.05), (7.55, -0.05), (7.55, 0.3))
    for x, y, words, side in (
        (2.45, 3.5, "forward", "center"),
        (6.5, 3.5, "y, through the layers above", "center"),
        (9.0, 2.05, "backward: the signal\nfrom the loss", "right"),
        (3.9, 2.15, "update W", "left"),
        (6.4, 1.15, "Adam", "center"),
        (1.0, -0.4, "x is kept, because the gradient of W is made from it", "left"),
    ):
        ax.text(x, y, words, ha=side)
    ax.text(0.1, 3.92, "grows with the tokens", fontsize=9, style="italic")
    ax.set(xlim=(0, 10), ylim=(-0.5, 4.3))
    ax.axis("off")
    return figure


def _path(ax: Axes, *corners: tuple[float, float]) -> None:
    """An arrow from the first corner over the others to the last."""
    way = {"color": "#333333", "linewidth": 1.4}
    ax.plot(*zip(*corners[:-1]), linestyle="-", marker="", **way)
    ax.add_patch(FancyArrowPatch(*corners[-2:], arrowstyle="-|>", mutation_scale=14, shrinkA=0, shrinkB=0, **way))


def _box(ax: Axes, corner: tuple[float, float], size: tuple[float, float], words: str, kind: str = "") -> None:
    ax.add_patch(Rectangle(corner, *size, facecolor=COLOUR.get(kind, "white"), edgecolor="#222222", linewidth=1))
    center = (corner[0] + size[0] / 2, corner[1] + size[1] / 2)
    ax.text(*center, words, ha="center", va="center", color="black" if kind in ("", "activations") else "white")


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
