"""Choosing settings, in pictures: valleys of loss over learning rate, what a setting changes, room beside need."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from labkit.evaluation.scoring import Score
from labkit.lab.plots import COLOURS, LINESTYLES, MARKERS, axes, use_style

_GRAY = "#8a8a8a"

Losses = Mapping[float, float | None]  # by learning rate; None where training broke off


class Panel(NamedTuple):
    """One of several plots that stand side by side.

    Attributes:
        title: what it shows.
        ylabel: the quantity with its unit.
        curves: by label, a value or a score with its interval for each number.
        lines: horizontal lines to compare with, by label.
        diagonal: the label of a line where both axes have the same number; "" for none.
    """

    title: str
    ylabel: str
    curves: Mapping[str, Mapping[float, float | Score]]
    lines: Mapping[str, float] = {}
    diagonal: str = ""


def valleys(panels: Mapping[str, Mapping[str, Losses]], *, shared: bool = True, height: float = 3.2) -> Figure:
    """Validation loss over learning rate, one curve per label.

    A ring is around the best rate of each curve, and a cross at the upper edge where training broke off.

    Args:
        panels: title → label → losses. The same label looks the same in all panels.
        shared: whether the panels share their loss axis, as those of one task should.
        height: in inches.
    """
    use_style()
    figure, found = plt.subplots(1, len(panels), figsize=(7, height), sharey=shared, squeeze=False)
    labels = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    for ax, (title, curves) in zip(found[0], panels.items()):
        for label, losses in curves.items():
            _valley(ax, losses, label, labels.index(label))
        ax.set(title=title, xlabel="learning rate", xscale="log")
        _scale(ax, [loss for each in (panels.values() if shared else [curves]) for loss in _finished(each)])
    first = found[0][0]
    first.set_ylabel("validation loss (nats per token)")
    if len(panels) == 1:
        first.legend()
    else:
        handles, names = _legend_of(found[0])
        figure.legend(handles, names, loc="outside upper center", ncols=min(4, len(labels)))
    return figure


def _finished(curves: Mapping[str, Losses]) -> list[float]:
    return [loss for losses in curves.values() for loss in losses.values() if loss is not None]


def _scale(ax: Axes, losses: Sequence[float]) -> None:
    """A logarithmic axis where the losses differ by more than a few times."""
    if max(losses) > 3 * min(losses):
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 3, 5)))  # they seldom span a decade
        ax.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
        ax.yaxis.set_minor_locator(NullLocator())


def _valley(ax: Axes, losses: Losses, label: str, number: int) -> None:
    look = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
    done = {rate: losses[rate] for rate in sorted(losses) if losses[rate] is not None}
    ax.plot(list(done), list(done.values()), label=label, linestyle=LINESTYLES[number % len(LINESTYLES)], **look)
    if done:
        best = min(done, key=done.get)
        ax.plot(best, done[best], marker="o", markersize=10, mfc="none", mec=look["color"], mew=1.4, linestyle="")
    broken = [rate for rate in losses if losses[rate] is None]
    place = [0.97 - 0.06 * number] * len(broken)  # of several curves, below each other
    cross = {"marker": "x", "markersize": 7, "mew": 2, "linestyle": "", "color": look["color"]}
    ax.plot(broken, place, transform=ax.get_xaxis_transform(), **cross)


def _legend_of(found: Sequence[Axes]) -> tuple[list, list[str]]:
    """What the axes show together, each label once."""
    handles = {}
    for ax in found:
        for handle, label in zip(*ax.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    return list(handles.values()), list(handles)


def by_number(panels: Sequence[Panel], xlabel: str, height: float = 3.0) -> Figure:
    """What comes out for each number of something, on a logarithmic axis: ranks, rows, dimensions.

    Args:
        panels: side by side; scores are drawn with their intervals.
        xlabel: what the numbers count.
        height: in inches.
    """
    use_style()
    figure, found = plt.subplots(1, len(panels), figsize=(7, height), squeeze=False)
    for ax, panel in zip(found[0], panels):
        for number, (label, values) in enumerate(panel.curves.items()):
            scores = {at: each if isinstance(each, Score) else Score(each, each, each) for at, each in values.items()}
            means = [each.mean for each in scores.values()]
            down = [each.mean - each.low for each in scores.values()]
            up = [each.high - each.mean for each in scores.values()]
            wide = any(isinstance(each, Score) for each in values.values())
            shifted = [at * 1.05**number if wide else at for at in scores]  # or intervals would hide each other
            look = {"color": COLOURS[number], "linestyle": LINESTYLES[number], "marker": MARKERS[number]}
            ax.errorbar(shifted, means, yerr=[down, up], label=label, capsize=2.5, elinewidth=1.2, **look)
        for label, value in panel.lines.items():
            ax.axhline(value, color=_GRAY, linestyle=":", marker="", label=label)
        numbers = sorted({at for values in panel.curves.values() for at in values})
        if panel.diagonal:
            ax.plot(numbers, numbers, color=_GRAY, linestyle=":", marker="", label=panel.diagonal)
        ax.set(title=panel.title, ylabel=panel.ylabel, xlabel=xlabel, xscale="log")
        said = [f"{at:,}" if isinstance(at, int) else f"{at:.2g}" for at in numbers]
        ax.set_xticks(numbers, said, fontsize=8 if len(panels) > 1 and len(said) > 5 else None)
        ax.xaxis.set_minor_locator(NullLocator())
        if len(panel.curves) + len(panel.lines) + bool(panel.diagonal) > 1:
            ax.legend(fontsize=9)
    return figure


def over_steps(curves: Mapping[str, Mapping[int, float]], title: str, ylabel: str) -> Figure:
    """Losses of several runs as they went.

    Args:
        curves: label → step → loss.
    """
    ax = axes(title, "step", ylabel)
    for number, (label, losses) in enumerate(curves.items()):
        look = {"color": COLOURS[number % 6], "linestyle": LINESTYLES[number % 6], "marker": MARKERS[number % 6]}
        ax.plot(list(losses), list(losses.values()), label=label, **look)
    _scale(ax, [loss for losses in curves.values() for loss in losses.values()])
    ax.legend()
    return ax.get_figure()


def intervals(
    title: str, xlabel: str, rows: Mapping[str, Score], at: float | None = None, height: float | None = None
) -> Figure:
    """Scores or differences with their 95 % intervals, one row each, on one axis.

    Args:
        rows: by label.
        at: where a line stands to compare with, such as 0 for differences.
    """
    ax = axes(title, xlabel, "choice", height=height or 0.95 + 0.33 * len(rows))
    for place, score in enumerate(rows.values()):
        ax.plot([score.low, score.high], [place, place], marker="", linestyle="-", color=COLOURS[0])
        ax.plot(score.mean, place, marker="o", markersize=7, color=COLOURS[0])
    if at is not None:
        ax.axvline(at, color=_GRAY, linestyle="--", marker="")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(ylabel="", ylim=(len(rows) - 0.5, -0.5))
    return ax.get_figure()


def on_one_scale(title: str, xlabel: str, groups: Mapping[str, Mapping[str, float]]) -> Figure:
    """Quantities of one kind that differ by decades, one row each, with a color and a mark for each group.

    Args:
        groups: what the rows belong to → label → value, above 0.
    """
    rows = [(group, label, value) for group, found in groups.items() for label, value in found.items()]
    ax = axes(title, xlabel, "what", height=0.95 + 0.34 * len(rows), xscale="log")
    for place, (group, label, value) in enumerate(rows):
        number = list(groups).index(group)
        first = {"label": group} if label == next(iter(groups[group])) else {}
        look = {"color": COLOURS[3 * number % 6], "marker": MARKERS[number]}
        ax.plot(value, place, markersize=8, linestyle="", **look, **first)
    ax.set_yticks(range(len(rows)), [label for _, label, _ in rows])
    ax.set(ylabel="", ylim=(len(rows) - 0.5, -0.5))
    ax.legend(loc="best")
    return ax.get_figure()


def scales(ranks: Sequence[int]) -> Figure:
    """The factor before B A under three rules that agree at r = 8, against the rank, on logarithmic axes."""
    ax = axes("The factor before B A, under three rules", "rank r", "factor s", xscale="log", yscale="log")
    said = {
        "α stays 16: s = 16 / r": lambda r: 16 / r,
        "rsLoRA: s = α / √r, with α = 2√8": lambda r: 2 * math.sqrt(8 / r),
        "α = 2r: s = 2": lambda r: 2,
    }
    for label, factor in said.items():
        ax.plot(ranks, [factor(r) for r in ranks], label=label)
    ax.set_xticks(ranks, [f"{r}" for r in ranks])
    ax.set_yticks([0.25, 0.5, 1, 2, 4, 8, 16], ["1/4", "1/2", "1", "2", "4", "8", "16"])
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
    ax.legend()
    return ax.get_figure()
