"""QLoRA as pictures: the layer beside LoRA's, what takes how much memory, and what many runs say of its quality."""

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labkit.lab.claims import approx
from labkit.lab.diagrams.layer import FROZEN, INK, TRAINED, arrow, box, canvas, line, wedge, word
from labkit.lab.plots import COLOURS, axes, plt, use_style

# dark, middle and light, so that neighbors stay apart in grayscale
_PARTS = (COLOURS[0], COLOURS[3], "#c9c9d4")
SIDE = 1.2  # inches of a matrix in 32 bits; in four, its square has an eighth of the area


def lora_beside_qlora() -> Figure:
    """LoRA's layer, with W in 32 bits, and QLoRA's, with W in four, made dense for a moment."""
    ax = canvas(7, 3.3)
    ax.text(0.1, 3.07, "LoRA", fontsize=11, weight="bold")
    ax.text(3.35, 3.07, "QLoRA", fontsize=11, weight="bold")
    line(ax, [(3.17, 0.0), (3.17, 3.2)], "#bbbbbb")

    _adapter_around(ax, 0.1)
    box(ax, 0.75, 1.45, SIDE, SIDE, "W\n32 bits\nper weight", FROZEN)

    _adapter_around(ax, 4.1)
    ax.add_patch(Rectangle((4.75, 1.45), SIDE, SIDE, facecolor="white", edgecolor=INK, lw=1.4, ls=(0, (3, 3))))
    ax.text(4.75 + SIDE / 2, 1.45 + SIDE / 2, "Ŵ, dense\nfor one\nproduct", ha="center", va="center", fontsize=10)
    small = SIDE / 8**0.5
    box(ax, 3.45, 2.45, small, small, "W", FROZEN)
    ax.text(3.28, 2.0, "4 bits\nper weight", fontsize=9.5, va="center", ha="left")
    arrow(ax, (3.45 + small, 2.45 + small / 2), (4.73, 2.45 + small / 2))
    ax.text(4.32, 2.75, "make\ndense", fontsize=9.5, ha="center", va="bottom")
    return ax.figure


def _adapter_around(ax: Axes, left: float) -> None:
    """x on its two ways, through a matrix and through A and B, to y. The matrix is drawn by the caller."""
    middle, low = 2.05, 0.62
    word(ax, left + 0.08, middle - 0.35, "x", 13)
    line(ax, [(left + 0.2, middle - 0.35), (left + 0.4, middle - 0.35)])
    arrow(ax, (left + 0.4, middle - 0.35), (left + 0.63, middle - 0.35))
    line(ax, [(left + 0.35, middle - 0.35), (left + 0.35, low)])
    arrow(ax, (left + 0.35, low), (left + 0.63, low))
    wedge(ax, left + 0.65, low, 0.5, 0.9, 0.24, "A", TRAINED)
    arrow(ax, (left + 1.15, low), (left + 1.33, low))
    wedge(ax, left + 1.35, low, 0.5, 0.24, 0.9, "B", TRAINED)
    line(ax, [(left + 1.85, low), (left + 2.32, low)])
    arrow(ax, (left + 2.32, low), (left + 2.32, middle - 0.17))
    arrow(ax, (left + 1.87, middle), (left + 2.14, middle))
    word(ax, left + 2.32, middle, "+", 15, circle=True)
    arrow(ax, (left + 2.49, middle), (left + 2.68, middle))
    word(ax, left + 2.8, middle, "y", 13)
    ax.text(left + 1.25, 0.0, "A and B: trained, 32 bits", fontsize=9.5, color=TRAINED, ha="center")


def stacked_bytes(title: str, rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """A bar for each row, made of its parts, with their sum behind it.

    Args:
        title: of the figure.
        rows: name -> part -> bytes; all rows have the same parts, three at most.
    """
    ax = axes(title, "memory (GB)", "base", height=1.5 + 0.45 * len(rows))
    left = dict.fromkeys(rows, 0.0)
    for part, colour in zip(next(iter(rows.values())), _PARTS):
        sizes = [parts[part] / 1e9 for parts in rows.values()]
        ax.barh(list(rows), sizes, left=list(left.values()), height=0.6, color=colour, edgecolor="white", label=part)
        left = {name: left[name] + size for name, size in zip(rows, sizes)}
    for place, total in enumerate(left.values()):
        ax.annotate(approx(1e9 * total, "GB"), (total, place), xytext=(5, 0), textcoords="offset points", va="center")
    ax.set(ylabel="", xlim=(0, 1.16 * max(left.values())))
    ax.grid(False, axis="y")
    ax.invert_yaxis()
    ax.figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    return ax.figure


def surprise(perplexities: Mapping[str, float]) -> Figure:
    """A dot for the perplexity of each format, beside the first, which isn't rounded."""
    names, values = list(perplexities), list(perplexities.values())
    ax = axes("How surprised is the model by ordinary text?", "perplexity", "format", height=2.3)
    ax.axvline(values[0], color="#8a8a8a", linestyle=":", marker="")
    ax.plot(values, names, linestyle="", marker="o", markersize=8, color=COLOURS[2])
    ax.set(ylabel="", xlim=(0.93 * min(values), 1.06 * max(values)), ylim=(len(names) - 0.5, -0.5))
    return ax.figure


def by_seed(points: Sequence[float], interval: tuple[float, float]) -> Figure:
    """The difference of two methods in each run, and the interval of their mean below.

    Args:
        points: one per seed, in percentage points.
        interval: from, to.
    """
    use_style()
    figure, ax = plt.subplots(figsize=(7, 2.6))
    ax.axvline(0, color="#8a8a8a", linestyle=":", marker="")
    seeds = range(len(points))
    ax.plot(points, seeds, linestyle="", marker="D", markersize=7, color=COLOURS[3])
    mean = sum(points) / len(points)
    ax.plot(
        interval, [len(points) + 0.3] * 2, color=COLOURS[0], linestyle="-", marker="|", markersize=12, linewidth=2.5
    )
    ax.plot(mean, len(points) + 0.3, marker="o", markersize=8, color=COLOURS[0], linestyle="")
    ax.set_yticks([*seeds, len(points) + 0.3], [*(f"seed {seed}" for seed in seeds), "mean, with\nits interval"])
    ax.set(title="QLoRA − LoRA, exact tickets", xlabel="percentage points (left: QLoRA is worse)")
    ax.set_ylim(len(points) + 0.9, -0.6)
    return figure


def answers(prompts: Sequence[str], written: Sequence[str]) -> Figure:
    """Each prompt, and below it what a model wrote. As a picture: on another processor it may write something else."""
    use_style()
    wrap = partial(textwrap.wrap, width=96, break_on_hyphens=False, max_lines=3)
    lines = []
    for prompt, answer in zip(prompts, written):
        lines += [*wrap(prompt), *wrap(answer, initial_indent="  → ", subsequent_indent="    "), ""]
    figure = plt.figure(figsize=(7, 0.17 * len(lines)), layout="none")
    words = {"family": "DejaVu Sans Mono", "fontsize": 8.5, "va": "top", "linespacing": 1.35, "parse_math": False}
    figure.text(0.01, 0.99, "\n".join(lines), **words)
    return figure
