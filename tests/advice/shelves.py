"""Folders of stored results for the tests of advice: what's finished for good, and a court as it'll be."""

import json
import math
import shutil
from pathlib import Path

from labkit.storage.paths import course_data_dir
from studies.court import final, rates, training
from studies.court.methods import COURT, setting_of
from studies.court.rates import SEED

# of studies that are running
PENDING = {f"results/{name}.json" for name in ("court", "court_rates", "court_cost", "choices_rank", "choices_targets",
                                               "choices_batch", "choices_few_rows")}  # fmt: skip
DATE = "2026-12-24"
ROWS = 20


def finished(folder: Path) -> Path:
    """A copy of the stored results, without those of the court: what comes out there can't change a test."""
    data = course_data_dir()
    (folder / "results").mkdir(parents=True)
    for file in data.glob("results/*.json"):
        if f"results/{file.name}" not in PENDING:
            shutil.copy(file, folder / "results")
    for file in data.glob("adapters/*/labkit.json"):
        (folder / "adapters" / file.parent.name).mkdir(parents=True)
        shutil.copy(file, folder / "adapters" / file.parent.name)
    return folder


def write(folder: Path, name: str, content: dict) -> None:
    (folder / "results" / f"{name}.json").write_text(json.dumps({"date": DATE} | content), encoding="utf-8")


def hold_court(folder: Path, better: tuple[str, ...] = (), worse: tuple[str, ...] = ()) -> None:
    """A finished court in the studies' own form: all get ten of twenty right, but some get eighteen or two."""
    right = {method: 18 if method in better else 2 if method in worse else 10 for method in COURT}
    runs = [
        {"method": "base", "task": task, "learning_rate": None, "seed": None} | _answered(0, "base", task)
        for task in training.TASKS
    ]
    runs += [
        setting_of(method, task=task, learning_rate=1e-3, seed=seed) | _answered(right[method], method, task)
        for seed in final.SEEDS
        for method in COURT
        for task in training.TASKS
    ]
    write(folder, "court", {"recipe": training.RECIPE} | final.tidy(runs))


def _answered(right: int, method: str, task: str) -> dict:
    metric = {"sql": "execution", "glosses": "accuracy"}[task]
    wrong = [{"row": row, "answer": "?"} for row in range(right, ROWS)]
    scores = {metric: {"mean": right / ROWS, "low": 0.0, "high": 1.0}}
    return {"trained": 1000, "validation_loss": 0.5, "rows": ROWS, "wrong": wrong, "scores": scores, "perplexity": 15.0}


def try_rates(folder: Path, best: dict[tuple[str, str], float]) -> None:
    """The stage that looks for rates: 1e-3 is best, but for what `best` says of a method and task."""
    runs = [
        setting_of(method, task=task, learning_rate=rate)
        | {"validation_loss": abs(math.log(rate / best.get((method, task), 1e-3)))}
        for method in COURT
        for task in training.TASKS
        for rate in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    ]
    write(folder, "court_rates", {"recipe": training.RECIPE | {"seed": SEED}} | rates.tidy(runs))


def cost(folder: Path, **changed: dict) -> None:
    """The stage of costs: all take the same, but for what's said of a method."""
    usual = {
        "trained": 1000,
        "simulated_peak_bytes": 10**9,
        "measured_peak_bytes": 10**9,
        "file_bytes": 10**7,
        "file": "PEFT's",
        "seconds_a_step": 1.0,
        "latency": {"apart": {"base": 0.04, "method": 0.05}, "merged": {"base": 0.04, "method": 0.04}},
    }
    runs = [
        setting_of(method) | usual | ({"file_bytes": 5 * 10**8} if method == "full" else {}) | changed.get(method, {})
        for method in COURT
    ]
    write(folder, "court_cost", {"recipe": training.RECIPE, "runs": runs})
