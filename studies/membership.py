"""Which rows has an adapter seen? Asked by the losses, with and without the adapter. Stored for notebook 16.

    python -m studies.membership        # some 20 minutes on one thread

Of each shipped adapter, a hundred rows that its training came by and a hundred fresh ones from the same generator. And
of one adapter that's trained long on few rows of `glosses`, these, and others that it hasn't seen. A recipe with few
steps doesn't come by every row, so which ones were seen is asked of the schedule.
"""

import random
from dataclasses import asdict
from pathlib import Path

import labkit
from labkit.forensics.membership import SCORES, auc_score, caught_at, right_of_ten, row_losses, rows_seen
from labkit.lora.files import WEIGHTS_FILE
from labkit.tasks import Task, distinct_rows
from studies.court.methods import setting_of
from studies.court.training import train_on
from studies.forensics_predictions import PREDICTIONS
from studies.make_adapters import ADAPTERS, RECIPES, TASKS, digest
from studies.results import RESULTS
from studies.runner import Study, main

ROWS = 100  # seen, and unseen
FRESH = 31  # seed of the fresh rows
FEW = {"task": "glosses", "rows": 32, "steps": 80, "batch_size": 8, "learning_rate": 3e-3, "seed": 1}  # 20 times each
FALSE_ALARMS = 0.05
RECIPE = {"rows": ROWS, "fresh": FRESH, "few": FEW, "dtype": "float32"}


def run(setting: dict) -> dict:
    """The losses of seen and of unseen rows."""
    return few_rows(setting) if setting["adapter"] == "few rows" else shipped(setting)


def shipped(setting: dict) -> dict:
    name = setting["adapter"]
    task = labkit.load_task(name)
    model, tokenizer = labkit.load_base(device="cpu")
    labkit.load_adapter(model, ADAPTERS / name)
    seen, unseen = rows_of(task, RECIPES[name][1], ROWS)
    return losses(model, tokenizer, task, seen, unseen)


def rows_of(task: Task, training: labkit.TrainConfig, count: int) -> tuple[list[dict], list[dict]]:
    """So many training rows that a run came by, and as many fresh ones from the same generator.

    The stored test rows won't do: those of `sql` ask about tables that training hasn't, which a loss shows at once.
    """
    train = task.rows("train")
    met = sorted(rows_seen(len(train), training))
    seen = [dict(train[row]) for row in random.Random(0).sample(met, count)]
    known = set(train["prompt"])
    fresh = [row for row in distinct_rows(task.make_row, 3 * count, FRESH) if row["prompt"] not in known]
    return seen, fresh[:count]


def few_rows(setting: dict) -> dict:
    task = labkit.load_task(FEW["task"])
    order = random.Random(0).sample(range(len(task.rows("train"))), FEW["rows"] + ROWS)
    train = task.rows("train")
    rows = [dict(train[row]) for row in order]
    seen, unseen = rows[: FEW["rows"]], rows[FEW["rows"] :]
    told_apart = setting_of("lora", task=FEW["task"], rows=order[: FEW["rows"]])
    size = {"steps": FEW["steps"], "batch_size": FEW["batch_size"]}
    trained, tokenizer, *_ = train_on(told_apart, FEW["seed"], FEW["learning_rate"], size, rows=seen)
    return losses(trained.model, tokenizer, task, seen, unseen)


def losses(model, tokenizer, task: Task, seen: list[dict], unseen: list[dict]) -> dict:
    found = {}
    for kind, rows in (("seen", seen), ("unseen", unseen)):
        measured = row_losses(model, tokenizer, rows, task.system)
        found[kind] = [[round(each.adapted, 5), round(each.silenced, 5)] for each in measured]
    return found


def study(folder: Path = RESULTS) -> Study:
    grid = [{"adapter": name, "weights": digest(ADAPTERS / name / WEIGHTS_FILE)} for name in TASKS]
    return Study("membership", RECIPE, [*grid, {"adapter": "few rows"}], run, tidy=tidy, folder=folder)


def tidy(runs: list[dict]) -> dict:
    """For each adapter and each score, how well seen and unseen are told apart; the losses stay beside it."""
    for each in runs:
        each["told apart"] = {
            name: told_apart(*([score(*pair) for pair in each[kind]] for kind in ("seen", "unseen")))
            for name, score in SCORES.items()
        }
    return {"predicted": [asdict(each) for each in PREDICTIONS["membership"]], "runs": runs}


def told_apart(seen: list[float], unseen: list[float]) -> dict:
    area = auc_score(seen, unseen)
    return {
        "auc": asdict(area),
        "chance": area.low <= 0.5 <= area.high,
        "caught": {"false alarms": FALSE_ALARMS, "share": caught_at(seen, unseen, FALSE_ALARMS)},
        "right of ten": right_of_ten(seen, unseen),
    }


if __name__ == "__main__":
    main(study(), __doc__)
