"""Where the methods of the family put what they train: one linear layer from near, and the block around it."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from labkit.lab.diagrams.boxes import FROZEN, INK, LEARNS, PAPER, arrow, box, canvas, line, plus, say, wedge, word
from labkit.lab.plots import COLOURS, LINESTYLES, MARKERS, use_style


def where_they_train() -> Figure:
    """Above, one W with what can be around it; below, a block with what can be in it and in front of its words."""
    ax = canvas(5.0)
    say(ax, 0.1, 4.76, "one linear layer", fontsize=11, weight="bold")
    say(ax, 0.1, 2.52, "the block, and the words", fontsize=11, weight="bold")
    line(ax, [(0.1, 2.8), (6.9, 2.8)], "#bbbbbb")
    _linear_layer(ax)
    _block(ax)
    return ax.figure


def _linear_layer(ax: Axes) -> None:
    word(ax, 0.3, 4.0, "x", 13)
    arrow(ax, (0.45, 4.0), (1.28, 4.0))
    box(ax, 1.72, 4.0, 0.85, 0.8, "W", fill=FROZEN)
    say(ax, 1.72, 4.47, "full, Spectrum: W itself", fontsize=9, color=LEARNS, ha="center")
    line(ax, [(0.7, 4.0), (0.7, 3.15)])
    arrow(ax, (0.7, 3.15), (1.18, 3.15))
    wedge(ax, 1.2, 3.15, 0.42, 0.56, 0.2, "A")
    arrow(ax, (1.62, 3.15), (1.82, 3.15))
    wedge(ax, 1.84, 3.15, 0.42, 0.2, 0.56, "B")
    line(ax, [(2.26, 3.15), (2.72, 3.15), (2.72, 3.85)])
    arrow(ax, (2.72, 3.75), (2.72, 3.84))
    says = "LoRA, rsLoRA, LoRA+, LoRA-FA,\nPiSSA, DoRA, VeRA: beside W"
    say(ax, 2.86, 3.14, says, fontsize=9, color=LEARNS, va="center")
    arrow(ax, (2.17, 4.0), (2.56, 4.0))
    plus(ax, 2.72, 4.0, 13)
    for x, sign, says in ((3.75, "× l", "IA³: a factor"), (5.0, "+ b", "BitFit: a bias")):
        arrow(ax, (x - 0.87 if sign == "× l" else x - 0.94, 4.0), (x - 0.29, 4.0))
        box(ax, x, 4.0, 0.54, 0.44, sign, fill=LEARNS)
        say(ax, x, 4.3, says, fontsize=9, color=LEARNS, ha="center")
    arrow(ax, (5.29, 4.0), (6.1, 4.0))
    word(ax, 6.25, 4.0, "y", 13)


def _block(ax: Axes) -> None:
    for place in range(6):  # three that nobody wrote, three of the row
        learns = place < 3
        said, fill = ("", LEARNS) if learns else ("abc"[place - 3], PAPER)
        box(ax, 0.25 + 0.3 * place, 1.07, 0.26, 0.42, said, fill=fill, fontsize=9)
    say(ax, 0.12, 0.52, "prompt tuning:\nin front of the words", fontsize=9, color=LEARNS, va="center")
    arrow(ax, (1.94, 1.07), (2.23, 1.07))
    for x, name in ((2.25, "attention"), (4.55, "MLP")):
        box(ax, x + 0.575, 1.07, 1.15, 0.7, name, fill=FROZEN)
        arrow(ax, (x + 1.17, 1.07), (x + 1.36, 1.07))
        wedge(ax, x + 1.38, 1.07, 0.22, 0.56, 0.16, "")
        wedge(ax, x + 1.6, 1.07, 0.22, 0.16, 0.56, "")
        arrow(ax, (x + 1.82, 1.07), (x + 1.95, 1.07))
        plus(ax, x + 2.06, 1.07, 9)
        line(ax, [(x - 0.12, 1.07), (x - 0.12, 0.3), (x + 2.06, 0.3)])
        arrow(ax, (x + 2.06, 0.3), (x + 2.06, 0.95))
    arrow(ax, (4.41, 1.07), (4.53, 1.07))
    arrow(ax, (6.71, 1.07), (6.95, 1.07))
    for place in range(4):
        box(ax, 2.42 + 0.27 * place, 1.75, 0.2, 0.26, "", fill=LEARNS if place < 2 else PAPER)
    arrow(ax, (2.82, 1.6), (2.82, 1.44))
    says = "prefix tuning: in front of\nthe keys and values"
    say(ax, 2.3, 2.16, says, fontsize=9, color=LEARNS, va="center")
    says = "bottleneck:\na small network"
    say(ax, 4.6, 1.88, says, fontsize=9, color=LEARNS, va="center")
    for x in (3.85, 6.15):
        line(ax, [(5.0, 1.68), (x, 1.4)], LEARNS, ls=(0, (1, 2)))
    say(ax, 2.0, 0.08, "dark: learns · gray: frozen", fontsize=9, color=INK, va="center")


def length_and_direction(before: Tensor, lora: Tensor, dora: Tensor) -> Figure:
    """A row of W with two weights as an arrow, moved by the same A and B: in LoRA, and in DoRA, with the length kept.

    Args:
        before, lora, dora: the row, shape (2,) each.
    """
    use_style()
    figure, ax = plt.subplots(figsize=(7, 2.6))
    length = before.norm().item()
    ax.add_patch(plt.Circle((0, 0), length, fill=False, color="#bbbbbb", linestyle=":", lw=1.4))
    looks = (
        ("the row of W", before, INK),
        ("LoRA: W + s·BA", lora, COLOURS[2]),
        ("DoRA, same A and B", dora, COLOURS[1]),
    )
    for number, (says, row, color) in enumerate(looks):
        x, y = row.tolist()
        ax.annotate(
            "", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2.2, "shrinkA": 0, "shrinkB": 0}
        )
        ax.plot([], [], color=color, linestyle=LINESTYLES[0], marker=MARKERS[number], label=says)
    ax.text(-length, 0.1, "same length\nas the row", fontsize=9, ha="left", va="bottom")
    ax.set(
        xlim=(-2.2, 4.6),
        ylim=(-0.25, 1.9),
        aspect="equal",
        xticks=[],
        yticks=[],
        title="One row of a weight, two inputs wide",
    )
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.legend(loc="center right")
    return figure


def first_steps(
    ranks: Sequence[int], sizes: Mapping[str, Sequence[float]], falls: Mapping[str, Sequence[float]]
) -> Figure:
    """The first step at several ranks: on the left how far it moves W, on the right how far the loss should fall.

    Args:
        ranks: in rising order.
        sizes, falls: for each scaling's name, one number per rank, compared with those of the first rank.
    """
    use_style()
    figure, panels = plt.subplots(1, 2, figsize=(7, 2.9))
    titles = ("how far W moves", "how far the loss should fall")
    for ax, title, found in zip(panels, titles, (sizes, falls)):
        for number, (name, values) in zip((0, 3), found.items()):
            ax.plot(
                ranks,
                values,
                color=COLOURS[number],
                marker=MARKERS[number],
                linestyle=LINESTYLES[number // 3],
                label=name,
            )
        ax.set(title=title, xlabel="rank r", ylabel=f"compared with r = {ranks[0]} (×)")
        ax.set_xscale("log", base=2)
        ax.set_yscale("log", base=2)
        ax.set_xticks(ranks, [str(rank) for rank in ranks])
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.legend()
    return figure


def singular_values(found: Mapping[str, Tensor], edges: Mapping[str, float]) -> Figure:
    """The singular values of matrices, the largest first, with a line where Spectrum's rule says that noise ends.

    Args:
        found: for each matrix's name, its singular values; at most two.
        edges: for each, the limit.
    """
    use_style()
    figure, panels = plt.subplots(1, len(found), figsize=(7, 2.6), squeeze=False)
    for ax, (name, values) in zip(panels[0], found.items()):
        ax.plot(range(1, len(values) + 1), values.tolist(), color=COLOURS[0], marker="")
        ax.axhline(edges[name], color=COLOURS[3], linestyle="--", marker="")
        ax.text(1, 0.94 * edges[name], "above: signal", color=COLOURS[3], fontsize=9, va="top")
        ax.set(title=name, xlabel="singular value, by size", ylim=(0, None))
    panels[0][0].set_ylabel("its size")
    return figure
