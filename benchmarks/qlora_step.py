"""A QLoRA training step on a CPU: labkit against PEFT + bitsandbytes, on SmolLM2, all-linear, the rows of `tickets`.

    python -m benchmarks.qlora_step            # four minutes on two cores

Both start from the same A and B, see the same rows in the same order, take the same steps of AdamW in float32, and must
arrive at the same loss after every one. Step by step they take turns, and what is reported is the median of the ratios.

bitsandbytes is guarded: PEFT's adapters sit on :class:`labkit.quant.guarded.GuardedLinear4bit`, which multiplies by
bitsandbytes' own `matmul_4bit` but is never repacked. That the gradients are right is checked before anything is timed:
those of both models, after an evaluation, against those of a dense model that holds the dequantized weights. It is
timed as well: a LoRA step without four bits, and labkit's step with `share_prefix`, which `train` takes by default and
which computes only once what all prompts of a batch begin with.
"""

from collections.abc import Callable, Iterator
from functools import partial
from statistics import mean, median

import peft
import torch
from torch import nn

import labkit
from benchmarks.side_by_side import in_turn, ratio, store, where_the_time_goes
from labkit.linear import dense_weight
from labkit.step.batch import Batch, collate, encode
from labkit.step.loss import CompletionLoss
from labkit.step.shared_prefix import shared_tokens
from labkit.training.schedule import learning_rate_at, rows_at

CONFIG = labkit.TrainConfig(steps=12, batch_size=8, learning_rate=2e-3)
LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}


class Contender:
    """A model with adapters, its optimizer, and its way from a batch to a mean loss."""

    def __init__(self, model: nn.Module, loss: Callable[[Batch], torch.Tensor], config: labkit.TrainConfig = CONFIG):
        self.model, self.loss, self.config = model.train(), loss, config
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=config.learning_rate, weight_decay=0.0)
        self.losses = []

    def steps(self, batches: list[Batch]) -> Iterator[None]:
        """A training step on each batch, whenever the next one is asked for."""
        for step, batch in enumerate(batches):
            loss = self.loss(batch)
            loss.backward()
            nn.utils.clip_grad_norm_(self.trained, self.config.max_grad_norm)
            self.optimizer.param_groups[0]["lr"] = learning_rate_at(step, self.config)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.losses.append(loss.item())
            yield

    def gradients(self, batch: Batch) -> list[torch.Tensor]:
        return list(torch.autograd.grad(self.loss(batch), self.trained))


def with_labkit(model: nn.Module, share_prefix: bool | str = False) -> Contender:
    torch.manual_seed(0)
    labkit.inject_lora(model, labkit.LoraConfig(**LORA))
    step = CompletionLoss(model, share_prefix)

    def loss(batch):
        summed, count = step(batch)
        return summed / count

    return Contender(model, loss)


def with_peft(model: nn.Module, config: labkit.TrainConfig = CONFIG) -> Contender:
    model.is_loaded_in_4bit = True  # by which PEFT knows that it has 4-bit layers of its own to put in
    model = peft.get_peft_model(model, peft.LoraConfig(**LORA, task_type="CAUSAL_LM"))

    def loss(batch):
        return model(input_ids=batch.input_ids, labels=batch.labels, use_cache=False).loss

    return Contender(model, loss, config)


def same_start(*contenders: Contender) -> None:
    """The first one's A and B in all of them, with B a little off zero, so that A has a gradient to compare."""
    for parameters in zip(*(contender.trained for contender in contenders), strict=True):
        if not parameters[0].any():
            nn.init.normal_(parameters[0], std=1e-3)
        for parameter in parameters[1:]:
            parameter.data.copy_(parameters[0])


def evaluate(contender: Contender, batch: Batch) -> None:
    contender.model.eval()
    with torch.no_grad():
        contender.loss(batch)
    contender.model.train()


def gradient_error(contender: Contender, expected: list[torch.Tensor], batch: Batch) -> float:
    """How far its gradients, all together, are from `expected`, relative to their norm."""
    found = contender.gradients(batch)
    off = sum((a - b).square().sum() for a, b in zip(found, expected, strict=True))
    return (off / sum(b.square().sum() for b in expected)).sqrt().item()


def apart(one: Contender, other: Contender) -> float:
    """The largest difference of their losses."""
    return max(abs(a - b) for a, b in zip(one.losses, other.losses, strict=True))


def main() -> None:
    task = labkit.load_task("tickets")
    ours_base, tokenizer = labkit.load_base(device="cpu", quantize="nf4", double=True)
    theirs_base, _ = labkit.load_base(device="cpu", quantize="nf4", double=True, backend="bitsandbytes")
    shared_base, _ = labkit.load_base(device="cpu", quantize="nf4", double=True)
    dense, _ = labkit.load_base(device="cpu")
    for name, module in theirs_base.named_modules():
        if hasattr(module, "stored_weight"):
            # the scales' second quantization differs in a code here and there; bitsandbytes' are taken for both
            for ours in (ours_base, shared_base):
                ours.get_submodule(name).restore_weight(module.stored_weight())
            dense.get_submodule(name).weight = nn.Parameter(dense_weight(module), requires_grad=False)
    ours, theirs, floor = with_labkit(ours_base), with_peft(theirs_base), with_labkit(dense)
    shared = with_labkit(shared_base, share_prefix="auto")
    same_start(ours, theirs, floor, shared)

    examples = [encode(tokenizer, row, task.system) for row in task.rows("train")]
    batches = [
        collate([examples[i] for i in rows_at(step, len(examples), CONFIG)], tokenizer.pad_token_id)
        for step in range(CONFIG.steps)
    ]
    for contender in (ours, shared, theirs):
        evaluate(contender, batches[0])
    contenders = {"labkit": ours, "peft": theirs, "labkit, dense": floor, "labkit, share_prefix": shared}
    expected = floor.gradients(batches[0])
    errors = {
        name: gradient_error(contenders[name], expected, batches[0])
        for name in ("labkit", "labkit, share_prefix", "peft")
    }
    assert max(errors.values()) < 1e-3, errors
    times = in_turn({name: partial(next, each.steps(batches)) for name, each in contenders.items()}, CONFIG.steps - 1)
    timed = ("labkit", "peft", "labkit, dense")
    store(
        "qlora_step",
        {
            "recipe": {
                "task": "tickets",
                "lora": LORA,
                "steps": CONFIG.steps,
                "batch_size": CONFIG.batch_size,
                "seed": 0,
            },
            "tokens": {
                "a step": mean(batch.input_ids.numel() for batch in batches),
                "with a label": mean((batch.labels != -100).sum().item() for batch in batches),
            },
            "gradient_error_after_an_evaluation": errors,
            "seconds_a_step": {name: median(times[name]) for name in timed},
            "peft_against_labkit": ratio(times, "peft", "labkit"),
            "largest_difference_of_losses": apart(ours, theirs),
            "share_prefix": {
                "tokens_all_rows_begin_with": mean(shared_tokens(batch) for batch in batches),
                "seconds_a_step": median(times["labkit, share_prefix"]),
                "peft_against_it": ratio(times, "peft", "labkit, share_prefix"),
                "labkit_against_it": ratio(times, "labkit", "labkit, share_prefix"),
                "largest_difference_of_losses": apart(shared, theirs),
                "losses": shared.losses,
            },
            "losses": {name: contenders[name].losses for name in timed},
            "seconds": times,
            "milliseconds_by_operator": {
                name: where_the_time_goes(partial(contenders[name].gradients, batches[0]))
                for name in ("labkit", "peft")
            },
        },
        "bitsandbytes",
    )


if __name__ == "__main__":
    main()
