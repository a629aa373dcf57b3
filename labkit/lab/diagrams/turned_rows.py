"""Which rows of a head RoPE turns together: halves in transformers, neighbors in llama.cpp."""

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from labkit.lab.diagrams.boxes import FROZEN, LEARNS, box, canvas, say

_HALF = 4


def turned_rows() -> Figure:
    """One head of eight rows, in both orders, with an arc between the two rows of each pair."""
    ax = canvas(3.1)
    left, right = range(2 * _HALF), [i + j * _HALF for i in range(_HALF) for j in (0, 1)]
    for x, title, rows, side in ((2.2, "transformers", left, -1), (4.8, "llama.cpp", right, 1)):
        say(ax, x, 2.9, title, ha="center", weight="bold")
        for place, row in enumerate(rows):
            fill = LEARNS if row < _HALF else FROZEN
            box(ax, x, _height(place), 1.1, 0.24, f"row {row}", fill=fill, fontsize=9)
        for i in range(_HALF):
            ends = [(x + side * 0.56, _height(list(rows).index(row))) for row in (i, i + _HALF)]
            bend = f"arc3,rad={side * -0.5 if side > 0 else 0.32 + 0.03 * i}"
            ax.add_patch(FancyArrowPatch(*ends, arrowstyle="-", connectionstyle=bend, lw=1.3, color="#555555"))
    for place, row in enumerate(right):
        style = "-" if row < _HALF else "--"
        ax.plot([2.78, 4.22], [_height(row), _height(place)], color="#999999", lw=1, linestyle=style, marker="")
    say(ax, 0.1, 1.5, "turned together:\nhalf a head apart", fontsize=9, va="center")
    say(ax, 5.75, 1.5, "turned together:\nneighbors", fontsize=9, va="center")
    return ax.figure


def _height(place: int) -> float:
    return 2.6 - 0.33 * place
