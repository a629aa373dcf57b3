"""Sixteen levels in pictures: numbers falling to them, the bell they're cut from, and those of other formats."""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from labkit.lab.diagrams.boxes import INK, LEARNS, arrow, canvas, say
from labkit.lab.plots import COLOURS, plt, use_style

_PALE, _ONE = "#b9b9c4", COLOURS[3]
_SLICES = ("#dfe6ee", "#b5c7d8")  # neighbors apart in grayscale too


def falling(block: Tensor, book: Tensor, which: int) -> Figure:
    """A block of weights, divided by its largest magnitude, falling to the nearest levels; one number is followed.

    Args:
        block: the numbers of one block, shape (n,).
        book: the levels, ascending from −1 to 1.
        which: the index of the number to follow.
    """
    absmax = block.abs().max()
    scaled, middles = block / absmax, (book[1:] + book[:-1]) / 2
    codes = torch.bucketize(scaled, middles)
    ax = canvas(3.25)
    width, left, floor, rail = 6.5, 0.25, 0.75, 2.35

    def across(value) -> float:
        return left + width * (float(value) + 1) / 2

    code = int(codes[which])
    number, ratio, level, restored = block[which], scaled[which], book[code], book[code] * absmax
    say(ax, left, 3.02, f"{len(block)} weights of a block, each divided by the largest magnitude")
    say(ax, left, 2.72, f"{_sign(number, 4)} / {absmax:.4f} = {_sign(ratio, 3)}", color=_ONE, weight="bold")
    ax.plot((across(-1), across(1)), (rail, rail), color=INK, lw=1, marker="", ls="-")
    ax.plot([across(x) for x in scaled], [rail] * len(block), "|", color=INK, ms=9, mew=1)
    for end in (-1, 0, 1):
        say(ax, across(end), rail + 0.12, _sign(end, 0), fontsize=9, ha="center")
    for wall in [-1 - (book[1] + 1) / 2, *middles, 1 + (1 - book[-2]) / 2]:
        x = min(max(across(wall), left - 0.17), left + width + 0.17)
        ax.plot((x, x), (floor, floor + 0.78), color=_PALE, lw=1, marker="", ls="-")
    for each, place in enumerate(book):
        here, count, x = each == code, int((codes == each).sum()), across(place)
        ax.plot((x, x), (floor - 0.07, floor), color=LEARNS, lw=3, marker="", ls="-", solid_capstyle="butt")
        ax.plot([x] * count, [floor + 0.06 + 0.085 * i for i in range(count)], "o", color=_PALE, ms=4.5, mew=0)
        look = {"ha": "center", "va": "center", "weight": "bold" if here else "normal"}
        say(ax, x, floor - 0.2, str(each), fontsize=9, color=_ONE if here else LEARNS, **look)
        if here:
            arrow(ax, (across(ratio), rail - 0.1), (x, floor + 0.12 + 0.085 * (count - 1)), color=_ONE, lw=1.8)
            ax.plot([x], [floor + 0.06 + 0.085 * (count - 1)], "o", color=_ONE, ms=6.5, mew=0)
    ax.plot([across(ratio)], [rail], "o", color=_ONE, ms=6.5, mew=0)
    say(ax, left, 0.12, f"stored: {code}, in four bits {code:04b}")
    say(ax, 3.4, 0.12, f"restored: {_sign(level, 4)} · {absmax:.4f} = {_sign(restored, 4)}", color=_ONE, weight="bold")
    return ax.figure


def _sign(number, digits: int) -> str:
    return f"{number:.{digits}f}".replace("-", "−")


def equal_slices(book: Tensor, offset: float) -> Figure:
    """The bell with NF4's levels: they cut the right side into eight equal slices, the left into seven.

    Args:
        book: the sixteen levels.
        offset: the probability at the outermost one, on the right.
    """
    use_style()
    figure, ax = plt.subplots(figsize=(7, 2.6))
    farthest = torch.special.ndtri(torch.tensor(offset, dtype=torch.float64)).item()
    edges = [farthest * level for level in book.tolist()]

    def bell(x: Tensor) -> Tensor:
        return torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)

    x = torch.linspace(-3.2, 3.2, 400)
    ax.plot(x, bell(x), color=INK, marker="", ls="-", lw=1.2)
    for i, (low, high) in enumerate(zip(edges, edges[1:])):
        within = torch.linspace(low, high, 40)
        ax.fill_between(within, bell(within), color=_SLICES[i % 2], lw=0)
        ax.text((low + high) / 2, 0.015, str(i + 1 if i < 7 else i - 6), ha="center", fontsize=9, color=INK)
    heights = bell(torch.tensor(edges))
    ax.vlines(edges, 0, heights, color=LEARNS, lw=1.6)
    ax.set(title="Each side in slices of the same area: seven, and eight", xlabel="level", yticks=[])
    ax.set(ylim=(0, 0.43), xlim=(-3.2, 3.2))
    shown = [0, 1, 3, 7, 11, 14, 15]
    ax.set_xticks([edges[i] for i in shown], [_sign(book[i], 2) for i in shown])
    ax.spines["left"].set_visible(False)
    ax.grid(False)
    return figure


def side_by_side(books: dict[str, Tensor]) -> Figure:
    """Where formats have their levels, each in a row, all scaled so that the largest is 1."""
    use_style()
    figure, ax = plt.subplots(figsize=(7, 0.7 + 0.42 * len(books)))
    for row, book in enumerate(books.values()):
        y = len(books) - 1 - row
        ax.plot((-1, 1), (y, y), color=_PALE, lw=1, marker="", ls="-")
        ax.vlines(book / book.abs().max(), y - 0.3, y + 0.3, color=COLOURS[row % len(COLOURS)], lw=2.4)
    ax.set(xlabel="level, compared with the largest", xlim=(-1.04, 1.04), ylim=(-0.55, len(books) - 0.45))
    ax.set_yticks(range(len(books)), list(books)[::-1])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(False)
    return figure


def within_blocks(matrices: dict[str, Tensor], block_size: int = 64) -> Figure:
    """How the numbers of each matrix are spread within their blocks, beside a bell of the same width."""
    use_style()
    figure, panels = plt.subplots(1, len(matrices), figsize=(7, 2.2), sharex=True, sharey=True)
    x = torch.linspace(-3.5, 3.5, 200)
    for ax, (name, matrix) in zip(panels, matrices.items()):
        blocks = matrix.reshape(-1, block_size)
        centered = blocks - blocks.mean(dim=1, keepdim=True)
        spread = (centered / centered.square().mean(dim=1, keepdim=True).sqrt()).flatten()
        heights, edges = torch.histogram(spread, bins=60, range=(-3.5, 3.5), density=True)
        ax.stairs(heights, edges, fill=True, color=_SLICES[1])
        ax.plot(x, torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi), color=INK, marker="", ls="-", lw=1.2)
        ax.set(title=name, yticks=[])
        ax.spines["left"].set_visible(False)
        ax.grid(False)
    panels[0].set_ylabel("how many")
    figure.supxlabel("number, in standard deviations of its block", fontsize=10)
    return figure
