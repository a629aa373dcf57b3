"""Quantizers compared in pictures: what a block size costs and buys, and who misses how much at how many bits."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from labkit.lab.plots import COLOURS, MARKERS, axes, plt, use_style


def error_against_block_size(sizes: Sequence[int], errors: Mapping[str, Sequence[float]]) -> Figure:
    """A curve of errors for each kind of numbers, over block sizes, with what they cost in bits below.

    Args:
        sizes: numbers per block, each with one float32 scale and four-bit codes.
        errors: kind of numbers -> the error at each size, a share.
    """
    ax = axes("Small blocks: more bits, less error (int4)", "numbers per block, bits per weight", "error (%)")
    for kind, series in errors.items():
        ax.plot(sizes, [100 * error for error in series], label=kind)
    ax.set(xscale="log", ylim=(0, None))
    ax.set_xticks(sizes, [f"{size:,}\n{4 + 32 / size:.4g}" for size in sizes])
    ax.minorticks_off()
    ax.legend()
    return ax.figure


def errors_of_formats(errors: Mapping[str, Mapping[str, float]], bits: Mapping[str, float]) -> Figure:
    """A row for each format, the best one first, with a mark for each kind of numbers.

    Args:
        errors: kind of numbers -> format -> error, a share.
        bits: format -> bits per weight.
    """
    use_style()
    first = next(iter(errors.values()))
    order = sorted(first, key=first.get, reverse=True)
    start = math.floor(100 * min(min(row.values()) for row in errors.values()))
    figure, ax = plt.subplots(figsize=(7, 0.9 + 0.33 * len(order)))
    for (kind, row), colour, marker in zip(errors.items(), (COLOURS[1], COLOURS[5]), MARKERS):
        shown = [100 * row[name] for name in order]
        ax.plot(shown, range(len(order)), color=colour, marker=marker, ls="", ms=7, label=kind)
    ax.set_yticks(range(len(order)), [f"{name}: {bits[name]:.4g} bits" for name in order])
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel=f"error (%), on an axis from {start}", xlim=(start, None), ylim=(-0.6, len(order) - 0.4))
    figure.legend(loc="outside upper center", ncols=len(errors))
    return figure
