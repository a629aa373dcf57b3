"""The stage `remedies`: each remedy against nothing, on two tasks, with three seeds: score, and what's forgotten."""

import math
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import labkit
from labkit.evaluation.comparing import paired_difference, verdict
from labkit.evaluation.scoring import bootstrap_interval
from labkit.lab.experiments.everyday import EVERYDAY, in_form_of
from labkit.step.batch import encode
from labkit.tasks import Task
from studies.court import training
from studies.court.final import right
from studies.forgetting.switch import is_foreign
from studies.forgetting.training import RECIPE, SEEDS, forgotten, others, rate_of, scored, seen, trained
from studies.results import RESULTS
from studies.runner import Study

BASE, NOTHING, LOWER, SWITCH = "base", "nothing", "lower rate", "switch"
REMEDIES = (NOTHING, "replay", "KL", LOWER, "half")  # that need a run; the switch needs none
SYSTEMS = ("neutral", "the task's")


def run(setting: dict) -> dict:
    """Train with the remedy, and measure; of the base, only what could be forgotten."""
    task = labkit.load_task(setting["task"])
    if setting["remedy"] == BASE:
        return forgotten(*training.fresh_base(), task)
    model, tokenizer = trained(setting)
    found = scored(model, tokenizer, task) | forgotten(model, tokenizer, task)
    if setting["remedy"] == "replay":
        found["labels"] = labels(tokenizer, task, setting["seed"])
    return found


def labels(tokenizer, task: Task, seed: int) -> dict[str, int]:
    """How many tokens the loss counts, of the task's rows and of the others: 5 % of the rows may be more of those."""
    rows = seen(task, seed)
    kinds = {"task": rows, "others": others(len(rows))}
    return {name: sum(encode(tokenizer, row, task.system).counted for row in each) for name, each in kinds.items()}


def study(folder: Path = RESULTS) -> Study:
    """The stage; where the court hasn't chosen a rate yet, it's None in the grid."""
    grid = [{"task": task, "remedy": BASE, "learning_rate": None, "seed": None} for task in training.TASKS]
    grid += [
        {"task": task, "remedy": remedy, "learning_rate": rate_of(task, folder, remedy == LOWER), "seed": seed}
        for seed in SEEDS
        for task in training.TASKS
        for remedy in REMEDIES
    ]
    return Study("forgetting", RECIPE, grid, run, tidy=tidy, folder=folder)


# ---- what comes out


def tidy(runs: list[dict]) -> dict:
    """For each task and remedy: the score and what's forgotten, each compared with nothing; the switch; and the runs.

    Each run gets its ``forgetting``, in nats per token of other text, by how much its loss is above the base's; and the
    numbers of the wrong rows in the place of their answers. Everyday answers are kept of the first seed, to look at.
    """
    table, switches = [], []
    for name in training.TASKS:
        task = labkit.load_task(name)
        base = next(each for each in runs if (each["task"], each["remedy"]) == (name, BASE))
        ours = {r: [each for each in runs if (each["task"], each["remedy"]) == (name, r)] for r in REMEDIES}
        for each in (base, *(run_ for several in ours.values() for run_ in several)):
            each["forgetting"] = math.log(each["perplexity"] / base["perplexity"])
        ours[SWITCH], about = switched(ours[NOTHING], base, task)
        switches.append({"task": name, **about})
        table.append({"task": name, "remedy": BASE, "forgetting": [0.0], **everyday([base], [base], name)})
        for remedy, several in ours.items():
            nats = [each["forgetting"] for each in several]
            score = compared(right(several), right(ours[NOTHING]))
            kept = everyday(several, ours[NOTHING], name)
            table.append({"task": name, "remedy": remedy, "score": score, "forgetting": nats, **kept})
    for each in runs:
        each["wrong"] = [about["row"] for about in each.get("wrong", ())]
        if each["seed"] not in (None, SEEDS[0]):
            del each["everyday"]
    return {"table": table, "switch": switches, "runs": runs}


def everyday(ours: list[dict], theirs: list[dict], task: str) -> dict:
    """The answers to the everyday questions under each system prompt: how many are right, and how many are *not* in the
    task's form, so that more is better in both."""
    rows = list(EVERYDAY.rows("test"))

    def values(of: list[dict], system: str, measure: str) -> Tensor:
        answers = [each["everyday"][system] for each in of]
        if measure == "right":
            found = [[EVERYDAY.score(answer, row)["right"] for answer, row in zip(each, rows)] for each in answers]
        else:
            found = [[float(not in_form_of(task, answer)) for answer in each] for each in answers]
        return torch.tensor(found, dtype=torch.float64)

    return {
        system: {
            measure: compared(*map(partial(values, system=system, measure=measure), (ours, theirs)))
            for measure in ("right", "not in the task's form")
        }
        for system in SYSTEMS
    }


def compared(ours: Tensor, theirs: Tensor) -> dict:
    """The mean with its interval, and the paired difference from `theirs` with the verdict: both over seeds and rows.

    Args:
        ours, theirs: shape (seeds, rows), each from 0 to 1.
    """
    found, difference = paired_difference(ours, torch.zeros_like(ours)), paired_difference(ours, theirs)
    if found.low == found.high:  # all alike, or as good as: what resampling can't see, rows alone bound
        low, high = bootstrap_interval(ours.mean(0).tolist())
        found = type(found)(found.mean, low, high)
    return asdict(found) | {"difference": asdict(difference), "verdict": verdict(difference)}


def switched(runs: list[dict], base: dict, task: Task) -> tuple[list[dict], dict]:
    """The runs as they'd be with the switch before the adapter; and how often the switch is wrong.

    Of what it takes to be foreign the base answers: rows of the task as it does, none of them right. Its forgetting is
    none by construction, where text is taken to be foreign: other text isn't a message, and nobody asks the switch.
    """
    silenced = is_foreign(task.rows("test")["prompt"][: runs[0]["rows"]], task)
    foreign = is_foreign(EVERYDAY.rows("test")["prompt"], task)
    found = []
    for each in runs:
        wrong = {about["row"] for about in each["wrong"]} | set(silenced.nonzero().flatten().tolist())
        answers = {
            system: [theirs if away else own for own, theirs, away in zip(*both, foreign.tolist(), strict=True)]
            for system, both in ((s, (each["everyday"][s], base["everyday"][s])) for s in SYSTEMS)
        }
        rows = [{"row": row} for row in sorted(wrong)]
        found.append(each | {"remedy": SWITCH, "wrong": rows, "everyday": answers, "forgetting": 0.0})
    let_through = (~foreign).double().mean().item()
    return found, {"rows_silenced": silenced.double().mean().item(), "questions_let_through": let_through}
