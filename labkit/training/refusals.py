"""What would stop a training later is refused before it begins."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from labkit.base.describing import context_length
from labkit.errors import ConfigError
from labkit.lora.inject import lora_layers
from labkit.simulation.memory_check import refuse_what_cannot_fit
from labkit.step.batch import Batch, Example, collate, encode, padding_id, refuse_unknown_tokens
from labkit.step.probing import refuse_unless_causal
from labkit.step.shared_prefix import shared_tokens
from labkit.tasks import Task
from labkit.tasks.rows import check_rows
from labkit.training import checkpoints
from labkit.training.config import TrainConfig
from labkit.training.schedule import rows_at


def examples_if_all_is_well(
    model: nn.Module,
    tokenizer,
    task: Task,
    rows: Sequence | None,
    config: TrainConfig,
    processes: int,
    output_dir: Path | str | None,
    *,
    resume: bool,
    force: bool,
) -> list[Example]:
    """The encoded training rows, once nothing speaks against training on them.

    The arguments are those of :func:`labkit.train`, and how many processes train together.

    Raises:
        ConfigError, DataError: as :func:`labkit.train` says.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("nothing to train: every parameter is frozen. Did you call inject_lora?")
    if any(layer.merged for _, layer in lora_layers(model)):
        raise ConfigError("the adapter is merged, and would not be trained: call labkit.unmerge(model) first")
    if output_dir is None and (config.checkpoint_every or resume):
        raise ConfigError("checkpoints need a folder: pass output_dir")
    if config.checkpoint_every and not resume and (found := checkpoints.newest(output_dir)):
        raise ConfigError(f"{found} is there from an earlier run: go on from it with resume=True, or remove it")
    refuse_unless_causal(model)
    limit = context_length(model.config)
    rows = task.rows("train") if rows is None else check_rows(rows)
    examples = [
        encode(tokenizer, {"source": f"row {number}"} | row, task.system, limit) for number, row in enumerate(rows, 1)
    ]
    if not examples:
        raise ConfigError("nothing to train on: there are no rows")
    refuse_unknown_tokens(model, tokenizer, (example.input_ids for example in examples))
    parts = processes * config.gradient_accumulation
    if config.batch_size % parts:
        raise ConfigError(f"batch_size {config.batch_size} cannot be split into {parts} equal parts")
    if not force:
        heaviest = _heaviest_batch(examples, config, parts, padding_id(model, tokenizer))
        refuse_what_cannot_fit(
            model, heaviest, config.optimizer, config.gradient_checkpointing, may_checkpoint=not config.share_prefix
        )
    return examples


def _heaviest_batch(examples: list[Example], config: TrainConfig, parts: int, pad_token_id: int) -> Batch:
    """Of what goes through the model at once in the first hundred steps: the part with the longest row."""
    size = config.batch_size // parts
    steps = [rows_at(step, len(examples), config) for step in range(min(100, config.steps))]
    split = [rows[first : first + size] for rows in steps for first in range(0, config.batch_size, size)]
    longest = max(split, key=lambda rows: max(len(examples[i].input_ids) for i in rows))
    batch = collate([examples[i] for i in longest], pad_token_id)
    if config.share_prefix:  # what all rows begin with is computed once: cut from each row its part of what is saved
        saved = shared_tokens(batch) * (size - 1) // size
        return Batch(batch.input_ids[:, saved:], batch.labels[:, saved:])
    return batch
