"""Many adapters on one base: what lies where, a table as shades, what blends score, which router finds the way."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.lab.diagrams.boxes import FROZEN, LEARNS, arrow, box, canvas, say
from labkit.lab.plots import COLOURS, LINESTYLES, MARKERS, use_style


def what_lies_where(base_bytes: int, sizes: Mapping[str, int]) -> Figure:
    """Three columns: the files on the disk; one base and a table of adapters in memory; a batch of mixed rows.

    Args:
        base_bytes: of the base's numbers.
        sizes: bytes of each adapter's file, by name; four of them.
    """
    ax = canvas(3.2)
    for x, title in ((0.1, "on disk"), (2.25, "in memory"), (4.7, "in a batch")):
        say(ax, x, 2.95, title, fontsize=11, weight="bold")
    for x in (2.05, 4.5):
        ax.plot([x, x], [0.1, 3.1], color="#bbbbbb", lw=1, ls="-", marker="")

    box(ax, 0.95, 2.3, 1.7, 0.8, f"base\n{base_bytes / 1e6:,.0f} MB", fill=FROZEN)
    for place, (name, size) in enumerate(sizes.items()):
        x, y = 0.52 + 0.87 * (place % 2), 1.45 - 0.65 * (place // 2)
        box(ax, x, y, 0.8, 0.55, f"{name}\n{size / 1e6:.1f} MB", fill=LEARNS, fontsize=9)
    say(ax, 0.95, 0.22, "five folders (not to scale)", ha="center", fontsize=9)

    box(ax, 2.66, 1.7, 0.75, 2.0, "base,\nonce", fill=FROZEN)
    for place, name in enumerate(sizes):
        y = 2.45 - 0.5 * place
        box(ax, 3.95, y, 0.75, 0.38, name, fill=LEARNS, fontsize=9)
    arrow(ax, (3.08, 1.7), (3.55, 1.95))
    say(ax, 3.3, 2.02, "active", ha="center", fontsize=9)
    say(ax, 3.3, 0.22, "a switch turns the arrow", ha="center", fontsize=9)

    box(ax, 5.55, 1.7, 0.55, 2.0, "base", fill=FROZEN)
    for place, name in enumerate(sizes):
        y = 2.45 - 0.5 * place
        say(ax, 4.62, y, f"row {place}", va="center", fontsize=9)
        arrow(ax, (5.06, y), (5.26, y))
        say(ax, 5.94, y, "+", ha="center", va="center", fontsize=12)
        box(ax, 6.46, y, 0.75, 0.38, name, fill=LEARNS, fontsize=9)
    say(ax, 5.75, 0.22, "one large product, four small ones", ha="center", fontsize=9)
    return ax.figure


def shades(
    values: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], title: str, **labels: str
) -> Axes:
    """A table of shares in percent, the larger the darker, with each number in its field.

    Args:
        values: 0 … 100, a list for each row.
        rows, columns: what they're called.
        title: of the figure.
        labels: ``xlabel`` and ``ylabel``.
    """
    use_style()
    _, ax = plt.subplots(figsize=(7, 0.9 + 0.48 * len(rows)))
    ax.imshow(values, cmap="gray_r", vmin=0, vmax=100, aspect="auto")
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            ax.text(x, y, f"{value:.0f}", ha="center", va="center", color="white" if value > 50 else "black")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(title=title, **labels)
    ax.grid(False)
    return ax


# what the study adapter_blends counts
MEASURES = {"execution": "queries with the right rows", "rules": "rules of the voice kept"}


def on_the_way(runs: Sequence[Mapping], first: str, second: str) -> Axes:
    """What the blends from one adapter to another score on the tasks of both, and beside them both at 1.

    Args:
        runs: of the study adapter_blends: each has ``weights``, ``task``, ``metric``, ``mean``, ``low`` and ``high``.
        first, second: the two adapters; on the way, their weights add up to 1.
    """
    use_style()
    _, ax = plt.subplots(figsize=(7, 3.2))
    for number, task in enumerate((first, second)):
        way = [run for run in runs if run["task"] == task and _between(run["weights"], first, second)]
        way.sort(key=lambda run: run["weights"].get(second, 0))
        full = [run for run in runs if run["task"] == task and run["weights"] == {first: 1, second: 1}]
        name = f"{task}: {MEASURES.get(way[0]['metric'], way[0]['metric'])}"
        look = {"color": COLOURS[3 * number], "marker": MARKERS[number], "capsize": 3}
        shares = [run["weights"].get(second, 0) for run in way]
        ax.errorbar(shares, *_with_ends(way), label=name, ls=LINESTYLES[number], **look)
        ax.errorbar([1.3] * len(full), *_with_ends(full), ls="", **look)
    ax.set(title=f"From {first} to {second}, and both in full", ylabel="score (%)", ylim=(-4, 128))
    ax.set(xlabel=f"weight of {second} (the rest is {first})", xlim=(-0.05, 1.42))
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1, 1.3], ["0", "¼", "½", "¾", "1", "both at 1"])
    ax.set_yticks(range(0, 101, 20))
    ax.legend(loc="upper center", ncol=2)
    return ax


def _with_ends(runs: Sequence[Mapping]) -> tuple[list[float], list[list[float]]]:
    """Their means in percent, and how far the interval reaches down and up."""
    ends = [[100 * abs(run[end] - run["mean"]) for run in runs] for end in ("low", "high")]
    return [100 * run["mean"] for run in runs], ends


# the ways of the study adapter_routing that are drawn, from top to bottom, and what they're called
ROUTERS = {
    "strongest direction": "strongest direction",
    "strongest direction, mean taken off": "… usual input taken off",
    "all directions": "all directions, the strong ones more",
    "all directions, mean taken off": "… usual input taken off",
    "lowest loss on the message": "adapter with the lowest loss",
    "surest first token": "adapter that's surest",
    "words of 8": "word counts of 8 examples",
    "nearest of 8": "closest to 8 examples",
}


def routers(ways: Mapping[str, Mapping], chance: float) -> Axes:
    """How many messages each way of choosing sent to their own adapter, as bars with intervals.

    Args:
        ways: of the study adapter_routing, by name: each has ``mean``, ``low`` and ``high``.
        chance: the share that choosing at random gets right.
    """
    use_style()
    _, ax = plt.subplots(figsize=(7, 3.7))
    drawn = [ways[way] for way in ROUTERS]
    means, ends = _with_ends(drawn)
    look = {"ecolor": "#222222", "capsize": 3, "height": 0.62}
    ax.barh(range(len(drawn)), means, xerr=ends, color="#9db9d6", **look)
    ax.axvline(100 * chance, color=COLOURS[3], linestyle=":", marker="")
    ax.text(100 * chance + 1, -0.62, "by chance", color=COLOURS[3], va="bottom", fontsize=9)
    ax.set_yticks(range(len(drawn)), ROUTERS.values())
    ax.set_ylim(len(drawn) - 0.5, -1.1)
    ax.grid(False, axis="y")
    ax.set(title="Which way finds the right adapter?", xlabel="messages that came to their adapter (%)", xlim=(0, 104))
    return ax


def _between(weights: Mapping[str, float], first: str, second: str) -> bool:
    return set(weights) <= {first, second} and abs(sum(weights.values()) - 1) < 1e-9
