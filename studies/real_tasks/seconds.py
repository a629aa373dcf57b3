"""The stage `seconds`: how long a step takes, each method in a process of its own with nothing else running."""

from pathlib import Path

import labkit
from studies.court.cost import RATE, STEPS, step_seconds
from studies.court.methods import put_on
from studies.court.training import fresh_base
from studies.real_tasks.rates import BATCH_SIZE, COMPARED, RECIPE, candidate
from studies.results import RESULTS
from studies.runner import Study


def run(setting: dict) -> dict:
    """The median seconds of a step, after some to warm up."""
    task = labkit.load_task(setting["task"])
    model, tokenizer = fresh_base(**setting.get("base", {}))
    put_on(model, tokenizer, task, setting)
    return {"seconds_a_step": step_seconds(model, tokenizer, task, BATCH_SIZE)}


def study(folder: Path = RESULTS) -> Study:
    grid = [candidate(name, task) for task, names in COMPARED.items() for name in names]
    recipe = {**RECIPE, "steps": STEPS, "rate": RATE}
    return Study("real_tasks_seconds", recipe, grid, run, apart=True, folder=folder)
