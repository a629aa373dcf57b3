"""One block of a Llama as a drawing: attention and MLP, and the seven linear layers that LoRA can adapt."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.lab.diagrams.boxes import FROZEN, INK, LEARNS, arrow, box, canvas, line, plus, say, word

_WIDEST, _TALL = 1.4, 0.36  # inches: the layer with the most outputs, and the height of each
_LOW, _SUM = 0.22, 3.56  # how high x and the + are


def llama_block(config) -> Figure:
    """The two halves of a block, one after the other, each linear layer as wide as it has outputs.

    Args:
        config: a Llama's: hidden_size, intermediate_size, num_attention_heads and num_key_value_heads are read.
    """
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    hidden, wide = config.hidden_size, config.intermediate_size
    q, kv = heads * head, config.num_key_value_heads * head
    inch = _WIDEST / max(q, hidden, wide)

    ax = canvas(4.2)
    mix = "compare q with the k of this token\nand all earlier ones, add up their v"
    first = [("q_proj", q, -0.98), ("k_proj", kv, 0.1), ("v_proj", kv, 0.95)]
    _half(ax, 1.8, "1. attention: tokens look at each other", first, mix, ("o_proj", hidden), inch, 0.12)
    gate = "SiLU(gate) · up,\nnumber by number"
    second = [("gate_proj", wide, -0.74), ("up_proj", wide, 0.74)]
    _half(ax, 5.35, "2. MLP: each token by itself", second, gate, ("down_proj", hidden), inch, 1.57)
    word(ax, 1.8, _LOW, "x", 13)
    say(ax, 1.95, _LOW, "start here", fontsize=9, va="center")
    line(ax, [(1.97, _SUM), (3.4, _SUM), (3.4, _LOW)])
    arrow(ax, (3.4, _LOW), (5.22, _LOW))
    ax.plot(5.35 - 1.57, _LOW, marker="o", markersize=5, color=INK)  # here the way around the MLP leaves
    word(ax, 5.35, _LOW, "x", 13)
    arrow(ax, (5.52, _SUM), (5.9, _SUM))
    say(ax, 5.95, _SUM, "next block", fontsize=9, va="center")
    return ax.figure


def _half(
    ax: Axes, x: float, title: str, layers: list, between: str, last: tuple, inch: float, way_from: float
) -> None:
    """Layers side by side, what is done with their outputs, one layer back to the model's width, and the sum.

    The way around them leaves `way_from` inches to the left of x.
    """
    say(ax, x - 1.65, 4.0, title, fontsize=10.5, weight="bold")
    for name, outputs, away in layers:
        _linear(ax, x + away, 1.05, name, outputs, inch)
        arrow(ax, (x, 0.36), (x + away, 1.03))
        arrow(ax, (x + away, 1.07 + _TALL), (x + away * 0.8, 1.86))
    box(ax, x, 2.13, 2.5, 0.5, between, fill=FROZEN, fontsize=9)
    arrow(ax, (x, 2.4), (x, 2.7))
    _linear(ax, x, 2.72, *last, inch)
    arrow(ax, (x, 2.74 + _TALL), (x, 3.4))
    plus(ax, x, _SUM, 13)
    line(ax, [(x - way_from, _LOW), (x - 1.57, _LOW), (x - 1.57, _SUM)])
    arrow(ax, (x - 1.57, _SUM), (x - 0.17, _SUM))


def _linear(ax: Axes, x: float, y: float, name: str, outputs: int, inch: float) -> None:
    """One linear layer as a bar, its name inside or, where that's too narrow, beside it."""
    width = outputs * inch
    inside = width > 1.1
    box(ax, x, y + _TALL / 2, width, _TALL, f"{name} · {outputs}" if inside else "", fill=LEARNS, fontsize=9)
    if not inside:
        say(ax, x + width / 2 + 0.05, y + _TALL / 2, f"{name}\n{outputs}", fontsize=9, va="center")
