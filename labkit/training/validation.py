"""How a run does on rows that it doesn't train on, and the best it has done.

Validation looks and changes nothing: the model answers in eval mode and without gradients, and every step draws its
random numbers from a seed of its own. So a run has the same losses, to the bit, with validation and without.
"""

import math

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from labkit.errors import TrainingError
from labkit.evaluation.scoring import evaluate
from labkit.step.batch import collate, padding_id
from labkit.step.loss import CompletionLoss
from labkit.tasks import Task
from labkit.training.refusals import Prepared
from labkit.training.reports import TrainResult


class Validator:
    """The validation rows of a run, and the weights with which it did best on them. A run may have no such rows.

    Args:
        loss: the run's own loss module, with its model.
        tokenizer, task: for scores.
        run: its settings and its rows.
        accelerator: several processes share the rows.

    Attributes:
        best: what was trained, as it was at the lowest validation loss, on the CPU; empty before the first validation.
        newest: the newest validation loss; None before the first.
    """

    def __init__(self, loss: CompletionLoss, tokenizer, task: Task, run: Prepared, accelerator: Accelerator):
        self.loss, self.tokenizer, self.task, self.accelerator = loss, tokenizer, task, accelerator
        self.config, self.rows = run.config, run.validation_rows
        self.every = run.config.validate_every or math.ceil(run.config.steps / 10)
        self.best: dict[str, Tensor] = {}
        self.newest: float | None = None
        # as many rows at once as in training; of similar length, so that little is padded
        self._size = run.config.batch_size // (run.config.gradient_accumulation * accelerator.num_processes)
        ordered = sorted(run.validation_examples, key=lambda example: len(example.input_ids))
        parts = [ordered[first : first + self._size] for first in range(0, len(ordered), self._size)]
        self._parts = parts[accelerator.process_index :: accelerator.num_processes]
        self._pad = padding_id(loss.model, tokenizer)

    def is_due(self, step: int) -> bool:
        """Whether the model is looked at after `step` steps; 0 is before the first."""
        return len(self.rows) > 0 and (step % self.every == 0 or step == self.config.steps)

    def measured(self, result: TrainResult) -> dict:
        """The newest weights' loss per token over all validation rows, and their scores, if those are asked for.

        The weights are kept where the loss is lower than every one in `result`.

        Raises:
            TrainingError: the loss is no number.
        """
        model, best = self.loss.model, result.best
        model.eval()
        try:
            loss = self._mean_loss(next(model.parameters()).device)
            scores = self._scores(model) if self.config.score_rows else {}
        finally:
            model.train()
        if not math.isfinite(loss):
            if result.before is None and not result.history:
                raise TrainingError(
                    f"before the first step, the validation loss is {loss}: the base, or the adapter "
                    "that training goes on with, is no good on these rows"
                )
            step = len(result.history) + 1
            raise TrainingError(f"step {step}: the validation loss is {loss}. A lower learning rate usually helps")
        if best is None or loss < best["validation_loss"]:
            self.best = {name: p.detach().to("cpu", copy=True) for name, p in _trained(model)}
        self.newest = loss
        return {"validation_loss": loss} | ({"validation_scores": scores} if scores else {})

    @torch.no_grad()
    def put_best_back(self) -> None:
        """Give the model the weights it did best with."""
        for name, parameter in _trained(self.loss.model) if self.best else ():
            parameter.copy_(self.best[name])

    @torch.no_grad()
    def _mean_loss(self, device: torch.device) -> float:
        summed, counted = 0.0, 0
        for part in self._parts:
            loss, tokens = self.loss(collate(part, self._pad).to(device))
            summed, counted = summed + loss.item(), counted + tokens
        if self.accelerator.num_processes > 1:
            both = torch.tensor([summed, counted], dtype=torch.float64, device=device)
            summed, counted = self.accelerator.reduce(both, "sum").tolist()
        return summed / counted

    def _scores(self, model: nn.Module) -> dict[str, float]:
        """Each process asks for itself, which takes no longer than to wait for one that does."""
        limit, size = self.config.score_rows, self._size
        found = evaluate(model, self.tokenizer, self.task, self.rows, limit=limit, batch_size=size).scores
        return {metric: score.mean for metric, score in found.items() if math.isfinite(score.mean)}


def _trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
