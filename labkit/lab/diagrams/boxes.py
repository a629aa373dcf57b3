"""What drawings are made of: a canvas without axes, boxes and wedges with words in them, lines and arrows."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Polygon

from labkit.lab.plots import COLOURS, use_style

# What learns has one color in all drawings, and dark enough that it isn't taken for what's frozen where hue is lost
FROZEN, LEARNS, PAPER = "#d9d9d9", COLOURS[1], "#ffffff"
INK = "#222222"


def canvas(height: float) -> Axes:
    """A figure 7 inches wide whose unit is the inch, with y going up and nothing drawn on it yet."""
    use_style()
    figure = plt.figure(figsize=(7, height), layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 7), ylim=(0, height))
    ax.axis("off")
    return ax


def box(
    ax: Axes, x: float, y: float, width: float, height: float, words: str, *, fill: str = PAPER, edge: str = INK, **text
) -> None:
    """A box around (x, y), its middle, with `words` in it; `text` is passed on to matplotlib's text."""
    corner, line = (x - width / 2, y - height / 2), 1.2 if edge == INK else 2.5
    ax.add_patch(FancyBboxPatch(corner, width, height, "round,pad=0,rounding_size=0.06", fc=fill, ec=edge, lw=line))
    say(ax, x, y, words, **{"ha": "center", "va": "center", "color": PAPER if fill == LEARNS else INK} | text)


def wedge(ax: Axes, x: float, y: float, width: float, left: float, right: float, words: str) -> None:
    """What learns, narrowing or widening from its left side at `x` to its right, its middle at the height `y`."""
    corners = [(x, y - left / 2), (x + width, y - right / 2), (x + width, y + right / 2), (x, y + left / 2)]
    ax.add_patch(Polygon(corners, facecolor=LEARNS, edgecolor=INK, lw=1.2))
    word(ax, x + width / 2, y, words, 11, color=PAPER)


def line(ax: Axes, points: list[tuple[float, float]], color: str = INK, ls="-") -> None:
    """A line through points, with no mark at its ends."""
    ax.plot(*zip(*points), color=color, ls=ls, lw=1.4, marker="")


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], **style) -> None:
    """An arrow from `start` to `end`; `style` changes how it looks, as in ``linestyle="--"``."""
    look = {"arrowstyle": "-|>", "color": INK, "lw": 1.4, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 12} | style
    ax.annotate("", end, start, arrowprops=look)


def say(ax: Axes, x: float, y: float, words: str, **text) -> None:
    """Words at (x, y), nine points or more; a $ is a $."""
    ax.text(x, y, words, **{"fontsize": 10, "color": INK, "parse_math": False} | text)


def word(ax: Axes, x: float, y: float, words: str, size: float, **text) -> None:
    """Words whose middle is at (x, y)."""
    say(ax, x, y, words, fontsize=size, ha="center", va="center", **text)


def plus(ax: Axes, x: float, y: float, size: float = 15) -> None:
    """A plus in a circle: here two ways are added up."""
    word(ax, x, y, "+", size, bbox={"boxstyle": "circle,pad=0.12", "fc": PAPER, "ec": INK, "lw": 1.2})
