"""What merging costs: in float32, in bfloat16, and three ways into a base of four bits. Stored for notebook 09.

    python -m studies.merge_routes        # ten minutes on two cores

Two adapters are trained with the recipe of notebook 04, one on the float32 base and one on the base in four bits
(QLoRA). Each is then put to use in several ways, and each way is compared with the adapter kept apart on the base it
was trained on: error of the weights, error of the logits, loss and score on the test rows of `tickets`. Every
wrong answer is stored. The adapters wait in build/merge_routes; where they aren't, they are trained again.
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from itertools import chain
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import labkit
from labkit.linear import PackedLinear, dense_weight
from labkit.lora.files import read_about
from labkit.lora.inject import lora_layers
from labkit.step.batch import collate
from labkit.step.loss import label_logits
from studies.runner import Study, main

LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
TRAIN = {"steps": 50, "batch_size": 4, "learning_rate": 2e-3, "seed": 0}
FOUR_BITS = {"quantize": "nf4", "double": True}
ROWS = {"answered": 128, "loss": 64}  # of the test split
RECIPE = {"task": "tickets", "lora": LORA, "train": TRAIN, "four bits": FOUR_BITS, "rows": ROWS}
BASES = {"float32": {}, "four bits": FOUR_BITS}  # what an adapter is trained on
ADAPTERS = Path(__file__).parents[1] / "build" / "merge_routes"


def adapted(trained_on: str, **base) -> tuple[nn.Module, object]:
    """A base with the adapter on it that was trained on the base called `trained_on`."""
    model, tokenizer = labkit.load_base(device="cpu", **base)
    return labkit.load_adapter(model, ADAPTERS / trained_on), tokenizer


def then_quantized(model: nn.Module) -> nn.Module:
    return labkit.quantize_model(labkit.merge_and_unload(model), double=True)


# trained on, way -> the base to put the adapter on, and what to do then. The first of each is what the others are
# compared with.
WAYS: dict[tuple[str, str], tuple[dict, Callable[[nn.Module], nn.Module]]] = {
    ("float32", "kept apart"): ({}, lambda model: model),
    ("float32", "kept apart, bfloat16"): ({"dtype": torch.bfloat16}, lambda model: model),
    ("float32", "merged, float32"): ({}, labkit.merge_and_unload),
    ("float32", "merged, bfloat16"): ({}, lambda model: labkit.merge_into_dense(model, torch.bfloat16)),
    ("float32", "merged, then four bits"): ({}, then_quantized),
    ("float32", "on a base in four bits"): (FOUR_BITS, lambda model: model),
    ("four bits", "kept apart"): (FOUR_BITS, lambda model: model),
    ("four bits", "requantized"): (FOUR_BITS, labkit.merge_and_unload),
    ("four bits", "dequantized, bfloat16"): (FOUR_BITS, lambda m: labkit.merge_into_dense(m, torch.bfloat16)),
    ("four bits", "into the float32 base"): ({}, labkit.merge_and_unload),
}


# ---- the adapters


def train_adapter(trained_on: str) -> None:
    """Train on one of BASES, and save; unless this recipe's adapter is there already."""
    if (ADAPTERS / trained_on).exists() and read_about(ADAPTERS / trained_on).get("recipe") == RECIPE:
        return
    task = labkit.load_task(RECIPE["task"])
    model, tokenizer = labkit.load_base(device="cpu", **BASES[trained_on])
    torch.manual_seed(TRAIN["seed"])
    labkit.inject_lora(model, labkit.LoraConfig(**LORA))
    labkit.train(model, tokenizer, task, labkit.TrainConfig(**TRAIN))
    labkit.save_adapter(model, ADAPTERS / trained_on, {"task": task.name, "system": task.system, "recipe": RECIPE})


# ---- a way to use one


def whole_weights(model: nn.Module, names: list[str]) -> dict[str, Tensor]:
    """W + ΔW of every adapted layer, or the weight of what took its place; float32."""
    found = {}
    for name in names:
        layer = model.get_submodule(name)
        apart = hasattr(layer, "lora_A")
        found[name] = dense_weight(layer.base_layer).float() + layer.delta_weight() if apart else dense_weight(layer)
    return found


def relative(found: dict[str, Tensor], expected: dict[str, Tensor], against: dict[str, Tensor]) -> float:
    """‖found − expected‖ / ‖against‖ over all layers together."""
    off = sum((found[name].float() - weight).double().square().sum().item() for name, weight in expected.items())
    return math.sqrt(off / sum(weight.double().square().sum().item() for weight in against.values()))


@torch.no_grad()
def label_scores(model: nn.Module, tokenizer, task) -> tuple[Tensor, float]:
    """Logits where a token of the answer is predicted, shape (tokens, vocabulary), and the mean loss per token."""
    logits, targets = [], []
    rows = task.rows("test").select(range(ROWS["loss"]))
    for start in range(0, ROWS["loss"], 8):
        examples = [labkit.encode(tokenizer, row, task.system) for row in rows.select(range(start, start + 8))]
        batch = collate(examples, tokenizer.pad_token_id)
        logits.append(label_logits(model, batch.input_ids, batch.positions).float())
        targets.append(batch.labels.flatten()[batch.positions + 1])
    logits = torch.cat(logits)
    return logits, F.cross_entropy(logits, torch.cat(targets)).item()


def bytes_of(model: nn.Module) -> int:
    tensors = {id(t): t for t in chain(model.parameters(), model.buffers())}
    return sum(t.nbytes for t in tensors.values())


@lru_cache(maxsize=1)
def kept_apart(trained_on: str) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """What every way is compared with: each layer's W + ΔW, its ΔW, and the logits."""
    model, tokenizer = adapted(trained_on, **BASES[trained_on])
    deltas = {name: layer.delta_weight() for name, layer in lora_layers(model)}
    logits, _ = label_scores(model, tokenizer, labkit.load_task(RECIPE["task"]))
    return whole_weights(model, list(deltas)), deltas, logits


def run(setting: dict) -> dict:
    """What is stored about one of WAYS."""
    trained_on, way = setting["trained on"], setting["way"]
    train_adapter(trained_on)
    task = labkit.load_task(RECIPE["task"])
    expected, deltas, logits = kept_apart(trained_on)
    base, make = WAYS[trained_on, way]
    model, tokenizer = adapted(trained_on, **base)
    model = make(model).eval()
    found = whole_weights(model, list(deltas))
    ours, loss = label_scores(model, tokenizer, task)
    size = bytes_of(model)
    if any(isinstance(module, PackedLinear) for module in model.modules()):
        # the same numbers in float32: unpacked once and for all, instead of for every token written
        labkit.merge_into_dense(model)
    evaluation = labkit.evaluate(model, tokenizer, task, limit=ROWS["answered"])
    return {
        "bytes": size,
        "weight error": relative(found, expected, expected),
        "weight error against the update": relative(found, expected, deltas),
        "update against the weight": relative(deltas, {name: 0 * d for name, d in deltas.items()}, expected),
        "logit error": ((ours - logits).norm() / logits.norm()).item(),
        "loss": loss,
        "scores": {name: asdict(score) for name, score in evaluation.scores.items()},
        "rows": len(evaluation.rows),
        "wrong": [
            {"row": row, "answer": evaluation.predictions[row]}
            for row, scores in enumerate(evaluation.row_scores)
            if not scores["exact"]
        ],
    }


STUDY = Study(
    "merge_routes",
    RECIPE,
    [{"trained on": trained_on, "way": way} for trained_on, way in WAYS],
    run,
    tidy=lambda runs: {"ways": runs},
)

if __name__ == "__main__":
    main(STUDY, __doc__)
