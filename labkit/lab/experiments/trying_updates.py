"""Add updates to a model's weights for one measurement of the loss, and take them away again."""

import torch
from torch import Tensor, nn

from labkit.step.batch import collate, encode
from labkit.step.loss import CompletionLoss
from labkit.tasks import load_task

ROWS = 16  # enough to see a difference, few enough for a second


@torch.no_grad()
def loss_with(model: nn.Module, tokenizer, updates: dict[str, Tensor]) -> float:
    """The loss per correct token on a few validation tickets, with `updates` added to the model's weights.

    Afterwards the weights are what they were, bit for bit, even if you stop the cell.

    Args:
        model, tokenizer: from :func:`labkit.load_base`.
        updates: what to add, by the layer's full name, as :func:`labkit.load_update` gives it; ``{}`` adds nothing.
    """
    task = load_task("tickets")
    rows = [encode(tokenizer, row, task.system) for row in task.rows("validation").select(range(ROWS))]
    batch = collate(rows, tokenizer.pad_token_id).to(model.device)
    weights = {name: model.get_submodule(name).weight for name in updates}
    before = {name: weight.clone() for name, weight in weights.items()}
    try:
        for name, weight in weights.items():
            weight += updates[name].to(weight)
        summed, tokens = CompletionLoss(model)(batch)
        return (summed / tokens).item()
    finally:
        for name, weight in weights.items():
            weight.copy_(before[name])
