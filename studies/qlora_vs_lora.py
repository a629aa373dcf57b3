"""QLoRA against LoRA on `tickets`, and what four bits do to the base alone. Stored for notebook 08.

    python -m studies.qlora_vs_lora        # half an hour on two cores

Both methods train with the recipe of notebook 04, on the same rows in the same order, from the same A and B. Each run
is a process of its own, so that its memory is its own, and is stored with every wrong answer, so that anyone who doubts
the interval can compute it again. Before the runs, four formats are compared on the base as it is: error of the
weights, error of the logits, perplexity.
"""

import gc

import torch

import labkit
from labkit.evaluation.comparing import paired_difference
from labkit.evaluation.general_text import general_text
from labkit.quant.blockwise import dequantize_blockwise, quantize_blockwise
from labkit.quant.codebooks import fp4_codebook
from labkit.quant.integers import dequantize_int, quantize_int
from studies.processes import peak_private_bytes, private_bytes
from studies.runner import Study, main

METHODS = {"lora": {}, "qlora": {"quantize": "nf4", "double": True}}
SEEDS = tuple(range(6))
LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
TRAIN = {"steps": 50, "batch_size": 4, "learning_rate": 2e-3}
RECIPE = {"task": "tickets", "lora": LORA, "train": TRAIN, "qlora": METHODS["qlora"] | {"backend": "labkit"}}


# ---- one run


def private_bytes_now() -> int:
    gc.collect()
    return private_bytes()


def owned(model):
    """`model` with parameters of its own. Mapped from the file, they would belong to no process in particular."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model


def train(method: str, seed: int) -> dict:
    """One training run, measured."""
    task, at_start = labkit.load_task("tickets"), private_bytes_now()
    model, tokenizer = labkit.load_base(device="cpu", **METHODS[method])
    owned(model)
    loaded = private_bytes_now()
    torch.manual_seed(seed)
    labkit.inject_lora(model, labkit.LoraConfig(**LORA))
    with peak_private_bytes(every=0.2) as peak:
        trained = labkit.train(model, tokenizer, task, labkit.TrainConfig(seed=seed, **TRAIN))
    found = labkit.evaluate(model, tokenizer, task)
    return {
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


FORMATS = {"float32": torch.clone, "int4, absmax": _int4, "FP4": _fp4, "NF4": _nf4, "NF4, doubled": _nf4_doubled}


@torch.no_grad()
def put_through(name: str) -> dict:
    """Weight error and logit error relative to the base's own (Frobenius norms), and perplexity on general text."""
    model, tokenizer = labkit.load_base(device="cpu")
    head = model.get_output_embeddings()
    ids = tokenizer(general_text()[:4000], return_tensors="pt").input_ids[:, :512]
    logits = model(ids).logits
    wrong = total = 0.0
    for linear in (m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head):
        original, linear.weight.data = linear.weight.data, FORMATS[name](linear.weight.data)
        wrong += (linear.weight.data - original).square().sum().item()
        total += original.square().sum().item()
    return {
        "weight_error": (wrong / total) ** 0.5,
        "logit_error": ((model(ids).logits - logits).norm() / logits.norm()).item(),
        "perplexity": labkit.perplexity(model, tokenizer),
    }


# ---- the difference


def interval(records: list[dict], resamples: int = 10_000) -> tuple[float, float, float]:
    """QLoRA's share of exact tickets minus LoRA's, with its 95 % interval: seeds and rows are drawn again together."""
    right = {}
    for record in records:
        right[record["method"], record["seed"]] = torch.ones(record["test_rows"], dtype=torch.float64)
        right[record["method"], record["seed"]][[wrong["row"] for wrong in record["wrong"]]] = 0
    seeds = sorted(seed for method, seed in right if method == "qlora")  # LoRA ran with each of them
    qlora, lora = (torch.stack([right[method, seed] for seed in seeds]) for method in ("qlora", "lora"))
    found = paired_difference(qlora, lora, resamples=resamples)
    return found.mean, found.low, found.high


# ---- the study


def run(setting: dict) -> dict:
    return put_through(setting["format"]) if "format" in setting else train(**setting)


def tidy(runs: list[dict]) -> dict:
    return {"runs": [r for r in runs if "method" in r], "formats": [r for r in runs if "format" in r]}


STUDY = Study(
    "qlora_vs_lora",
    RECIPE,
    [{"format": name} for name in FORMATS] + [{"method": method, "seed": seed} for seed in SEEDS for method in METHODS],
    run,
    packages=("transformers", "bitsandbytes"),
    tidy=tidy,
    apart=True,
)

if __name__ == "__main__":
    main(STUDY, __doc__)
    if not STUDY.missing():
        mean, low, high = interval(STUDY.result()["runs"])
        print(f"QLoRA − LoRA, exact tickets: {mean:+.1%}, 95 % interval {low:+.1%} to {high:+.1%}")
