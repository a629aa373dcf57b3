"""The training loop: the same few lines for LoRA, for full fine-tuning, on one process or on many.

Everything a step depends on is a function of the step's number (which rows, which learning rate, which
random numbers), so a run that was killed and resumed ends bit for bit as one that was not.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from labkit.errors import ConfigError, LabkitError, TrainingError
from labkit.family.method import rate_groups
from labkit.linear import device_of
from labkit.lora.base_form import form_of
from labkit.model_facts import facts_of
from labkit.step.batch import Example, collate, padding_id
from labkit.step.gradient_checkpointing import checkpointed
from labkit.tasks import Task
from labkit.training import checkpoints
from labkit.training.config import TrainConfig
from labkit.training.optimizers import make_optimizer
from labkit.training.processes import add_up_gradients, hand_out, is_sharded, make_accelerator
from labkit.training.refusals import Prepared, prepared_if_all_is_well
from labkit.training.reports import StepReport, TrainResult, report_on
from labkit.training.schedule import learning_rate_at, parts_of, rows_at
from labkit.training.surroundings import autocast_dtype, own_random_numbers, seed_random_numbers, torch_as_it_comes
from labkit.training.trackers import Log, refuse_trackers, told_to_trackers
from labkit.training.validation import Validator

# of the model and the number of steps done: a scalar in nats per token, or None where a step has nothing of it
ExtraLoss = Callable[[nn.Module, int], Tensor | None]


@torch_as_it_comes()
def train(
    model: nn.Module,
    tokenizer,
    task: Task,
    config: TrainConfig | None = None,
    *,
    rows: Sequence | None = None,
    validation: Sequence | str | None = None,
    output_dir: Path | str | None = None,
    resume: bool = False,
    on_step: Callable[[StepReport], None] | None = None,
    log: Log = None,
    log_dir: Path | str | None = None,
    extra_loss: ExtraLoss | None = None,
    force: bool = False,
) -> TrainResult:
    """Train what is trainable in `model` on the task's rows, in place.

    With validation rows, the loss on them is measured on the way (see :class:`labkit.TrainConfig`), and the model ends
    with the weights that had the lowest; the steps are the same as without.

    Args:
        model: with LoRA injected, or with all parameters trainable for full fine-tuning.
        tokenizer: of the base model.
        task: gives the system prompt and, unless `rows` are given, the training rows.
        config: how to train.
        rows: train on these instead of the task's training split.
        validation: rows to validate on, or the name of one of the task's splits, such as ``"validation"``.
        output_dir: where checkpoints go.
        resume: go on from the newest checkpoint in `output_dir`, if there is one.
        on_step: called after every step on the main process, for progress bars and the like.
        log: who else is told of every step: ``"tensorboard"``, ``"wandb"`` or another of Accelerate's trackers, a
            ``GeneralTracker`` of your own, or a list of these.
        log_dir: where trackers that write files write them.
        extra_loss: what a step is to lower besides the loss on its rows: called as ``extra_loss(model, steps done)`` in
            every step, it gives a scalar in nats per token with a gradient, or None. Both gradients are added before
            they're clipped. The history has it as ``extra_loss``, apart from ``loss``. What it takes of memory isn't
            asked of the simulator. One example is :func:`labkit.step.kl.kl_to_silenced`.
        force: begin even where the simulator says that a step does not fit into memory.

    Returns:
        The run's history and speed. The model's mode (train or eval) is afterwards as before.

    Raises:
        ConfigError: nothing is trainable, or the model was made in inference mode; there are no rows; the batch cannot
            be split as asked; checkpoints without a folder, into one that holds those of an earlier run, or of a model
            that is sharded; settings of a validation that isn't there, or one of a model that is sharded; an optimizer,
            a tracker, gradient checkpointing or a shared prefix that is unavailable here; Accelerate is set to
            something that `config` doesn't say; a step that does not fit into memory (see `force`); an `extra_loss` for
            several processes.
        BaseModelError: the chat template can't show a row, an answer has no end, or the model lacks some of its tokens.
        DataError: a row isn't as a row of a file should be, or is longer than the model's context.
        TrainingError: a loss or the gradient is no longer a number, or the checkpoint is another run's.
    """
    config, accelerator = config or TrainConfig(), make_accelerator()
    refuse_trackers(log, log_dir)
    if extra_loss is not None and accelerator.num_processes > 1:
        raise ConfigError("extra_loss would be added up once per process: train on one, or without it")
    run = prepared_if_all_is_well(
        model,
        tokenizer,
        task,
        rows,
        config,
        accelerator,
        output_dir,
        validation=validation,
        resume=resume,
        force=force,
    )
    config, examples, loss_module = run.config, run.examples, run.loss
    with _moved(model, accelerator):
        trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        optimizer = make_optimizer(config.optimizer, rate_groups(model), config.learning_rate, config.weight_decay)
        if method := facts_of(model).method:
            method.tune(optimizer, model)
        validator = Validator(loss_module, tokenizer, task, run, accelerator)
        recipe, result, start = _recipe(model, run, extra_loss), TrainResult(about_prefix=loss_module.about_prefix), 0
        if resume:
            done = checkpoints.restore(output_dir, trainable, optimizer, recipe)
            start, result.history, result.clock, result.before, validator.best = done
            if accelerator.is_main_process:  # a run killed right after its last checkpoint had no time for this
                checkpoints.remove_all_but_newest(output_dir)
    if is_sharded(accelerator):
        loss_module, _ = accelerator.prepare(loss_module, optimizer)
    elif accelerator.num_processes > 1:
        hand_out(trainable.values())

    pad = padding_id(model, tokenizer)
    model.zero_grad()  # whatever a stopped step or a hand left there is not this run's
    began, before = time.perf_counter(), result.clock[-1] if start else 0.0
    with (
        told_to_trackers(accelerator, log, log_dir, task.name, recipe, start) as tell,
        _in_train_mode(model, config),
    ):
        if start == 0 and validator.is_due(0):
            result.before = {"step": 0} | validator.measured(result)
            if accelerator.is_main_process:
                tell(result.before)
        for step in range(start, config.steps):
            if result.is_out_of(config.patience):
                result.stopped_early = True
                break
            # dropout depends on the step, not on what came before, and no two processes drop the same numbers
            seed_random_numbers(model, config.seed + step, accelerator.process_index)
            batch = [examples[i] for i in rows_at(step, len(examples), config)]
            rate = learning_rate_at(step, config)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["rate_factor"]

            loss = _backward(loss_module, accelerator, batch, config, pad)
            extra = extra_loss(model, step) if extra_loss else None
            if extra is not None:
                extra.backward()
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
            entry = {"step": step + 1, "loss": loss, "learning_rate": rate, "tokens": tokens}
            if extra is not None:
                entry["extra_loss"] = extra.item()
            if validator.is_due(step + 1):
                entry |= validator.measured(result)
            result.history.append(entry)
            result.seconds = time.perf_counter() - began
            result.clock.append(before + result.seconds)
            last = step + 1 if result.is_out_of(config.patience) else config.steps
            report = report_on(result, start, last, validator.newest)
            result.tokens_per_second = report.tokens_per_second
            if not accelerator.is_main_process:
                continue
            if config.checkpoint_every and (step + 1) % config.checkpoint_every == 0:
                told = result.history, result.clock, result.before, validator.best
                checkpoints.save(output_dir, step + 1, trainable, optimizer, recipe, *told)
            tell(entry)
            if on_step:
                on_step(report)
    validator.put_best_back()
    return result


def _backward(
    loss_module: nn.Module, accelerator: Accelerator, batch: list[Example], config: TrainConfig, pad_token_id: int
) -> float:
    """Add up the gradients of a step; the loss per token over the whole batch, whatever way it was split."""
    counted = sum(example.counted for example in batch)
    parts = parts_of(batch, config, accelerator.process_index, accelerator.num_processes)
    sharded, device = is_sharded(accelerator), next(loss_module.parameters()).device
    total = torch.zeros((), device=device)
    for number, part in enumerate(parts, 1):
        rows = collate(part, pad_token_id).to(device)
        # processes exchange gradients once, at the end of the step
        with accelerator.no_sync(loss_module) if sharded and number < len(parts) else nullcontext():
            summed, _ = loss_module(rows)
            # FSDP averages gradients over processes; the loss is an average over tokens
            (summed / counted * (accelerator.num_processes if sharded else 1)).backward()
        total += summed.detach()
    if accelerator.num_processes > 1 and not sharded:
        add_up_gradients(p for p in loss_module.parameters() if p.requires_grad)
    return (accelerator.reduce(total, "sum") / counted).item()


@contextmanager
def _moved(model: nn.Module, accelerator: Accelerator) -> Iterator[None]:
    """Of several processes each has a device, and `model` goes there; one that is refused goes back."""
    if accelerator.num_processes == 1:
        yield  # it stays where it is, also on a CPU beside a GPU
        return
    home = device_of(model)
    model.to(accelerator.device)
    try:
        yield
    except LabkitError:
        model.to(home)
        raise


@contextmanager
def _in_train_mode(model: nn.Module, config: TrainConfig) -> Iterator[None]:
    """Inside the ``with`` block `model` is as training wants it; mode and random numbers are afterwards as before."""
    was_training = model.training
    model.train()
    try:
        with own_random_numbers(model), checkpointed(model) if config.gradient_checkpointing else nullcontext():
            yield
    finally:
        model.train(was_training)


def _recipe(model: nn.Module, run: Prepared, extra_loss: ExtraLoss | None) -> dict:
    """What a checkpoint must have been made with to be gone on from."""
    known, validation = facts_of(model), run.validation_examples
    return {
        **asdict(run.config),
        "data": checkpoints.digest(run.examples),
        "validation": checkpoints.digest(validation) if validation else None,
        "base": known.fingerprint,
        "lora": str(known.adapter),
        "method": known.method and known.method.recipe(model),
        "began_from": known.began_from,
        "extra_loss": True if extra_loss else None,  # which one, nobody can say of a function
        "quantization": known.quantization,
        "merge_aware": known.merge_aware,
        "dtype": form_of(model).dtype,
        "autocast": autocast_dtype(device_of(model)),
    }
