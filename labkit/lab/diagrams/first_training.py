"""Notebook 00's drawing: what training changed, and what it left alone."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.lab.diagrams.boxes import FROZEN, LEARNS, arrow, box, canvas, say


def base_and_adapter() -> Figure:
    """A message goes from block to block and becomes a ticket; examples train the small adapters in each block only."""
    ax, middle, blocks = canvas(2.5), 1.75, (2.05, 3.35, 4.95)
    box(ax, 0.62, middle, 1.0, 0.5, "a message")
    box(ax, 6.38, middle, 1.0, 0.5, "a ticket")
    for start, end in ((1.12, 1.5), (2.6, 2.8), (5.5, 5.88)):
        arrow(ax, (start, middle), (end, middle))
    say(ax, 4.15, middle, "…", ha="center", va="center", fontsize=14)
    box(ax, 3.5, 0.28, 2.9, 0.4, "messages with the right tickets")
    say(ax, 2.7, 0.76, "training", ha="right", va="center")
    for x in blocks:
        _block(ax, x, middle)
        arrow(ax, (3.5, 0.48), (x, middle - 0.58), linestyle="--")
    return ax.figure


def _block(ax: Axes, x: float, y: float) -> None:
    box(ax, x, y, 1.1, 1.4, "")
    say(ax, x, y + 0.54, "block", ha="center", va="center")
    box(ax, x, y + 0.14, 0.94, 0.46, "weights,\nfrozen", fill=FROZEN, fontsize=9)
    box(ax, x, y - 0.4, 0.94, 0.36, "adapters", fill=LEARNS)
