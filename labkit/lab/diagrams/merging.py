"""A merge in pictures: three matrices become one, sums fall onto a grid and come back, and the ways into four bits."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from labkit.lab.diagrams.boxes import FROZEN, LEARNS, arrow, box, canvas, line, plus, say, wedge, word
from labkit.lab.plots import COLOURS, LINESTYLES, MARKERS, axes, use_style
from labkit.quant.codebooks import nf4_codebook

_GRAY = "#8a8a8a"


def apart_and_merged() -> Figure:
    """x → W → y with A and B beside W; and x → W + ΔW → y."""
    ax = canvas(2.4)
    say(ax, 0.1, 2.18, "kept apart", fontsize=11, weight="bold")
    say(ax, 4.75, 2.18, "merged", fontsize=11, weight="bold")
    line(ax, [(4.5, 0.2), (4.5, 2.3)], "#bbbbbb")
    word(ax, 0.25, 1.5, "x", 13)
    arrow(ax, (0.38, 1.5), (1.18, 1.5))
    box(ax, 1.65, 1.5, 0.9, 0.9, "W", fill=FROZEN)
    line(ax, [(0.6, 1.5), (0.6, 0.52), (0.75, 0.52)])
    arrow(ax, (0.6, 0.52), (0.88, 0.52))
    wedge(ax, 0.9, 0.52, 0.5, 0.75, 0.22, "A")
    arrow(ax, (1.4, 0.52), (1.83, 0.52))
    wedge(ax, 1.85, 0.52, 0.5, 0.22, 0.75, "B")
    arrow(ax, (2.35, 0.52), (2.6, 0.52))
    word(ax, 2.85, 0.52, "· α/r", 11)
    line(ax, [(3.12, 0.52), (3.4, 0.52), (3.4, 1.1)])
    arrow(ax, (3.4, 1.0), (3.4, 1.32))
    arrow(ax, (2.12, 1.5), (3.22, 1.5))
    plus(ax, 3.4, 1.5)
    arrow(ax, (3.58, 1.5), (3.98, 1.5))
    word(ax, 4.12, 1.5, "y", 13)
    word(ax, 4.85, 1.5, "x", 13)
    arrow(ax, (4.98, 1.5), (5.28, 1.5))
    box(ax, 5.75, 1.5, 0.9, 0.9, "W + ΔW", fill=FROZEN)
    arrow(ax, (6.22, 1.5), (6.5, 1.5))
    word(ax, 6.65, 1.5, "y", 13)
    say(ax, 5.75, 0.52, "ΔW = (α/r) · B A", ha="center", va="center")
    return ax.figure


def on_the_grid(numbers: Tensor, moves: Sequence[tuple[int, float]], title: str) -> Figure:
    """Weights on a line of numbers, each moved by an update and then rounded to the nearest number.

    Args:
        numbers: of the grid, rising, at least three.
        moves: for each weight, which of the numbers it is, and its update in steps to the next one.
        title: names the grid.
    """
    use_style()
    figure, ax = plt.subplots(figsize=(7, 1.9))
    numbers = numbers.tolist()
    step = numbers[1] - numbers[0]
    ax.axhline(0, color=_GRAY, linewidth=1, linestyle="-", marker="", zorder=1)
    ax.plot(numbers, [0] * len(numbers), linestyle="", marker="|", color="black", markersize=16)
    for place, (start, update) in enumerate(moves):
        color, at = COLOURS[place], numbers[start]
        end = at + update * step
        landed = min(numbers, key=lambda number: abs(number - end))
        ax.plot(at, 0, marker="o", color=color, markersize=7, zorder=3)
        _arrow(ax, (at, 0.45), (end, 0.45), color, "-")
        _arrow(ax, (end, 0.45), (landed, 0.06), color, ":")
        said = f"{update:+.1f} steps:\n{'it stays' if landed == at else 'it moves a whole step'}".replace("-", "−")
        ax.text((at + end) / 2, 0.58, said, color=color, ha="center", va="bottom", fontsize=9.5)
    ax.set(ylim=(-0.3, 1.25), yticks=[], title=title, xlim=(numbers[0] - step / 2, numbers[-1] + step / 2))
    ax.set_xticks(numbers[::2], [f"{number:.5f}" for number in numbers[::2]])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return figure


def past_a_power_of_two() -> Figure:
    """A weight just below a power of two: plus ΔW, rounded to marks twice as far apart, minus ΔW, and rounded again."""
    use_style()
    figure, ax = plt.subplots(figsize=(7, 2.1))
    start, update = -1.0, 3.8  # in steps of the finer marks; the power of two is at 0
    coarse = 2 * round((start + update) / 2)
    back = round(coarse - update)
    ax.axhline(0, color=_GRAY, linewidth=1, linestyle="-", marker="", zorder=1)
    ax.plot([-4, -3, -2, -1, 2, 4], [0] * 6, linestyle="", marker="|", color="black", markersize=16)
    ax.plot(0, 0, marker="|", color="black", markersize=30)
    for at, through, end, height, color in (
        (start, start + update, coarse, 0.5, COLOURS[0]),
        (coarse, coarse - update, back, -0.5, COLOURS[3]),
    ):
        _arrow(ax, (at, height), (through, height), color, "-")
        _arrow(ax, (through, height), (end, height / 9), color, ":")
        ax.plot(start if height > 0 else back, 0, marker="o", color=color, markersize=7, zorder=3)
        said = "+ ΔW, rounded" if height > 0 else "− ΔW, rounded"
        ax.text((at + through) / 2, 1.25 * height, said, color=color, ha="center", va="center_baseline", fontsize=9.5)
    ax.text(start - 0.1, 0.2, "W", color=COLOURS[0], ha="right", fontsize=9.5)
    ax.text(back - 0.15, -0.33, "comes back here", color=COLOURS[3], ha="right", fontsize=9.5)
    ax.text(0.1, -0.3, "a power of two", fontsize=9.5)
    title = "Beyond a power of two, the marks lie twice as far apart"
    ax.set(ylim=(-0.85, 0.85), xlim=(-4.5, 4.5), xticks=[], yticks=[], title=title)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return figure


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], color: str, style: str) -> None:
    look = {"arrowstyle": "-|>", "color": color, "lw": 1.6, "linestyle": style, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=look)


def update_sizes(kinds: Mapping[str, Tensor]) -> Figure:
    """How many weights get an update of which size, in steps of their grid, one outline per grid.

    Args:
        kinds: for each grid's label, the updates of all weights in its steps; any shape, none negative.
    """
    ax = axes(
        "The same updates, on two grids",
        "update (steps of the grid; first and last bar: everything beyond)",
        "weights (%)",
        xscale="log",
    )
    bins = torch.logspace(-4, 3, 71)
    for number, (label, steps) in zip((0, 3), kinds.items()):
        # the outermost bars hold all that lies beyond
        heights = torch.histogram(steps.flatten().float().cpu().clamp(1.1e-4, 999), bins)[0] / steps.numel()
        look = {"color": COLOURS[number], "linestyle": LINESTYLES[number // 3], "linewidth": 1.8}
        ax.stairs(100 * heights, bins, label=label, **look)
    ax.axvline(0.5, color=_GRAY, linestyle="--", marker="")
    ax.text(0.42, 0.93, "falls back", ha="right", transform=ax.get_xaxis_transform())
    ax.text(0.6, 0.93, "noticed", transform=ax.get_xaxis_transform())
    ax.legend(loc="center right")
    ax.margins(y=0.12)
    return ax.get_figure()


def ways_into_four_bits() -> Figure:
    """What's left after each of three ways, in boxes as wide as the memory it takes: 16 bits, four, or A and B."""
    ax = canvas(2.35)
    rows = {
        "keep apart": ("two more matrices per layer", 0.55, "W", True),
        "dequantize once": ("16 bits, an ordinary model", 2.2, "W + ΔW", False),
        "requantize": ("four bits, and nothing beside them", 0.55, "Q(…)", False),
    }
    for place, (name, (said, width, words, beside)) in enumerate(rows.items()):
        y = 1.72 - 0.7 * place
        say(ax, 0.1, y, name, va="center", weight="bold")
        box(ax, 1.6 + width / 2, y, width, 0.46, words, fill=FROZEN)
        if beside:
            say(ax, 2.32, y, "+", ha="center", va="center")
            box(ax, 2.54, y, 0.06, 0.46, "", fill=LEARNS)
            say(ax, 2.65, y, "A, B", va="center")
        say(ax, 4.1, y, said, va="center")
    say(ax, 1.6, 2.18, "a wider box takes more memory", va="center", fontsize=9)
    return ax.figure


def staircase() -> Figure:
    """NF4's rounding as a staircase, whose slope is zero, and the diagonal that training pretends it is."""
    ax = axes(
        "Rounding to NF4, for one block", "W + ΔW, as a share of the block's largest weight", "rounded", height=3.0
    )
    numbers, levels = torch.linspace(-1, 1, 2001), nf4_codebook("cpu")
    rounded = levels[(numbers[:, None] - levels).abs().argmin(1)]
    ax.plot(numbers.tolist(), rounded.tolist(), marker="", color=COLOURS[0], label="forward: the staircase")
    ax.plot([-1, 1], [-1, 1], marker="", color=COLOURS[3], linestyle="--", label="backward: as if it were this line")
    ax.legend(loc="upper left")
    return ax.get_figure()


def right_tickets(scores: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """Mean and 95 % interval of each way, one row each, with a color and a mark for each group.

    Args:
        scores: for each of one or two groups' names, way → a score with ``mean``, ``low`` and ``high``, as shares. A
            way's name may have two lines.
    """
    rows = [(group, way, score) for group, ways in scores.items() for way, score in ways.items()]
    height = 0.9 + (0.42 if any("\n" in way for _, way, _ in rows) else 0.31) * len(rows)
    ax = axes("Right tickets, with 95 % intervals", "exact tickets (%)", "way", height=height, xlim=(-3, 103))
    for place, (group, way, score) in enumerate(rows):
        number = list(scores).index(group)
        look = {"color": COLOURS[3 * number], "linestyle": "-"}
        first = {"label": group} if way == next(iter(scores[group])) else {}
        ax.plot([100 * score["low"], 100 * score["high"]], [place, place], marker="", **look)
        ax.plot(100 * score["mean"], place, marker=MARKERS[number], markersize=7, **look, **first)
    ax.set_yticks(range(len(rows)), [way for _, way, _ in rows])
    ax.set_ylabel("")
    ax.set_ylim(len(rows) - 0.5, -0.5)
    if any(scores):
        ax.legend(loc="upper left")
    return ax.get_figure()
