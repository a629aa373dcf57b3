"""The training loop: the same few lines for LoRA, for full fine-tuning, on one process or on many.

Everything a step depends on is a function of the step's number (which rows, which learning rate, which
random numbers), so a run that was killed and resumed ends in the very bits of one that was not.
"""

import atexit
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from torch import nn

from labkit import checkpoints
from labkit.errors import ConfigError, TrainingError
from labkit.lora.inject import lora_layers
from labkit.optimizers import OPTIMIZERS, make_optimizer
from labkit.prefix import shared_tokens
from labkit.reports import StepReport, TrainResult, report_on
from labkit.simulation.fitting import refuse_what_cannot_fit
from labkit.step import CompletionLoss, checkpointed
from labkit.tasks import Task
from labkit.text import Batch, Example, collate, encode

_SEED_STRIDE = 1_000_003  # more than any run has steps; torch's CPU generator looks at 32 bits of a seed only


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Args:
        steps: optimizer steps.
        batch_size: rows a step, over all processes together.
        learning_rate: the highest, reached after the warm-up.
        warmup_share: share of the steps in which the rate rises in a line; then it falls as a half cosine.
        weight_decay: AdamW's, 0 by default: A and B are small already.
        max_grad_norm: gradients are scaled down to this norm.
        gradient_accumulation: into how many parts a process splits its rows, to save memory.
        seed: of the order of the rows and of dropout.
        checkpoint_every: steps between checkpoints; None for none. Needs `output_dir` in :func:`train`.
        optimizer: "adamw", "adamw8bit" or "paged_adamw8bit" (see :func:`labkit.optimizers.make_optimizer`).
        gradient_checkpointing: keep only each block's input for the backward pass and compute the rest again
            there: less memory, a third more work, the same gradients.
        share_prefix: compute what all prompts of a step begin with only once, and padding not at all: less work, the
            same gradients. Not together with dropout or gradient checkpointing (see :mod:`labkit.prefix`).

    Raises:
        ConfigError: a value that makes no sense.
    """

    steps: int = 30
    batch_size: int = 8
    learning_rate: float = 2e-3
    warmup_share: float = 0.1
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    gradient_accumulation: int = 1
    seed: int = 0
    checkpoint_every: int | None = None
    optimizer: str = "adamw"
    gradient_checkpointing: bool = False
    share_prefix: bool = False

    def __post_init__(self):
        for name in ("steps", "batch_size", "gradient_accumulation"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        # put so that NaN is refused, too
        if not (self.learning_rate >= 0 and self.weight_decay >= 0 and self.max_grad_norm > 0):
            raise ConfigError("need learning_rate ≥ 0, weight_decay ≥ 0 and max_grad_norm > 0")
        if not 0 <= self.warmup_share <= 1:
            raise ConfigError(f"warmup_share must be between 0 and 1, got {self.warmup_share}")
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise ConfigError(f"checkpoint_every must be at least 1, got {self.checkpoint_every}")
        if self.optimizer not in OPTIMIZERS:
            raise ConfigError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        if self.share_prefix and self.gradient_checkpointing:
            raise ConfigError("share_prefix and gradient_checkpointing do not go together: choose one of the two")


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The rate of step `step` = 0, 1, …: a line up to the highest, then half a cosine down towards zero."""
    warmup = math.ceil(config.warmup_share * config.steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, config.steps - warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def rows_at(step: int, count: int, config: TrainConfig) -> list[int]:
    """Which of `count` rows step `step` sees: every row once, in a new order each time round."""
    chosen = []
    for position in range(step * config.batch_size, (step + 1) * config.batch_size):
        epoch, offset = divmod(position, count)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(config.seed + epoch))
        chosen.append(int(order[offset]))
    return chosen


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
