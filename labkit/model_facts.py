"""What labkit knows of a model that it loaded or changed: one object on the model, ``model.labkit``."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from torch import nn

Model = TypeVar("Model", bound=nn.Module)  # what is given a model and gives the same one back keeps its type


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model. A new one takes its place whenever something changes (:func:`note`).

    Attributes:
        base_name: the canonical name of its base, never a path; None where labkit did not load it.
        fingerprint: of that base (:func:`labkit.base.fingerprint`); another one once an adapter is merged in for good.
        quantization: how its linear layers are held, in words; None where they are dense.
        adapter: the :class:`labkit.LoraConfig` of the LoRA layers on it, ``"all-linear"`` spelled out.
        method: the method of :mod:`labkit.family` that is on it, with its settings; None where there's none.
        bank: the :class:`labkit.AdapterBank` that serves it.
        merge_aware: how W + ΔW is rounded while training, in words, inside a :func:`labkit.merge_aware` block.
        began_from: the sha256 of the adapter's file that ``labkit train --continue-from`` goes on from.
    """

    base_name: str | None = None
    fingerprint: str | None = None
    quantization: str | None = None
    adapter: Any = None
    method: Any = None
    bank: Any = None
    merge_aware: str | None = None
    began_from: str | None = None


def facts_of(model: nn.Module) -> ModelFacts:
    """What is known of `model`: nothing, where labkit has not met it."""
    return getattr(model, "labkit", ModelFacts())


def note(model: nn.Module, **changes) -> None:
    """Have `model` known by what :func:`facts_of` said of it, with `changes`."""
    model.labkit = replace(facts_of(model), **changes)
