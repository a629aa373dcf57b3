"""Merging: W ← W + ΔW, after which the adapter costs nothing, and back again to the very bits."""

from torch import nn

from labkit.errors import ConfigError
from labkit.lora.inject import lora_layers, refuse_bank


def merge(model: nn.Module) -> nn.Module:
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


def unmerge(model: nn.Module) -> nn.Module:
    """Undo :func:`merge`: every base weight is again what it was, bit for bit."""
    for _, layer in lora_layers(model):
        layer.unmerge()
    return model


def merge_and_unload(model: nn.Module) -> nn.Module:
    """Merge, then take the LoRA layers out: what remains is an ordinary model, changed in place.

    Raises:
        ConfigError: as :func:`merge`.
    """
    merge(model)
    for name, layer in list(lora_layers(model)):
        model.set_submodule(name, layer.base_layer)
    model.__dict__.pop("lora_config", None)  # absent where the layers were put in by hand
    say_merged(model)
    return model


def say_merged(model: nn.Module) -> None:
    """Let `model` be known as another base than it was, so that the old one's other adapters are refused on it."""
    if getattr(model, "base_fingerprint", None):
        model.base_fingerprint += ", merged"


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
