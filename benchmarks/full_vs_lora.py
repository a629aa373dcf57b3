"""LoRA against full fine-tuning on `tickets`, stopped at the same validation loss. Stored for notebook 04.

    python benchmarks/full_vs_lora.py            # about half an hour on two cores

Every run is a process of its own, so that its memory is its own. Each trains until the loss on 64
validation rows is at most TARGET_LOSS (or its steps run out), and is then measured: exact match on the
test rows, perplexity on general text (what it forgot), seconds, and private memory at its peak.
"""

import json
import multiprocessing
import threading
import time

import psutil
import torch
from provenance import provenance

import labkit
from labkit.step.batch import collate, encode
from labkit.step.loss import CompletionLoss
from labkit.storage.places import course_data_dir
from labkit.storage.writing import write_atomically

TARGET_LOSS = 0.01  # nats a token, on the validation rows
CHECK_EVERY = 5
TEST_ROWS = 200
LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
RUNS = [
    {"method": method, "learning_rate": rate}
    for method, rates in {"lora": (5e-4, 1e-3, 2e-3), "full": (2e-5, 5e-5, 1e-4)}.items()
    for rate in rates
]
RECIPE = {"task": "tickets", "steps": 80, "batch_size": 4, "seed": 0, "target_loss": TARGET_LOSS, "lora": LORA}


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


def run(settings: dict, results: multiprocessing.Queue) -> None:
    """One training run, measured; its record goes into the queue."""
    peak, done = [0], threading.Event()

    def watch():
        while not done.wait(0.1):
            peak[0] = max(peak[0], psutil.Process().memory_full_info().uss)

    model, tokenizer = labkit.load_base(device="cpu")
    task = labkit.load_task("tickets")
    torch.manual_seed(RECIPE["seed"])
    if settings["method"] == "lora":
        labkit.inject_lora(model, labkit.LoraConfig(**LORA))
    else:
        model.requires_grad_(True)
    record = {**settings, "trainable": labkit.trainable_parameters(model)[0], "validation": []}
    step_seconds, last = [], [time.perf_counter()]

    def after_step(report):
        step_seconds.append(time.perf_counter() - last[0])
        if report.step % CHECK_EVERY == 0:
            loss = validation_loss(model, tokenizer, task)
            record["validation"].append({"step": report.step, "loss": loss})
            if loss <= TARGET_LOSS:
                raise Reached
        last[0] = time.perf_counter()

    config = labkit.TrainConfig(
        steps=RECIPE["steps"], batch_size=RECIPE["batch_size"], learning_rate=settings["learning_rate"]
    )
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        labkit.train(model, tokenizer, task, config, on_step=after_step)
        record["reached"] = False
    except Reached:
        record["reached"] = True
    finally:
        done.set()
        watcher.join()
    record |= {"steps": len(step_seconds), "train_seconds": sum(step_seconds), "peak_private_bytes": peak[0]}
    record["seconds_a_step"] = sorted(step_seconds)[len(step_seconds) // 2]
    result = labkit.evaluate(model, tokenizer, task, limit=TEST_ROWS)
    record["scores"] = {name: vars(score) for name, score in result.scores.items()}
    record["perplexity"] = labkit.perplexity(model, tokenizer)
    results.put(record)


def main() -> None:
    spawn = multiprocessing.get_context("spawn")
    records = []
    for settings in RUNS:
        results = spawn.Queue()
        process = spawn.Process(target=run, args=(settings, results))
        process.start()
        records.append(results.get())
        process.join()
        print({key: value for key, value in records[-1].items() if key not in ("validation", "scores")}, flush=True)
    model, tokenizer = labkit.load_base(device="cpu")
    content = {
        "recipe": RECIPE,
        **provenance("transformers"),
        "base_perplexity": labkit.perplexity(model, tokenizer),
        "runs": records,
    }
    write_atomically(course_data_dir() / "results" / "full_vs_lora.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
