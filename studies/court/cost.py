"""The stage `cost`: what each method takes, whatever it learns. Each in a process of its own."""

import gc
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save
from torch import nn

import labkit
from benchmarks.merge_latency import WRITTEN, writes
from benchmarks.side_by_side import in_turn
from labkit.errors import AdapterError
from labkit.family.method import Trained
from labkit.lora.merging import is_mergeable
from labkit.simulation.memory_check import peak_of_step
from labkit.step.batch import collate, encode
from studies.court.methods import COURT, put_on, setting_of
from studies.court.training import BATCH_SIZE, RECIPE, fresh_base
from studies.processes import peak_private_bytes, private_bytes
from studies.qlora_vs_lora import owned
from studies.results import RESULTS
from studies.runner import Study

TASK = "sql"
STEPS = {"for memory": 3, "to warm up": 2, "timed": 10}
ROUNDS = 9  # of latency
RATE = 1e-6  # too small to change what a step takes


def run(setting: dict) -> dict:
    """Numbers, bytes, memory, seconds per step, and seconds per token written."""
    task = labkit.load_task(TASK)
    model, tokenizer = fresh_base()
    owned(model)
    torch.manual_seed(0)
    trained = put_on(model, tokenizer, task, setting)
    found = {"trained": trained.count} | memory(trained, tokenizer, task) | file_of(trained)
    found["seconds_a_step"] = step_seconds(model, tokenizer, task)
    found["latency"] = latency(trained)
    return found


def file_of(trained: Trained) -> dict:
    """Bytes of what's kept of a training: PEFT's two files, or where there's no format, the trained tensors alone."""
    with TemporaryDirectory() as folder:
        try:
            path = trained.save(Path(folder) / "adapter")
        except AdapterError:
            tensors = {name: parameter.detach().contiguous() for name, parameter in trained.parameters.items()}
            return {"file_bytes": len(save(tensors)), "file": "the trained tensors"}
        return {"file_bytes": sum(each.stat().st_size for each in path.glob("adapter_*")), "file": "PEFT's"}


def memory(trained: Trained, tokenizer, task) -> dict:
    """The peak of a step on a task's first rows, simulated and as the process's private memory, the base included.

    Nothing is shared between rows here: this is what a step takes anywhere.
    """
    rows = list(task.rows("train"))[: BATCH_SIZE[TASK]]
    batch = collate([encode(tokenizer, row, task.system) for row in rows], tokenizer.pad_token_id)
    steps = labkit.TrainConfig(steps=STEPS["for memory"], batch_size=len(rows), learning_rate=RATE, share_prefix=False)
    simulated = peak_of_step(trained.model, batch)
    gc.collect()
    with peak_private_bytes(every=0.05) as peak:
        before = private_bytes()
        labkit.train(trained.model, tokenizer, task, steps, rows=rows)
        highest = max(peak[0], private_bytes())
    weights = sum(tensor.nbytes for tensor in (*trained.model.parameters(), *trained.model.buffers()))
    # what Python and the libraries hold themselves is the same for all, and no part of the step
    return {"simulated_peak_bytes": simulated, "measured_peak_bytes": highest - before + weights}


def step_seconds(model: nn.Module, tokenizer, task, batch_size: int = BATCH_SIZE[TASK]) -> float:
    """The median over some steps of :func:`labkit.train`, as it is by default."""
    clock = []
    config = labkit.TrainConfig(steps=STEPS["to warm up"] + STEPS["timed"], batch_size=batch_size, learning_rate=RATE)
    labkit.train(model, tokenizer, task, config, on_step=lambda report: clock.append(report.seconds))
    taken = [after - before for before, after in zip(clock, clock[1:])]
    return median(taken[-STEPS["timed"] :])


def latency(trained: Trained) -> dict:
    """Seconds per token written for one row, of the base, and of the method apart and merged: medians, in turn."""
    base, _ = fresh_base()
    first = torch.tensor([[base.config.bos_token_id or 0]])
    model = trained.model.eval()
    found = {"apart": _in_turn({"base": base, "method": model}, first), "merged": None}
    if is_mergeable(model):
        found["merged"] = _in_turn({"base": base, "method": trained.merge()}, first)
    return found


def _in_turn(models: dict[str, nn.Module], first: torch.Tensor) -> dict[str, float]:
    times = in_turn({name: lambda model=model: writes(model, first) for name, model in models.items()}, ROUNDS)
    return {name: median(each) / WRITTEN for name, each in times.items()}


def study(folder: Path = RESULTS) -> Study:
    recipe = {**RECIPE, "task": TASK, "steps": STEPS, "rounds": ROUNDS, "written": WRITTEN}
    grid = [setting_of(method) for method in COURT]
    return Study("court_cost", recipe, grid, run, apart=True, timed=True, folder=folder)
