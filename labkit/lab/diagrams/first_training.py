"""Notebook 00's drawing: what training changed, and what it left alone."""

from matplotlib.figure import Figure

from labkit.lab.diagrams.boxes import FROZEN, LEARNS, arrow, box, canvas, say


def base_and_adapter() -> Figure:
    """A message goes through the base and the adapter and becomes a ticket; examples train the adapter only."""
    ax = canvas(2.6)
    box(ax, 0.8, 2.1, 1.3, 0.6, "a message")
    box(ax, 3.5, 2.1, 2.2, 0.7, "the base\n(stays as it was)", fill=FROZEN)
    box(ax, 3.5, 1.2, 2.2, 0.6, "the adapter (learns)", fill=LEARNS)
    box(ax, 6.2, 2.1, 1.3, 0.6, "a ticket")
    arrow(ax, (1.45, 2.1), (2.4, 2.1))
    arrow(ax, (1.45, 2.0), (2.4, 1.25))
    arrow(ax, (4.6, 2.1), (5.55, 2.1))
    arrow(ax, (4.6, 1.25), (5.55, 2.0))
    box(ax, 3.5, 0.28, 3.0, 0.4, "messages with the right tickets")
    arrow(ax, (3.5, 0.48), (3.5, 0.9), linestyle="--")
    say(ax, 3.65, 0.68, "training", va="center")
    return ax.figure
