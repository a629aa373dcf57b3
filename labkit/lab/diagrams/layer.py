"""The LoRA layer as a drawing: beside full fine-tuning, and with the gradient's way back into A and B."""

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labkit.lab.diagrams.boxes import FROZEN, INK, LEARNS, arrow, box, canvas, line, plus, say, wedge, word
from labkit.lab.plots import COLOURS

GRADIENT, NOTHING = COLOURS[3], "#8a8a8a"


def lora_beside_full() -> Figure:
    """x → W → y with all of W trained, beside x → W frozen, plus the way through A and B."""
    ax = canvas(3.15)
    say(ax, 0.1, 2.92, "Full fine-tuning", fontsize=11, weight="bold")
    say(ax, 2.75, 2.92, "LoRA", fontsize=11, weight="bold")
    line(ax, [(2.42, 0.2), (2.42, 3.0)], "#bbbbbb")

    word(ax, 0.25, 2.0, "x", 13)
    arrow(ax, (0.38, 2.0), (0.66, 2.0))
    box(ax, 1.28, 2.0, 1.2, 1.2, "W\ntrained", fill=LEARNS)
    arrow(ax, (1.9, 2.0), (2.12, 2.0))
    word(ax, 2.24, 2.0, "y", 13)

    word(ax, 2.9, 2.0, "x", 13)
    arrow(ax, (3.03, 2.0), (3.83, 2.0))
    box(ax, 4.45, 2.0, 1.2, 1.2, "W\nfrozen", fill=FROZEN)
    line(ax, [(3.25, 2.0), (3.25, 0.72), (3.4, 0.72)])
    arrow(ax, (3.25, 0.72), (3.53, 0.72))
    wedge(ax, 3.55, 0.72, 0.65, 1.0, 0.26, "A")
    arrow(ax, (4.2, 0.72), (4.72, 0.72))
    say(ax, 4.46, 0.88, "r", ha="center", style="italic")
    wedge(ax, 4.74, 0.72, 0.65, 0.26, 1.0, "B")
    arrow(ax, (5.39, 0.72), (5.62, 0.72))
    word(ax, 5.84, 0.72, "· α/r", 11)
    line(ax, [(6.1, 0.72), (6.32, 0.72), (6.32, 1.6)])
    arrow(ax, (6.32, 1.5), (6.32, 1.82))
    arrow(ax, (5.07, 2.0), (6.14, 2.0))
    plus(ax, 6.32, 2.0)
    arrow(ax, (6.5, 2.0), (6.72, 2.0))
    word(ax, 6.84, 2.0, "y", 13)
    say(ax, 0.1, 0.58, "every number of W\nis changed", color=LEARNS, va="center")
    say(ax, 4.47, 0.08, "only A and B are trained", color=LEARNS, ha="center")
    return ax.figure


def gradients_way() -> Figure:
    """The first backward pass: the gradient reaches B, and stops there, because B is zero."""
    ax = canvas(2.6)
    say(ax, 0.1, 1.98, "forward", weight="bold", va="center")
    word(ax, 1.05, 1.98, "x", 13)
    arrow(ax, (1.2, 1.98), (1.68, 1.98))
    box(ax, 2.25, 1.98, 1.1, 0.7, "A\nrandom", fill=LEARNS)
    arrow(ax, (2.82, 1.98), (3.98, 1.98))
    say(ax, 3.4, 2.07, "A x: not zero", ha="center")
    box(ax, 4.55, 1.98, 1.1, 0.7, "B\nzero", fill=LEARNS)
    arrow(ax, (5.12, 1.98), (5.98, 1.98))
    say(ax, 6.02, 1.98, "zero", va="center")

    say(ax, 0.1, 1.0, "backward", weight="bold", color=GRADIENT, va="center")
    say(ax, 6.02, 1.0, "gradient G", va="center", color=GRADIENT)
    arrow(ax, (5.95, 1.0), (4.58, 1.0), color=GRADIENT)
    arrow(ax, (4.55, 1.0), (4.55, 1.59), color=GRADIENT)
    line(ax, [(4.5, 1.0), (3.56, 1.0)], GRADIENT, ls=(0, (4, 3)))
    ax.add_patch(Rectangle((3.42, 0.72), 0.12, 0.56, color=INK))
    line(ax, [(3.4, 1.0), (2.25, 1.0), (2.25, 1.5)], NOTHING, ls=(0, (1, 2)))
    arrow(ax, (2.25, 1.5), (2.25, 1.59), color=NOTHING)
    say(ax, 5.2, 0.4, "B's gradient: G times A x.\nNot zero, so B learns", ha="center", va="center")
    say(ax, 2.55, 0.4, "times B, which is zero:\nnothing gets through to A", ha="center", va="center")
    return ax.figure
