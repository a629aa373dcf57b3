"""The choice of a rank or of dropout where rows are few: 32 rows of `sql`, each seen ten times."""

import random
from pathlib import Path

import labkit
from studies.choices import rank
from studies.choices.searching import NotYet
from studies.court import grids, rates
from studies.court.training import RECIPE, Broken, train_on
from studies.results import RESULTS
from studies.runner import Study

TASK, COUNT, STEPS, EVERY = "sql", 32, 80, 10
ROWS = sorted(random.Random(0).sample(range(512), COUNT))  # of the training rows
SEEDS = (1, 2)
CONTENDERS = {
    "r = 1": ("lora", {"r": 1, "lora_alpha": 2}),
    "r = 8": ("lora", {"r": 8, "lora_alpha": 16}),
    "r = 8, dropout 0.1": ("lora", {"r": 8, "lora_alpha": 16, "lora_dropout": 0.1}),
    "r = 64": ("lora", {"r": 64, "lora_alpha": 128}),
    "full": ("full", {}),
}
RATES = ("best", "a third")  # best: with all the rows, in the court's 60 steps


def rate_of(name: str, rate: str, folder: Path = RESULTS) -> float | None:
    """The learning rate of a contender: its best with all rows, or the next lower; None where it isn't known yet."""
    method, settings = CONTENDERS[name]
    if method == "full":
        best = rates.chosen(folder).get(("full", TASK))
    else:
        best = rank.best_rate(settings["r"], folder)
    if best is None or rate == "best":
        return best
    return max(lower for lower in map(grids.rate_at, range(-16, 0)) if lower < best)


def run(setting: dict) -> dict:
    """Train, with the loss on the validation rows before the first step and after every tenth, in nats per token.

    Where training broke off, there's no curve.
    """
    if setting["learning_rate"] is None:
        raise NotYet(f"{setting['name']} waits for its learning rate: finish those of the ranks and of the court first")
    method, settings = CONTENDERS[setting["name"]]
    train = labkit.load_task(TASK).rows("train")
    size = {"steps": STEPS, "validate_every": EVERY}
    told_apart = {"method": method, "settings": settings, "task": TASK, "rows": ROWS}
    try:
        *_, result = train_on(
            told_apart,
            setting["seed"],
            setting["learning_rate"],
            size,
            rows=[train[row] for row in ROWS],
            validation="validation",
        )
    except Broken as broken:
        return {"curve": None, "broken": str(broken)}
    looked = [result.before, *(each for each in result.history if "validation_loss" in each)]
    curve = [{"step": each["step"], "validation_loss": each["validation_loss"]} for each in looked]
    return {"curve": curve, "losses": [round(each, 4) for each in result.losses]}


def study(folder: Path = RESULTS) -> Study:
    recipe = {name: value for name, value in RECIPE.items() if name != "steps"}
    recipe |= {"steps": STEPS, "validate_every": EVERY, "rows": ROWS}
    grid = [
        {"name": name, "rate": rate, "learning_rate": rate_of(name, rate, folder), "seed": seed}
        for seed in SEEDS
        for rate in RATES
        for name in CONTENDERS
    ]
    return Study("choices_few_rows", recipe, grid, run, tidy=tidy, folder=folder)


def tidy(runs: list[dict]) -> dict:
    """Each run with its lowest and its last loss, and by how much the last one is higher: what overfitting costs."""
    for each in runs:
        losses = [point["validation_loss"] for point in each["curve"] or []]
        each["lowest"], each["last"] = (min(losses), losses[-1]) if losses else (None, None)
        each["rise"] = each["last"] - each["lowest"] if losses else None
    return {"runs": runs}
