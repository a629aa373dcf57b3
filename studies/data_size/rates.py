"""Which learning rate suits few rows: chosen by how many validation rows are wrong, as the rivals choose theirs."""

from pathlib import Path

import labkit
from studies.court import grids
from studies.court import rates as court_rates
from studies.court.methods import AGAINST
from studies.data_size import lora
from studies.drawing import drawn
from studies.make_adapters import digest
from studies.one_pass import answered_right
from studies.results import RESULTS
from studies.runner import Study

SEED = court_rates.SEED  # scores come from other seeds
TUNED = (24, 240)  # numbers of rows
TAKEN_FROM = {8: 24, 24: 24, 72: 24, 240: 240}  # whose rate a number of rows takes; more rows take the court's
MIDDLE, FIRST = -5, 3  # 1e-3, 3e-3, 1e-2 at first


def run(setting: dict) -> dict:
    """The share of validation rows that are wrong; all of them where training broke off."""
    task = labkit.load_task(lora.TASK)
    rows = drawn(list(task.rows("train")), setting["rows"], SEED)
    found = lora.fitted(rows, lora.STEPS[setting["rows"]], setting["learning_rate"], SEED)
    if found.result is None:
        return {"wrong_share": 1.0, "validation_loss": None, "broken": found.broken}
    right, loss = answered_right(found.model, found.tokenizer, list(task.rows("validation")), task.system)
    return {"wrong_share": 1 - sum(right) / len(right), "validation_loss": loss}


def study(folder: Path = RESULTS) -> Study:
    """The stage, with the grid as far as the stored lines have it: it grows where the best is at an end."""
    found = losses(folder)
    grid = [
        {"rows": rows, "learning_rate": rate}
        for rows in TUNED
        for rate in grids.grid(MIDDLE, found.get(rows, {}), FIRST)
    ]
    return Study("data_size_rates", _recipe(), grid, run, tidy=tidy, folder=folder)


def losses(folder: Path = RESULTS) -> dict[int, dict[float, float]]:
    """The shares of wrong rows in the stored lines, by the number of rows, then by learning rate."""
    found: dict[int, dict[float, float]] = {}
    for line in Study("data_size_rates", _recipe(), [], run, folder=folder).finished().values():
        at = line["setting"]
        found.setdefault(at["rows"], {})[at["learning_rate"]] = line["result"]["wrong_share"]
    return found


def rate_of(rows: int, folder: Path = RESULTS) -> float | None:
    """The learning rate for so many rows; None until it's known."""
    if rows in TAKEN_FROM:
        return grids.settled(MIDDLE, losses(folder).get(TAKEN_FROM[rows], {}), FIRST)
    return court_rates.chosen(folder).get((AGAINST, lora.TASK))


def tidy(runs: list[dict]) -> dict:
    """The runs, and the best rate of each size; ``at_an_end`` where its grid stopped growing too soon."""
    best = []
    for rows in TUNED:
        tried = {each["learning_rate"]: each["wrong_share"] for each in runs if each["rows"] == rows}
        rate = grids.best(tried)
        best.append({"rows": rows, "learning_rate": rate, "at_an_end": rate in (min(tried), max(tried))})
    return {"best": best, "runs": runs}


def _recipe() -> dict:
    files = labkit.load_task(lora.TASK).files
    steps = {str(rows): lora.STEPS[rows] for rows in TUNED}
    of_lora = {name: value for name, value in lora.RECIPE.items() if name not in ("steps", "looks")}
    return {"data": {split: digest(files[split]) for split in ("train", "validation")}, **of_lora, "steps": steps,
            "seed": SEED}  # fmt: skip
