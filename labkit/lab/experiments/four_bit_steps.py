"""What a merge into four bits moves: which codes change, and how much of an update arrives."""

from collections.abc import Mapping

from torch import Tensor, nn

from labkit.linear import dense_weight
from labkit.lora.inject import lora_layers


def codes_of(model: nn.Module) -> dict[str, Tensor]:
    """The packed codes of each layer in four bits, two a byte, by the layer's name without LoRA. Copies."""
    found = {name: module.quantized.packed for name, module in model.named_modules() if hasattr(module, "quantized")}
    kept = {name for name in found if not name.endswith(".rounded")}  # the copy that merge_aware makes
    return {name.removesuffix(".base_layer"): found[name].clone() for name in kept}


def share_changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """The share of codes that aren't the same in two answers of :func:`codes_of`."""
    changed = total = 0
    for name, packed in before.items():
        differ = packed ^ after[name]
        changed += ((differ & 0xF0) != 0).sum().item() + ((differ & 0x0F) != 0).sum().item()
        total += 2 * packed.numel()
    return changed / total


def dense_weights(model: nn.Module, names: Mapping[str, object]) -> dict[str, Tensor]:
    """What the layers with these `names` multiply with at present, LoRA aside."""
    layers = (model.get_submodule(name) for name in names)
    return {name: dense_weight(getattr(layer, "base_layer", layer)).float() for name, layer in zip(names, layers)}


def updates_of(model: nn.Module) -> dict[str, Tensor]:
    """ΔW of every LoRA layer, by name."""
    return {name: layer.delta_weight() for name, layer in lora_layers(model)}


def share_arrived(before: Mapping[str, Tensor], after: Mapping[str, Tensor], updates: Mapping[str, Tensor]) -> float:
    """How far the weights moved along their updates: 1 where all of ΔW arrived, 0 where nothing did.

    Σ (after − before) · ΔW / Σ ΔW²
    """
    along = sum(((after[name] - before[name]) * update).sum().item() for name, update in updates.items())
    return along / sum(update.square().sum().item() for update in updates.values())
