"""The losses of a training as a figure."""

from pathlib import Path

from matplotlib.axes import Axes

from labkit.errors import ConfigError
from labkit.lab.plots import axes
from labkit.training.history_file import history
from labkit.training.reports import TrainResult


def plot_history(run: TrainResult | Path | str) -> Axes:
    """The training loss of a run over its steps, its validation losses, and the step with the lowest of them.

    Args:
        run: what :func:`labkit.train` or :func:`labkit.history` returned, or an adapter's folder.

    Returns:
        The axes of a new figure, for ``labkit.show(…, alt="…")``.

    Raises:
        AdapterError: the folder has no history, or not a whole one.
        ConfigError: a run without a step.
    """
    run = run if isinstance(run, TrainResult) else history(run)
    if not run.history:
        raise ConfigError("there is nothing to draw: the run has no step")
    ax = axes("How the training went", "step", "loss (nats per token)")
    ax.plot([entry["step"] for entry in run.history], run.losses, marker="", label="training")
    if run.best:
        steps, losses = zip(*((entry["step"], entry["validation_loss"]) for entry in run.validations))
        ax.plot(steps, losses, label="validation")
        step, loss = run.best["step"], run.best["validation_loss"]
        ax.plot([step], [loss], linestyle="", marker="*", markersize=13, label=f"lowest: {loss:.3g} at step {step:,}")
    ax.legend()
    return ax
