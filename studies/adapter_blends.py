"""What becomes of two adapters that are added: half of each, all of each, and on the way from one to the other.

    python -m studies.adapter_blends        # ten minutes on two cores. Stored for notebook 10

ΔW = Σ wᵢ ΔWᵢ, the exact sum of `AdapterBank.blend`, on the first 64 test rows of each of the two tasks, which are asked
as their own adapter was trained: with its system prompt.
"""

from functools import lru_cache
from itertools import combinations

import labkit
from labkit.evaluation.scoring import bootstrap_interval
from labkit.storage.paths import course_data_dir
from labkit.tasks import TASKS
from studies.make_adapters import digest
from studies.runner import Study, main

ADAPTERS = course_data_dir() / "adapters"
ROWS, STEPS = 64, 8
METRICS = {"tickets": "exact", "sql": "execution", "voice": "rules", "clauses": "accuracy"}
RECIPE = {
    "rows": ROWS,
    "metrics": METRICS,
    "weights": {name: digest(ADAPTERS / name / "adapter_model.safetensors") for name in TASKS},
}


def grid() -> list[dict]:
    """Each adapter alone, then from sql to voice in eighths, then halves and wholes of every pair."""
    blends = [({name: 1.0}, [name]) for name in TASKS]
    for step in range(STEPS + 1):
        share = step / STEPS
        weights = {"sql": 1 - share, "voice": share}
        blends.append(({name: weight for name, weight in weights.items() if weight}, ["sql", "voice"]))
    for each in (0.5, 1.0):
        blends += [(dict.fromkeys(pair, each), list(pair)) for pair in combinations(TASKS, 2)]
    settings = [{"weights": weights, "task": task} for weights, tasks in blends for task in tasks]
    return [each for place, each in enumerate(settings) if each not in settings[:place]]


@lru_cache(maxsize=1)
def model_with_bank() -> tuple:
    model, tokenizer = labkit.load_base(device="cpu")
    bank = labkit.AdapterBank(model)
    for name in TASKS:
        bank.add(name, ADAPTERS / name)
    return model, tokenizer, bank


def run(setting: dict) -> dict:
    """One blend on one task."""
    model, tokenizer, bank = model_with_bank()
    bank.blend(setting["weights"])
    metric = METRICS[setting["task"]]
    evaluation = labkit.evaluate(model, tokenizer, labkit.load_task(setting["task"]), limit=ROWS)
    rows = [scores[metric] for scores in evaluation.row_scores]
    low, high = bootstrap_interval(rows)
    return {
        "metric": metric,
        "mean": sum(rows) / len(rows),
        "low": low,
        "high": high,
        "rows": rows,
        "answers": evaluation.predictions[:4],
    }


STUDY = Study("adapter_blends", RECIPE, grid(), run)

if __name__ == "__main__":
    main(STUDY, __doc__)
