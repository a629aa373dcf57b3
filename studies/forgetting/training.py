"""The trainings with their remedies, and what's measured after each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

import labkit
from labkit.errors import TrainingError
from labkit.lab.experiments.everyday import EVERYDAY
from labkit.step.batch import collate, encode, padding_id
from labkit.step.kl import kl_to_silenced
from labkit.tasks import Task
from labkit.training.loop import ExtraLoss
from labkit.training.schedule import rows_at
from studies.choices.kept import trained_once
from studies.choices.searching import NotYet
from studies.court import final, grids, rates, training
from studies.court.methods import put_on, setting_of
from studies.make_adapters import digest
from studies.runner import StudyError

SHARE = 0.05  # of other rows
SMALLER = 0.5  # of the adapter
SEEDS = (1, 2, 3)
TEST_ROWS = {"sql": 128, "glosses": 168}
RECIPE = {
    **training.RECIPE,
    "everyday": {split: digest(file) for split, file in EVERYDAY.files.items()},
    "system": EVERYDAY.system,
    "new_tokens": EVERYDAY.max_new_tokens,
    "share": SHARE,
    "smaller": SMALLER,
    "test_rows": TEST_ROWS,
}


def lora(task: str) -> dict:
    """LoRA as the court has it."""
    return setting_of("lora", task=task)


def rate_of(task: str, folder, lower: bool = False) -> float | None:
    """LoRA's best rate on `task`, or the next lower one of a grid, about a third; None where the court has none yet."""
    best = rates.chosen(folder).get(("lora", task))
    if best is None or not lower:
        return best
    return max(rate for rate in map(grids.rate_at, range(-16, 1)) if rate < best)


def trained(setting: dict) -> tuple[nn.Module, object]:
    """The model of a run, and the tokenizer.

    Raises:
        StudyError: there's no rate yet, or training broke off, which nobody expects of these rates.
    """
    remedy, seed, rate, alone = setting["remedy"], setting["seed"], setting["learning_rate"], lora(setting["task"])
    if rate is None:
        raise NotYet(f"{setting} waits for its learning rate: finish the court's stage rates first")
    task = labkit.load_task(setting["task"])
    try:
        if remedy not in ("replay", "KL"):
            model, tokenizer = trained_once(alone, seed, rate)
            return (scaled(model, SMALLER) if remedy == "half" else model), tokenizer
        model, tokenizer = training.fresh_base()
        torch.manual_seed(seed)
        put_on(model, tokenizer, task, alone)
        count = len(seen(task, seed))
        if remedy == "replay":
            go_on(model, tokenizer, task, seed, rate, others(count))
        else:
            go_on(model, tokenizer, task, seed, rate, extra_loss=held(model, tokenizer, task, others(count)))
        return model, tokenizer
    except (training.Broken, TrainingError) as error:
        raise StudyError(f"{setting} broke off: {error}") from None


def go_on(
    model: nn.Module,
    tokenizer,
    task: Task,
    seed: int,
    rate: float,
    mixed_in: Sequence[Mapping] = (),
    extra_loss: ExtraLoss | None = None,
) -> list[float]:
    """Train what's on `model` on the rows of the task that a run of the court sees, and on those `mixed_in`, once each.

    Without any, it takes the very steps of the court. With some there are as many steps more as they fill.

    Returns:
        The loss of each step.
    """
    size = {"batch_size": training.BATCH_SIZE[task.name], "learning_rate": rate, "seed": seed}
    if mixed_in:
        rows, config = [*seen(task, seed), *mixed_in], labkit.TrainConfig(epochs=1, **size)
    else:
        rows, config = None, labkit.TrainConfig(steps=training.STEPS, **size)
    return labkit.train(model, tokenizer, task, config, rows=rows, extra_loss=extra_loss).losses


def seen(task: Task, seed: int) -> list[dict]:
    """The rows of the task in the court's 60 steps with this seed."""
    rows = list(task.rows("train"))
    config = labkit.TrainConfig(steps=training.STEPS, batch_size=training.BATCH_SIZE[task.name], seed=seed)
    return [rows[place] for step in range(training.STEPS) for place in rows_at(step, len(rows), config)]


def others(count: int) -> list[dict]:
    """As many other rows as are 5 % of `count`: the base's own answers, with the system prompt they were asked with."""
    return list(EVERYDAY.rows("train"))[: round(SHARE * count)]


def held(model: nn.Module, tokenizer, task: Task, rows: Sequence[Mapping], steps: int | None = None) -> ExtraLoss:
    """The KL to the silenced adapter on each of `rows` once, as evenly over so many steps as can be."""
    steps = steps or training.STEPS
    pad, examples = padding_id(model, tokenizer), [encode(tokenizer, row, task.system) for row in rows]

    def extra_loss(model: nn.Module, step: int) -> Tensor | None:
        before, after = (len(examples) * done // steps for done in (step, step + 1))
        return kl_to_silenced(model, collate(examples[before:after], pad)) if after > before else None

    return extra_loss


def scaled(model: nn.Module, factor: float) -> nn.Module:
    """`model` with so much of its adapter, in place."""
    for _, layer in labkit.lora_layers(model):
        layer.scaling *= factor
    return model


# ---- what's measured


def forgotten(model: nn.Module, tokenizer, task: Task) -> dict:
    """Perplexity on other text, and the answers to the everyday questions under both system prompts."""
    asked = {"neutral": EVERYDAY, "the task's": replace(EVERYDAY, system=task.system)}
    return {
        "perplexity": labkit.perplexity(model, tokenizer),
        "everyday": {name: labkit.evaluate(model, tokenizer, each).predictions for name, each in asked.items()},
    }


def scored(model: nn.Module, tokenizer, task: Task) -> dict:
    """The scores on the first test rows, and which of them are wrong."""
    return final.answers_to_test_rows(model, tokenizer, task, limit=TEST_ROWS[task.name])
