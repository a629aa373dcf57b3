"""The curves: each method on each number of rows, three seeds, and what's read off them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import labkit
from labkit.evaluation.comparing import paired_difference, verdict
from studies.choices.searching import NotYet
from studies.data_size import lora, rates, rivals
from studies.data_size.crossing import crossing
from studies.drawing import drawn
from studies.make_adapters import digest
from studies.results import RESULTS
from studies.runner import Study

LORA, SEEDS = "LoRA", (1, 2, 3)
SIZES = {"glosses": tuple(lora.STEPS), "changelog": (8, 24, 72, 240, 600, 1200)}  # the last is all rows
BALANCED = {"glosses": True, "changelog": False}  # as the task itself is
RIVALS = {"glosses": (rivals.WORDS, rivals.NEIGHBOR, rivals.FROZEN), "changelog": (rivals.WORDS, rivals.NEIGHBOR)}
BY_GENERATION = (240, 1)  # rows and seed of the run that's scored both ways
RESAMPLES = 2_000  # of an interval; there are some hundred of them
NAMES = {"glosses": "data_size", "changelog": "data_size_changelog"}


def rows_of(task: str, count: int, seed: int) -> list[dict]:
    """The training rows of a size and seed."""
    return drawn(list(labkit.load_task(task).rows("train")), count, seed, BALANCED[task])


def run(setting: dict, task: str) -> dict:
    """One method, learned from the rows of one size and seed, and its wrong test rows."""
    count, seed = setting["rows"], setting["seed"]
    if setting["method"] != LORA:
        return rivals.scored(setting["method"], task, rows_of(task, count, seed))
    if setting["learning_rate"] is None:
        raise NotYet(f"LoRA on {count} rows waits for its learning rate: finish the stage rates first")
    found = lora.fitted(
        rows_of(task, count, seed), setting["steps"], setting["learning_rate"], seed, look=count in lora.LOOKED_AT
    )
    return lora.scored(found, generate=(count, seed) == BY_GENERATION)


def study(task: str, folder: Path = RESULTS) -> Study:
    """The curves of a task. All rows are the same rows whatever the seed, so a rival gets them once."""
    sizes, files = SIZES[task], labkit.load_task(task).files
    grid = [
        {"method": method, "rows": count, "seed": seed}
        for method in RIVALS[task]
        for seed in SEEDS
        for count in sizes
        if count < sizes[-1] or seed == SEEDS[0]
    ]
    recipe = {"data": {split: digest(file) for split, file in files.items()}, **rivals.RECIPE}
    if task == lora.TASK:
        grid += [lora_setting(count, seed, folder) for seed in SEEDS for count in sizes]
        recipe |= {**lora.RECIPE, "by_generation": list(BY_GENERATION)}
    packages = ("transformers", "scikit-learn")
    run_, tidy_ = partial(run, task=task), partial(tidy, task=task)
    return Study(NAMES[task], recipe, grid, run_, packages=packages, tidy=tidy_, folder=folder)


def lora_setting(count: int, seed: int, folder: Path = RESULTS) -> dict:
    rate = rates.rate_of(count, folder)
    return {"method": LORA, "rows": count, "seed": seed, "steps": lora.STEPS[count], "learning_rate": rate}


# ---- what's read off


def right(runs: Sequence[dict], at: str | None = None) -> Tensor:
    """1 for a right answer and 0 for a wrong one, shape (seeds, test rows), in the order of the seeds.

    Args:
        at: ``"best"`` for the weights with the lowest validation loss in the place of the last ones.
    """
    found = torch.ones(len(runs), runs[0]["rows_asked"], dtype=torch.float64)
    for place, each in enumerate(sorted(runs, key=lambda each: each["seed"])):
        found[place, (each[at] if at else each)["wrong"]] = 0
    return found


def compared(ours: Tensor, theirs: Tensor) -> dict:
    """The paired difference, the verdict, and on how many of the rows only one of the two is right."""
    difference = paired_difference(ours, theirs, resamples=RESAMPLES)
    disagreement = (ours - theirs).abs().mean().item()
    return {"difference": asdict(difference), "verdict": verdict(difference), "disagreement": round(disagreement, 4)}


def scored(ours: Tensor) -> dict:
    """The mean over seeds and rows, with its interval over both, and each seed's own mean."""
    found = paired_difference(ours, torch.zeros_like(ours), resamples=RESAMPLES)
    return asdict(found) | {"by_seed": ours.mean(1).tolist()}


def tidy(runs: list[dict], task: str) -> dict:
    """What the notebook draws.

    - ``points``: the score of each method and size.
    - ``commonest``: the score of answering with the commonest label of the training rows, and what's better than that.
    - ``against``: the first method compared with each other one, size by size.
    - ``crossings``: from how many rows on it's ahead of each.
    - ``stopping``, for LoRA: the weights with the lowest validation loss compared with the last.
    - ``by_generation``: how many rows one run gets right by one way of scoring and not by the other.
    """
    sizes, methods = SIZES[task], RIVALS[task]
    if task == lora.TASK:
        methods = (LORA, *methods)
    groups: dict[tuple[str, int], Tensor] = {}
    for method in methods:
        for count in sizes:
            of_both = [each for each in runs if (each["method"], each["rows"]) == (method, count)]
            found = right(of_both)
            groups[method, count] = found if len(found) == len(SEEDS) else found.repeat(len(SEEDS), 1)
    first, *others = methods
    usual = _commonest(task).repeat(len(SEEDS), 1)
    found = {
        "points": [{"method": method, "rows": count, **scored(each)} for (method, count), each in groups.items()],
        "commonest": {
            "score": usual.mean().item(),
            "against": [
                {"method": method, "rows": count, **compared(each, usual)} for (method, count), each in groups.items()
            ],
        },
        "against": [
            {"method": first, "other": other, "rows": count, **compared(groups[first, count], groups[other, count])}
            for other in others
            for count in sizes
        ],
        "crossings": [{"method": first, "other": other, **_crossing(groups, first, other, sizes)} for other in others],
    }
    if task == lora.TASK:
        found |= {"stopping": _stopping(runs), "by_generation": _by_generation(runs)}
    return found | {"runs": runs}


def _crossing(groups: dict[tuple[str, int], Tensor], first: str, other: str, sizes: Sequence[int]) -> dict:
    differences = torch.stack([groups[first, count] - groups[other, count] for count in sizes])
    return crossing(differences, sizes).as_json()


def _commonest(task: str) -> Tensor:
    """1 where the answer to a test row is the commonest one of the training rows; of equal ones, the first by name."""
    of_task = labkit.load_task(task)
    counts = Counter(sorted(of_task.rows("train")["completion"]))
    return torch.tensor([float(each == max(counts, key=counts.get)) for each in of_task.rows("test")["completion"]])


def _stopping(runs: Sequence[dict]) -> list[dict]:
    found = []
    for count in lora.LOOKED_AT:
        looked = [each for each in runs if (each["method"], each["rows"]) == (LORA, count) and "best" in each]
        if len(looked) == len(SEEDS):
            about = compared(right(looked, "best"), right(looked))
            steps = [each["best"]["step"] for each in sorted(looked, key=lambda each: each["seed"])]
            found.append({"rows": count, "steps": lora.STEPS[count], "lowest_at": steps, **about})
    return found


def _by_generation(runs: Sequence[dict]) -> dict | None:
    for each in runs:
        if "wrong_by_generation" in each:
            unlike = set(each["wrong"]) ^ set(each["wrong_by_generation"])
            return {"rows": each["rows"], "seed": each["seed"], "asked": each["rows_asked"], "unlike": len(unlike)}
    return None
