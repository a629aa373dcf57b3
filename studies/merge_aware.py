"""Training that knows it'll be merged into four bits, beside training that doesn't. Stored for notebook 09.

    python -m studies.merge_aware        # an hour and a quarter on two cores

Adapters for `tickets` are trained with the recipe of notebook 04, on the float32 base (LoRA) and on the base in four
bits (QLoRA), as usual and inside `labkit.merge_aware`. Each is brought to a model in four bits with nothing beside it:
on the float32 base W + ΔW is quantized after the merge, on the other it's requantized. For QLoRA the two ways that keep
all of the adapter are measured as well. A larger step has more chances to reach the next of sixteen levels, so all but
the way that needs none are tried at more learning rates with the first seed; the rate with the lowest loss on the
validation rows after the merge goes on with the others, beside the recipe's. All other losses and the scores are those
of test rows.
"""

import copy
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import labkit
from labkit.evaluation.weight_changes import relative_size
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

BASES = {"float32": {}, "four bits": FOUR_BITS}
RATE = 2e-3  # the recipe's
COMPARED = {  # with the first seed
    ("four bits", False): (1e-2, 5e-3, 2e-2),
    ("four bits", True): (1e-2, RATE, 5e-3),
    ("float32", False): (5e-3, 1e-2),
}
SEEDED = [  # with all seeds: the recipe's rate as usual, and for each way the best of those compared
    ("float32", True, RATE),
    ("float32", False, RATE),
    ("four bits", False, RATE),
    ("four bits", True, 5e-3),
    ("four bits", False, 1e-2),
]
SEEDS = (0, 1, 2)
CHECKPOINTS = Path(__file__).parents[1] / "build" / "merge_aware"


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
    """Train once, and measure every way to use what came of it; or the base in four bits, with nothing trained."""
    trained_on, task = setting["trained on"], labkit.load_task(RECIPE["task"])
    untouched, tokenizer = labkit.load_base(device="cpu", **FOUR_BITS)
    if setting["learning rate"] is None:
        return {"ways": {"in four bits": measured(untouched, tokenizer, task)}}
    model, _ = labkit.load_base(device="cpu", **BASES[trained_on])
    torch.manual_seed(setting["seed"])
    labkit.inject_lora(model, labkit.LoraConfig(**LORA))
    config = labkit.TrainConfig(
        **TRAIN, seed=setting["seed"], learning_rate=setting["learning rate"], checkpoint_every=10
    )
    as_it_will_be = {} if trained_on == "four bits" else {"double": FOUR_BITS["double"]}
    checkpoints = CHECKPOINTS / "-".join(str(value) for value in setting.values())
    with labkit.merge_aware(model, **as_it_will_be) if setting["merge-aware"] else nullcontext():
        losses = labkit.train(model, tokenizer, task, config, output_dir=checkpoints, resume=True).losses
        seen = loss_on(model, tokenizer, task, "test")
    updates = updates_of(model)
    packed = in_four_bits(copy.deepcopy(model))
    whole, before, after = (dense_weights(each, updates) for each in (model, untouched, packed))
    moved = {
        "codes changed": share_changed(codes_of(untouched), codes_of(packed)),
        "update arrived": share_arrived(before, after, updates),
    }
    size = relative_size((whole[name], update) for name, update in updates.items())
    del untouched, whole, before, after, updates
    ways = {"in four bits": measured(packed, tokenizer, task) | moved}
    if (trained_on, setting["merge-aware"], setting["learning rate"]) == ("four bits", False, RATE):
        dense = labkit.merge_into_dense(copy.deepcopy(model), torch.bfloat16)
        ways["dequantized, bfloat16"] = measured(dense, tokenizer, task)
        ways["kept apart"] = measured(model, tokenizer, task)
    return {"losses": losses, "loss in training": seen, "update against the weight": size, "ways": ways}


def grid() -> list[dict]:
    first, *others = SEEDS
    runs = [(*way, first) for way in SEEDED]
    runs += [(*way, rate, first) for way, rates in COMPARED.items() for rate in rates]
    runs += [(*way, seed) for seed in others for way in SEEDED]
    runs += [("four bits", False, None, None)]
    return [dict(zip(("trained on", "merge-aware", "learning rate", "seed"), run)) for run in dict.fromkeys(runs)]


STUDY = Study("merge_aware", RECIPE, grid(), run)

if __name__ == "__main__":
    main(STUDY, __doc__)
