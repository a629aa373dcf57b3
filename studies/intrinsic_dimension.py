"""How few numbers are enough for `tickets`: training in random subspaces. Stored for notebook 05.

    python -m studies.intrinsic_dimension     # about an hour on one thread

θ = θ₀ + P z: only z learns, d numbers of it, for d from 100 to a million. P is drawn once, over all weights of the
model, or over the A and B of LoRA at rank 8. Learning rates are tuned for each d by the loss on validation rows: three
at first, half a decade apart, and where the best lies at an end, up to two more beyond it. They're given as what a step
moves each weight by, since with a rate of `moves` · √(D/d) for z, that's the same for every d.

d90 is the smallest d whose test score reaches 90 % of what training everything does; the base gets no ticket right.
It's a number for this task, this model, this P and 30 steps of 4 rows, and says how many random directions through all
weights at once are enough. It's no rank: z moves every weight of every matrix, and ``update`` notes the rank of what
becomes of one of them.

Expected, on 2026-11-29, before the first run. Two short trials had been made: ten steps of 1,000 numbers for LoRA's A
and B, at a tenth of the middle rate, took a tenth of a nat off the training loss, and one step of 1,000 for all
weights a quarter.

1. All weights: 100 and 1,000 numbers solve no ticket, and d90 is 100,000 or more. A random subspace sees the share d/D
   of a gradient's energy, and 30 steps are few.
2. LoRA's A and B: d90 is lower, at 10,000 or 100,000, since the same d is a larger share of 2.4 million.
3. The best step per weight is larger in a subspace than in all weights, ten times or more.
4. The update of one matrix has full rank for every d over all weights, even for 100.
"""

import argparse
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

import labkit
from labkit.errors import TrainingError
from labkit.lab.experiments.random_subspace import RandomSubspace, descend
from labkit.lowrank import effective_rank, rank_for_energy
from labkit.step.batch import collate, encode
from labkit.step.loss import CompletionLoss
from studies.court import grids
from studies.make_adapters import digest
from studies.results import RESULTS
from studies.runner import Study, StudyError, follow, go_on, options

TASK = "tickets"
RECIPE = {
    "data": {split: digest(file) for split, file in labkit.load_task(TASK).files.items()},
    "steps": 30,
    "batch_size": 4,
    "seed": 0,
    "lora": {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"},
    "validation_rows": 32,
    "test_rows": 100,
    "scored_below": 0.3,  # nats per token: at 0.3, an answer of 40 tokens is right about once in 160,000
    "update_of": "model.layers.15.self_attn.q_proj",
}
DIMENSIONS = (100, 1_000, 10_000, 100_000, 1_000_000)
# where rates are looked for first, as the step of each weight, in half decades: −6 is 1e-3, −5 is 3e-3
MIDDLES = {
    "all weights": {None: -8, **dict.fromkeys(DIMENSIONS, -6)},
    "LoRA": {None: -6, **dict(zip(DIMENSIONS, (-4, -4, -4, -5, -6), strict=True))},
}
FIRST = 3  # rates tried of each, before the grid grows


def run(setting: dict) -> dict:
    """Train z, or everything where d is None; the validation loss, and the test score where that can't be zero."""
    model, tokenizer = labkit.load_base(device="cpu")
    return measure(model, tokenizer, labkit.load_task(TASK), setting)


def measure(model: nn.Module, tokenizer, task, setting: dict) -> dict:
    """The part of a run that comes after loading."""
    torch.manual_seed(RECIPE["seed"])
    if setting["space"] == "LoRA":
        labkit.inject_lora(model, labkit.LoraConfig(**RECIPE["lora"]))
    else:
        model.requires_grad_(True)
    before = _product(model).clone()
    try:
        numbers, losses = train(model, tokenizer, task, setting)
    except TrainingError as error:
        return {"validation_loss": None, "broken": str(error)}
    loss = mean_loss(model, tokenizer, task, list(task.rows("validation"))[: RECIPE["validation_rows"]])
    score = None
    if loss <= RECIPE["scored_below"]:
        score = vars(labkit.evaluate(model, tokenizer, task, limit=RECIPE["test_rows"]).scores["exact"])
    update = _product(model) - before
    return {
        "numbers": numbers,
        "validation_loss": loss,
        "exact": score,  # None counts as none right
        "losses": [round(each, 4) for each in losses],
        "update": {
            "effective_rank": effective_rank(update),
            "rank_for_90": rank_for_energy(update, 0.9),
            "size": (update.norm() / before.norm()).item(),
        },
    }


def train(model: nn.Module, tokenizer, task, setting: dict) -> tuple[int, list[float]]:
    """How many numbers were trained, and the loss of each step.

    Raises:
        TrainingError: a loss is no longer a number.
    """
    d, moves = setting["d"], setting["moves"]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    size = {name: RECIPE[name] for name in ("steps", "batch_size", "seed")}
    if d is None:
        config = labkit.TrainConfig(**size, learning_rate=moves)
        return sum(p.numel() for p in parameters), labkit.train(model, tokenizer, task, config).losses
    subspace = RandomSubspace(parameters, d, RECIPE["seed"])
    config = labkit.TrainConfig(**size, learning_rate=moves * (subspace.D / d) ** 0.5)
    examples = [encode(tokenizer, row, task.system) for row in task.rows("train")]
    loss = CompletionLoss(model, share_prefix="auto")

    def loss_of(rows: list[int]) -> torch.Tensor:
        summed, counted = loss(collate([examples[row] for row in rows], tokenizer.pad_token_id))
        return summed / counted

    return d, list(descend(subspace, loss_of, len(examples), config))


@torch.no_grad()
def mean_loss(model: nn.Module, tokenizer, task, rows: list) -> float:
    """Nats per token over these rows."""
    loss, summed, counted = CompletionLoss(model), 0.0, 0
    examples = [encode(tokenizer, row, task.system) for row in rows]
    for start in range(0, len(examples), 16):
        part, tokens = loss(collate(examples[start : start + 16], tokenizer.pad_token_id))
        summed, counted = summed + part.item(), counted + tokens
    return summed / counted


def _product(model: nn.Module) -> torch.Tensor:
    """The weight of one matrix, with what LoRA adds to it."""
    layer = model.get_submodule(RECIPE["update_of"])
    adds = hasattr(layer, "delta_weight")
    return (layer.base_layer.weight + layer.delta_weight() if adds else layer.weight).detach()


def study(folder: Path = RESULTS) -> Study:
    """The study, with the grid as far as the stored lines have it: it may grow with each run."""
    empty = Study("intrinsic_dimension", RECIPE, [], run, tidy=tidy, folder=folder)
    tried: dict[tuple, dict[float, float | None]] = {}
    for line in empty.finished().values():
        at = line["setting"]
        tried.setdefault((at["space"], at["d"]), {})[at["moves"]] = line["result"]["validation_loss"]
    grid = [
        {"space": space, "d": d, "moves": moves}
        for space, middles in MIDDLES.items()
        for d, middle in middles.items()
        for moves in grids.grid(middle, tried.get((space, d), {}), FIRST)
    ]
    return replace(empty, grid=grid)


def tidy(runs: list[dict]) -> dict:
    """The runs at the best rate of each space and d; d90 of each space, None above all that were tried; all runs."""
    found: dict[tuple, dict[float, dict]] = {}
    for each in runs:
        found.setdefault((each["space"], each["d"]), {})[each["moves"]] = each
    chosen = [at[grids.best({m: each["validation_loss"] for m, each in at.items()})] for at in found.values()]
    return {"d90": {space: d90(chosen, space) for space in MIDDLES}, "best": chosen, "runs": runs}


def right(run: dict) -> float:
    """The share of test tickets that a run's model gets exactly right; the base has none."""
    return run["exact"]["mean"] if run["exact"] else 0.0


def d90(chosen: list[dict], space: str, share: float = 0.9) -> int | None:
    """The smallest d that reaches `share` of the score that training everything in `space` does."""
    of_space = [each for each in chosen if each["space"] == space]
    goal = share * next(right(each) for each in of_space if each["d"] is None)
    return min((each["d"] for each in of_space if each["d"] is not None and right(each) >= goal), default=None)


def main() -> None:
    """Run what's missing, one run after the other, since each may change the grid; write the result at the end."""
    chosen = options(description=__doc__.splitlines()[0]).parse_args()
    try:
        if not chosen.list:
            go_on(study, chosen.runs, time.monotonic() + 60 * chosen.minutes)
    except StudyError as error:
        sys.exit(str(error))
    follow(study(), argparse.Namespace(list=chosen.list, runs=0, minutes=math.inf))


if __name__ == "__main__":
    main()
