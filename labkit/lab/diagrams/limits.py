"""What `studies/capacity.py` and `studies/intrinsic_dimension.py` found, in pictures."""

from matplotlib.figure import Figure

from labkit.lab.plots import COLOURS, LINESTYLES, MARKERS, axes


def bits_by_rank(study: dict, passes: int = 500) -> Figure:
    """Bits kept against bits given, both per trained number, with a line for each rank on one matrix.

    Args:
        study: ``data/results/capacity.json`` as read.
        passes: of the runs that are drawn.
    """
    runs = [run for run in study["best"] if (run["base"], run["passes"]) == ("real", passes)]
    most = max(run["bits"] / run["numbers"] for run in runs)
    ax = axes("Random strings in one LoRA", "bits given per trained number", "bits kept per trained number", height=3.6)
    ax.plot([0, most], [0, most], color="0.7", linewidth=1, marker="")
    ax.annotate("all of them", (0.8 * most, 0.8 * most), (-8, 0), textcoords="offset points", ha="right", color="0.4")
    lines = sorted({(run["piece"] == "mlp", run["piece"], run["r"]) for run in runs})
    for place, (of_mlp, piece, r) in enumerate(lines):
        points = sorted(
            (run["bits"] / run["numbers"], run["kept"] / run["numbers"])
            for run in runs
            if (run["piece"], run["r"]) == (piece, r)
        )
        look = {"linestyle": LINESTYLES[of_mlp], "marker": MARKERS[place], "color": COLOURS[place]}
        ax.plot(*zip(*points), label=f"{'whole MLP' if of_mlp else 'down_proj'}, r = {r}", **look)
    ax.legend(loc="upper left", fontsize="small", handlelength=3.5)
    return ax.get_figure()


def tickets_by_dimension(study: dict) -> Figure:
    """Tickets right after training d numbers, over all weights and over LoRA's; d90 where a line reaches its goal.

    Args:
        study: ``data/results/intrinsic_dimension.json`` as read.
    """
    ax = axes("Training d random directions", "d, log scale", "tickets right (%)", xscale="log", ylim=(-4, 106))
    for place, space in enumerate(study["d90"]):
        runs = {run["d"]: 100 * (run["exact"] or {"mean": 0})["mean"] for run in study["best"] if run["space"] == space}
        goal = 0.9 * runs.pop(None)
        color = COLOURS[2 + place]
        ax.plot(
            *zip(*sorted(runs.items())),
            color=color,
            linestyle=LINESTYLES[place],
            marker=MARKERS[place],
            label=f"of {space}; dotted: 90 % of training them all",
        )
        ax.axhline(goal, linewidth=1, linestyle=":", color=color)
        if study["d90"][space]:
            at = (study["d90"][space], 0)
            ax.axvline(at[0], linewidth=1, linestyle=":", color=color)
            ax.annotate("d90", at, (-4, 6), textcoords="offset points", ha="right", color=color)
    ax.legend(loc="center left", fontsize="small", handlelength=3.5)
    return ax.get_figure()
