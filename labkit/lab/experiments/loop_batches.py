"""The batches that :func:`labkit.train` would see, for a training loop you write yourself."""

from collections.abc import Sequence

import torch

from labkit.step.batch import Batch, Example, collate
from labkit.training.config import TrainConfig
from labkit.training.schedule import rows_at


def batches_in_order(
    examples: Sequence[Example], tokenizer, config: TrainConfig, device: torch.device | str
) -> list[Batch]:
    """One batch per step: the same rows, in the same order, as ``labkit.train`` with `config` takes them.

    Args:
        examples: the encoded rows.
        tokenizer: whose padding fills up the shorter rows.
        config: how many steps, how many rows each, and the seed of the order.
        device: where the batches go.
    """
    order = [rows_at(step, len(examples), config) for step in range(config.steps)]
    return [collate([examples[i] for i in rows], tokenizer.pad_token_id).to(device) for rows in order]
