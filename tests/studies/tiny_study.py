"""A study small enough to be killed: the tiny Llama, trained a few steps for each of a few learning rates and ranks."""

import os
import signal
from pathlib import Path

import torch
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit
from labkit.tasks import exact_match
from studies.runner import Study

TASK = labkit.Task("counting", "Count.", exact_match, {})
ROWS = [{"prompt": f"say {i}", "completion": f"ok {i}"} for i in range(16)]
TRAINING = {"steps": 8, "batch_size": 4}
GRID = [{"rate": rate, "r": r} for rate in (1e-3, 1e-2) for r in range(1, 7)]


def run(setting: dict) -> dict:
    model, tokenizer = make_tiny_llama(max_position_embeddings=256), make_tiny_tokenizer()
    torch.manual_seed(0)
    labkit.inject_lora(model, labkit.LoraConfig(r=setting["r"], target_modules="all-linear"))
    config = labkit.TrainConfig(learning_rate=setting["rate"], **TRAINING)
    return {"losses": labkit.train(model, tokenizer, TASK, config, rows=ROWS).losses}


def study(folder: Path) -> Study:
    return Study("tiny", {"training": TRAINING}, GRID, run, folder=folder)


def go_on(folder: Path, file_limit: int | None = None) -> None:
    """Complete the study; with a limit, SIGKILL comes as soon as a file would grow over so many bytes."""
    torch.set_num_threads(1)
    if file_limit:
        import resource  # not on Windows

        signal.signal(signal.SIGXFSZ, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    study(folder).complete()
