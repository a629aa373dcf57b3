"""What an adapter gives away, in pictures: where it's large, where it pushes, what it knows, whom it has seen."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from torch import Tensor

from labkit.forensics.traces import ModuleUpdate
from labkit.lab.plots import COLOURS, LINESTYLES, MARKERS, axes, use_style

KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_GRAY = "#8a8a8a"


def update_maps(adapters: Mapping[str, Sequence[ModuleUpdate]]) -> plt.Figure:
    """The relative size of each layer's update, a map per adapter: blocks from left to right, kinds of layers below.

    Each map has its own scale, from nothing to its largest update; that one is ringed. What isn't adapted stays white.

    Args:
        adapters: by name, what :func:`labkit.forensics.traces.module_updates` gives.
    """
    use_style()
    figure, found = plt.subplots(len(adapters), 1, figsize=(7, 1.45 * len(adapters) + 0.4), sharex=True, squeeze=False)
    for ax, (name, updates) in zip(found[:, 0], adapters.items()):
        places = {(KINDS.index(each.kind), _block(each)): 100 * each.relative for each in updates}
        blocks = 1 + max(block for _, block in places)
        values = [[places.get((kind, block), float("nan")) for block in range(blocks)] for kind in range(len(KINDS))]
        largest = max(places, key=places.get)
        ax.imshow(values, cmap="gray_r", vmin=0, vmax=places[largest], aspect="auto")
        ax.plot(largest[1], largest[0], marker="o", markersize=9, mfc="none", mec=COLOURS[3], mew=1.6, linestyle="")
        ax.set_yticks(range(len(KINDS)), [kind.removesuffix("_proj") for kind in KINDS], fontsize=7)
        ax.set_title(f"{name}: darkest is {places[largest]:.1f} % of W", fontsize=9)
        ax.grid(False)
    found[-1, 0].set_xlabel("block")
    return figure


def _block(update: ModuleUpdate) -> int:
    """The number in a layer's name."""
    return next(int(part) for part in update.name.split(".") if part.isdigit())


def pushes(table: Mapping[str, Mapping[str, float]], least: float) -> Axes:
    """How hard each adapter pushes each task's words, in deviations; those that reach `least` are framed.

    Args:
        table: adapter → task → push.
        least: from where on a push names a task.
    """
    use_style()
    tasks = list(next(iter(table.values())))
    _, ax = plt.subplots(figsize=(7, 1.0 + 0.42 * len(table)))
    ax.imshow([list(row.values()) for row in table.values()], cmap="gray_r", vmin=0, vmax=2 * least, aspect="auto")
    for y, row in enumerate(table.values()):
        for x, value in enumerate(row.values()):
            ax.text(x, y, f"{value:.1f}", ha="center", va="center", color="white" if value > least else "black")
            if value >= least:
                ax.add_patch(plt.Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, fill=False, ec=COLOURS[3], lw=2))
    ax.set_xticks(range(len(tasks)), tasks)
    ax.set_yticks(range(len(table)), list(table))
    ax.set(title="How hard it pushes each task's words (deviations)", xlabel="words of", ylabel="adapter")
    ax.grid(False)
    return ax


def by_look(curves: Mapping[str, Sequence[float]], most: float) -> Axes:
    """Exposure after each step of a training, one curve per customer, with what's most.

    Args:
        curves: label → bits after 0, 1, 2, … steps.
        most: bits, where the secret is the first of all candidates.
    """
    ax = axes("A secret that's looked for while training runs", "steps", "exposure (bits)", ylim=(-0.3, 1.1 * most))
    ax.axhline(most, color=_GRAY, linestyle=":", marker="", label="first of all candidates")
    for number, (label, bits) in enumerate(curves.items()):
        look = {"color": COLOURS[2 * number], "linestyle": LINESTYLES[number], "marker": MARKERS[number]}
        ax.plot(range(len(bits)), bits, label=label, **look)
    ax.legend()
    return ax


def exposure_by_rows(canaries: Sequence[Mapping], most: float, chance: float) -> Axes:
    """Every canary's exposure over the rows it had: filled where the likeliest answer gives it away.

    Args:
        canaries: each with ``rows``, ``exposure`` and ``greedy``.
        most, chance: bits, as lines to compare with.
    """
    ax = axes("Twelve customers, three trainings", "training rows of a customer", "exposure (bits)")
    counts = sorted({each["rows"] for each in canaries})
    groups = {count: [each for each in canaries if each["rows"] == count] for count in counts}
    means = [sum(each["exposure"] for each in group) / len(group) for group in groups.values()]
    ax.plot(range(len(counts)), means, color=COLOURS[0], marker="", label="mean")
    looks = {True: ("its likeliest answer gives it away", COLOURS[3]), False: ("it doesn't", "white")}
    for greedy, (label, color) in looks.items():
        dots = [
            (place + 0.05 * (number - (len(group) - 1) / 2), each["exposure"])
            for place, group in enumerate(groups.values())
            for number, each in enumerate(group)
            if bool(each["greedy"]) is greedy
        ]
        if dots:
            ax.plot(*zip(*dots), marker="o", markersize=6, mfc=color, mec=COLOURS[3], linestyle="", label=label)
    for value, label, style in ((most, "first of all candidates", ":"), (chance, "chance", "--")):
        ax.axhline(value, color=_GRAY, linestyle=style, marker="", label=label)
    ax.set_xticks(range(len(counts)), [str(count) for count in counts])
    ax.set_yticks(range(0, int(most) + 1, 4))
    ax.set_ylim(-0.5, 1.08 * most)
    ax.legend(fontsize=9, loc="center left", bbox_to_anchor=(0.0, 0.68))
    return ax


def roc_curves(curves: Mapping[str, tuple[Tensor, Tensor]], false_alarms: float) -> Axes:
    """ROC curves, a coin's diagonal, and a line at the false alarms that we'd put up with.

    Args:
        curves: label → shares of false alarms and of hits.
        false_alarms: where the line is.
    """
    ax = axes(
        "Which rows has it seen?",
        "unseen rows called seen (%)",
        "seen rows called seen (%)",
        height=3.6,
        aspect="equal",
    )
    for number, (label, (wrong, right)) in enumerate(curves.items()):
        look = {"color": COLOURS[number % 6], "linestyle": LINESTYLES[number % 6], "marker": ""}
        ax.plot((100 * wrong).tolist(), (100 * right).tolist(), label=label, **look)
    ax.plot([0, 100], [0, 100], color=_GRAY, linestyle=":", marker="", label="a coin")
    ax.axvline(100 * false_alarms, color=_GRAY, linewidth=1, marker="")
    ax.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.03, 0.5))
    return ax
