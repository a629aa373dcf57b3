"""The stage `cost`: seconds and memory of a step with one other row held to the silenced adapter, and without.

Each in a process of its own. There, every step has such a row; in the stage `remedies`, one in five has, or two.
"""

import gc
from pathlib import Path
from statistics import median

import torch

import labkit
from studies.court import training
from studies.court.methods import put_on
from studies.forgetting.training import RECIPE, held, lora, others
from studies.processes import peak_private_bytes, private_bytes
from studies.qlora_vs_lora import owned
from studies.results import RESULTS
from studies.runner import Study

TASK = "sql"
WARM, TIMED = 2, 10
RATE = 1e-6  # too small to change what a step takes
WAYS = ("alone", "with the KL")


def run(setting: dict) -> dict:
    """The median of the seconds of a step, and the peak of the process's private memory, the base included."""
    task, steps = labkit.load_task(TASK), WARM + TIMED
    model, tokenizer = training.fresh_base()
    owned(model)  # else its weights are mapped from the file, and counted only as far as they're touched
    torch.manual_seed(0)
    put_on(model, tokenizer, task, lora(TASK))
    rows = others(20 * steps)[:steps]  # 5 % of 20 times as many
    extra = held(model, tokenizer, task, rows, steps) if setting["way"] == WAYS[1] else None
    config = labkit.TrainConfig(steps=steps, batch_size=training.BATCH_SIZE[TASK], learning_rate=RATE)
    gc.collect()
    with peak_private_bytes(every=0.05) as peak:
        result = labkit.train(model, tokenizer, task, config, extra_loss=extra)
        highest = max(peak[0], private_bytes())
    took = [after - before for before, after in zip(result.clock, result.clock[1:])]
    weights = sum(tensor.nbytes for name, tensor in model.named_parameters() if "lora_" not in name)
    return {"seconds_per_step": median(took[-TIMED:]), "peak_bytes": highest, "base_bytes": weights}


def study(folder: Path = RESULTS) -> Study:
    recipe = RECIPE | {"task": TASK, "steps": {"to warm up": WARM, "timed": TIMED}}
    return Study("forgetting_cost", recipe, [{"way": way} for way in WAYS], run, apart=True, folder=folder)
