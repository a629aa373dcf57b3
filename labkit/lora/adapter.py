"""An adapter that is on no model yet: taken off one, read from a folder, or given as tensors, and checked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from labkit.casting import is_finite
from labkit.errors import AdapterError, ConfigError
from labkit.linear import ORDINARY
from labkit.lora.base_form import form_of
from labkit.lora.config import LoraConfig
from labkit.lora.inject import inject_lora, lora_layers, resolve_targets
from labkit.model_facts import facts_of
from labkit.storage.untrusted import plain

_PREFIX = "base_model.model."  # PEFT's wrappers, as they show in its key names


@dataclass(frozen=True, eq=False)
class Adapter:
    """The settings and the numbers of an adapter.

    Attributes:
        config: its settings.
        weights: for each layer's name, A of shape (r, in_features) and B of shape (out_features, r).
        about: what ``labkit.json`` says of it: base, task, system prompt, recipe, scores.
    """

    config: LoraConfig
    weights: dict[str, tuple[Tensor, Tensor]]
    about: dict = field(default_factory=dict)

    def state(self) -> dict[str, Tensor]:
        """A and B of every layer under PEFT's key names."""
        return _state(self.weights)

    def put_on(self, model: nn.Module) -> nn.Module:
        """Put the adapter onto `model`, in place: a base for which it was checked."""
        inject_lora(model, self.config)
        with torch.no_grad():
            for name, layer in lora_layers(model):
                for part, weight in zip((layer.lora_A, layer.lora_B), self.weights[name]):
                    part.weight.copy_(weight)
        return model


def keys_of(name: str) -> tuple[str, str]:
    """PEFT's keys for A and B of the layer called `name`."""
    return f"{_PREFIX}{name}.lora_A.weight", f"{_PREFIX}{name}.lora_B.weight"


def adapter_of(model: nn.Module, where: Path | str) -> Adapter:
    """The adapter on `model`: float32 copies on the CPU. ``about["base"]`` says which base it is on, and in which form.

    Raises:
        AdapterError: beginning with `where`; there is none, or it holds NaN or infinity.
    """
    known, weights = facts_of(model), _weights_of(model)
    if known.method is not None and known.adapter is None:
        raise AdapterError(f"{where}: {type(known.method).__name__} has a file of its own kind, if any: use its save")
    if not weights or known.adapter is None:
        raise AdapterError(f"{where}: there is no adapter, because the model has no LoRA layer from inject_lora")
    for name, pair in weights.items():
        if not all(map(is_finite, pair)):
            raise AdapterError(
                f"{where}: the adapter of {name} holds NaN or infinite values, so nothing is left to keep"
            )
    return Adapter(known.adapter, weights, {"base": about_base(model)})


def about_base(model: nn.Module) -> dict:
    """What ``labkit.json`` says of the base that `model` is, or has under its adapter."""
    known, form = facts_of(model), form_of(model)
    base = {"name": known.base_name, "fingerprint": known.fingerprint, "dtype": form.dtype}
    return base | ({"quantization": form.quantization} if form.quantization else {})


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """A and B of every LoRA layer of `model` under PEFT's key names, as float32 copies on the CPU."""
    return _state(_weights_of(model))


def fitted(
    model: nn.Module,
    config: LoraConfig,
    state: Mapping[str, Tensor],
    about: dict | None = None,
    *,
    where: Path | str,
    config_where: Path | str | None = None,
) -> Adapter:
    """The adapter whose tensors are `state`, when they are exactly what `config` asks for on `model`, and finite.

    Args:
        model: the base it is for; it is not touched.
        config: its settings.
        state: A and B of every layer, under PEFT's key names.
        about: what ``labkit.json`` says.
        where: what a message begins with.
        config_where: the same where the settings are at fault, if they are in a place of their own.

    Raises:
        AdapterError: it doesn't fit, or holds something else than finite floating point numbers.
    """
    if strays := [key for key, tensor in state.items() if not isinstance(tensor, Tensor)]:
        raise AdapterError(f"{where}: {strays[0]} is a {type(state[strays[0]]).__name__}, not a tensor")
    try:
        _, names = resolve_targets(model, config)
    except ConfigError as error:
        raise AdapterError(f"{config_where or where}: does not fit this model: {plain(error, 800)}") from None
    state = _without_the_base(model, state, where)
    refuse_other_keys(state, {key for name in names for key in keys_of(name)}, where)
    for name in names:
        layer, r = model.get_submodule(name), config.rank_of(name)
        for key, shape in zip(keys_of(name), ((r, layer.in_features), (layer.out_features, r))):
            refuse_unusable(key, state[key], shape, where)
    return Adapter(config, {name: tuple(state[key] for key in keys_of(name)) for name in names}, about or {})


def refuse_other_base(model: nn.Module, about: dict, where: Path | str) -> None:
    """AdapterError, beginning with `where`, unless the base named in `about` is the model's; either may be unknown."""
    base, known = about.get("base") or {}, facts_of(model)
    theirs = base.get("fingerprint")
    if theirs and known.fingerprint and theirs != known.fingerprint:
        raise AdapterError(
            f"{where}: trained on another base: {plain(base.get('name'))} with fingerprint {plain(theirs)}, "
            f"but this model is {known.base_name} with fingerprint {known.fingerprint}"
        )


def _weights_of(model: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    return {
        name: tuple(part.weight.detach().to("cpu", torch.float32, copy=True) for part in (layer.lora_A, layer.lora_B))
        for name, layer in lora_layers(model)
    }


def _state(weights: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    return {key: tensor for name, pair in weights.items() for key, tensor in zip(keys_of(name), pair)}


def _without_the_base(model: nn.Module, state: Mapping[str, Tensor], where: Path | str) -> dict[str, Tensor]:
    """`state` without weights of the base: PEFT writes those of an adapted output head beside A and B."""
    weights = dict(model.named_parameters(remove_duplicate=False))
    kept = {}
    for key, tensor in state.items():
        weight = weights.get(key.removeprefix(_PREFIX).replace(".base_layer.", "."))
        if weight is None or not key.startswith(_PREFIX):
            kept[key] = tensor
        elif not _same_numbers(weight.detach().cpu(), tensor):
            raise AdapterError(
                f"{where}: {plain(key)} isn't this base's own weight, so more than A and B was trained, or tokens were "
                "added. That goes beyond plain LoRA. Merge the adapter in PEFT, and load what comes of it as a base"
            )
    return kept


def _same_numbers(weight: Tensor, copy: Tensor) -> bool:
    """Whether `copy` is `weight`, in whichever of their two dtypes holds less."""
    if weight.shape != copy.shape or not weight.is_floating_point() or copy.dtype not in ORDINARY:
        return False
    return torch.equal(weight.to(copy.dtype), copy) or torch.equal(copy.to(weight.dtype), weight)


def refuse_other_keys(state: Mapping[str, Tensor], expected: Collection[str], where: Path | str) -> None:
    """AdapterError, beginning with `where`, unless the keys of `state` are the `expected` ones."""
    expected = set(expected)
    missing, strays = sorted(expected - state.keys()), sorted(state.keys() - expected)
    if missing or strays:
        raise AdapterError(
            f"{where}: the keys are not those the config asks for on this model: "
            f"{len(missing)} missing{_first(missing)}, {len(strays)} not expected{_first(strays)}"
        )


def refuse_unusable(key: str, tensor: Tensor, shape: tuple[int, ...], where: Path | str) -> None:
    """AdapterError, beginning with `where`, unless `tensor` has that `shape` and holds finite numbers of 16 bits on."""
    if tuple(tensor.shape) != shape:
        raise AdapterError(f"{where}: {key} has shape {tuple(tensor.shape)}, expected {shape}")
    if tensor.dtype not in ORDINARY:
        raise AdapterError(f"{where}: {key} holds {tensor.dtype}, expected floating point numbers of at least 16 bits")
    if not is_finite(tensor.float()):
        raise AdapterError(f"{where}: {key} holds NaN or infinite values")


def _first(keys: list[str]) -> str:
    return f" (the first is {plain(keys[0])})" if keys else ""
