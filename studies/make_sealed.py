"""Adapters that nobody knows the task of: drawn by the operating system's randomness, trained, stripped and sealed.

    python -m studies.make_sealed        # some ten minutes on one thread; prints nothing that tells

Three are made, each with a task and a seed of its own draw. What stays of `labkit.json` is the base and the sums of the
files. The answer is under a seal that the right guess opens (:mod:`labkit.forensics.seals`). One, `mystery`, is stored
in data/sealed/ and ships as an exercise; the other two wait in build/sealed/. The seals and sums of all three are in
data/sealed/seals.json, so none can be swapped afterwards.

All have the same recipe and number of steps, because rank, layers or size would tell. Numbers are kept in float16, half
the bytes. Neither loss nor seconds are printed: the first would give a task away at once, and so would the second,
because `voice` has long rows and `glosses` short ones. Don't watch the clock, either.

With the answer, you can check it: :func:`remade` trains the adapter again, and its numbers are the same to the bit
on a machine of the same kind.
"""

import contextlib
import io
import json
import secrets
import sys
from pathlib import Path

import torch
from torch import Tensor

import labkit
from labkit.forensics.seals import seal
from labkit.lora.adapter import Adapter, adapter_of
from labkit.lora.files import WEIGHTS_FILE, write_folder
from labkit.storage.paths import course_data_dir
from labkit.storage.untrusted import digest_of
from labkit.storage.writing import write_atomically
from labkit.tasks import TASKS

LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}  # the court's
TRAIN = {"steps": 60, "batch_size": 8, "learning_rate": 3e-3}
NAMES = ("mystery", "first", "second")
SHIPPED = course_data_dir() / "sealed"
KEPT = Path(__file__).parents[1] / "build" / "sealed"
SEALS = SHIPPED / "seals.json"


def folder_of(name: str) -> Path:
    """Where a sealed adapter is: only `mystery` is in the repository."""
    return (SHIPPED if name == "mystery" else KEPT) / name


def drawn(tasks: tuple[str, ...] = TASKS) -> tuple[str, int]:
    """A task and a seed, from the operating system's randomness: no seed of ours can bring them back."""
    return secrets.choice(tasks), secrets.randbits(63)


def remade(task_name: str, seed: int) -> Adapter:
    """The adapter that this task and this seed make. Nothing is printed."""
    task = labkit.load_task(task_name)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model, tokenizer = labkit.load_base(device="cpu")
        torch.manual_seed(seed)
        labkit.inject_lora(model, labkit.LoraConfig(**LORA))
        labkit.train(model, tokenizer, task, labkit.TrainConfig(**TRAIN, seed=seed))
    return adapter_of(model, "sealed")


def strip(adapter: Adapter) -> tuple[dict, dict[str, Tensor], dict]:
    """What may be stored: PEFT's settings, the numbers in float16, and of ``labkit.json`` the base alone."""
    base = {field: adapter.about["base"].get(field) for field in ("name", "fingerprint")}
    state = {name: tensor.half() for name, tensor in adapter.state().items()}
    return adapter.config.to_peft(base["name"]), state, {"base": base}


def make(name: str) -> dict:
    """Draw, train and store one; its seal and the sum of its numbers. What was drawn is known nowhere after that."""
    task, seed = drawn()
    config, state, about = strip(remade(task, seed))
    folder = write_folder(folder_of(name), config, state, about)
    return {"seal": seal(task, seed), "sha256": digest_of(folder / WEIGHTS_FILE)}


def main() -> None:
    if SEALS.exists():
        sys.exit(f"{SEALS.name} is there: what's sealed isn't drawn again")
    made = {name: make(name) for name in NAMES}
    about = {"lora": LORA, "training": TRAIN, "tasks": list(TASKS), "sealed": made}
    write_atomically(SEALS, json.dumps(about, indent=2) + "\n")
    print("three adapters are sealed")


if __name__ == "__main__":
    main()
