"""Training steps, as `labkit.train` takes them by itself, beside PEFT (and bitsandbytes): speed at equal loss.

Both have the same base and start from the same A and B, see the same rows in the same order, and take turns step by
step. PEFT's side is a bare loop around its own forward pass, with nothing of a Trainer in it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import mean, median

import torch
from torch import nn

import labkit
from benchmarks.on_a_gpu.card import attempt, dtype_on, refuse_too_large, wait_for
from benchmarks.on_a_gpu.models import random_model, random_model_in_four_bits, shape_of
from benchmarks.qlora_step import CONFIG, LORA, with_peft
from benchmarks.side_by_side import Halting, in_turn, ratio
from labkit.base.fetching import DEFAULT_BASE
from labkit.simulation.options import DTYPES
from labkit.step.batch import Batch, collate, encode
from labkit.training.schedule import rows_at

SMOLLM2 = "smollm2-135m"  # with its own weights; any other is a shape with random ones
TRIED = [(SMOLLM2, False), (SMOLLM2, True), ("llama-3-8b", True)]  # the base, and whether it's in four bits
# How far the losses may be apart, of the loss at the start. Adding up in another order changes a last digit, and every
# step carries that on: on SmolLM2, on a CPU, to 0.000002 of it in float32 and to 0.002 in bfloat16
WITHIN = {"float32": 1e-4, "bfloat16": 0.01}


def measure(setting: dict, send: Callable[[dict], None]) -> None:
    """LoRA and QLoRA on the course's base, then QLoRA on a shape that keeps the card busy."""
    tried = [("tiny", False), ("tiny", True)] if setting["tiny"] else TRIED
    config = replace(CONFIG, steps=4, batch_size=2) if setting["tiny"] else CONFIG
    settings = [{"base": base, "four_bits": four_bits} for base, four_bits in tried]
    attempt(settings, partial(compare, device=setting["device"], config=config), setting["device"], send)


def compare(base: str, four_bits: bool, device: str, config: labkit.TrainConfig) -> dict:
    """Tokens per second of both; wrong where their losses are further apart than :data:`WITHIN`."""
    dtype, task = dtype_on(device), labkit.load_task("tickets")
    if base not in (SMOLLM2, "tiny"):  # both at once, with all that a step keeps
        rows = {"batch_size": config.batch_size, "sequence": 256, "labelled": 128}
        refuse_too_large(2 * labkit.simulate(base, "qlora", dtype=dtype, device=device, **rows).peak, device)
    _, tokenizer = labkit.load_base(DEFAULT_BASE, device="cpu")
    ours = base_model(base, four_bits, "labkit", device, dtype)
    theirs = base_model(base, four_bits, "bitsandbytes", device, dtype)
    for name, module in theirs.named_modules() if four_bits else ():
        if hasattr(module, "stored_weight"):
            # the scales' second quantization differs in a code here and there; bitsandbytes' are taken for both
            ours.get_submodule(name).restore_weight(module.stored_weight())
    torch.manual_seed(0)
    labkit.inject_lora(ours, labkit.LoraConfig(**LORA))
    peft = with_peft(theirs, config)
    for given, own in zip((p for p in ours.parameters() if p.requires_grad), peft.trained, strict=True):
        own.data.copy_(given)

    def train(halt: Callable[[float], None]) -> None:
        def after_step(report):
            wait_for(device)  # or the optimizer's last kernels would run in PEFT's time
            halt(report.loss)

        labkit.train(ours, tokenizer, task, config, on_step=after_step, force=True)

    batches, tokens = batches_of(tokenizer, task, config)
    ours_in_turn = Halting(train)
    ways = {
        "labkit": ours_in_turn,
        "PEFT": partial(next, peft.steps([batch.to(device) for batch in batches])),
    }
    times = in_turn(ways, config.steps - 1)
    ours_in_turn()  # its thread ends, and frees the model
    return judged(times, {"labkit": ours_in_turn.losses, "PEFT": peft.losses}, tokens, WITHIN[dtype])


def base_model(base: str, four_bits: bool, backend: str, device: str, dtype: str) -> nn.Module:
    """The same base for both sides, whatever library has packed it."""
    if base == SMOLLM2:
        packed = {"quantize": "nf4", "double": True, "backend": backend} if four_bits else {}
        return labkit.load_base(DEFAULT_BASE, device=device, dtype=DTYPES[dtype], **packed)[0].requires_grad_(False)
    torch.manual_seed(0)
    if four_bits:
        return random_model_in_four_bits(shape_of(base), device, dtype, backend)
    return random_model(shape_of(base), device, dtype)


def batches_of(tokenizer, task: labkit.Task, config: labkit.TrainConfig) -> tuple[list[Batch], float]:
    """The rows that `train` takes at each step, and how many tokens they have on average, without padding."""
    rows = task.rows("train")
    steps = [
        [encode(tokenizer, rows[i], task.system) for i in rows_at(step, len(rows), config)]
        for step in range(config.steps)
    ]
    tokens = mean(sum(len(example.input_ids) for example in step) for step in steps)
    return [collate(step, tokenizer.pad_token_id) for step in steps], tokens


def judged(times: dict, losses: dict[str, list[float]], tokens: float, within: float) -> dict:
    """What was measured, as JSON."""
    ours, theirs = losses.values()
    apart = max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / theirs[0]
    found = {
        "tokens_a_step": tokens,
        "tokens_a_second": {name: tokens / median(taken) for name, taken in times.items()},
        "times_faster_than_PEFT": ratio(times, "PEFT", "labkit"),
        "losses_apart": apart,
        "losses": losses,
        "seconds_a_step": times,
    }
    if apart > within:
        found["wrong"] = f"the losses are {apart:.2%} of the first one apart, and {within:.2%} are allowed"
    return found
