"""The court in pictures: losses by learning rate, right answers against forgetting, and the verdicts' intervals."""

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from labkit.lab.experiments.court_study import AGAINST, NAMES, PLACES, Losses, Standing, best_rate
from labkit.lab.plots import COLOURS, MARKERS, use_style

_GRAY, _INK = "#8a8a8a", "#222222"
_LOOKS = {
    method: {"color": COLOURS[color], "marker": MARKERS[number]}
    for number, (color, methods) in enumerate(zip((0, 3, 4, 2), PLACES.values()))
    for method in methods
}
_LEAST = 0.01  # forgetting, in nats per token
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_HOW = {"better": COLOURS[4], "can't tell": _GRAY, "worse": COLOURS[3]}


def losses_by_rate(found: Mapping[str, Losses]) -> Figure:
    """For each task a map: methods downward, learning rates to the right, and the darker the lower the loss.

    A ring is around each method's best; a dashed line stands at LoRA's best rate; a cross where training broke off.

    Args:
        found: each task's losses.
    """
    use_style()
    figure, panels = plt.subplots(1, len(found), figsize=(7, 4.4), sharey=True, squeeze=False)
    for ax, (task, losses) in zip(panels[0], found.items()):
        finite = [loss for tried in losses.values() for loss in tried.values() if math.isfinite(loss)]
        norm = LogNorm(min(finite), max(finite))
        for row, method in enumerate(losses):
            tried = losses[method]
            for rate, loss in tried.items():
                at = math.log10(rate)
                if math.isinf(loss):
                    ax.plot(at, row, marker="x", color=_INK, markersize=7)
                else:
                    ax.scatter(at, row, marker="s", s=115, c=[loss], cmap="viridis", norm=norm, linewidths=0)
            ax.plot(math.log10(best_rate(tried)), row, marker="o", markersize=7, mfc="none", mec="white", mew=1.8)
        ax.axvline(math.log10(best_rate(losses[AGAINST])), color=COLOURS[3], linestyle="--", marker="", zorder=0)
        powers = range(-5, 1)
        ax.set_xticks(list(powers), [f"$10^{{{power}}}$" for power in powers])
        ax.set(title=task, xlabel="learning rate", ylim=(len(losses) - 0.4, -0.6))
        ax.grid(False)
        bar = figure.colorbar(ax.collections[0], ax=ax, location="bottom", aspect=30)
        ticks = [tick for tick in _TICKS if norm.vmin <= tick <= norm.vmax]
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        bar.minorticks_off()
        bar.set_label("validation loss (nats per token)")
    panels[0][0].set_yticks(range(len(losses)), [NAMES[method] for method in losses])
    return figure


def right_against_forgetting(found: Mapping[str, Mapping[str, Standing]], base: Mapping[str, float]) -> Figure:
    """For each task, forgetting to the right and right answers upward; the larger a mark, the more numbers it trained.

    Forgetting is on a logarithmic axis: methods lie a factor of 50 apart, and most of them at its lower end. What's
    below 0.01 is drawn there.

    Args:
        found: each task's standings.
        base: each task's share of right answers without any training.
    """
    use_style()
    figure, panels = plt.subplots(len(found), 1, figsize=(7, 3.1 * len(found) + 0.5), squeeze=False)
    for ax, (task, each) in zip(panels[:, 0], found.items()):
        drawn = [standing for standing in each.values() if standing.forgetting is not None]
        for standing in drawn:
            look = _LOOKS[standing.method]
            size = 12 + 26 * max(0.0, math.log10(standing.trained) - 4)
            ax.scatter(max(standing.forgetting, _LEAST), 100 * standing.right, s=size, alpha=0.85, zorder=3, **look)
        ax.set(title=f"{task} (the base alone: {100 * base[task]:.0f} %)", xscale="log", ylabel="right answers (%)")
        ax.margins(0.1, 0.12)
        ticks = [tick for tick in _TICKS if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
    panels[-1][0].set_xlabel("forgetting (nats per token)")
    for place, methods in PLACES.items():
        look = _LOOKS[next(iter(methods))]
        panels[-1][0].plot([], [], linestyle="", label=place, **look)
    figure.legend(*panels[-1][0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.draw_without_rendering()  # only now is it known where the points lie
    for ax, each in zip(panels[:, 0], found.values()):
        _name(ax, [standing for standing in each.values() if standing.forgetting is not None])
    return figure


def _name(ax: Axes, standings: list[Standing]) -> None:
    """Each point's name, as near as it can be without covering another point or name; a line leads back to it."""
    scale = 72 / ax.figure.dpi  # from pixels to points
    at = [(max(standing.forgetting, _LEAST), 100 * standing.right) for standing in standings]
    places = [scale * ax.transData.transform(point) for point in at]
    left, bottom, right, top = scale * ax.bbox.extents
    taken = [(x - 6, x + 6, y - 6, y + 6) for x, y in places]
    ways = [(away, math.radians(angle)) for away in range(10, 100, 6) for angle in range(0, 360, 15)]
    for standing, point, (x, y) in zip(standings, at, places):
        width, color = 5.4 * len(NAMES[standing.method]) + 4, _LOOKS[standing.method]["color"]
        for away, angle in ways:
            dx = (away + width / 2) * math.cos(angle)  # so that its near side is at the line's end
            dy = away * math.sin(angle)
            box = (x + dx - width / 2, x + dx + width / 2, y + dy - 7, y + dy + 7)
            inside = left < box[0] and box[1] < right and bottom < box[2] and box[3] < top
            if inside and not any(_overlap(box, other) for other in taken):
                break
        taken.append(box)
        line = {"arrowstyle": "-", "color": color, "lw": 0.6, "shrinkB": 3} if away > 10 else None
        look = {"color": color, "fontsize": 9, "ha": "center", "va": "center", "arrowprops": line}
        ax.annotate(NAMES[standing.method], point, (dx, dy), textcoords="offset points", **look)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes, each (left, right, bottom, top), share a place."""
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def verdicts(found: Mapping[str, Mapping[str, Standing]]) -> Figure:
    """For each task, how many points more right answers than LoRA's each method has, with its interval.

    A filled mark was predicted, an empty one came out otherwise.

    Args:
        found: each task's standings.
    """
    use_style()
    figure, panels = plt.subplots(1, len(found), figsize=(7, 3.9), sharey=True, squeeze=False)
    for ax, (task, each) in zip(panels[0], found.items()):
        judged = [standing for standing in each.values() if standing.difference]
        for row, standing in enumerate(judged):
            color, gain = _HOW[standing.verdict], standing.difference
            ax.plot([100 * gain.low, 100 * gain.high], [row, row], color=color, linestyle="-", marker="")
            filled = color if standing.verdict == standing.predicted else "white"
            mark = {"better": "^", "can't tell": "o", "worse": "v"}[standing.verdict]
            ax.plot(100 * gain.mean, row, marker=mark, markersize=7, color=color, mfc=filled)
        ax.axvline(0, color=_GRAY, linestyle="--", marker="")
        ax.set(title=task, xlabel="right answers, against LoRA's (points)", ylim=(len(judged) - 0.4, -0.6))
    panels[0][0].set_yticks(range(len(judged)), [NAMES[standing.method] for standing in judged])
    for says, mark in (("better", "^"), ("can't tell", "o"), ("worse", "v")):
        panels[0][0].plot([], [], linestyle="", marker=mark, color=_HOW[says], label=says)
    panels[0][0].plot([], [], linestyle="", marker="o", color=_GRAY, mfc="white", label="empty: not as predicted")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
