"""The LoRA layer as a drawing: beside full fine-tuning, and with the gradient's way back into A and B."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon, Rectangle

from labkit.lab.plots import COLOURS, STYLE

TRAINED, FROZEN, INK, GRADIENT = COLOURS[1], "#d3d3dd", "#222222", COLOURS[3]


def lora_beside_full() -> Figure:
    """x → W → y with all of W trained, beside x → W frozen, plus the way through A and B."""
    ax = canvas(7, 3.05)
    ax.text(0.1, 2.82, "Full fine-tuning", fontsize=11, weight="bold")
    ax.text(2.75, 2.82, "LoRA", fontsize=11, weight="bold")
    line(ax, [(2.42, 0.1), (2.42, 2.9)], "#bbbbbb")

    word(ax, 0.25, 1.9, "x", 13)
    arrow(ax, (0.38, 1.9), (0.66, 1.9))
    box(ax, 0.68, 1.3, 1.2, 1.2, "W\ntrained", TRAINED)
    arrow(ax, (1.9, 1.9), (2.12, 1.9))
    word(ax, 2.24, 1.9, "y", 13)

    word(ax, 2.9, 1.9, "x", 13)
    arrow(ax, (3.03, 1.9), (3.83, 1.9))
    box(ax, 3.85, 1.3, 1.2, 1.2, "W\nfrozen", FROZEN)
    line(ax, [(3.25, 1.9), (3.25, 0.62), (3.4, 0.62)])
    arrow(ax, (3.25, 0.62), (3.53, 0.62))
    wedge(ax, 3.55, 0.62, 0.65, 1.0, 0.26, "A", TRAINED)
    arrow(ax, (4.2, 0.62), (4.72, 0.62))
    ax.text(4.46, 0.78, "r", ha="center", fontsize=10, style="italic")
    wedge(ax, 4.74, 0.62, 0.65, 0.26, 1.0, "B", TRAINED)
    arrow(ax, (5.39, 0.62), (5.62, 0.62))
    word(ax, 5.84, 0.62, "· α/r", 11)
    line(ax, [(6.1, 0.62), (6.32, 0.62), (6.32, 1.5)])
    arrow(ax, (6.32, 1.4), (6.32, 1.72))
    arrow(ax, (5.07, 1.9), (6.14, 1.9))
    word(ax, 6.32, 1.9, "+", 15, circle=True)
    arrow(ax, (6.5, 1.9), (6.72, 1.9))
    word(ax, 6.84, 1.9, "y", 13)
    ax.text(0.1, 0.48, "every number of W\nis changed", fontsize=9.5, color=TRAINED, va="center")
    ax.text(4.47, 0.0, "only A and B are trained", fontsize=9.5, color=TRAINED, ha="center")
    return ax.figure


def gradients_way() -> Figure:
    """The first backward pass: the gradient reaches B, and stops there, because B is zero."""
    ax = canvas(7, 2.5)
    ax.text(0.1, 1.88, "forward", fontsize=10, weight="bold", va="center")
    word(ax, 1.05, 1.88, "x", 13)
    arrow(ax, (1.2, 1.88), (1.68, 1.88))
    box(ax, 1.7, 1.53, 1.1, 0.7, "A\nrandom", TRAINED)
    arrow(ax, (2.82, 1.88), (3.98, 1.88))
    ax.text(3.4, 1.97, "A x: not zero", fontsize=9.5, ha="center")
    box(ax, 4.0, 1.53, 1.1, 0.7, "B\nzero", TRAINED)
    arrow(ax, (5.12, 1.88), (5.98, 1.88))
    ax.text(6.02, 1.88, "zero", fontsize=9.5, va="center")

    ax.text(0.1, 0.9, "backward", fontsize=10, weight="bold", color=GRADIENT, va="center")
    ax.text(6.02, 0.9, "gradient G", fontsize=9.5, va="center", color=GRADIENT)
    arrow(ax, (5.95, 0.9), (4.58, 0.9), GRADIENT)
    arrow(ax, (4.55, 0.9), (4.55, 1.49), GRADIENT)
    line(ax, [(4.5, 0.9), (3.56, 0.9)], GRADIENT, ls=(0, (4, 3)))
    ax.add_patch(Rectangle((3.42, 0.62), 0.12, 0.56, color=INK))
    line(ax, [(3.4, 0.9), (2.25, 0.9), (2.25, 1.4)], "#8a8a8a", ls=(0, (1, 2)))
    arrow(ax, (2.25, 1.4), (2.25, 1.49), "#8a8a8a")
    ax.text(5.2, 0.3, "B's gradient: G times A x.\nNot zero, so B learns", fontsize=9.5, ha="center", va="center")
    ax.text(2.55, 0.3, "times B, which is zero:\nnothing gets through to A", fontsize=9.5, ha="center", va="center")
    return ax.figure


def canvas(width: float, height: float) -> Axes:
    """Empty axes that fill a figure, measured in inches."""
    with plt.rc_context(STYLE | {"figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(width, height))
        ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(-0.1, height))
    ax.axis("off")
    return ax


def box(ax: Axes, x: float, y: float, width: float, height: float, label: str, colour: str, size: float = 10) -> None:
    """A filled rectangle with its label inside, white where the colour is dark."""
    ax.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor=INK, lw=0.8))
    _label(ax, x + width / 2, y + height / 2, label, colour, size)


def wedge(ax: Axes, x: float, y: float, width: float, left: float, right: float, label: str, colour: str) -> None:
    """A shape that narrows or widens from its left side to its right, centered at the height `y`."""
    corners = [(x, y - left / 2), (x + width, y - right / 2), (x + width, y + right / 2), (x, y + left / 2)]
    ax.add_patch(Polygon(corners, facecolor=colour, edgecolor=INK, lw=0.8))
    _label(ax, x + width / 2, y, label, colour, 11)


def arrow(ax: Axes, start: tuple, end: tuple, colour: str = INK) -> None:
    """A straight arrow."""
    style = {"arrowstyle": "-|>", "mutation_scale": 11, "shrinkA": 0, "shrinkB": 0, "lw": 1.4}
    ax.add_patch(FancyArrowPatch(start, end, color=colour, **style))


def line(ax: Axes, points: list[tuple], colour: str = INK, ls="-") -> None:
    """A line through points, with no mark at its ends."""
    ax.plot(*zip(*points), color=colour, ls=ls, lw=1.4, marker="")


def word(ax: Axes, x: float, y: float, text: str, size: float, circle: bool = False) -> None:
    """A word centered at a point, in a circle if asked."""
    frame = {"boxstyle": "circle,pad=0.12", "fc": "white", "ec": INK, "lw": 1.2} if circle else None
    ax.text(x, y, text, ha="center", va="center", fontsize=size, bbox=frame)


def _label(ax: Axes, x: float, y: float, label: str, colour: str, size: float) -> None:
    ink = "white" if colour == TRAINED else INK
    ax.text(x, y, label, ha="center", va="center", fontsize=size, color=ink, linespacing=1.3)
