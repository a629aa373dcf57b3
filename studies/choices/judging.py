"""What the scored runs of a choice say together: forgetting, and verdicts against one of its candidates."""

import math
from collections.abc import Callable
from dataclasses import asdict

from labkit.evaluation.comparing import paired_difference, verdict
from studies.court.final import right

SEEDS = (1, 2, 3)


def base_of(task: str) -> dict:
    """The setting in which the untouched base is measured, as the court has it."""
    return {"method": "base", "task": task, "learning_rate": None, "seed": None}


def judged(runs: list[dict], named: Callable[[dict], str | int], against: str | int) -> dict:
    """The verdicts of all candidates but one, against that one, task by task; and the runs.

    Each run gets the ``name`` of its candidate, its ``forgetting``, in nats per token of other text, by how much its
    loss is above the base's; and the numbers of the wrong rows in the place of the answers.

    Args:
        runs: the base's for each task, and the candidates' with the same seeds.
        named: the name of a run's candidate, from its settings.
        against: the name of the one that the others are compared with.
    """
    base = {each["task"]: each for each in runs if each["method"] == "base"}
    for each in runs:
        each["name"] = "base" if each["method"] == "base" else named(each["settings"])
        known = each["perplexity"] is not None
        each["forgetting"] = math.log(each["perplexity"] / base[each["task"]]["perplexity"]) if known else None
    verdicts = []
    for task in base:
        groups: dict[str | int, list[dict]] = {}
        for each in runs:
            if each["task"] == task and each["method"] != "base":
                groups.setdefault(each["name"], []).append(each)
        for name, ours in groups.items():
            if name != against:
                difference = paired_difference(right(ours), right(groups[against]))
                about = {"difference": asdict(difference), "verdict": verdict(difference)}
                verdicts.append({"task": task, "name": name, "against": against, **about})
    for each in runs:
        each["wrong"] = [wrong["row"] for wrong in each["wrong"]]
    return {"verdicts": verdicts, "runs": runs}
