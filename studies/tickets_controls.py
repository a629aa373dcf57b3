"""Does `tickets` tell right training from wrong? The same code with one thing broken. Stored for notebook 04.

python -m studies.tickets_controls        # about ten minutes on two cores
"""

import random
from dataclasses import asdict

import torch

import labkit
from studies.runner import Study, main

LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
TRAINING = {"steps": 50, "batch_size": 4, "learning_rate": 2e-3}


def shuffled(rows: list[dict]) -> list[dict]:
    """The rows with their completions dealt out again, so that nearly every prompt has another one's answer."""
    completions = [row["completion"] for row in rows]
    random.Random(0).shuffle(completions)
    return [{**row, "completion": completion} for row, completion in zip(rows, completions)]


RUNS = {
    "as it should be": (LORA, TRAINING, list),
    "α = 0": (LORA | {"lora_alpha": 0}, TRAINING, list),
    "learning rate ÷ 100": (LORA, TRAINING | {"learning_rate": TRAINING["learning_rate"] / 100}, list),
    "tickets shuffled": (LORA, TRAINING, shuffled),
}


def run(name: str, limit: int | None = None, **shorter) -> dict:
    """Train and score one of :data:`RUNS` on the first `limit` test rows (all of them when None).

    `shorter` are settings of the training in place of its own, for a test that can't wait.
    """
    lora, training, change = RUNS[name]
    model, tokenizer = labkit.load_base(device="cpu")
    task = labkit.load_task("tickets")
    torch.manual_seed(0)
    labkit.inject_lora(model, labkit.LoraConfig(**lora))
    rows = change(list(task.rows("train")))
    result = labkit.train(model, tokenizer, task, labkit.TrainConfig(**training | shorter), rows=rows)
    evaluation = labkit.evaluate(model, tokenizer, task, limit=limit)
    scores = {metric: asdict(score) for metric, score in evaluation.scores.items()}
    return {"train_seconds": result.seconds, "final_loss": result.losses[-1], "scores": scores}


STUDY = Study(
    "tickets_controls",
    {"task": "tickets", "lora": LORA, "training": TRAINING},
    [{"name": name} for name in RUNS],
    lambda setting: run(setting["name"]),
)

if __name__ == "__main__":
    main(STUDY, __doc__)
