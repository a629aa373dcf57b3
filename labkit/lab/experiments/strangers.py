"""An adapter as a stranger gets it: its two files and no word about them; and the seal of the one that nobody knows."""

import codecs
import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from labkit.errors import ConfigError
from labkit.forensics.membership import rows_seen
from labkit.forensics.seals import opened
from labkit.lora.files import CONFIG_FILE, WEIGHTS_FILE, read_about
from labkit.lora.inject import lora_layers
from labkit.storage.paths import course_data_dir
from labkit.tasks import distinct_rows, load_task
from labkit.training.config import TrainConfig

# Which of the shipped adapters it is, turned round so that nobody reads it by accident
_WHICH = "pynhfrf"
_FRESH = 31  # seed of rows that no training has
_SEALED = course_data_dir() / "sealed"


def unlabeled(folder: Path | str) -> Path:
    """PEFT's two files of one of the four shipped adapters, copied into `folder`: no name, no prompt, no recipe.

    Returns:
        `folder`.

    Raises:
        ConfigError: there's something in it already.
    """
    folder, adapter = Path(folder), course_data_dir() / "adapters" / codecs.decode(_WHICH, "rot13")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: there's something in it already")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        shutil.copyfile(adapter / name, folder / name)
    return folder


@torch.no_grad()
def shuffle_numbers(model: nn.Module, seed: int = 0) -> nn.Module:
    """Put the numbers of each A and each B on `model` in a random order, in place: the same numbers, no direction."""
    draw = torch.Generator().manual_seed(seed)
    for _, layer in lora_layers(model):
        for weight in (layer.lora_A.weight, layer.lora_B.weight):
            order = torch.randperm(weight.numel(), generator=draw).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return model


def seen_and_fresh(adapter: Path | str, each: int = 5, seed: int = 0) -> list[dict]:
    """`each` rows that an adapter's training came by, and as many fresh ones of the same generator, mixed.

    Args:
        adapter: a folder that labkit wrote, of a task that has a generator.

    Returns:
        Rows with ``seen``, True or False.
    """
    about = read_about(Path(adapter))
    task, draw = load_task(about["task"]), random.Random(seed)
    train = task.rows("train")
    training = TrainConfig(**about["recipe"]["training"])
    seen = [dict(train[row]) for row in draw.sample(sorted(rows_seen(len(train), training)), each)]
    known = set(train["prompt"])
    fresh = [row for row in distinct_rows(task.make_row, 3 * each, _FRESH) if row["prompt"] not in known][:each]
    rows = [{**row, "seen": True} for row in seen] + [{**row, "seen": False} for row in fresh]
    draw.shuffle(rows)
    return rows


def sealed(folder: Path | str = _SEALED) -> Mapping:
    """What's known of the sealed adapters: their recipe, the tasks they were drawn from, seals and sums.

    Raises:
        ConfigError: none has been sealed.
    """
    file = Path(folder) / "seals.json"
    if not file.exists():
        raise ConfigError(f"{file.name} isn't there: studies.make_sealed makes it, once")
    return json.loads(file.read_text(encoding="utf-8"))


def open_seal(guess, name: str = "mystery", folder: Path | str = _SEALED) -> None:
    """Try to open a seal with a guess at the task, and print ○ without one, ✔ or ✗.

    A wrong guess tells nothing but that it's wrong.

    Raises:
        ConfigError: there's no such seal.
    """
    known = sealed(folder)
    if name not in known["sealed"]:
        raise ConfigError(f"there's no seal called {name!r}; there are {', '.join(known['sealed'])}")
    if guess is None or guess is ...:
        print("○ not opened yet. The key is one of", ", ".join(known["tasks"]))
    elif not isinstance(guess, str) or guess.strip().lower() not in known["tasks"]:
        print("✗ That's none of", ", ".join(known["tasks"]))
    elif (seed := opened(known["sealed"][name]["seal"], guess)) is None:
        print("✗ The seal stays shut. What did the push say, what did the answers say, and which of them can be wrong?")
    else:
        print(f"✔ It opens: {name} was trained on {guess.strip().lower()}, with the seed {seed}.")
        print("With both, studies.make_sealed.remade trains it again.")
