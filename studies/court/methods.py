"""Who is before the court: each method with its settings, and where its learning rates are looked for."""

from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import nn

import labkit
from labkit.family.method import Trained
from labkit.family.spectrum import Spectrum
from labkit.linear import linear_layers
from labkit.tasks import Task

AGAINST = "lora"  # what the others are compared with
WORDS = "the task's system prompt"  # in the place of a start: its tokens
AT_RANDOM = "drawn at random"  # in the place of Spectrum's layers: as many of each kind


@dataclass(frozen=True)
class Entry:
    """A method before the court.

    Attributes:
        middle: of its first learning rates, in half decades: −6 is 1e-3, −7 is 3e-4, −8 is 1e-4.
        settings: where they aren't the family's own.
    """

    middle: int
    settings: MappingProxyType = field(default_factory=lambda: MappingProxyType({}))


def entry(middle: int, **settings) -> Entry:
    return Entry(middle, MappingProxyType(settings))


# LoRA's α/r is 2, and so is rsLoRA's α/√r. The middles: full fine-tuning's best rates in `full_vs_lora` lie at 5e-5 to
# 1e-4, LoRA's at 1e-3 to 2e-3. LoRA+ is given A's rate, a sixteenth of B's. What trains few numbers wants more: VeRA's
# paper takes ten times LoRA's rate, prompt tuning's 0.3 with another optimizer.
COURT = {
    "full": entry(-8),
    "spectrum": entry(-8, top_percent=25),
    "lora": entry(-6, r=8, lora_alpha=16),
    "rslora": entry(-6, r=64, lora_alpha=16),
    "lora+": entry(-7, r=8, lora_alpha=16, loraplus_lr_ratio=16),
    "lora-fa": entry(-6, r=8, lora_alpha=16),
    "dora": entry(-6, r=8, lora_alpha=16),
    "pissa": entry(-7, r=8, lora_alpha=8),
    "vera": entry(-3, r=256),
    "ia3": entry(-3),
    "bitfit": entry(-4),
    "bottleneck": entry(-6, bottleneck=64),
    "prefix": entry(-3, num_virtual_tokens=20, start=WORDS),
    "prompt": entry(-3, num_virtual_tokens=20, start=WORDS),
}


def setting_of(method: str, **more) -> dict:
    """The setting of a run: the method, its settings, and `more`."""
    return {"method": method, "settings": dict(COURT[method].settings), **more}


def put_on(model: nn.Module, tokenizer, task: Task, setting: dict) -> Trained:
    """Put the method of a run on `model`, a fresh base."""
    settings = dict(setting["settings"])
    if settings.get("start") == WORDS:
        settings["start"] = tuple(tokenizer(task.system, add_special_tokens=False).input_ids)
    if setting["method"] == "spectrum":
        drawn = settings.pop("layers", None) == AT_RANDOM
        chosen = _chosen(Spectrum(**settings), model)
        settings["layers"] = _as_many_at_random(chosen, model) if drawn else chosen
    return labkit.adapt(model, setting["method"], **settings)


_layers: dict[tuple, tuple[str, ...]] = {}


def _chosen(spectrum: Spectrum, model: nn.Module) -> tuple[str, ...]:
    """The layers that Spectrum trains: an SVD of each weight of the base says so, once in a process."""
    key = (spectrum.top_percent, str(spectrum.target_modules), model.config.to_json_string())
    if key not in _layers:
        _layers[key] = spectrum.chosen(model)
    return _layers[key]


def _as_many_at_random(chosen: tuple[str, ...], model: nn.Module) -> tuple[str, ...]:
    """Other layers, as many of each kind as are chosen, with torch's generator: another draw with each seed."""
    found: list[str] = []
    for kind, count in Counter(name.split(".")[-1] for name in chosen).items():
        alike = [name for name in linear_layers(model) if name.split(".")[-1] == kind]
        found += [alike[place] for place in torch.randperm(len(alike))[:count].tolist()]
    return tuple(sorted(found))
