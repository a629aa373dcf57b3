"""What becomes of two adapters that are added: on the way from one to the other, and with both in full.

    python -m studies.adapter_blends        # five minutes on two cores. Stored for notebook 10

ΔW = Σ wᵢ ΔWᵢ, the exact sum of `AdapterBank.blend`, on the first 32 test rows of each of the two tasks, which are asked
as their own adapter was trained: with its system prompt.
"""

from functools import lru_cache

import torch

import labkit
from labkit.evaluation.scoring import bootstrap_interval
from labkit.storage.paths import course_data_dir
from studies.make_adapters import TASKS, digest
from studies.runner import Study, main

ADAPTERS = course_data_dir() / "adapters"
ROWS, STEPS, DTYPE = 32, 4, "bfloat16"  # of the base, as for the table of all adapters
METRICS = {"sql": "execution", "voice": "rules"}  # queries with the right rows; rules of the voice that are kept
RECIPE = {
    "rows": ROWS,
    "metrics": METRICS,
    "dtype": DTYPE,
    "weights": {name: digest(ADAPTERS / name / "adapter_model.safetensors") for name in TASKS},
}


def grid() -> list[dict]:
    """From sql to voice in quarters, then both at 1; each on the tasks of both."""
    ways = [{"sql": 1 - step / STEPS, "voice": step / STEPS} for step in range(STEPS + 1)]
    blends = [{name: weight for name, weight in way.items() if weight} for way in ways]
    blends.append({"sql": 1.0, "voice": 1.0})
    return [{"weights": weights, "task": task} for weights in blends for task in METRICS]


@lru_cache(maxsize=1)
def model_with_bank() -> tuple:
    model, tokenizer = labkit.load_base(device="cpu", dtype=getattr(torch, DTYPE))
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
