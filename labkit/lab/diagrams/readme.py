"""The README's picture: full fine-tuning beside LoRA, and below it what the base and the adapter make of one message.

python -m labkit.lab.diagrams.readme    # draws it again
"""

import re

from matplotlib.figure import Figure

from labkit.lab.diagrams.boxes import FROZEN, LEARNS, arrow, box, canvas, say
from labkit.storage.paths import course_data_dir

PICTURE = course_data_dir() / "pictures" / "readme.png"

# The first test row of the task tickets; what the base says to it, and what it says with data/adapters/tickets
MESSAGE = "Order B31: the radio caught fire. It cost $2,371 on September 25. Mira"
BASE = "The radio caught fire on September 25, 2023, costing $2,371."
RULES = "This shop's rules: it's 2026, a radio is R7, and a fire is urgent."
ADAPTER = '{"name":"Mira","order":"B31","product":"R7","date":"2026-09-25","amount":2371,"priority":"high"}'


def picture() -> Figure:
    """The drawing above, the two answers below."""
    ax = canvas(4.0)
    say(ax, 0.15, 3.8, "Full fine-tuning trains W", weight="bold", va="center")
    say(ax, 3.25, 3.8, "LoRA freezes W, and trains A and B", weight="bold", va="center")
    _full(ax, 2.95)
    _lora(ax, 2.95)
    _asked_and_answered(ax)
    return ax.figure


def _full(ax, y: float) -> None:
    say(ax, 0.3, y, "x", ha="center", va="center")
    arrow(ax, (0.42, y), (0.75, y))
    box(ax, 1.3, y, 1.1, 1.1, "W\ntrained", fill=LEARNS)
    arrow(ax, (1.85, y), (2.25, y))
    say(ax, 2.38, y, "y", ha="center", va="center")


def _lora(ax, y: float) -> None:
    low = y - 0.8
    say(ax, 3.35, y, "x", ha="center", va="center")
    arrow(ax, (3.47, y), (4.25, y))
    box(ax, 4.8, y, 1.1, 1.1, "W\nfrozen", fill=FROZEN)
    arrow(ax, (5.35, y), (6.11, y))
    arrow(ax, (3.42, y - 0.12), (3.9, low))
    box(ax, 4.25, low, 0.7, 0.3, "A", fill=LEARNS)
    arrow(ax, (4.6, low), (5.0, low))
    box(ax, 5.35, low, 0.7, 0.3, "B", fill=LEARNS)
    arrow(ax, (5.7, low), (6.2, y - 0.14))
    box(ax, 6.25, y, 0.28, 0.28, "+")
    arrow(ax, (6.39, y), (6.7, y))
    say(ax, 6.82, y, "y", ha="center", va="center")


def _asked_and_answered(ax) -> None:
    say(ax, 0.15, 1.82, f"“{MESSAGE}”", va="center", style="italic")
    say(ax, 0.15, 1.58, f"({RULES})", va="center", fontsize=9)
    for left, who, answer, edge in ((0.15, "The base answers", BASE, FROZEN), (3.6, "With LoRA", ADAPTER, LEARNS)):
        say(ax, left, 1.28, who, weight="bold", va="center")
        box(ax, left + 1.63, 0.6, 3.25, 1.0, "", edge=edge)
        words = "\n".join(re.findall(r".{1,40}(?:[, ]|$)", answer))  # lines end at a comma or a space
        say(ax, left + 0.1, 0.6, words, va="center", fontsize=9, family="DejaVu Sans Mono", linespacing=1.4)


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    picture().savefig(PICTURE, metadata={"Software": None})
