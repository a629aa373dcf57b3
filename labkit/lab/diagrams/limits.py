"""What `studies/capacity.py` and `studies/intrinsic_dimension.py` found, in pictures."""

from matplotlib.figure import Figure

from labkit.lab.plots import COLOURS, LINESTYLES, MARKERS, axes

PER_NUMBER = {"whole models, Morris et al.": 3.6, "whole models, Allen-Zhu and Li": 2.0}  # bits, as published


def bits_by_rank(study: dict, passes: int = 1000) -> Figure:
    """Bits kept against bits given, both per trained number, with a line for each rank on one matrix.

    Args:
        study: ``data/results/capacity.json`` as read.
        passes: of the runs that are drawn.
    """
    runs = [run for run in study["best"] if (run["base"], run["passes"]) == ("real", passes)]
    most = max(run["bits"] / run["numbers"] for run in runs)
    ax = axes("Random strings in one LoRA", "bits given per trained number", "bits kept per trained number", height=3.6)
    ax.plot([0, most], [0, most], color="0.7", linewidth=1)
    ax.annotate("all of them", (0.55 * most, 0.55 * most), (-6, 4), textcoords="offset points", ha="right", color="0.4")
    for piece, name in (("mlp.down_proj", "down_proj"), ("mlp", "whole MLP")):
        for place, r in enumerate(sorted({run["r"] for run in runs if run["piece"] == piece})):
            points = sorted(
                (run["bits"] / run["numbers"], run["kept"] / run["numbers"])
                for run in runs
                if (run["piece"], run["r"]) == (piece, r)
            )
            look = {"linestyle": LINESTYLES[piece == "mlp"], "marker": MARKERS[place], "color": COLOURS[place]}
            ax.plot(*zip(*points), label=f"{name}, r = {r}", **look)
    ax.legend(loc="upper left", fontsize="small")
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
        look = {"color": COLOURS[2 + place], "linestyle": LINESTYLES[place]}
        ax.plot(*zip(*sorted(runs.items())), marker=MARKERS[place], label=f"of {space}", **look)
        ax.axhline(goal, linewidth=1, **look)
        if study["d90"][space]:
            ax.annotate(
                "d90", (study["d90"][space], goal), (0, -16), textcoords="offset points", color=look["color"], ha="left"
            )
    ax.legend(loc="upper left")
    return ax.get_figure()
