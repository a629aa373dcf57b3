"""The stage `final`: each method at its own best rate, with three seeds, and the verdicts against simple methods."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

import labkit
from labkit.evaluation.comparing import paired_difference, verdict
from studies.choices.searching import NotYet, lent
from studies.choices.wrong_settings import shuffled
from studies.court import final as courts
from studies.court.final import all_wrong, answers_to_test_rows, right
from studies.court.training import STEPS, Broken
from studies.full_vs_lora import validation_loss
from studies.real_tasks.predictions import PREDICTIONS
from studies.real_tasks.rates import COMPARED, FORMS, FULL, LORA, QLORA, RATES, RECIPE, candidate, trained
from studies.results import RESULTS
from studies.runner import Study
from studies.task_baselines import tables

SEEDS = courts.SEEDS  # none of them is the one that the rates were chosen with
LONG = 150
BOTH = {(LORA, STEPS): SEEDS, (LORA, LONG): SEEDS}
ONCE = SEEDS[:1]  # for a line in the table, and no claim
TRAINED = {
    "glosses": {**BOTH, (QLORA, STEPS): SEEDS, (FULL, STEPS): SEEDS},
    "changelog": {**BOTH, (QLORA, STEPS): ONCE, (FULL, STEPS): ONCE},
    "genus": {(LORA, LONG): SEEDS},
    "diacritics": {(LORA, LONG): SEEDS},
}
SHUFFLED = ("glosses", "changelog")  # where an answer is a label
KEPT = ("trained", "validation_loss", "scores", "rows", "wrong", "cut_off", "losses", "broken", "lent")


def run(setting: dict, folder: Path = RESULTS) -> dict:
    """Train, and answer the test rows; or what the court has found out with the same setting."""
    if setting["learning_rate"] is None:
        raise NotYet(f"{setting} waits for its learning rate: finish the stage rates first")
    courts_setting = {name: value for name, value in setting.items() if name != "steps"}
    if setting["steps"] == STEPS and (found := lent(courts.study(folder), courts_setting)):
        return {name: found[name] for name in KEPT if name in found}
    rows = list(labkit.load_task(setting["task"]).rows("train"))
    try:
        made, tokenizer, task, result = trained(
            setting, setting["seed"], setting["steps"], rows=shuffled(rows) if "shuffled" in setting else rows
        )
    except Broken as broken:  # with this seed, whoever takes this rate gets nothing
        return {"broken": str(broken), **all_wrong(labkit.load_task(setting["task"]))}
    return {
        "trained": made.count,
        "validation_loss": validation_loss(made.model, tokenizer, task),
        **answers_to_test_rows(made.model, tokenizer, task),
        "losses": [round(each, 4) for each in result.losses],
    }


def study(folder: Path = RESULTS) -> Study:
    """The stage. What waits for a rate has None in its place, and comes after all that doesn't."""
    grid = [
        setting_of(name, task, steps, seed, folder)
        for seed in SEEDS
        for task, methods in TRAINED.items()
        for (name, steps), seeds in methods.items()
        if seed in seeds
    ]
    grid += [setting_of(LORA, task, STEPS, SEEDS[0], folder) | {"shuffled": True} for task in SHUFFLED]
    grid.sort(key=lambda setting: setting["learning_rate"] is None)
    return Study(
        "real_tasks",
        RECIPE,
        grid,
        lambda setting: run(setting, folder),
        tidy=lambda runs: tidy(runs, folder),
        folder=folder,
    )


def setting_of(name: str, task: str, steps: int, seed: int, folder: Path) -> dict:
    best = RATES.best(candidate(name, task), folder)
    return candidate(name, task) | {"steps": steps, "learning_rate": best, "seed": seed}


# ---- what they say together


def tidy(runs: list[dict], folder: Path = RESULTS) -> dict:
    """The verdicts, and the runs: each with its ``name``, and with the numbers of the wrong rows alone."""
    for each in runs:
        each["name"] = name_of(each)
    verdicts = [
        {
            "task": task,
            "name": name,
            "against": against,
            "rows": ours.shape[1],
            "difference": asdict(difference := paired_difference(ours, theirs)),
            "verdict": verdict(difference),
            "predicted": PREDICTIONS[task, name, against].verdict if (task, name, against) in PREDICTIONS else None,
        }
        for task in COMPARED
        for name, against, ours, theirs in pairs([each for each in runs if each["task"] == task], task, folder)
    ]
    for each in runs:
        each["wrong"] = [wrong["row"] for wrong in each["wrong"]]
    return {"verdicts": verdicts, "runs": runs}


def name_of(setting: dict) -> str:
    """Such as "LoRA, 60 steps"."""
    form = {name: value for name, value in setting.items() if name in ("method", "settings", "base")}
    (name,) = (name for name, each in FORMS.items() if each == form)
    return f"{name}, {setting['steps']} steps" + (", training answers shuffled" if "shuffled" in setting else "")


def pairs(runs: list[dict], task: str, folder: Path) -> Iterator[tuple[str, str, torch.Tensor, torch.Tensor]]:
    """Who is compared with whom on a task: two names, and for each a table of right answers, shape (seeds, rows).

    LoRA is compared with each line of the task's baselines, on the rows that this one has answers to; all others with
    LoRA after 60 steps.
    """
    groups: dict[str, list[dict]] = {}
    for each in runs:
        if "shuffled" not in each:
            groups.setdefault(each["name"], []).append(each)
    first = f"{LORA}, {STEPS} steps"
    for name, ours in groups.items():
        if name.startswith(LORA):
            for against, theirs in baselines(task, folder).items():
                yield name, against, right(ours)[:, : len(theirs)], theirs.expand(len(ours), -1)
        if first in groups and name != first:
            seeds = {each["seed"] for each in ours}
            yield name, first, right(ours), right([each for each in groups[first] if each["seed"] in seeds])


def baselines(task: str, folder: Path) -> dict[str, torch.Tensor]:
    """For each line of a task's baselines, by its name, whether each row is right; without the shuffled ones."""
    made, rows, found = labkit.load_task(task), list(labkit.load_task(task).rows("test")), {}
    for line in tables.so_far(tables.study(task, folder)):
        if not line.get("shuffled"):
            scores = [made.score(answer, row) for answer, row in zip(line["answers"], rows)]
            headline = [next(iter(each.values())) for each in scores]
            found[tables.title(line, tables.TABLES[task])] = torch.tensor(headline, dtype=torch.float64)
    return found
