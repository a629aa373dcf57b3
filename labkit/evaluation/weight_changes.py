"""How much fine-tuning has changed a model, whatever the method: its weights before and after, side by side."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.linear import linear_layers
from labkit.lora.wrapping import is_adapted
from labkit.lowrank import intruder_dimensions

Pairs = Mapping[str, tuple[Tensor, Tensor]]  # W and W + ΔW, by name


@dataclass(frozen=True)
class Intruders:
    """Intruder dimensions of several weights.

    Attributes:
        found: how many, in all of them together.
        looked_at: of how many directions.
        by_kind: found ones by the last part of the layer's name, such as ``v_proj``.
    """

    found: int
    looked_at: int
    by_kind: dict[str, int]


def changed_weights(base: nn.Module, tuned: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """The weights that differ between `base` and `tuned`, by name: W and W + ΔW, without gradients, not copied.

    Args:
        base: the model as it was before training.
        tuned: after it, with whatever was trained merged (:meth:`labkit.family.method.Trained.merge`), so that both
            have the same weights under the same names. Tied weights count once.

    Raises:
        ConfigError: `tuned` isn't merged, or the two have different weights.
    """
    if is_adapted(tuned):
        raise ConfigError("what was trained is beside the weights: merge it first")
    before, after = (dict(model.named_parameters()) for model in (base, tuned))
    strays = [name for name in before if name not in after or after[name].shape != before[name].shape]
    if strays := strays + [name for name in after if name not in before]:
        raise ConfigError(f"these aren't a base and what came of it: only one of them has {strays[0]} like that")
    return {
        name: (weight.detach(), after[name].detach())
        for name, weight in before.items()
        if not torch.equal(weight, after[name])
    }


def relative_size(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """How large updates are, measured by the weights they're added to; 0 where there are none.

        ‖ΔW‖ / ‖W‖ = √(Σ ‖ΔWᵢ‖²_F / Σ ‖Wᵢ‖²_F)

    Args:
        pairs: W and ΔW of each weight, in the same shape.
    """
    weights, updates = 0.0, 0.0
    for weight, update in pairs:
        weights += weight.double().square().sum().item()
        updates += update.double().square().sum().item()
    return math.sqrt(updates / weights) if weights else 0.0


def relative_change(changed: Pairs) -> float:
    """The same of what :func:`changed_weights` found: weights that stayed as they were don't count."""
    return relative_size((before, after.float() - before.float()) for before, after in changed.values())


def intruders(base: nn.Module, tuned: nn.Module, top: int = 10, epsilon: float = 0.5) -> Intruders:
    """Intruder dimensions (:func:`labkit.lowrank.intruder_dimensions`) of all linear layers that changed.

    The embedding and the output head aren't looked at: an SVD of theirs takes long, and LoRA leaves them alone.

    Args:
        base, tuned: as for :func:`changed_weights`.
        top, epsilon: as for one weight.
    """
    changed, layers = changed_weights(base, tuned), linear_layers(base)
    by_kind: dict[str, int] = {}
    looked_at = 0
    for name in layers:
        if f"{name}.weight" in changed:
            before, after = changed[f"{name}.weight"]
            kind = name.split(".")[-1]
            by_kind[kind] = by_kind.get(kind, 0) + intruder_dimensions(before, after, top, epsilon)
            looked_at += min(top, *before.shape)
    return Intruders(sum(by_kind.values()), looked_at, by_kind)
