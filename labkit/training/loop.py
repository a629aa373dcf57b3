"""The training loop: the same few lines for LoRA, for full fine-tuning, on one process or on many.

Everything a step depends on is a function of the step's number (which rows, which learning rate, which
random numbers), so a run that was killed and resumed ends in the very bits of one that was not.
"""

import atexit
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from torch import nn

from labkit.errors import TrainingError
from labkit.model_facts import facts_of
from labkit.step.batch import Example, collate, padding_id
from labkit.step.gradient_checkpointing import checkpointed
from labkit.step.loss import CompletionLoss
from labkit.tasks import Task
from labkit.training import checkpoints
from labkit.training.config import TrainConfig
from labkit.training.optimizers import make_optimizer
from labkit.training.refusals import examples_if_all_is_well
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
        BaseModelError: the chat template can't show a row, an answer has no end, or the model lacks some of its tokens.
        DataError: a row isn't as a row of a file should be, or is longer than the model's context.
        TrainingError: the loss or the gradient is no longer a number, or the checkpoint is another run's.
    """
    config, accelerator = config or TrainConfig(), _accelerator()
    if accelerator.num_processes > 1:
        model.to(accelerator.device)  # else it stays where it is, also on a CPU beside a GPU
        atexit.register(_leave_the_others)
    examples = examples_if_all_is_well(
        model, tokenizer, task, rows, config, accelerator.num_processes, output_dir, resume=resume, force=force
    )
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = make_optimizer(config.optimizer, trainable.values(), config.learning_rate, config.weight_decay)
    recipe, result, start = _recipe(model, examples, config), TrainResult(), 0
    if resume:
        start, result.history = checkpoints.restore(output_dir, trainable, optimizer, recipe)
        if accelerator.is_main_process:  # a run killed right after its last checkpoint had no time to remove the others
            checkpoints.remove_all_but_newest(output_dir)
    loss_module, optimizer = accelerator.prepare(CompletionLoss(model, config.share_prefix), optimizer)

    pad = padding_id(model, tokenizer)
    model.zero_grad()  # whatever a stopped step or a hand left there is not this run's
    began = time.perf_counter()
    with _in_train_mode(model, config):
        for step in range(start, config.steps):
            # dropout depends on the step, not on what came before, and no two processes drop the same numbers
            torch.manual_seed(config.seed + step + _SEED_STRIDE * accelerator.process_index)
            batch = [examples[i] for i in rows_at(step, len(examples), config)]
            rate = learning_rate_at(step, config)
            for group in optimizer.param_groups:
                group["lr"] = rate

            loss = _backward(loss_module, accelerator, batch, config, pad)
            norm = float(accelerator.clip_grad_norm_(loss_module.parameters(), config.max_grad_norm))
            if not (math.isfinite(loss) and math.isfinite(norm)):
                optimizer.zero_grad()
                raise TrainingError(
                    f"step {step + 1}: the loss is {loss} and the gradient's norm {norm}, so this step was not taken. "
                    f"A lower learning rate than {rate:.1e} usually helps"
                )
            optimizer.step()
            optimizer.zero_grad()

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
    return result


def _backward(
    loss_module: nn.Module, accelerator: Accelerator, batch: list[Example], config: TrainConfig, pad_token_id: int
) -> float:
    """Add up the gradients of a step; the loss a token over the whole batch, whatever way it was split."""
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
    return (accelerator.reduce(total, "sum") / counted).item()


@contextmanager
def _in_train_mode(model: nn.Module, config: TrainConfig) -> Iterator[None]:
    """Inside the ``with`` block `model` is as training wants it; mode and random numbers are afterwards as before."""
    was_training = model.training
    model.train()
    try:
        with torch.random.fork_rng(), checkpointed(model) if config.gradient_checkpointing else nullcontext():
            yield
    finally:
        model.train(was_training)


def _accelerator() -> Accelerator:
    # said outright where there is no other device: else processes on CPUs do not find each other, and each trains alone
    return Accelerator(device_placement=False, cpu=True if not torch.accelerator.is_available() else None)


def _recipe(model: nn.Module, examples: list[Example], config: TrainConfig) -> dict:
    """What a checkpoint must have been made with to be gone on from."""
    known = facts_of(model)
    return {
        **asdict(config),
        "data": checkpoints.digest(examples),
        "base": known.fingerprint,
        "lora": str(known.adapter),
        "quantization": known.quantization,
    }


def _leave_the_others() -> None:
    """End the threads of torch's process group before Python ends itself.

    One of them may just be letting go of a tensor. While Python is whole, nobody notices; a moment later the process
    aborts, and with it a training that had gone well (seen once; pytorch's pull request 179291 describes it).
    """
    PartialState().destroy_process_group()
