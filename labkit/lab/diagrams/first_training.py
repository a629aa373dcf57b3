"""Notebook 00's drawing: what training changed, and what it left alone."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.lab.diagrams.boxes import FROZEN, LEARNS, arrow, box, canvas, say


def base_and_adapter() -> Figure:
    """A message goes from layer to layer and becomes a ticket; examples train the small part in each layer only."""
    ax, middle, layers = canvas(2.5), 1.75, (2.05, 3.35, 4.95)
    box(ax, 0.62, middle, 1.0, 0.5, "a message")
    box(ax, 6.38, middle, 1.0, 0.5, "a ticket")
    for start, end in ((1.12, 1.5), (2.6, 2.8), (5.5, 5.88)):
        arrow(ax, (start, middle), (end, middle))
    say(ax, 4.15, middle, "…", ha="center", va="center", fontsize=14)
    box(ax, 3.5, 0.28, 2.9, 0.4, "messages with the right tickets")
    say(ax, 2.7, 0.76, "training", ha="right", va="center")
    for x in layers:
        _layer(ax, x, middle)
        arrow(ax, (3.5, 0.48), (x, middle - 0.5), linestyle="--")
    return ax.figure


def _layer(ax: Axes, x: float, y: float) -> None:
    box(ax, x, y, 1.1, 1.3, "", fill=FROZEN)
    say(ax, x, y + 0.33, "layer\n(frozen)", ha="center", va="center")
    box(ax, x, y - 0.3, 0.9, 0.4, "adapter", fill=LEARNS)
