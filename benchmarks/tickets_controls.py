"""Does `tickets` tell right training from wrong? The same code with one thing broken. Stored for notebook 04.

python benchmarks/tickets_controls.py        # about ten minutes on two cores
"""

import json
import random
from dataclasses import asdict, replace

import torch
from provenance import provenance

import labkit
from labkit.storage.places import course_data_dir
from labkit.storage.writing import write_atomically

LORA = labkit.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
TRAINING = labkit.TrainConfig(steps=50, batch_size=4, learning_rate=2e-3)


def shuffled(rows: list[dict]) -> list[dict]:
    """The rows with their completions dealt out anew, so that nearly every message has somebody else's ticket."""
    completions = [row["completion"] for row in rows]
    random.Random(0).shuffle(completions)
    return [{**row, "completion": completion} for row, completion in zip(rows, completions)]


RUNS = {
    "as it should be": (LORA, TRAINING, list),
    "α = 0": (replace(LORA, lora_alpha=0), TRAINING, list),
    "learning rate ÷ 100": (LORA, replace(TRAINING, learning_rate=TRAINING.learning_rate / 100), list),
    "tickets shuffled": (LORA, TRAINING, shuffled),
}


def run(name: str, limit: int | None = None) -> dict:
    """Train and score one of :data:`RUNS` on the first `limit` test rows (all of them when None)."""
    lora, training, change = RUNS[name]
    model, tokenizer = labkit.load_base(device="cpu")
    task = labkit.load_task("tickets")
    torch.manual_seed(0)
    labkit.inject_lora(model, lora)
    result = labkit.train(model, tokenizer, task, training, rows=change(list(task.rows("train"))))
    evaluation = labkit.evaluate(model, tokenizer, task, limit=limit)
    scores = {metric: asdict(score) for metric, score in evaluation.scores.items()}
    return {"name": name, "seconds": result.seconds, "final_loss": result.losses[-1], "scores": scores}


def main() -> None:
    runs = []
    for name in RUNS:
        runs.append(run(name))
        print(name, {metric: round(score["mean"], 3) for metric, score in runs[-1]["scores"].items()}, flush=True)
    content = {
        "recipe": {"task": "tickets", "lora": asdict(LORA), "training": asdict(TRAINING)},
        **provenance("transformers"),
        "runs": runs,
    }
    write_atomically(course_data_dir() / "results" / "tickets_controls.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
