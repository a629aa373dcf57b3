"""The stage `final`: each method at its best rate, with three seeds, scored and measured."""

import math
from dataclasses import asdict
from pathlib import Path

import torch

import labkit
from labkit.evaluation.comparing import paired_difference, verdict
from labkit.evaluation.scoring import Evaluation
from labkit.evaluation.weight_changes import changed_weights, intruders, relative_change
from labkit.lora.merging import is_mergeable
from labkit.tasks import Task
from studies.court import rates
from studies.court.methods import AGAINST, COURT, setting_of
from studies.court.predictions import PREDICTIONS
from studies.court.training import RECIPE, TASKS, Broken, fresh_base, train
from studies.full_vs_lora import validation_loss
from studies.results import RESULTS
from studies.runner import Study, StudyError

SEEDS = (1, 2, 3)
INTRUDERS = {"top": 10, "epsilon": 0.5}  # as in the paper, and PEFT's default


def run(setting: dict) -> dict:
    """Train and measure; or measure the base."""
    if setting["method"] == "base":
        model, tokenizer = fresh_base()
        task = labkit.load_task(setting["task"])
        loss = validation_loss(model, tokenizer, task)
        return {"validation_loss": loss, **answered(model, tokenizer, task)}
    if setting["learning_rate"] is None:
        raise StudyError(f"{setting['method']} has no rate for {setting['task']} yet: finish the stage rates first")
    try:
        trained, tokenizer, task, losses = train(setting, setting["seed"], setting["learning_rate"])
    except Broken as broken:  # with this seed, whoever takes this rate gets nothing
        nothing = dict.fromkeys(("validation_loss", "relative_change", "intruders", "scores", "perplexity"))
        return {"broken": str(broken), **nothing, **all_wrong(labkit.load_task(setting["task"]))}
    model, count = trained.model, trained.count
    loss = validation_loss(model, tokenizer, task)
    changes = {"relative_change": None, "intruders": None}  # of what's beside the weights
    if is_mergeable(model):
        trained.merge()
        base, _ = fresh_base()
        changes = {
            "relative_change": relative_change(changed_weights(base, model)),
            "intruders": asdict(intruders(base, model, **INTRUDERS)),
        }
        del base
    found = {"trained": count, "validation_loss": loss, **changes, **answered(model, tokenizer, task)}
    return found | {"losses": [round(each, 4) for each in losses]}


def all_wrong(task: Task) -> dict:
    """No test row is right, and there's no answer to any."""
    rows = len(task.rows("test"))
    return {"rows": rows, "wrong": [{"row": row, "answer": None} for row in range(rows)]}


def answered(model, tokenizer, task: Task) -> dict:
    """The scores on the test rows, which rows are wrong, and the perplexity on other text.

    Both are of the model as it's used for the task: virtual tokens stand before the other text, too, although you could
    leave them off there.
    """
    return {**answers_to_test_rows(model, tokenizer, task), "perplexity": labkit.perplexity(model, tokenizer)}


def answers_to_test_rows(model, tokenizer, task: Task, limit: int | None = None) -> dict:
    """The scores on the test rows, or on the first `limit`, and which are wrong by the first score, with the answer."""
    found: Evaluation = labkit.evaluate(model, tokenizer, task, limit=limit)
    metric = next(iter(found.row_scores[0]))
    wrong = [
        {"row": row, "answer": found.predictions[row]}
        for row, scores in enumerate(found.row_scores)
        if not scores[metric]
    ]
    return {
        "scores": {name: asdict(score) for name, score in found.scores.items()},
        "rows": len(found.rows),
        "wrong": wrong,
        "cut_off": found.cut_off,
    }


def study(folder: Path = RESULTS) -> Study:
    """The stage; where a rate isn't chosen yet, it's None in the grid."""
    best = rates.chosen(folder)
    grid = [{"method": "base", "task": task, "learning_rate": None, "seed": None} for task in TASKS]
    grid += [
        setting_of(method, task=task, learning_rate=best.get((method, task)), seed=seed)
        for seed in SEEDS
        for method in COURT
        for task in TASKS
    ]
    return Study("court", {**RECIPE, "intruders": INTRUDERS}, grid, run, tidy=tidy, folder=folder)


def tidy(runs: list[dict]) -> dict:
    """The verdicts, and the runs: with forgetting, in nats per token of other text, by how much its loss is above the
    base's; and with the numbers of the wrong rows in the place of the answers.
    """
    base = {each["task"]: each for each in runs if each["method"] == "base"}
    verdicts = []
    for task in TASKS:
        ours = {method: [each for each in runs if (each["method"], each["task"]) == (method, task)] for method in COURT}
        for method, of_method in ours.items():
            if method != AGAINST:
                difference = paired_difference(right(of_method), right(ours[AGAINST]))
                predicted = getattr(PREDICTIONS[method], task)
                about = {"difference": asdict(difference), "verdict": verdict(difference), "predicted": predicted}
                verdicts.append({"method": method, "task": task, **about})
    for each in runs:
        known = each["perplexity"] is not None
        each["forgetting"] = math.log(each["perplexity"] / base[each["task"]]["perplexity"]) if known else None
        each["wrong"] = [wrong["row"] for wrong in each["wrong"]]
    return {"verdicts": verdicts, "runs": runs}


def right(runs: list[dict]) -> torch.Tensor:
    """1 for a right answer and 0 for a wrong one, shape (seeds, rows), in the order of the seeds."""
    found = torch.ones(len(runs), runs[0]["rows"], dtype=torch.float64)
    for place, each in enumerate(sorted(runs, key=lambda each: each["seed"])):
        found[place, [wrong["row"] for wrong in each["wrong"]]] = 0
    return found
