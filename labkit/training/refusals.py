"""What would stop a training later is refused before it begins."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import nn

from labkit.base.describing import context_length
from labkit.errors import ConfigError
from labkit.linear import device_of
from labkit.lora.wrapping import adapted_layers
from labkit.simulation.memory_check import free_bytes, refuse_what_cannot_fit
from labkit.step.batch import Batch, Example, collate, encode, padding_id, refuse_unknown_tokens
from labkit.step.gradient_checkpointing import checkpointed
from labkit.step.loss import CompletionLoss
from labkit.step.probing import refuse_unless_causal
from labkit.step.shared_prefix import shared_tokens
from labkit.tasks import Task
from labkit.tasks.rows import check_rows
from labkit.training import checkpoints
from labkit.training.config import TrainConfig
from labkit.training.optimizers import refuse_optimizer
from labkit.training.processes import is_sharded, local_processes
from labkit.training.schedule import parts_of, rows_at


class Prepared(NamedTuple):
    """What a run is made of: its settings, with a number of steps and with `share_prefix` on or off; the loss that
    computes a batch so; its rows, encoded; its validation rows, if any."""

    config: TrainConfig
    loss: CompletionLoss
    examples: list[Example]
    validation_rows: Sequence[Mapping]
    validation_examples: list[Example]


def prepared_if_all_is_well(
    model: nn.Module,
    tokenizer,
    task: Task,
    rows: Sequence | None,
    config: TrainConfig,
    accelerator: Accelerator,
    output_dir: Path | str | None,
    *,
    validation: Sequence | str | None,
    resume: bool,
    force: bool,
) -> Prepared:
    """What the run is made of, once nothing speaks against it.

    The arguments are those of :func:`labkit.train`, and the processes that train together. The model stays as it is.

    Raises:
        ConfigError, DataError: as :func:`labkit.train` says.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("nothing to train: every parameter is frozen. Did you call inject_lora?")
    if any(tensor.is_inference() for tensor in (*model.parameters(), *model.buffers())):
        raise ConfigError(
            "this model was made inside torch.inference_mode(), and such tensors never get a gradient. Load it and "
            "call inject_lora outside that block"
        )
    if any(layer.merged for _, layer in adapted_layers(model)):
        raise ConfigError("the adapter is merged, and would not be trained: call labkit.unmerge(model) first")
    if output_dir is None and (config.checkpoint_every or resume):
        raise ConfigError("checkpoints need a folder: pass output_dir")
    if config.checkpoint_every and not resume and (found := checkpoints.newest(output_dir)):
        raise ConfigError(f"{found} is there from an earlier run: go on from it with resume=True, or remove it")
    refuse_unless_causal(model)
    rows = task.rows("train") if rows is None else check_rows(rows)
    if not len(rows):
        raise ConfigError("nothing to train on: there are no rows")
    config = config.for_rows(len(rows))
    examples = _encoded(model, tokenizer, task, rows, config)
    validation_rows = _validation_rows(task, validation, config, accelerator)
    validation_examples = _encoded(model, tokenizer, task, validation_rows, config, "validation row")
    processes = accelerator.num_processes
    if config.batch_size % (parts := processes * config.gradient_accumulation):
        raise ConfigError(f"batch_size {config.batch_size} cannot be split into {parts} equal parts")
    if config.checkpoint_every and is_sharded(accelerator):
        raise ConfigError(
            "under FSDP each process holds only a part of each matrix, so labkit can't write checkpoints: train "
            "without checkpoint_every"
        )
    device = accelerator.device if processes > 1 else device_of(model)
    refuse_optimizer(config.optimizer, {device})
    with checkpointed(model) if config.gradient_checkpointing else nullcontext():  # or it has none
        loss = _loss(model, config, output_dir if resume else None)
    may_checkpoint = config.share_prefix is not True
    config = replace(config, share_prefix=loss.share_prefix)
    if not force:
        whole = _heaviest_batches(examples, config, processes, padding_id(model, tokenizer))
        refuse_what_cannot_fit(
            model,
            [_without_shared(batch) for batch in whole] if config.share_prefix else whole,
            config.optimizer,
            config.gradient_checkpointing,
            free=None if processes == 1 else _least_free(accelerator),
            may_checkpoint=may_checkpoint,
            device=device,
            whole=whole,
        )
    return Prepared(config, loss, examples, validation_rows, validation_examples)


def _loss(model: nn.Module, config: TrainConfig, resumed: Path | str | None) -> CompletionLoss:
    """What computes a batch: with a shared prefix, or without.

    A run that's gone on with, in the folder `resumed`, keeps what it began with: so it ends in the same bits.
    """
    before = checkpoints.shared_prefix_before(resumed) if resumed and config.share_prefix == "auto" else None
    loss = CompletionLoss(model, config.share_prefix if before is None else before)
    if before is False:
        loss.about_prefix = "share_prefix is off, as it was when this run began"
    return loss


def _encoded(
    model: nn.Module, tokenizer, task: Task, rows: Sequence[Mapping], config: TrainConfig, kind: str = "row"
) -> list[Example]:
    limit = context_length(model.config)
    examples = [
        encode(tokenizer, {"source": f"{kind} {number}", **row}, task.system, limit, config.turns)
        for number, row in enumerate(rows, 1)
    ]
    refuse_unknown_tokens(model, tokenizer, (example.input_ids for example in examples))
    return examples


def _validation_rows(
    task: Task, validation: Sequence | str | None, config: TrainConfig, accelerator: Accelerator
) -> Sequence[Mapping]:
    """The rows that `validation` gives, or the split of `task` that it names; none where it's None."""
    if validation is None:
        for name in ("validate_every", "score_rows", "patience"):
            if value := getattr(config, name):
                raise ConfigError(f"{name}={value} needs rows to validate on: give validation=…")
        return ()
    if is_sharded(accelerator):
        raise ConfigError(
            "under FSDP each process holds only a part of each matrix, so labkit can't keep the best weights: train "
            "without validation"
        )
    rows = task.rows(validation) if isinstance(validation, str) else check_rows(validation)
    if not len(rows):
        raise ConfigError("nothing to validate on: there are no rows")
    return rows


def _heaviest_batches(examples: list[Example], config: TrainConfig, processes: int, pad_token_id: int) -> list[Batch]:
    """Of what goes through the model at once in the first hundred steps: what no other part outweighs.

    A part weighs by its tokens and by its labels, whose logits are the widest tensors of a step: the longest row may
    have few of them.
    """
    weights = {}
    for step in range(min(100, config.steps)):
        rows = rows_at(step, len(examples), config)
        for process in range(processes):
            for part in parts_of(rows, config, process, processes):
                tokens = max(len(examples[i].input_ids) for i in part)
                labels = sum(examples[i].counted for i in part)
                weights[tokens, labels] = part
    chosen, most = [], 0
    for (_, labels), part in sorted(weights.items(), reverse=True):
        if labels > most:
            chosen.append(part)
            most = labels
    return [collate([examples[i] for i in part], pad_token_id) for part in chosen]


def _without_shared(batch: Batch) -> Batch:
    """What all rows begin with is computed once: cut from each row its part of what is saved."""
    rows = len(batch.input_ids)
    saved = shared_tokens(batch) * (rows - 1) // rows
    return Batch(batch.input_ids[:, saved:], batch.labels[:, saved:])


def _least_free(accelerator: Accelerator) -> int:
    """What the process with the least memory has, so that all of them begin, or none."""
    accelerator.wait_for_everyone()  # until each has loaded its model
    free = free_bytes(accelerator.device)
    if accelerator.device.type == "cpu":
        free //= local_processes(accelerator)
    return int(accelerator.gather(torch.tensor([free], device=accelerator.device)).min())
