"""Evidence, in pictures: several scores in each row, a score beside what it costs, and tests of many sizes."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.evaluation.scoring import Score
from labkit.lab.plots import COLOURS, MARKERS, axes, use_style

_GRAY = "#8a8a8a"


def grouped(
    title: str,
    xlabel: str,
    rows: Mapping[str, Mapping[str, Score]],
    at: float | None = None,
    height: float | None = None,
) -> Figure:
    """Several scores with their 95 % intervals in each row, one color and mark per series, on one axis.

    Args:
        rows: label of the row → series → score. A series looks the same in all rows, and may be missing in some.
        at: where a line stands to compare with, such as 0 for differences.
    """
    series = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    step = 0.8 / max(1, len(series))
    ax = axes(title, xlabel, "row", height=height or 1.2 + (0.14 + 0.13 * len(series)) * len(rows))
    for number, name in enumerate(series):
        look = {"color": COLOURS[number % 6]}
        for place, scores in enumerate(rows.values()):
            if name in scores:
                score, y = scores[name], place + step * (number - (len(series) - 1) / 2)
                ax.plot([score.low, score.high], [y, y], marker="", linestyle="-", **look)
                first = {} if name in ax.get_legend_handles_labels()[1] else {"label": name}
                ax.plot(score.mean, y, marker=MARKERS[number % 6], markersize=6.5, linestyle="", **look, **first)
    if at is not None:
        ax.axvline(at, color=_GRAY, linestyle="--", marker="")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(ylabel="", ylim=(len(rows) - 0.5, -0.5))
    if len(series) > 1:
        ax.get_figure().legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=min(4, len(series)))
    return ax.get_figure()


def bargains(
    panels: Mapping[str, Mapping[str, tuple[Score, Score]]], base: Mapping[str, float], xlabel: str, ylabel: str
) -> Figure:
    """What each choice gains and what it keeps, one panel per task: the best corner is the upper right one.

    Args:
        panels: title → label → the two scores, in percent.
        base: by title, the height of a dotted line: what there was to keep.
    """
    use_style()
    figure, found = plt.subplots(1, len(panels), figsize=(7, 3.6), sharey=True, squeeze=False)
    for ax, (title, choices) in zip(found[0], panels.items()):
        _bargain(ax, choices)
        ax.axhline(base[title], color=_GRAY, linestyle=":", marker="")
        ax.set(title=title, xlabel=xlabel)
        ax.set_ylim(bottom=-4)
    found[0][0].set_ylabel(ylabel)
    figure.legend(*found[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _bargain(ax: Axes, choices: Mapping[str, tuple[Score, Score]]) -> None:
    for number, (label, (gained, kept)) in enumerate(choices.items()):
        look = {"color": COLOURS[number % 6], "marker": MARKERS[number % 6]}
        across = [[gained.mean - gained.low], [gained.high - gained.mean]]
        up = [[kept.mean - kept.low], [kept.high - kept.mean]]
        ax.errorbar(gained.mean, kept.mean, xerr=across, yerr=up, ls="", ms=7, elinewidth=1, label=label, **look)
