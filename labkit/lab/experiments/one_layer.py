"""One layer with a method on it, in labkit and in PEFT with the same numbers, for a formula to be compared with."""

import warnings
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.family.registry import adapt
from labkit.lab.experiments.quiet_peft import peft

# PEFT's config of each method, and what it needs beside the settings
_IN_PEFT = {
    "dora": (peft.LoraConfig, {"use_dora": True}),
    "pissa": (peft.LoraConfig, {"init_lora_weights": "pissa"}),
    "vera": (peft.VeraConfig, {}),
    "ia3": (peft.IA3Config, {}),
    "bitfit": (peft.BeftConfig, {}),
}


class OneLayer(NamedTuple):
    """What a method's layer is made of, and what it answers.

    Attributes:
        numbers: what trains and what was drawn, by the short name that PEFT has for it: ``lora_A``, ``ia3_l``.
        answers: of "labkit" and, where it has the method, of "PEFT"; shape (..., out_features).
    """

    numbers: dict[str, Tensor]
    answers: dict[str, Tensor]

    def off(self, by_hand: Tensor) -> float:
        """How far `by_hand` is from the farther of the answers, compared with it."""
        return max(((by_hand - answer).norm() / answer.norm()).item() for answer in self.answers.values())


@torch.no_grad()
def one_layer(method: str, layer: nn.Linear, x: Tensor, **settings) -> OneLayer:
    """`method` on a copy of `layer` and nothing else, with all that trains moved away from its start.

    Args:
        method: one of :data:`labkit.family.registry.METHODS` that lays something around linear layers.
        x: shape (..., in_features).
        settings: of the method, under the names that labkit and PEFT share.

    Raises:
        ConfigError: PEFT trains something else than labkit there.
    """
    torch.manual_seed(0)
    model = nn.ModuleDict({"layer": deepcopy(layer)})
    trained = adapt(model, method, target_modules=["layer"], **settings)
    for parameter in trained.parameters.values():
        parameter.add_(0.1 * torch.randn_like(parameter))
    ours = {_short(name): parameter.detach() for name, parameter in trained.parameters.items()}
    drawn = {_short(name): buffer for name, buffer in model["layer"].named_buffers()}
    answers = {"labkit": model["layer"](x)}
    if method in _IN_PEFT:
        answers["PEFT"] = _in_peft(method, layer, x, ours, settings)
    return OneLayer(ours | drawn, answers)


def _in_peft(method: str, layer: nn.Linear, x: Tensor, ours: dict[str, Tensor], settings: dict) -> Tensor:
    config, more = _IN_PEFT[method]
    with warnings.catch_warnings(action="ignore"):  # of a bias that the base hasn't, and can't be merged into
        model = peft.get_peft_model(
            nn.ModuleDict({"layer": deepcopy(layer)}), config(target_modules=["layer"], **settings, **more)
        ).eval()
    theirs = {_short(name): parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if theirs.keys() != ours.keys():
        raise ConfigError(f"PEFT trains {', '.join(theirs)} where labkit trains {', '.join(ours)}")
    for name, parameter in theirs.items():
        parameter.copy_(ours[name])
    return model.base_model.model["layer"](x)


def _short(name: str) -> str:
    """The part of a name that both libraries have."""
    return name.replace(".default", "").removesuffix(".weight").split("layer.")[-1].removeprefix("projections.")
