"""QLoRA as pictures: the layer beside LoRA's, what takes how much memory, and what many runs say of its quality."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labkit.lab.claims import approx
from labkit.lab.diagrams.boxes import FROZEN, INK, LEARNS, PAPER, arrow, box, canvas, line, plus, say, wedge, word
from labkit.lab.plots import COLOURS, axes, plt, use_style

# dark, middle and light, so that neighbors stay apart in grayscale
_PARTS = (COLOURS[0], COLOURS[3], "#c9c9d4")
_MIDDLE = 2.15  # inches: how high the matrix and the + are
SIDE = 1.2  # inches of a matrix in 32 bits; in four, its square has an eighth of the area


def lora_beside_qlora() -> Figure:
    """LoRA's layer, with W in 32 bits, and QLoRA's, with W in four, made dense for a moment."""
    ax = canvas(3.4)
    say(ax, 0.1, 3.17, "LoRA", fontsize=11, weight="bold")
    say(ax, 3.35, 3.17, "QLoRA", fontsize=11, weight="bold")
    line(ax, [(3.17, 0.1), (3.17, 3.3)], "#bbbbbb")

    _adapter_around(ax, 0.1)
    box(ax, 0.75 + SIDE / 2, _MIDDLE, SIDE, SIDE, "W\n32 bits\nper weight", fill=FROZEN)

    _adapter_around(ax, 4.1)
    ax.add_patch(Rectangle((4.75, _MIDDLE - SIDE / 2), SIDE, SIDE, fc=PAPER, ec=INK, lw=1.4, ls=(0, (3, 3))))
    word(ax, 4.75 + SIDE / 2, _MIDDLE, "Ŵ, dense\nfor one\nproduct", 10)
    small = SIDE / 8**0.5
    box(ax, 3.45 + small / 2, 2.55 + small / 2, small, small, "W", fill=FROZEN)
    say(ax, 3.45 + small / 2, 2.48, "4 bits\nper weight", fontsize=9.5, va="top", ha="center")
    arrow(ax, (3.45 + small, 2.55 + small / 2), (4.73, 2.55 + small / 2))
    say(ax, 4.32, 2.85, "make\ndense", fontsize=9.5, ha="center", va="bottom")
    return ax.figure


def _adapter_around(ax: Axes, left: float) -> None:
    """x on its two ways, through a matrix and through A and B, to y. The matrix is drawn by the caller."""
    middle, low = _MIDDLE, 0.72
    word(ax, left + 0.08, middle - 0.35, "x", 13)
    line(ax, [(left + 0.2, middle - 0.35), (left + 0.4, middle - 0.35)])
    arrow(ax, (left + 0.4, middle - 0.35), (left + 0.63, middle - 0.35))
    line(ax, [(left + 0.35, middle - 0.35), (left + 0.35, low)])
    arrow(ax, (left + 0.35, low), (left + 0.63, low))
    wedge(ax, left + 0.65, low, 0.5, 0.9, 0.24, "A")
    arrow(ax, (left + 1.15, low), (left + 1.33, low))
    wedge(ax, left + 1.35, low, 0.5, 0.24, 0.9, "B")
    line(ax, [(left + 1.85, low), (left + 2.32, low)])
    arrow(ax, (left + 2.32, low), (left + 2.32, middle - 0.17))
    arrow(ax, (left + 1.87, middle), (left + 2.14, middle))
    plus(ax, left + 2.32, middle)
    arrow(ax, (left + 2.49, middle), (left + 2.68, middle))
    word(ax, left + 2.8, middle, "y", 13)
    say(ax, left + 1.25, 0.1, "A and B: trained, 32 bits", fontsize=9.5, color=LEARNS, ha="center")


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
    start = int(0.97 * min(values))
    axis = f"perplexity (the axis starts at {start})"
    ax = axes("How surprised is the model by ordinary text?", axis, "format", height=2.3)
    ax.axvline(values[0], color="#8a8a8a", linestyle=":", marker="")
    ax.plot(values, names, linestyle="", marker="o", markersize=8, color=COLOURS[2])
    ax.set(ylabel="", xlim=(start, 1.06 * max(values)), ylim=(len(names) - 0.5, -0.5))
    return ax.figure


def by_seed(first: Sequence[float], second: Sequence[float], interval: tuple[float, float]) -> Figure:
    """Two methods' scores in each run, and beside them their difference, with the interval of its mean below.

    Args:
        first: LoRA's share of right answers, one per seed.
        second: QLoRA's.
        interval: of the mean of second − first in percentage points, from, to.
    """
    use_style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.7), sharey=True)
    seeds = range(len(first))
    left.plot([100 * x for x in first], seeds, **_points("o", COLOURS[0], 11), fillstyle="none", label="LoRA")
    left.plot([100 * x for x in second], seeds, **_points("D", COLOURS[3]), label="QLoRA")
    left.set(title="Exact tickets", xlabel="percent")
    left.legend(loc="lower left", fontsize=9)
    points = [100 * (b - a) for a, b in zip(first, second)]
    below = len(points) + 0.3
    right.axvline(0, color="#8a8a8a", linestyle=":", marker="")
    right.plot(points, seeds, **_points("D", COLOURS[3]))
    right.plot(interval, [below] * 2, color=COLOURS[0], linestyle="-", marker="|", markersize=12, linewidth=2.5)
    right.plot(sum(points) / len(points), below, **_points("o", COLOURS[0]))
    right.set(title="QLoRA − LoRA", xlabel="points (left: QLoRA is worse)")
    left.set_yticks([*seeds, below], [*(f"seed {seed}" for seed in seeds), "mean, with\nits interval"])
    left.set_ylim(below + 0.6, -0.6)
    return figure


def _points(marker: str, color: str, size: float = 7) -> dict:
    return {"linestyle": "", "marker": marker, "markersize": size, "color": color}


def rulers(numbers: Sequence[float], step: float) -> Figure:
    """The numbers that bfloat16 has around each of `numbers`, all on one scale, and where a step down ends.

    Args:
        numbers: from large to small; each is taken as bfloat16 has it.
        step: what's subtracted; the arrow. A dotted one leads back to where the result is rounded to.
    """
    use_style()
    figure, axs = plt.subplots(len(numbers), 1, figsize=(7, 0.85 * len(numbers) + 0.4))
    for ax, number in zip(axs, torch.tensor(numbers).bfloat16()):
        start, landed = number.item(), (number - step).item()
        bits = number.view(torch.int16)
        marks = [(bits + i).view(torch.bfloat16).item() for i in range(-30, 31)]
        ax.set_xlim(start - 7.5 * step, start + 7.5 * step)
        ax.axhline(0, color="#8a8a8a", linewidth=1, linestyle="-", marker="", zorder=1)
        ax.plot(marks, [0] * len(marks), linestyle="", marker="|", color=INK, markersize=15)
        ax.plot(start, 0, marker="o", color=COLOURS[3], markersize=7, linestyle="", zorder=3)
        for a, b, look in (((start, 0.5), (start - step, 0.5), "-"), ((start - step, 0.5), (landed, 0.1), ":")):
            style = {"arrowstyle": "-|>", "color": COLOURS[3], "lw": 1.6, "ls": look, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", b, a, arrowprops=style)
        said = "the step is lost" if landed == start else "it moves"
        ax.text(0, 0.93, f"near {start:.2g}: {said}", transform=ax.transAxes, fontsize=9.5, va="top")
        ax.set(ylim=(-0.4, 1.15), yticks=[], xticks=[])
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.grid(False)
    small = f"{step:.9f}".rstrip("0")
    figure.suptitle(f"The numbers that bfloat16 has, and a step of {small}", x=0.01, ha="left", fontsize=11)
    return figure


def answers(prompts: Sequence[str], written: Sequence[str], right: Sequence[str]) -> Figure:
    """Each prompt, what a model wrote, and what it should have written where that differs.

    It's a picture because on another processor it may write something else.
    """
    use_style()
    wrap = partial(textwrap.wrap, width=92, break_on_hyphens=False, replace_whitespace=False, max_lines=3)
    indent = {"initial_indent": "  → ", "subsequent_indent": "    "}
    lines, notes = [], []
    for prompt, answer, expected in zip(prompts, written, right):
        at_commas = answer.replace(',"', ',\f"')  # where a line of JSON may break; textwrap wants white space
        lines += [*wrap(prompt), *(line.replace("\f", "") for line in wrap(at_commas, **indent))]
        if note := _differences(answer, expected):
            notes += [""] * (len(lines) - len(notes)) + ["  ✗ " + textwrap.shorten("expected " + note, 88)]
            lines.append("")
        lines.append("")
    figure = plt.figure(figsize=(7, 0.17 * len(lines)), layout="none")
    words = {"family": "DejaVu Sans Mono", "fontsize": 8.5, "va": "top", "linespacing": 1.35, "parse_math": False}
    figure.text(0.01, 0.99, "\n".join(lines), **words)
    if notes:
        figure.text(0.01, 0.99, "\n".join(notes), color=COLOURS[3], weight="bold", **words)
    return figure


def _differences(answer: str, expected: str) -> str:
    """The fields of the expected JSON object that the answer doesn't have; all of them if it's no object."""
    wanted = json.loads(expected)
    try:
        found = dict(json.loads(answer))
    except (ValueError, TypeError):
        found = {}
    return ", ".join(f"{key}: {value}" for key, value in wanted.items() if found.get(key) != value)
