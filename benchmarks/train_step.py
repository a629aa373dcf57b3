"""A LoRA training step on a CPU: labkit against Trainer and SFTTrainer with PEFT, each in the loop of its library.

    python -m benchmarks.train_step            # four minutes on two cores
    pip install trl                            # before it, for TRL's row; it is left out where TRL is not installed

SmolLM2 in float32, LoRA of rank 8 on all linear layers, the rows of `tickets`, eight a step. All start from the same A
and B, see the same rows in the same order, take the same steps of AdamW at the same rates, and must arrive at the same
loss after every one. Each runs in the training loop of its own library, with that library's collator and optimizer;
the loops are halted after each step, so that they take turns. Whatever a loop does between two steps counts. What
`train` does by default is "labkit, share_prefix"; "labkit" is the step with `share_prefix=False`.

The frozen floor is what cannot be saved: forward and backward of the base alone, with logits for the same tokens, with
no adapter and no optimizer.
"""

import tempfile
from dataclasses import replace
from importlib.util import find_spec
from statistics import mean, median

import peft
import torch
from datasets import Dataset
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments

import labkit
from benchmarks.side_by_side import Halting, in_turn, ratio, store, where_the_time_goes
from labkit.step.batch import IGNORED, Batch, Example, collate, encode
from labkit.step.loss import CompletionLoss
from labkit.step.shared_prefix import pack, shared_tokens
from labkit.training.schedule import learning_rate_at, rows_at

ROUNDS = 12
LORA = labkit.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
SHARED = labkit.TrainConfig(steps=ROUNDS + 1, batch_size=8, learning_rate=2e-3)  # the first one warms up
TRAINING = replace(SHARED, share_prefix=False)
TASK = labkit.load_task("tickets")


def with_labkit() -> nn.Module:
    model, _ = labkit.load_base(device="cpu")
    return labkit.inject_lora(model, LORA)


def with_peft() -> nn.Module:
    model, _ = labkit.load_base(device="cpu")
    named = {"r": LORA.r, "lora_alpha": LORA.lora_alpha, "target_modules": LORA.target_modules}
    return peft.get_peft_model(model, peft.LoraConfig(**named, task_type="CAUSAL_LM"))


def same_start(first: nn.Module, *others: nn.Module) -> None:
    """The A and B of the first in all of them."""
    for model in others:
        for own, given in zip(trained(model), trained(first), strict=True):
            own.data.copy_(given)


def trained(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def in_labkit(model: nn.Module, tokenizer, config: labkit.TrainConfig) -> Halting:
    return Halting(lambda halt: labkit.train(model, tokenizer, TASK, config, on_step=lambda report: halt(report.loss)))


def in_trainer(kind: type[Trainer], arguments: type[TrainingArguments], model, rows: list[Example], **more) -> Halting:
    """`kind` is transformers' Trainer or TRL's, with nothing changed but the rates, which are labkit's."""

    class SameRates(kind):
        def create_scheduler(self, num_training_steps, optimizer=None):
            self.lr_scheduler = LambdaLR(
                self.optimizer, lambda step: learning_rate_at(step, TRAINING) / TRAINING.learning_rate
            )
            return self.lr_scheduler

        def training_step(self, *inputs, **named):
            self.loss = super().training_step(*inputs, **named)
            return self.loss

    class HaltAfterStep(TrainerCallback):
        def on_step_end(self, *_, **__):
            self.halt(self.trainer.loss.item())

    def loop(halt):
        settings = arguments(
            output_dir=tempfile.mkdtemp(),
            max_steps=TRAINING.steps,
            per_device_train_batch_size=TRAINING.batch_size,
            learning_rate=TRAINING.learning_rate,
            weight_decay=TRAINING.weight_decay,
            max_grad_norm=TRAINING.max_grad_norm,
            train_sampling_strategy="sequential",
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        columns = [{"input_ids": row.input_ids, "labels": labels_of(row)} for row in rows]
        callback = HaltAfterStep()
        trainer = SameRates(
            model=model, args=settings, train_dataset=Dataset.from_list(columns), callbacks=[callback], **more
        )
        callback.halt, callback.trainer = halt, trainer
        trainer.train()

    return Halting(loop)


def labels_of(row: Example) -> list[int]:
    return [IGNORED] * row.prompt_length + row.input_ids[row.prompt_length :]


def frozen_floor(batches: list[Batch]) -> Halting:
    model, _ = labkit.load_base(device="cpu")
    model.requires_grad_(False).train().enable_input_require_grads()  # so that there is a way back through all layers
    loss = CompletionLoss(model)

    def loop(halt):
        for batch in batches:
            summed, count = loss(batch)
            (summed / count).backward()
            halt(summed.item() / count)

    return Halting(loop)


def profiled(model: nn.Module, batch: Batch, **options) -> dict[str, float]:
    loss = CompletionLoss(model, **options)
    return where_the_time_goes(lambda: torch.autograd.grad(loss(batch)[0], trained(model)))


def main() -> None:
    _, tokenizer = labkit.load_base(device="cpu")
    examples = [encode(tokenizer, row, TASK.system) for row in TASK.rows("train")]
    steps = [[examples[i] for i in rows_at(step, len(examples), TRAINING)] for step in range(TRAINING.steps)]
    rows = [row for step in steps for row in step]
    batches = [collate(step, tokenizer.pad_token_id) for step in steps]

    torch.manual_seed(0)
    model, shared, theirs, trls = with_labkit(), with_labkit(), with_peft(), with_peft()
    same_start(model, shared, theirs, trls)
    padding = {"data_collator": DataCollatorForSeq2Seq(tokenizer), "processing_class": tokenizer}
    ways = {
        "labkit": in_labkit(model, tokenizer, TRAINING),
        "labkit, share_prefix": in_labkit(shared, tokenizer, SHARED),
        "Trainer + PEFT": in_trainer(Trainer, TrainingArguments, theirs, rows, **padding),
    }
    if find_spec("trl"):
        from trl import SFTConfig, SFTTrainer

        ways["TRL SFTTrainer + PEFT"] = in_trainer(SFTTrainer, SFTConfig, trls, rows, processing_class=tokenizer)
    else:
        print("TRL is not installed, so its row is left out: pip install trl")
    peers = [name for name in ways if not name.startswith("labkit")]
    ways["frozen floor"] = frozen_floor(batches)

    times = in_turn(ways, ROUNDS)
    apart = {
        name: max(abs(a - b) for a, b in zip(ways[name].losses, ways["labkit"].losses, strict=True))
        for name in ("labkit, share_prefix", *peers)
    }
    assert max(apart.values()) < 1e-3, apart
    ours = ("labkit", "labkit, share_prefix")
    store(
        "train_step",
        {
            "rows": TRAINING.batch_size,
            "rounds": ROUNDS,
            "lora": LORA.to_peft(model.labkit.base_name),
            "tokens per step": {
                "padded": mean(batch.input_ids.numel() for batch in batches),
                "with a label": mean(len(batch.positions) for batch in batches),
                "that all rows begin with": mean(shared_tokens(batch) for batch in batches),
                "computed with share_prefix": mean(pack(batch).input_ids.numel() for batch in batches),
            },
            "milliseconds": {name: 1e3 * median(taken) for name, taken in times.items()},
            "times faster": {f"{fast} : {slow}": ratio(times, slow, fast) for fast in ours for slow in peers}
            | {"labkit, share_prefix : labkit": ratio(times, "labkit", "labkit, share_prefix")},
            "seconds relative to the frozen floor": {name: ratio(times, name, "frozen floor") for name in ways},
            "largest difference of a loss": apart,
            "losses": {name: way.losses for name, way in ways.items() if name != "frozen floor"},
            "seconds": times,
            "milliseconds by operator": {
                "labkit": profiled(model, batches[0]),
                "labkit, share_prefix": profiled(model, batches[0], share_prefix=True),
            },
        },
        *(["trl"] if find_spec("trl") else []),
    )


if __name__ == "__main__":
    main()
