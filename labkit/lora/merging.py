"""Merging: W ← W + ΔW, after which the adapter costs nothing, and back again bit for bit.

:func:`merge` leaves every layer of its kind, so a 4-bit base rounds W + ΔW to four bits once more. A warning says so.
:func:`merge_into_dense` rounds the sum once, to the dtype asked for, and every layer is an ordinary one afterwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from labkit.casting import cast, cast_weights, ordinary_dtype
from labkit.errors import ConfigError, warn
from labkit.linear import BaseLinear, PackedLinear, dense_weight
from labkit.lora.inject import refuse_bank
from labkit.lora.wrapping import AdaptedLinear, adapted_layers
from labkit.model_facts import Model, facts_of, note


def merge(model: Model) -> Model:
    """Merge every LoRA layer of `model`, in place. The unmerged weights are kept, for :func:`unmerge`.

    Where the base is in four bits, the sum is rounded to four bits, and most of a small update may be lost. A
    :class:`labkit.LabkitWarning` says so, where PEFT has a warning as well; but not inside a
    :func:`labkit.merge_aware` block, where the model answers with the rounded sum already.

    Raises:
        ConfigError: there is no LoRA layer, nor another that merges; what was trained is no change of weights; or a
            layer sits on a weight that is tied to another module (SmolLM2's ``lm_head`` and its embedding are one
            matrix: merging would change the embedding too, which the adapter never did), or an AdapterBank serves the
            model, or W + ΔW is too large for its dtype. Nothing is changed then.
    """
    refuse_bank(model)
    refuse_unmergeable(model)
    layers = list(adapted_layers(model))
    if not layers:
        raise ConfigError("there is nothing to merge: the model has no LoRA layer")
    unmerged = [layer for _, layer in layers if not layer.merged]
    met = facts_of(model).merge_aware is not None  # the rounding: then merging changes no answer
    if not met and any(isinstance(layer.base_layer, PackedLinear) for layer in unmerged):
        warn(
            "the base is in four bits, so merging rounds W + ΔW to four bits again: answers may change, and most of a "
            "small update is lost, unless it learned inside labkit.merge_aware. labkit.merge_into_dense or "
            "labkit.save_merged keep all of it"
        )
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
    for _, layer in adapted_layers(model):
        layer.unmerge()
    return model


@contextmanager
def merged_meanwhile(model: nn.Module) -> Iterator[None]:
    """Inside the ``with`` block `model` is merged, as by :func:`merge`; afterwards each layer has its own parameter
    back, the same object with the same bits, whatever happened in between.

    Raises:
        ConfigError: as :func:`merge`, for a model whose LoRA layers sit on dense ones.
    """
    layers = [layer.base_layer for _, layer in adapted_layers(model)]
    weights = [layer.weight for layer in layers]
    try:
        merge(model)
        yield
    finally:
        unmerge(model)
        for layer, weight in zip(layers, weights):
            layer.weight = weight


def merge_and_unload(model: Model) -> Model:
    """Merge, then take the LoRA layers out: what remains is an ordinary model, changed in place.

    Raises:
        ConfigError: as :func:`merge`.
    """
    merge(model)
    for name, layer in list(adapted_layers(model)):
        model.set_submodule(name, layer.base_layer)
    say_merged(model)
    return model


def merge_into_dense(model: Model, dtype: torch.dtype | None = None) -> Model:
    """Make an ordinary model of `model` and its adapter, in place: plain ``nn.Linear``, no LoRA, nothing packed.

        W' = cast(W + ΔW),    summed in float32, with W dequantized first where it is held in four bits

    This is the way to merge an adapter that was trained on a 4-bit base: into the weights it was trained on.
    A layer that was merged before is unmerged first, so that no earlier rounding is left in it.

    Args:
        model: with LoRA layers or without, on a dense base or on one in four bits. Its tensors are never written to,
            only replaced.
        dtype: of all weights afterwards; None means that each keeps its own. Every sum is formed twice: once to see
            that all of them are finite, before anything is changed.

    Returns:
        The same model.

    Raises:
        ConfigError: there is neither a LoRA layer nor a packed one; an adapter sits on a tied weight (see
            :func:`labkit.merge`); an AdapterBank serves the model; weights can't be in `dtype`, or one is too large
            for it. Nothing is changed then.
    """
    refuse_bank(model)
    refuse_unmergeable(model)
    dtype = dtype and ordinary_dtype(dtype)
    if not any(isinstance(module, (AdaptedLinear, BaseLinear)) for module in model.modules()):
        raise ConfigError("there is nothing to merge: the model has no LoRA layer, and none in four bits")
    merged = [layer for _, layer in adapted_layers(model) if layer.merged]
    adapted = any(True for _ in adapted_layers(model))
    try:
        for layer in merged:
            layer.unmerge()
        for _ in _dense_weights(model, dtype):
            pass
        layers = [layer for _, layer in adapted_layers(model)]
        gone = {id(p) for layer in layers for name, p in layer.named_parameters() if name != "base_layer.bias"}
        for name, parameter in model.named_parameters():
            if dtype is not None and parameter.is_floating_point() and id(parameter) not in gone:
                cast(parameter.detach(), dtype, name)
    except BaseException:
        for layer in merged:
            layer.merge()
        raise
    for name, layer, weight in _dense_weights(model, dtype):
        model.set_submodule(name, _plain(layer, weight))
    if adapted:
        say_merged(model)
    note(model, quantization=None)
    if dtype is not None:
        cast_weights(model, dtype)
    return model


def _dense_weights(model: nn.Module, dtype: torch.dtype | None) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """For each adapted or packed layer: its name, the layer without LoRA, and W + ΔW, cast once."""
    adapted = dict(adapted_layers(model))
    for name, module in list(model.named_modules()):
        if name in adapted:
            layer, whole = module.base_layer, dense_weight(module.base_layer)
            total = whole.float() + module.delta_weight()
        elif isinstance(module, BaseLinear) and name.rpartition(".")[0] not in adapted:
            layer, whole = module, dense_weight(module)
            total = whole
        else:
            continue
        yield name, layer, cast(total, dtype or whole.dtype, f"W + ΔW of {name}")


def _plain(layer: nn.Module, weight: Tensor) -> nn.Linear:
    """An ``nn.Linear`` with `weight` and the bias of `layer`, frozen."""
    plain = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
    plain.weight = nn.Parameter(weight, requires_grad=False)
    plain.bias = layer.bias
    return plain.train(layer.training)


def say_merged(model: nn.Module) -> None:
    """Let `model` be known as another base, with no adapter on it: the old base's other adapters are refused."""
    fingerprint = facts_of(model).fingerprint
    note(model, adapter=None, method=None, fingerprint=fingerprint and f"{fingerprint}, merged")


def refuse_unmergeable(model: nn.Module) -> None:
    """ConfigError where what was trained on `model` is no change of weights, or sits on one that others use as well."""
    for reason in _hindrances(model):
        raise ConfigError(reason)


def is_mergeable(model: nn.Module) -> bool:
    """Whether :func:`refuse_unmergeable` lets `model` pass."""
    return not any(True for _ in _hindrances(model))


def _hindrances(model: nn.Module) -> Iterator[str]:
    method = facts_of(model).method
    if method is not None and method.apart:
        yield method.apart
    for name, layer in adapted_layers(model):
        if layer.apart:
            yield f"{name} can't be merged: {layer.apart}"
    for name, shared in _shared_weights(model):
        yield (
            f"{name} shares its weight with {', '.join(shared)}: merging would change both, and the adapter only ever "
            "changed one. Keep this adapter unmerged."
        )


def _shared_weights(model: nn.Module) -> Iterator[tuple[str, list[str]]]:
    """Each LoRA layer whose weight has other names in `model` as well, and these."""
    owners: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name)
    for name, layer in adapted_layers(model):
        shared = owners.get(id(getattr(layer.base_layer, "weight", None)), [])
        if len(shared) > 1:
            yield name, [s for s in shared if not s.startswith(name + ".")]
