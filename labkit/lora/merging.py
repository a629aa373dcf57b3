"""Merging: W ← W + ΔW, after which the adapter costs nothing, and back again bit for bit.

:func:`merge` leaves every layer of its kind, so a 4-bit base rounds W + ΔW to four bits once more.
:func:`merge_into_dense` rounds the sum once, to the dtype asked for, and every layer is an ordinary one afterwards.
"""

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.linear import BaseLinear, dense_weight
from labkit.lora.inject import lora_layers, refuse_bank
from labkit.lora.layer import LoraLinear
from labkit.model_facts import Model, facts_of, note


def merge(model: Model) -> Model:
    """Merge every LoRA layer of `model`, in place. The unmerged weights are kept, for :func:`unmerge`.

    Raises:
        ConfigError: there is no LoRA layer, or one sits on a weight that is tied to another module
            (SmolLM2's ``lm_head`` and its embedding are one matrix: merging would change the embedding
            too, which the adapter never did), or an AdapterBank serves the model, or W + ΔW is too large for its
            dtype. Nothing is changed then.
    """
    refuse_bank(model)
    layers = list(lora_layers(model))
    if not layers:
        raise ConfigError("there is nothing to merge: the model has no LoRA layer")
    refuse_tied(model)
    unmerged = [layer for _, layer in layers if not layer.merged]
    try:
        for layer in unmerged:
            layer.merge()
    except BaseException:
        for layer in unmerged:
            layer.unmerge()
        raise
    return model


def unmerge(model: Model) -> Model:
    """Undo :func:`merge`: every base weight is again what it was, bit for bit."""
    for _, layer in lora_layers(model):
        layer.unmerge()
    return model


def merge_and_unload(model: Model) -> Model:
    """Merge, then take the LoRA layers out: what remains is an ordinary model, changed in place.

    Raises:
        ConfigError: as :func:`merge`.
    """
    merge(model)
    for name, layer in list(lora_layers(model)):
        model.set_submodule(name, layer.base_layer)
    say_merged(model)
    return model


def merge_into_dense(model: Model, dtype: torch.dtype | None = None) -> Model:
    """Make an ordinary model of `model` and its adapter, in place: plain ``nn.Linear``, no LoRA, nothing packed.

        W' = cast(W + ΔW),    summed in float32, with W dequantized first where it is held in four bits

    This is the way to merge an adapter that was trained on a 4-bit base: into the very weights it was trained on.
    A layer that was merged before is unmerged first, so that no earlier rounding is left in it.

    Args:
        model: with LoRA layers or without, on a dense base or on one in four bits. Its tensors are never written to,
            only replaced.
        dtype: of all weights afterwards; None means that each keeps its own.

    Returns:
        The same model.

    Raises:
        ConfigError: there is neither a LoRA layer nor a packed one; an adapter sits on a tied weight (see
            :func:`labkit.merge`); an AdapterBank serves the model. Nothing is changed then.
    """
    refuse_bank(model)
    if not any(isinstance(module, (LoraLinear, BaseLinear)) for module in model.modules()):
        raise ConfigError("there is nothing to merge: the model has no LoRA layer, and none in four bits")
    refuse_tied(model)
    adapted = list(lora_layers(model))
    for name, layer in adapted:
        layer.unmerge()
        whole = dense_weight(layer.base_layer)
        weight = (whole.float() + layer.delta_weight()).to(dtype or whole.dtype)
        model.set_submodule(name, _plain(layer.base_layer, weight))
    for name, layer in list(model.named_modules()):
        if isinstance(layer, BaseLinear):
            weight = dense_weight(layer)
            model.set_submodule(name, _plain(layer, weight.to(dtype or weight.dtype)))
    if adapted:
        say_merged(model)
    note(model, quantization=None)
    return model if dtype is None else _cast(model, dtype)


def _plain(layer: nn.Module, weight: Tensor) -> nn.Linear:
    """An ``nn.Linear`` with `weight` and the bias of `layer`, frozen."""
    plain = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
    plain.weight = nn.Parameter(weight, requires_grad=False)
    plain.bias = layer.bias
    return plain.train(layer.training)


def _cast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Parameters only: ``model.to(dtype)`` would round the frequencies of the rotary embedding, too."""
    cast: dict[int, nn.Parameter] = {}  # by what they were, so that tied weights stay tied
    for module in model.modules():
        for name, old in module.named_parameters(recurse=False):
            if old.is_floating_point() and old.dtype != dtype:
                if id(old) not in cast:
                    cast[id(old)] = nn.Parameter(old.detach().to(dtype), requires_grad=old.requires_grad)
                setattr(module, name, cast[id(old)])
    return model


def say_merged(model: nn.Module) -> None:
    """Let `model` be known as another base, with no adapter on it: the old base's other adapters are refused."""
    fingerprint = facts_of(model).fingerprint
    note(model, adapter=None, fingerprint=fingerprint and f"{fingerprint}, merged")


def refuse_tied(model: nn.Module) -> None:
    """ConfigError where a LoRA layer of `model` sits on a weight that another module uses as well."""
    owners: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name)
    for name, layer in lora_layers(model):
        shared = owners.get(id(getattr(layer.base_layer, "weight", None)), [])
        if len(shared) > 1:
            raise ConfigError(
                f"{name} shares its weight with {', '.join(s for s in shared if not s.startswith(name + '.'))}: "
                "merging would change both, and the adapter only ever changed one. Keep this adapter unmerged."
            )
