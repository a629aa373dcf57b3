"""QLoRA against LoRA on `tickets`, and what four bits do to the base alone. Stored for notebook 08.

    python benchmarks/qlora_vs_lora.py              # what is not stored yet: half an hour on two cores, in all
    python benchmarks/qlora_vs_lora.py --runs 1     # one more run only

Both methods train with the recipe of notebook 04, on the same rows in the same order, from the same A and B. Each run
is a process of its own, so that its memory is its own, and is stored as soon as it ends, with every wrong answer, so
that whoever doubts the interval can compute it again. Before the runs, four formats are compared on the base as it is:
error of the weights, error of the logits, perplexity.
"""

import argparse
import gc
import json
import multiprocessing
import threading
import time

import psutil
import torch
from provenance import provenance

import labkit
from labkit.evaluation.general_text import general_text
from labkit.quant.blockwise import dequantize_blockwise, quantize_blockwise
from labkit.quant.codebooks import fp4_codebook
from labkit.quant.integers import dequantize_int, quantize_int
from labkit.storage.places import course_data_dir
from labkit.storage.writing import write_atomically

METHODS = {"lora": {}, "qlora": {"quantize": "nf4", "double": True}}
SEEDS = tuple(range(6))
LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
TRAIN = {"steps": 50, "batch_size": 4, "learning_rate": 2e-3}
RECIPE = {"task": "tickets", "lora": LORA, "train": TRAIN, "qlora": METHODS["qlora"] | {"backend": "labkit"}}
RESULT = course_data_dir() / "results" / "qlora_vs_lora.json"


# ---- one run


def private_bytes() -> int:
    gc.collect()
    return psutil.Process().memory_full_info().uss


def owned(model):
    """`model` with parameters of its own. Mapped from the file, they would belong to no process in particular."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model


def run(method: str, seed: int, results: multiprocessing.Queue) -> None:
    """One training run, measured; its record goes into the queue."""
    task = labkit.load_task("tickets")
    at_start, peak, done = private_bytes(), [0], threading.Event()

    def watch():
        while not done.wait(0.2):
            peak[0] = max(peak[0], psutil.Process().memory_full_info().uss)

    model, tokenizer = labkit.load_base(device="cpu", **METHODS[method])
    owned(model)
    loaded = private_bytes()
    torch.manual_seed(seed)
    labkit.inject_lora(model, labkit.LoraConfig(**LORA))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        trained = labkit.train(model, tokenizer, task, labkit.TrainConfig(seed=seed, **TRAIN))
    finally:
        done.set()
        watcher.join()
    found = labkit.evaluate(model, tokenizer, task)
    results.put(
        {
            "method": method,
            "seed": seed,
            "trainable": labkit.trainable_parameters(model)[0],
            "losses": trained.losses,
            "train_seconds": trained.seconds,
            "base_private_bytes": loaded - at_start,
            "peak_private_bytes": peak[0] - at_start,
            "scores": {name: vars(score) for name, score in found.scores.items()},
            "test_rows": len(found.rows),
            "wrong": [
                {"row": row, "answer": found.predictions[row]}
                for row, scores in enumerate(found.row_scores)
                if not scores["exact"]
            ],
        }
    )


# ---- four formats on the base


def _int4(weight):
    return dequantize_int(quantize_int(weight, bits=4, block_size=64))


def _fp4(weight):
    book = fp4_codebook()
    return dequantize_blockwise(*quantize_blockwise(weight, book, 64), book, 64).view(weight.shape)


def _nf4(weight):
    return labkit.dequantize_nf4(labkit.quantize_nf4(weight))


def _nf4_doubled(weight):
    return labkit.dequantize_nf4(labkit.quantize_nf4(weight, double=True))


FORMATS = {"int4, absmax": _int4, "FP4": _fp4, "NF4": _nf4, "NF4, doubled": _nf4_doubled}


@torch.no_grad()
def compare_formats() -> list[dict]:
    """Weight error and logit error relative to the base's own (Frobenius norms), and perplexity on general text."""
    model, tokenizer = labkit.load_base(device="cpu")
    head = model.get_output_embeddings()
    linears = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    originals = [linear.weight.data for linear in linears]
    ids = tokenizer(general_text()[:4000], return_tensors="pt").input_ids[:, :512]
    logits = model(ids).logits
    records = [
        {
            "format": "float32",
            "weight_error": 0.0,
            "logit_error": 0.0,
            "perplexity": labkit.perplexity(model, tokenizer),
        }
    ]
    for name, through in FORMATS.items():
        wrong = total = 0.0
        for linear, original in zip(linears, originals):
            linear.weight.data = through(original)
            wrong += (linear.weight.data - original).square().sum().item()
            total += original.square().sum().item()
        records.append(
            {
                "format": name,
                "weight_error": (wrong / total) ** 0.5,
                "logit_error": ((model(ids).logits - logits).norm() / logits.norm()).item(),
                "perplexity": labkit.perplexity(model, tokenizer),
            }
        )
    return records


# ---- the difference


def interval(records: list[dict], resamples: int = 10_000) -> tuple[float, float, float]:
    """QLoRA's share of exact tickets minus LoRA's, with its 95 % interval: seeds and rows are drawn again together."""
    right = {}
    for record in records:
        right[record["method"], record["seed"]] = torch.ones(record["test_rows"], dtype=torch.float64)
        right[record["method"], record["seed"]][[wrong["row"] for wrong in record["wrong"]]] = 0
    seeds = sorted(seed for method, seed in right if method == "qlora")  # LoRA ran with each of them
    difference = torch.stack([right["qlora", seed] - right["lora", seed] for seed in seeds])  # (seeds, rows)
    draw = torch.Generator().manual_seed(0)
    drawn_seeds = torch.randint(len(seeds), (resamples, len(seeds), 1), generator=draw)
    drawn_rows = torch.randint(difference.shape[1], (resamples, 1, difference.shape[1]), generator=draw)
    means = difference[drawn_seeds, drawn_rows].mean((1, 2))
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return difference.mean().item(), low, high


def store(content: dict) -> None:
    write_atomically(RESULT, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=len(METHODS) * len(SEEDS), help="at most so many more runs")
    wanted = parser.parse_args().runs
    content = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    if content.get("recipe") != RECIPE:
        content = {
            "recipe": RECIPE,
            **provenance("transformers", "bitsandbytes"),
            "runs": [],
        }
    if "formats" not in content:
        content["formats"] = compare_formats()
        store(content)
        print(json.dumps(content["formats"], indent=1), flush=True)
    there = {(record["method"], record["seed"]) for record in content["runs"]}
    missing = [(method, seed) for seed in SEEDS for method in METHODS if (method, seed) not in there]
    spawn = multiprocessing.get_context("spawn")
    for method, seed in missing[:wanted]:
        results, began = spawn.Queue(), time.perf_counter()
        process = spawn.Process(target=run, args=(method, seed, results))
        process.start()
        content["runs"].append(results.get())
        process.join()
        store(content)
        shown = {key: value for key, value in content["runs"][-1].items() if key not in ("losses", "wrong")}
        print(f"{time.perf_counter() - began:.0f} s:", shown, flush=True)
    if not missing[wanted:]:
        mean, low, high = interval(content["runs"])
        print(f"QLoRA − LoRA, exact tickets: {mean:+.1%}, 95 % interval {low:+.1%} to {high:+.1%}")


if __name__ == "__main__":
    main()
