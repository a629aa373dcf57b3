"""The training loop: the same few lines for LoRA, for full fine-tuning, on one process or on many.

Everything a step depends on is a function of the step's number (which rows, which learning rate, which
random numbers), so a run that was killed and resumed ends in the very bits of one that was not.
"""

import atexit
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from torch import nn

from labkit.errors import ConfigError, TrainingError
from labkit.lora.inject import lora_layers
from labkit.simulation.memory_check import refuse_what_cannot_fit
from labkit.step.batch import Batch, Example, collate, encode
from labkit.step.checkpointing import checkpointed
from labkit.step.loss import CompletionLoss
from labkit.step.prefix import shared_tokens
from labkit.tasks import Task
from labkit.training import checkpoints
from labkit.training.config import TrainConfig
from labkit.training.optimizers import make_optimizer
from labkit.training.reports import StepReport, TrainResult, report_on
from labkit.training.schedule import learning_rate_at, rows_at

_SEED_STRIDE = 1_000_003  # more than any run has steps; torch's CPU generator looks at 32 bits of a seed only


def train(
    model: nn.Module,
    tokenizer,
    task: Task,
    config: TrainConfig | None = None,
    *,
    rows: Sequence | None = None,
    output_dir: Path | str | None = None,
    resume: bool = False,
    on_step: Callable[[StepReport], None] | None = None,
    force: bool = False,
) -> TrainResult:
    """Train what is trainable in `model` on the task's rows, in place.

    Args:
        model: with LoRA injected, or with all parameters trainable for full fine-tuning.
        tokenizer: of the base model.
        task: gives the system prompt and, unless `rows` are given, the training rows.
        config: how to train.
        rows: train on these instead of the task's training split.
        output_dir: where checkpoints go.
        resume: go on from the newest checkpoint in `output_dir`, if there is one.
        on_step: called after every step on the main process, for progress bars and the like.
        force: begin even where the simulator says that a step does not fit into memory.

    Returns:
        The run's history and speed. The model's mode (train or eval) is afterwards as before.

    Raises:
        ConfigError: nothing is trainable, there are no rows, the batch cannot be split as asked, checkpoints
            without a folder or into one that holds those of an earlier run, an optimizer, gradient checkpointing or
            a shared prefix that is not to be had here, a step that does not fit into memory (see `force`).
        DataError: a row is longer than the model's context.
        TrainingError: the loss or the gradient is no longer a number, or the checkpoint is another run's.
    """
    config = config or TrainConfig()
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise ConfigError("nothing to train: every parameter is frozen. Did you call inject_lora?")
    if any(layer.merged for _, layer in lora_layers(model)):
        raise ConfigError("the adapter is merged, and would not be trained: call labkit.unmerge(model) first")
    if output_dir is None and (config.checkpoint_every or resume):
        raise ConfigError("checkpoints need a folder: pass output_dir")
    if config.checkpoint_every and not resume and (found := checkpoints.newest(output_dir)):
        raise ConfigError(f"{found} is there from an earlier run: go on from it with resume=True, or remove it")
    limit = getattr(model.config, "max_position_embeddings", None)
    examples = [encode(tokenizer, row, task.system, limit) for row in (task.rows("train") if rows is None else rows)]
    if not examples:
        raise ConfigError("nothing to train on: there are no rows")

    # said outright where there is no other device: else processes on CPUs do not find each other, and each trains alone
    accelerator = Accelerator(device_placement=False, cpu=True if not torch.accelerator.is_available() else None)
    if accelerator.num_processes > 1:
        model.to(accelerator.device)  # else it stays where it is, also on a CPU beside a GPU
        atexit.register(_leave_the_others)
    parts = accelerator.num_processes * config.gradient_accumulation
    if config.batch_size % parts:
        raise ConfigError(f"batch_size {config.batch_size} cannot be split into {parts} equal parts")
    if not force:
        heaviest = _heaviest_batch(examples, config, parts, tokenizer.pad_token_id)
        refuse_what_cannot_fit(
            model, heaviest, config.optimizer, config.gradient_checkpointing, may_checkpoint=not config.share_prefix
        )
    optimizer = make_optimizer(config.optimizer, trainable.values(), config.learning_rate, config.weight_decay)
    recipe = {
        **asdict(config),
        "data": checkpoints.digest(examples),
        "base": getattr(model, "base_fingerprint", None),
        "lora": str(getattr(model, "lora_config", None)),
        "quantization": getattr(model, "quantization", None),
    }
    result, start = TrainResult(), 0
    if resume:
        start, result.history = checkpoints.restore(output_dir, trainable, optimizer, recipe)
        if accelerator.is_main_process:  # a run killed right after its last checkpoint had no time to remove the others
            checkpoints.remove_all_but_newest(output_dir)
    loss_module, optimizer = accelerator.prepare(CompletionLoss(model, config.share_prefix), optimizer)

    model.zero_grad()  # whatever a stopped step or a hand left there is not this run's
    was_training = model.training
    model.train()
    began = time.perf_counter()
    try:
        with torch.random.fork_rng(), checkpointed(model) if config.gradient_checkpointing else nullcontext():
            for step in range(start, config.steps):
                # dropout depends on the step, not on what came before, and no two processes drop the same numbers
                torch.manual_seed(config.seed + step + _SEED_STRIDE * accelerator.process_index)
                batch = [examples[i] for i in rows_at(step, len(examples), config)]
                rate = learning_rate_at(step, config)
                loss = _step(loss_module, optimizer, accelerator, batch, rate, config, tokenizer.pad_token_id, step)
                tokens = sum(len(example.input_ids) for example in batch)
                result.history.append({"step": step + 1, "loss": loss, "learning_rate": rate, "tokens": tokens})
                result.seconds = time.perf_counter() - began
                report = report_on(result, start, config.steps)
                result.tokens_per_second = report.tokens_per_second
                if not accelerator.is_main_process:
                    continue
                if config.checkpoint_every and (step + 1) % config.checkpoint_every == 0:
                    checkpoints.save(output_dir, step + 1, trainable, optimizer.optimizer, recipe, result.history)
                if on_step:
                    on_step(report)
    finally:
        model.train(was_training)
    return result


def _leave_the_others() -> None:
    """End the threads of torch's process group before Python ends itself.

    One of them may just be letting go of a tensor. While Python is whole, nobody notices; a moment later the process
    aborts, and with it a training that had gone well (seen once; pytorch's pull request 179291 describes it).
    """
    PartialState().destroy_process_group()


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


def _step(
    loss_module: nn.Module,
    optimizer,
    accelerator: Accelerator,
    batch: list[Example],
    rate: float,
    config: TrainConfig,
    pad_token_id: int,
    step: int,
) -> float:
    """One optimizer step; the loss a token over the whole batch, whatever way it was split."""
    counted = sum(len(example.input_ids) - example.prompt_length for example in batch)
    mine = batch[accelerator.process_index :: accelerator.num_processes]
    size = len(mine) // config.gradient_accumulation
    device = next(loss_module.parameters()).device
    total = torch.zeros((), device=device)
    for part in range(config.gradient_accumulation):
        rows = collate(mine[part * size : (part + 1) * size], pad_token_id).to(device)
        last = part == config.gradient_accumulation - 1
        # processes exchange gradients once, at the end of the step
        with nullcontext() if last else accelerator.no_sync(loss_module):
            summed, _ = loss_module(rows)
            # data parallelism averages gradients over processes; the loss is an average over tokens
            accelerator.backward(summed / counted * accelerator.num_processes)
        total += summed.detach()
    loss = (accelerator.reduce(total, "sum") / counted).item()
    norm = float(accelerator.clip_grad_norm_(loss_module.parameters(), config.max_grad_norm))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        optimizer.zero_grad()
        raise TrainingError(
            f"step {step + 1}: the loss is {loss} and the gradient's norm {norm}, so this step was not taken. "
            f"A lower learning rate than {rate:.1e} usually helps"
        )
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return loss
