"""What `studies/task_baselines` and `studies/real_tasks` stored, line by line, as notebook 06 shows and compares it."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from labkit.evaluation.scoring import Score
from labkit.lab.claims import approx
from labkit.lab.experiments.choices_study import chosen, percent, right, share_right
from labkit.tasks import load_task

TASKS = ("glosses", "changelog", "genus", "diacritics")
LONG = "LoRA, 150 steps"
SHOWN = "the base, 8 examples"
LABELS = {"glosses": "categories", "changelog": "sections"}  # what a system prompt that lists the answers calls them


def name_of(line: Mapping) -> str:
    """What a line of a task's baselines is called, in its card and in the verdicts."""
    if line["method"] != "base":
        return line["method"] + (", training labels shuffled" if line["shuffled"] else "")
    listed = next((kind for task, kind in LABELS.items() if line.get("task") == task), "answers")
    return f"the base, {line['examples'] or 'no'} examples" + (f", {listed} listed" if line["names"] else "")


def lines(simple: Mapping, task: str) -> dict[str, Mapping]:
    """The lines of a task's baselines by name, shuffled ones included."""
    return {name_of(run | {"task": task}): run for run in simple["runs"]}


def score_of(line: Mapping) -> Score:
    """A line's headline score in percent: the first of its scores."""
    return percent(next(iter(line["scores"].values())))


def best_simple(simple: Mapping, task: str) -> str:
    """The simple method that's best on the validation rows; the test rows have no say in it."""
    judged = {name: line for name, line in lines(simple, task).items() if "validation" in line.get("chosen", {})}
    honest = {name: line["chosen"]["validation"] for name, line in judged.items() if not line["shuffled"]}
    return max(honest, key=honest.get)


def right_answers(line: Mapping, task: str) -> Tensor:
    """1 for each test row that a line has right and 0 for the others, shape (rows,)."""
    made, rows = load_task(task), load_task(task).rows("test")
    scores = [next(iter(made.score(answer, row).values())) for answer, row in zip(line["answers"], rows)]
    return torch.tensor(scores)


# ---- what trained models got


def four_tasks(simple: Mapping[str, Mapping], trained: Mapping) -> dict[str, dict[str, Score]]:
    """For each task: the base with eight rows in its prompt, the best simple method, and LoRA, in percent."""
    return {
        task: {
            "the base, shown 8 rows": score_of(lines(simple[task], task)[SHOWN]),
            "the best simple method": score_of(lines(simple[task], task)[best_simple(simple[task], task)]),
            LONG: share_right(trained["runs"], task=task, name=LONG),
        }
        for task in TASKS
    }


def against(trained: Mapping, task: str, name: str, other: str) -> tuple[Score, str]:
    """A comparison: the difference in percentage points, and its verdict."""
    [found] = chosen(trained["verdicts"], task=task, name=name, against=other)
    return percent(found["difference"]), found["verdict"]


def minutes_of(path: Path | str, task: str) -> dict[str, float]:
    """How long each line of a task's baselines took, from its file of lines: features included, and scoring, too."""
    found = {}
    for text in Path(path).read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        features = line["result"].get("chosen", {}).get("feature_seconds", 0)
        whole = line["seconds"] if line["seconds"] > features else line["seconds"] + features  # they're computed once
        found[name_of(line["setting"] | {"task": task})] = whole / 60
    return found


def table(simple: Mapping, trained: Mapping, seconds: Mapping, task: str, minutes: Mapping[str, float] = {}) -> str:
    """A line for each method: right answers with their interval, the test rows, and the minutes to train.

    Args:
        seconds: the result of the stage `seconds`; minutes: of the simple methods, see :func:`minutes_of`.
    """
    out = [f"{'':<54}{'right':>8}  {'95 % interval':<20}{'rows':>5}{'minutes':>10}"]
    for name, line in lines(simple, task).items():
        out.append(_line(name, score_of(line), len(line["answers"]), minutes.get(name)))
    for name in dict.fromkeys(run["name"] for run in chosen(trained["runs"], task=task)):
        of_name = chosen(trained["runs"], task=task, name=name)
        step = _seconds_a_step(seconds, of_name[0])
        score = share_right(of_name)
        out.append(_line(name, score, of_name[0]["rows"], step * of_name[0]["steps"] / 60, len(of_name)))
    return "\n".join(out)


def _line(name: str, score: Score, rows: int, minutes: float | None = None, seeds: int = 3) -> str:
    low, high = approx(score.low / 100, "%"), approx(score.high / 100, "%")
    took = "" if minutes is None else approx(minutes)
    once = " (one seed)" if seeds == 1 else ""
    return f"{name + once:<54}{approx(score.mean / 100, '%'):>8}  {f'{low} to {high}':<20}{rows:>5}{took:>10}".rstrip()


def _seconds_a_step(seconds: Mapping, run: Mapping) -> float:
    same = ("method", "settings", "base", "task")
    [found] = [each for each in seconds["runs"] if all(each.get(key) == run.get(key) for key in same)]
    return found["seconds_a_step"]


def only_one_right(trained: Mapping, task: str, first: str, second: str) -> float:
    """The share of test rows that only one of two methods has right, as a mean over the seeds that both have."""
    ours, theirs = (
        {run["seed"]: run for run in chosen(trained["runs"], task=task, name=name)} for name in (first, second)
    )
    both = [(ours[seed], theirs[seed]) for seed in ours.keys() & theirs.keys()]
    return sum((right([one]) - right([other])).abs().mean().item() for one, other in both) / len(both)


def only_one_seed_right(trained: Mapping, task: str, name: str) -> float:
    """The share of test rows that only one of two seeds of a method has right, as a mean over all pairs of seeds."""
    found = right(chosen(trained["runs"], task=task, name=name))
    pairs = [(one, other) for one in range(len(found)) for other in range(one)]
    return sum((found[one] - found[other]).abs().mean().item() for one, other in pairs) / len(pairs)
