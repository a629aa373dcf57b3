"""Training that knows it'll be merged into four bits, beside the training that doesn't. Stored for notebook 09.

    python -m studies.merge_aware        # an hour on two cores

Four trainings on `tickets` with the recipe of notebook 04: QLoRA, on the base in four bits, and LoRA, on the float32
base; each as usual, and each inside `labkit.merge_aware`. All are brought to a base in four bits with nothing beside
it: QLoRA's by requantizing W + ΔW, LoRA's by merging in float32 and quantizing then. For QLoRA the two ways that keep
the adapter are measured as well. The learning rates were compared with seed 0, by the loss on the validation rows after
the merge; every comparison is stored. Scores and losses are those of test rows.
"""

import copy
from contextlib import nullcontext
from dataclasses import asdict
from statistics import median

import torch
import torch.nn.functional as F
from torch import nn

import labkit
from labkit.lab.experiments.four_bit_steps import codes_of, dense_weights, share_arrived, share_changed, updates_of
from labkit.linear import PackedLinear
from labkit.step.batch import collate
from labkit.step.loss import label_logits
from studies.runner import Study, main

LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
TRAIN = {"steps": 50, "batch_size": 4}
FOUR_BITS = {"quantize": "nf4", "double": True}
ROWS = {"answered": 128, "loss": 64}  # of the test split; the validation split has 64 in all
RECIPE = {"task": "tickets", "lora": LORA, "train": TRAIN, "four bits": FOUR_BITS, "rows": ROWS}

BASES = {"QLoRA": FOUR_BITS, "QLoRA, merge-aware": FOUR_BITS, "LoRA": {}, "LoRA, merge-aware": {}}
RATES = {"QLoRA": 2e-3, "QLoRA, merge-aware": 1e-2, "LoRA": 2e-3, "LoRA, merge-aware": 2e-3}
COMPARED = {"QLoRA": (2e-3, 1e-2), "QLoRA, merge-aware": (2e-3, 5e-3, 1e-2, 2e-2)}  # with seed 0
SEEDS = (0, 1, 2)


def loss_on(model: nn.Module, tokenizer, task, split: str) -> float:
    """The mean loss per token on the first rows of a split."""
    model.eval()
    rows, losses, count = task.rows(split).select(range(ROWS["loss"])), 0.0, 0
    for start in range(0, len(rows), 8):
        examples = [labkit.encode(tokenizer, row, task.system) for row in rows.select(range(start, start + 8))]
        batch = collate(examples, tokenizer.pad_token_id)
        with torch.no_grad():
            logits = label_logits(model, batch.input_ids, batch.positions).float()
        targets = batch.labels.flatten()[batch.positions + 1]
        losses += F.cross_entropy(logits, targets, reduction="sum").item()
        count += targets.numel()
    return losses / count


def in_four_bits(model: nn.Module) -> nn.Module:
    """Merged, and nothing beside four bits."""
    model = labkit.merge_and_unload(model)
    packed = any(isinstance(module, PackedLinear) for module in model.modules())
    return model if packed else labkit.quantize_model(model, double=FOUR_BITS["double"])


def measured(model: nn.Module, tokenizer, task) -> dict:
    """Losses and scores. Afterwards `model` is dense, with the same numbers: that's quicker to answer with."""
    losses = {"loss": loss_on(model, tokenizer, task, "test")}
    losses["validation loss"] = loss_on(model, tokenizer, task, "validation")
    if any(isinstance(module, PackedLinear) for module in model.modules()):
        labkit.merge_into_dense(model)
    found = labkit.evaluate(model, tokenizer, task, limit=ROWS["answered"])
    wrong = [
        {"row": row, "answer": found.predictions[row]}
        for row, scores in enumerate(found.row_scores)
        if not scores["exact"]
    ]
    scores = {name: asdict(score) for name, score in found.scores.items()}
    return {**losses, "scores": scores, "rows": len(found.rows), "wrong": wrong}


def run(setting: dict) -> dict:
    """Train once, and measure every way to use what came of it."""
    kind, task = setting["trained"], labkit.load_task(RECIPE["task"])
    model, tokenizer = labkit.load_base(device="cpu", **BASES.get(kind, FOUR_BITS))
    if kind == "nothing":
        return {"ways": {"the base in four bits": measured(model, tokenizer, task)}}
    plain = codes_of(labkit.load_base(device="cpu", **FOUR_BITS)[0])
    torch.manual_seed(setting["seed"])
    labkit.inject_lora(model, labkit.LoraConfig(**LORA))
    config = labkit.TrainConfig(**TRAIN, seed=setting["seed"], learning_rate=setting["learning rate"])
    aware = kind.endswith("merge-aware")
    double = {} if BASES[kind] else {"double": FOUR_BITS["double"]}
    with labkit.merge_aware(model, **double) if aware else nullcontext():
        trained = labkit.train(model, tokenizer, task, config)
        seen = loss_on(model, tokenizer, task, "test")

    updates = updates_of(model)
    exact = dense_weights(model, updates)
    size = sum(update.square().sum().item() for update in updates.values())
    size /= sum(weight.square().sum().item() for weight in exact.values())
    packed = in_four_bits(copy.deepcopy(model))
    before = labkit.load_base(device="cpu", **FOUR_BITS)[0]
    moved = {
        "codes changed": share_changed(plain, codes_of(packed)),
        "update arrived": share_arrived(dense_weights(before, updates), dense_weights(packed, updates), updates),
    }
    del before, exact, updates
    ways = {"in four bits": measured(packed, tokenizer, task) | moved}
    if kind == "QLoRA" and setting["learning rate"] == RATES[kind]:
        ways["dequantized, bfloat16"] = measured(
            labkit.merge_into_dense(copy.deepcopy(model), torch.bfloat16), tokenizer, task
        )
        ways["kept apart"] = measured(model, tokenizer, task)
    steps = [after - before for before, after in zip([0, *trained.clock], trained.clock)]
    return {
        "losses": trained.losses,
        "seconds per step": median(steps[1:]),
        "update against the weight": size**0.5,
        "loss in training": seen,
        "ways": ways,
    }


def grid() -> list[dict]:
    rates = [(kind, rate, 0) for kind, compared in COMPARED.items() for rate in compared]
    seeds = [(kind, rate, seed) for seed in SEEDS for kind, rate in RATES.items()]
    runs = dict.fromkeys([*rates, *seeds])
    return [{"trained": kind, "learning rate": rate, "seed": seed} for kind, rate, seed in runs] + [
        {"trained": "nothing", "learning rate": None, "seed": None}
    ]


STUDY = Study("merge_aware", RECIPE, grid(), run)

if __name__ == "__main__":
    main(STUDY, __doc__)
