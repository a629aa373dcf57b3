"""The stage `sequence`: one task after the other with the same adapter, against an adapter for each."""

from pathlib import Path

import labkit
from studies.choices.kept import trained_once
from studies.choices.searching import NotYet
from studies.court.final import right
from studies.forgetting import remedies
from studies.forgetting.training import RECIPE, SHARE, go_on, lora, rate_of, scored, seen
from studies.results import RESULTS
from studies.runner import Study

FIRST, THEN = "sql", "glosses"
SEEDS = (1, 2)
WAYS = ("one after the other", "with 5 % of the first")


def run(setting: dict) -> dict:
    """Train the first task, then the second on the same adapter, and score both."""
    if None in setting["learning_rates"]:
        raise NotYet(f"{setting} waits for its learning rates: finish the court's stage rates first")
    (first_rate, then_rate), seed = setting["learning_rates"], setting["seed"]
    first, then = (labkit.load_task(name) for name in (FIRST, THEN))
    model, tokenizer = trained_once(lora(FIRST), seed, first_rate)
    count = round(SHARE * len(seen(then, seed))) if setting["way"] == WAYS[1] else 0
    # asked as they were when they were learned, not as the second task asks
    again = [{**row, "system": first.system} for row in seen(first, seed)[:count]]
    go_on(model, tokenizer, then, seed, then_rate, again)
    return {"scored": {task.name: scored(model, tokenizer, task) for task in (first, then)}}


def study(folder: Path = RESULTS) -> Study:
    pair = [rate_of(task, folder) for task in (FIRST, THEN)]
    grid = [{"way": way, "learning_rates": pair, "seed": seed} for seed in SEEDS for way in WAYS]
    recipe = RECIPE | {"first": FIRST, "then": THEN}
    return Study("forgetting_sequence", recipe, grid, run, tidy=lambda runs: tidy(runs, folder), folder=folder)


def tidy(runs: list[dict], folder: Path = RESULTS) -> dict:
    """Both tasks' scores each way, compared with those of an adapter for each, which `remedies` has; and the runs.

    Raises:
        NotYet: `remedies` lacks those.
    """
    apart = {
        task: [
            line["setting"] | line["result"]
            for line in remedies.study(folder).finished().values()
            if (line["setting"]["task"], line["setting"]["remedy"]) == (task, remedies.NOTHING)
            and line["setting"]["learning_rate"] == rate_of(task, folder)
            and line["setting"]["seed"] in SEEDS
        ]
        for task in (FIRST, THEN)
    }
    if any(len(each) < len(SEEDS) for each in apart.values()):
        raise NotYet("what an adapter for each task scores isn't there yet: finish the stage remedies first")
    table = []
    for task in (FIRST, THEN):
        alone = right(apart[task])
        table.append({"task": task, "way": "an adapter for each", "score": remedies.compared(alone, alone)})
        for way in WAYS:
            ours = [each["scored"][task] | {"seed": each["seed"]} for each in runs if each["way"] == way]
            table.append({"task": task, "way": way, "score": remedies.compared(right(ours), alone)})
    return {"table": table, "runs": runs}
