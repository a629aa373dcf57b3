"""The first steps of a run that would go on: the losses of a study's run, made again for as long as a cell may take."""

from dataclasses import replace

from torch import nn

from labkit.lab.widgets import training_bar
from labkit.tasks import Task
from labkit.training.config import TrainConfig
from labkit.training.loop import train
from labkit.training.reports import StepReport


class _Enough(Exception):
    """There have been as many steps as were asked for."""


def first_losses(
    model: nn.Module, tokenizer, task: Task, config: TrainConfig, steps: int, title: str = "training"
) -> list[float]:
    """The losses of the first `steps` of the steps that `config` asks for, with their rows and rates.

    What `model` was trained to stays on it.

    Args:
        model, tokenizer, task, config: as for :func:`labkit.train`.
        steps: how many to take; all of them where `config` has no more.
        title: shown in front of the bar, in a notebook.
    """
    losses, bar = [], training_bar(title)

    def after_step(report: StepReport) -> None:
        losses.append(report.loss)
        bar(replace(report, steps=steps))
        if len(losses) == steps:
            raise _Enough

    try:
        train(model, tokenizer, task, config, on_step=after_step, force=True)  # what a study has done fits
    except _Enough:
        pass
    return losses
