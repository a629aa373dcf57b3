"""One training of one method on one task, as the stages `rates` and `final` have it."""

import json
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import torch
from torch import nn

import labkit
from labkit.errors import TrainingError
from labkit.family.method import Trained
from labkit.tasks import Task
from labkit.training.reports import TrainResult
from studies.court.methods import put_on
from studies.make_adapters import digest

# Rows per step. With 77 tokens in a row of sql and 34 in one of glosses, a step of either has about 300: it takes the
# same time. In 60 of them, sql's training rows come by half and a third of glosses'.
BATCH_SIZE = {"sql": 4, "glosses": 8}
STEPS = 60
TASKS = tuple(BATCH_SIZE)
RECIPE = {
    "data": {task: {split: digest(file) for split, file in labkit.load_task(task).files.items()} for task in TASKS},
    "batch_size": BATCH_SIZE,
    "steps": STEPS,
    "dtype": "float32",  # in bfloat16, full fine-tuning would lose its small steps
}
CHECKPOINTS = Path(__file__).parents[2] / "build" / "court"
CHECKPOINT_EVERY = 15
MOST_CHECKPOINTED = 30_000_000  # numbers; a checkpoint of the whole base has 1.6 GB, and takes longer than it saves


class Broken(Exception):
    """Training broke off, and this learning rate is of no use; the argument says at which step, and why."""


def fresh_base(**form) -> tuple[nn.Module, object]:
    """The base and its tokenizer; `form` says in how many bits, as for :func:`labkit.load_base`."""
    return labkit.load_base(device="cpu", **form)


def train(setting: dict, seed: int, learning_rate: float) -> tuple[Trained, object, Task, list[float]]:
    """The trained method, the tokenizer, the task, and the loss of each step.

    The model ends with the weights of the last step, whatever their validation loss was on the way: with those of the
    best moment, a rate that's too high would look like a good one. A run that's killed goes on from its newest
    checkpoint.

    Raises:
        Broken: loss or gradient is no longer a number.
    """
    trained, tokenizer, task, result = train_on(setting, seed, learning_rate)
    return trained, tokenizer, task, result.losses


def train_on(
    setting: dict, seed: int, learning_rate: float, config: Mapping | None = None, **rows
) -> tuple[Trained, object, Task, TrainResult]:
    """The same for studies beside the court, with all that the run told in the place of its losses.

    Args:
        setting: what's trained, on which task; with a ``base`` where that isn't the one in float32: the `form` of
            :func:`fresh_base`. Checkpoints are in a folder that's named by this, `seed`, `learning_rate` and `config`.
            So it has to tell apart whatever else makes this run another one.
        config: settings of :class:`labkit.TrainConfig` that aren't the court's; the batch size of a task that isn't.
        rows: `rows` and `validation`, as for :func:`labkit.train`.
    """
    config = dict(config or {})
    task = labkit.load_task(setting["task"])
    model, tokenizer = fresh_base(**setting.get("base", {}))
    torch.manual_seed(seed)
    trained = put_on(model, tokenizer, task, setting)
    folder, kept, where = _folder(setting, seed, learning_rate, config), {}, {}
    if trained.count <= MOST_CHECKPOINTED:
        kept, where = {"checkpoint_every": CHECKPOINT_EVERY}, {"output_dir": folder, "resume": True}
    size = {"steps": STEPS, "batch_size": BATCH_SIZE.get(task.name), **config}
    settings = labkit.TrainConfig(**size, **kept, learning_rate=learning_rate, seed=seed)
    try:
        result = labkit.train(model, tokenizer, task, settings, **where, **rows)
    except TrainingError as error:
        if not str(error).startswith("step "):  # it's about the checkpoint
            raise
        shutil.rmtree(folder, ignore_errors=True)
        raise Broken(str(error)) from None
    shutil.rmtree(folder, ignore_errors=True)
    return trained, tokenizer, task, result


def _folder(setting: dict, seed: int, learning_rate: float, config: dict) -> Path:
    """Where this run's checkpoints are, apart from those of every other."""
    key = json.dumps([setting, seed, learning_rate, RECIPE, *([config] if config else [])], sort_keys=True)
    return CHECKPOINTS / f"{setting['method']}-{setting['task']}-{sha256(key.encode()).hexdigest()[:12]}"
