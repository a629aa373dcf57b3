"""The stage `rates`: which learning rate suits each method on each task."""

from dataclasses import replace
from pathlib import Path

from studies.court import grids
from studies.court.methods import COURT, setting_of
from studies.court.training import RECIPE, TASKS, Broken, train
from studies.full_vs_lora import validation_loss
from studies.results import RESULTS
from studies.runner import Study

SEED = 0  # the final stage has others, so that no rate is judged by the run that it was chosen for


def run(setting: dict) -> dict:
    """Train at one rate; the loss on the validation rows, in nats per token, or None where training broke off."""
    try:
        trained, tokenizer, task, losses = train(setting, SEED, setting["learning_rate"])
    except Broken as broken:
        return {"validation_loss": None, "broken": str(broken)}
    loss = validation_loss(trained.model, tokenizer, task)
    return {"validation_loss": loss, "losses": [round(each, 4) for each in losses]}


def study(folder: Path = RESULTS) -> Study:
    """The stage, with the grid as far as the stored lines have it: it may grow with each run."""
    empty = Study("court_rates", {**RECIPE, "seed": SEED}, [], run, tidy=tidy, folder=folder)
    tried = losses_in(empty)
    grid = [
        setting_of(method, task=task, learning_rate=rate)
        for method, entry in COURT.items()
        for task in TASKS
        for rate in grids.grid(entry.middle, tried.get((method, task), {}))
    ]
    return replace(empty, grid=grid)


def losses_in(stage: Study) -> dict[tuple[str, str], dict[float, float | None]]:
    """The validation losses in the stored lines, by method and task, then by learning rate.

    Lines of a method that had other settings don't count.
    """
    found: dict[tuple[str, str], dict[float, float | None]] = {}
    for line in stage.finished().values():
        at, loss = line["setting"], line["result"]["validation_loss"]
        if at["method"] in COURT and at["settings"] == dict(COURT[at["method"]].settings):
            found.setdefault((at["method"], at["task"]), {})[at["learning_rate"]] = loss
    return found


def chosen(folder: Path = RESULTS) -> dict[tuple[str, str], float]:
    """The best rate of each method and task whose grid is complete."""
    tried = losses_in(study(folder))
    best = {(method, task): grids.settled(COURT[method].middle, losses) for (method, task), losses in tried.items()}
    return {which: rate for which, rate in best.items() if rate is not None}


def tidy(runs: list[dict]) -> dict:
    """The runs, and the best rate of each method and task; ``at_an_end`` where the grid stopped growing too soon."""
    by_which: dict[tuple[str, str], dict[float, float | None]] = {}
    for each in runs:
        by_which.setdefault((each["method"], each["task"]), {})[each["learning_rate"]] = each["validation_loss"]
    best = [
        {
            "method": method,
            "task": task,
            "learning_rate": (rate := grids.best(losses)),
            "at_an_end": rate in (min(losses), max(losses)),
        }
        for (method, task), losses in by_which.items()
    ]
    return {"best": best, "runs": runs}
