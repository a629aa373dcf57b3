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


Points = Mapping[int, tuple[float, float]]


def error_against_bits(
    panels: Mapping[str, Mapping[str, Points]], single: Mapping[str, tuple[float, float]], at: float
) -> Figure:
    """The same race for each width of the scales: a curve for each quantizer, with a point for each block size.

    Args:
        panels: title -> quantizer -> block size -> bits per weight, and error as a share.
        single: the same for formats with one block size, drawn in the last panel.
        at: the bits per weight at which they're compared, a gray band.
    """
    use_style()
    figure, places = plt.subplots(1, len(panels), figsize=(7, 3.2), sharex=True, sharey=True)
    for ax, (title, curves) in zip(places, panels.items()):
        ax.axvline(at, color="#dcdce4", lw=7, ls="-", marker="", zorder=0)
        for name, points in curves.items():
            bits, errors = zip(*sorted(points.values()))
            ax.plot(bits, [100 * error for error in errors], label=name)
        ax.set(title=title, xlabel="bits per weight")
    for (name, (bits, error)), marker in zip(single.items(), "*X"):
        places[-1].plot([bits], [100 * error], marker=marker, ls="", color=COLOURS[3], ms=10, label=name)
    lowest = math.floor(places[0].get_ylim()[0])
    places[0].set(ylabel=f"error (%), axis from {lowest}", ylim=(lowest, None))
    handles, labels = places[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure
