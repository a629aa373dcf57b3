"""How strong an adapter is on a server, by kind of layer."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labkit.lab.diagrams.boxes import INK, PAPER, canvas, say

KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def strengths(found: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """A table in shades: for each adapter and each kind of layer, the share of its update that's left.

    Args:
        found: for each adapter, the share by kind of layer, such as ``"q_proj"``; those it doesn't adapt
            are missing, and get a dash.
        title: what is shown.
    """
    ax = canvas(0.75 + 0.42 * len(found))
    top = 0.42 * len(found)
    say(ax, 0.1, top + 0.53, title, weight="bold", va="center")
    for column, kind in enumerate(KINDS):
        say(ax, 1.75 + 0.78 * column, top + 0.2, kind, ha="center", va="center", fontsize=9)
    for line, (name, shares) in enumerate(found.items()):
        y = top - 0.42 * line - 0.2
        say(ax, 0.1, y, name, va="center")
        for column, kind in enumerate(KINDS):
            x = 1.36 + 0.78 * column
            share = shares.get(kind)
            fill = PAPER if share is None else (1 - 0.78 * share,) * 3
            ax.add_patch(Rectangle((x, y - 0.18), 0.74, 0.36, facecolor=fill, edgecolor="#bbbbbb", lw=0.8))
            color = PAPER if share and share > 0.55 else INK
            text = "–" if share is None else f"{100 * share:.3g} %"
            say(ax, x + 0.37, y, text, ha="center", va="center", color=color, fontsize=9)
    return ax.figure
