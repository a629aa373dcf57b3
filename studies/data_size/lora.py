"""LoRA on given rows: the court's recipe, scored in one pass; with few rows also as it was at its best moment."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import labkit
from labkit.errors import TrainingError
from labkit.training.reports import StepReport, TrainResult
from studies.court import training
from studies.court.methods import AGAINST, COURT, put_on, setting_of
from studies.court.training import BATCH_SIZE
from studies.drawing import Row
from studies.one_pass import answered_right

TASK = "glosses"
STEPS = {8: 20, 24: 30, 72: 45, 240: 60, 600: 75, 1344: 150}  # by the number of rows
LOOKED_AT = (24, 72)  # numbers of rows with which the loss on validation rows is looked at on the way
LOOKS, LOOK_ROWS = 5, 48  # how often after the first step, and at how many rows: two of each category
RECIPE = {
    "lora": dict(COURT[AGAINST].settings),
    "steps": {str(rows): steps for rows, steps in STEPS.items()},
    "batch_size": BATCH_SIZE[TASK],
    "looks": {"rows": list(LOOKED_AT), "times": LOOKS, "validation_rows": LOOK_ROWS},
    "dtype": "float32",
}


@dataclass
class Fitted:
    """A trained model, or what became of it.

    Attributes:
        model: with the weights of the last step.
        result: the run; None where it broke off, and then `broken` says how.
        best: the weights with the lowest validation loss; empty where nobody looked.
    """

    model: nn.Module
    tokenizer: object
    result: TrainResult | None
    broken: str = ""
    best: dict[str, Tensor] | None = None


def fitted(rows: Sequence[Row], steps: int, learning_rate: float, seed: int, look: bool = False) -> Fitted:
    """Train on the rows. The seed begins A and orders the rows.

    It's the court's training without checkpoints, which would have kept only the best weights, and not the last.
    """
    task = labkit.load_task(TASK)
    model, tokenizer = training.fresh_base()
    torch.manual_seed(seed)
    put_on(model, tokenizer, task, setting_of(AGAINST))
    size = {"steps": steps, "batch_size": BATCH_SIZE[TASK], "learning_rate": learning_rate, "seed": seed}
    looks, last = {}, {}
    if look:
        size["validate_every"] = steps // LOOKS
        looks["validation"] = list(task.rows("validation"))[:LOOK_ROWS]

    def keep(report: StepReport) -> None:
        if report.step == report.steps:  # once it has returned, the model has its best weights again
            last.update(trained_weights(model))

    try:
        result = labkit.train(
            model, tokenizer, task, labkit.TrainConfig(**size), rows=list(rows), on_step=keep if look else None, **looks
        )
    except TrainingError as error:
        return Fitted(model, tokenizer, None, str(error))
    best = trained_weights(model) if look else {}
    put_back(model, last)
    return Fitted(model, tokenizer, result, best=best)


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of what's trained, by name."""
    return {name: each.detach().clone() for name, each in model.named_parameters() if each.requires_grad}


@torch.no_grad()
def put_back(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give the model these weights."""
    for name, weight in weights.items():
        model.get_parameter(name).copy_(weight)


def scored(found: Fitted, generate: bool = False) -> dict:
    """Which test rows are wrong, with the last weights and, where it was looked, with the best.

    Where training broke off, all rows are wrong.

    Args:
        generate: score by generation as well, to see that it's the same.
    """
    task = labkit.load_task(TASK)
    rows = list(task.rows("test"))
    if found.result is None:
        return {"broken": found.broken, "rows_asked": len(rows), "wrong": list(range(len(rows))), "loss": None}
    told = {"losses": [round(each, 4) for each in found.result.losses]} | _wrong(found, rows, task.system)
    if generate:
        row_scores = labkit.evaluate(found.model, found.tokenizer, task).row_scores
        told["wrong_by_generation"] = [row for row, each in enumerate(row_scores) if not each["accuracy"]]
    if found.best:
        told["curve"] = [
            {"step": each["step"], "validation_loss": each["validation_loss"]} for each in found.result.validations
        ]
        step = found.result.best["step"]
        if step == len(found.result.history):
            told["best"] = {"step": step, "wrong": told["wrong"], "loss": told["loss"]}
        else:
            put_back(found.model, found.best)
            told["best"] = {"step": step} | _wrong(found, rows, task.system)
    return {"rows_asked": len(rows)} | told


def _wrong(found: Fitted, rows: Sequence[Row], system: str) -> dict:
    right, loss = answered_right(found.model, found.tokenizer, rows, system)
    return {"wrong": [row for row, each in enumerate(right) if not each], "loss": loss}
