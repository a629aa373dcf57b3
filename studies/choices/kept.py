"""Trainings whose adapter more than one run looks at: made once, and kept in ``build/``."""

import json
from hashlib import sha256
from pathlib import Path

from torch import nn

import labkit
from studies.court import training
from studies.court.training import RECIPE

KEPT = Path(__file__).parents[2] / "build" / "choices"


def trained_once(setting: dict, seed: int, learning_rate: float) -> tuple[nn.Module, object]:
    """The model with its trained LoRA, and the tokenizer. An adapter that's kept is put on a fresh base.

    Raises:
        Broken: as for :func:`studies.court.training.train`.
    """
    key = json.dumps([setting, seed, learning_rate, RECIPE], sort_keys=True)
    folder = KEPT / sha256(key.encode()).hexdigest()[:12]
    if folder.exists():
        model, tokenizer = training.fresh_base()
        return labkit.load_adapter(model, folder), tokenizer
    trained, tokenizer, _, _ = training.train(setting, seed, learning_rate)
    trained.save(folder)
    return trained.model, tokenizer
