"""LoRA against full fine-tuning on `tickets`, stopped at the same validation loss. Stored for notebook 04.

    python -m studies.full_vs_lora            # about half an hour on two cores

Every run is a process of its own, so that its memory is its own. Each trains until the loss on 64
validation rows is at most the target (or its steps run out), and is then measured: exact match on the
test rows, perplexity on general text (what it forgot), seconds, and private memory at its peak.
"""

import time

import torch

import labkit
from labkit.step.batch import collate, encode
from labkit.step.loss import CompletionLoss
from studies.processes import peak_private_bytes
from studies.runner import Study, main

RECIPE = {
    "task": "tickets",
    "steps": 80,
    "batch_size": 4,
    "seed": 0,
    "target_loss": 0.01,  # nats per token, on the validation rows
    "check_every": 5,
    "test_rows": 200,
    "lora": {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"},
}
GRID = [{"method": "base"}] + [
    {"method": method, "learning_rate": rate}
    for method, rates in {"lora": (5e-4, 1e-3, 2e-3), "full": (2e-5, 5e-5, 1e-4)}.items()
    for rate in rates
]


class Reached(Exception):
    """The validation loss is low enough."""


@torch.no_grad()
def validation_loss(model, tokenizer, task) -> float:
    """Nats a token over the validation rows."""
    examples = [encode(tokenizer, row, task.system) for row in task.rows("validation")]
    loss, summed, counted = CompletionLoss(model), 0.0, 0
    for start in range(0, len(examples), 16):
        part_sum, part_count = loss(collate(examples[start : start + 16], tokenizer.pad_token_id))
        summed, counted = summed + part_sum.item(), counted + part_count
    return summed / counted


def run(setting: dict) -> dict:
    """One training run, measured; of the base, its perplexity."""
    model, tokenizer = labkit.load_base(device="cpu")
    if setting["method"] == "base":
        return {"perplexity": labkit.perplexity(model, tokenizer)}
    task = labkit.load_task(RECIPE["task"])
    torch.manual_seed(RECIPE["seed"])
    if setting["method"] == "lora":
        labkit.inject_lora(model, labkit.LoraConfig(**RECIPE["lora"]))
    else:
        model.requires_grad_(True)
    trainable, validation, reached = labkit.trainable_parameters(model)[0], [], False
    step_seconds, last = [], [time.perf_counter()]

    def after_step(report):
        step_seconds.append(time.perf_counter() - last[0])
        if report.step % RECIPE["check_every"] == 0:
            loss = validation_loss(model, tokenizer, task)
            validation.append({"step": report.step, "loss": loss})
            if loss <= RECIPE["target_loss"]:
                raise Reached
        last[0] = time.perf_counter()

    training = {name: RECIPE[name] for name in ("steps", "batch_size")} | {"learning_rate": setting["learning_rate"]}
    with peak_private_bytes() as peak:
        try:
            labkit.train(model, tokenizer, task, labkit.TrainConfig(**training), on_step=after_step)
        except Reached:
            reached = True
    evaluation = labkit.evaluate(model, tokenizer, task, limit=RECIPE["test_rows"])
    return {
        "trainable": trainable,
        "validation": validation,
        "reached": reached,
        "steps": len(step_seconds),
        "train_seconds": sum(step_seconds),
        "peak_private_bytes": peak[0],
        "seconds_a_step": sorted(step_seconds)[len(step_seconds) // 2],
        "scores": {name: vars(score) for name, score in evaluation.scores.items()},
        "perplexity": labkit.perplexity(model, tokenizer),
    }


def tidy(runs: list[dict]) -> dict:
    base, *trained = runs
    return {"base_perplexity": base["perplexity"], "runs": trained}


STUDY = Study("full_vs_lora", RECIPE, GRID, run, tidy=tidy, apart=True)

if __name__ == "__main__":
    main(STUDY, __doc__)
