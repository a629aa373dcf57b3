"""Putting LoRA layers into a model, and finding, freezing and silencing them."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from labkit.errors import ConfigError
from labkit.linear import BaseLinear, is_linear, keeps_its_own_form, linear_layers, uncalled_layers
from labkit.lora.config import DEFAULT_TARGETS, LoraConfig
from labkit.lora.layer import LoraLinear
from labkit.lora.wrapping import adapted_layers, is_adapted
from labkit.model_facts import Model, facts_of, note


def inject_lora(model: Model, config: LoraConfig, dtype: torch.dtype = torch.float32) -> Model:
    """Wrap the layers that `config` names in :class:`LoraLinear`, in place, and freeze everything else.

    Nothing is changed unless everything can be.

    Args:
        model: any model; the layers to adapt must be linear (see :func:`labkit.linear.is_linear`).
        config: which layers, and how.
        dtype: of the adapter's weights.

    Returns:
        The same model. ``model.labkit.adapter`` holds the config, with ``"all-linear"`` spelled out.

    Raises:
        ConfigError: no target matches a layer, or one matches a layer that is not linear or is never called; the model
            already has LoRA layers or an AdapterBank.
    """
    refuse_bank(model)
    if is_adapted(model):
        raise ConfigError("this model already has LoRA layers: start from a fresh base")
    config, names = resolve_targets(model, config)
    layers = {
        name: LoraLinear(
            model.get_submodule(name),
            r=config.rank_of(name),
            lora_alpha=config.alpha_of(name),
            lora_dropout=config.lora_dropout,
            use_rslora=config.use_rslora,
            init_lora_weights=config.init_lora_weights,
            dtype=dtype,
        )
        for name in names
    }
    for name, layer in layers.items():
        model.set_submodule(name, layer.train(model.training))
    mark_only_lora_as_trainable(model)
    note(model, adapter=config)
    return model


def resolve_targets(model: nn.Module, config: LoraConfig) -> tuple[LoraConfig, list[str]]:
    """The config with ``"all-linear"`` spelled out, and the full names of the layers it adapts on `model`.

    Raises:
        ConfigError: no target matches a layer, or one matches a layer that is not linear or is never called; two
            patterns disagree on the r or α of a layer.
    """
    if config.target_modules == "all-linear":
        config = dataclasses.replace(config, target_modules=_all_linear_names(model))
    names = [name for name, _ in model.named_modules() if config.targets(name)]
    _check_targets(model, config, names)
    for name in names:
        config.rank_of(name), config.alpha_of(name)  # refuses what is ambiguous
    return config, names


def _all_linear_names(model: nn.Module) -> list[str]:
    """Every linear layer but the output head, as the shortest names that say so."""
    full = linear_layers(model)
    if not full:
        raise ConfigError(f"there is no layer to adapt{_what_there_is(model)}")
    others = {name.split(".")[-1] for name, _ in model.named_modules() if name not in full}
    return sorted({name if (short := name.split(".")[-1]) in others else short for name in full})


def _check_targets(model: nn.Module, config: LoraConfig, names: list[str]) -> None:
    linear, uncalled = _short_names(model, is_linear), uncalled_layers(model)
    for name in names:
        module = model.get_submodule(name)
        if name in uncalled:
            raise ConfigError(
                f"{name} would learn nothing: the model takes its weight and never calls the layer. "
                f"Leave {name.split('.')[-1]!r} out of target_modules"
            )
        if not is_linear(module):
            raise ConfigError(f"{name} is a {type(module).__name__}, {_why_not(module)}; linear layers here: {linear}")
    wanted = DEFAULT_TARGETS if config.target_modules is None else config.target_modules
    if not names:
        what = repr(wanted[0]) if isinstance(wanted, list) and len(wanted) == 1 else repr(wanted)
        hint = _what_there_is(model)
        raise ConfigError(f"target {what} matches no layer to adapt; linear layers here: {linear}{hint}")


def _short_names(model: nn.Module, kind: Callable[[nn.Module], bool]) -> str:
    return ", ".join(sorted({name.split(".")[-1] for name, module in model.named_modules() if kind(module)})) or "none"


def _is_conv1d(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv1D"


def _why_not(module: nn.Module) -> str:
    if _is_conv1d(module):
        return "GPT-2's linear layer with a transposed weight, which labkit doesn't adapt"
    if keeps_its_own_form(module):
        return (
            "another library's layer, whose weight is packed: load the base unquantized, or with "
            'load_base(..., quantize="nf4")'
        )
    if isinstance(module, nn.Linear):
        return "a linear layer with a forward of its own, which answers something other than x Wᵀ + b"
    return "not a linear layer"


def _what_there_is(model: nn.Module) -> str:
    """What a reader may have taken for linear layers, as the end of a sentence."""
    for kind in (_is_conv1d, keeps_its_own_form):
        for module in filter(kind, model.modules()):
            return f". {_short_names(model, kind)} are {type(module).__name__} layers here, {_why_not(module)}"
    experts = {name.split(".")[-1] for name, parameter in model.named_parameters() if parameter.ndim == 3}
    if experts:
        return f". The experts' weights ({', '.join(sorted(experts))}) aren't layers but stacks of matrices"
    return ""


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    """The LoRA layers of `model` with their names, in the model's order."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoraLinear))


def refuse_bank(model: nn.Module) -> None:
    """ConfigError where `model` is served by a :class:`labkit.AdapterBank`, whose adapters are no part of it."""
    if facts_of(model).bank is not None:
        raise ConfigError(
            "this model is served by an AdapterBank, which keeps its adapters apart: work on a fresh base, or call "
            "model.labkit.bank.close() first"
        )


def mark_only_lora_as_trainable(model: nn.Module) -> None:
    """Freeze every parameter but A and B of the LoRA layers."""
    model.requires_grad_(False)
    for _, layer in lora_layers(model):
        layer.lora_A.requires_grad_(True)
        layer.lora_B.requires_grad_(True)


def trainable_parameters(model: nn.Module) -> tuple[int, int]:
    """How many numbers are trained, and how many there are: ``(trainable, total)``.

    Tied weights count once, and a weight that is kept packed counts as the numbers it stands for.
    """
    parameters = [p for p in model.parameters() if p.is_floating_point()]
    packed = sum(m.in_features * m.out_features for m in model.modules() if isinstance(m, BaseLinear))
    return sum(p.numel() for p in parameters if p.requires_grad), packed + sum(p.numel() for p in parameters)


@contextmanager
def disable_adapter(model: Model) -> Iterator[Model]:
    """Inside the ``with`` block, the model answers as its base does. Merged layers and a bank answer so too.

    Whatever happens inside, everything is afterwards as it was.
    """
    layers = [layer for _, layer in adapted_layers(model)]
    before = [(layer.enabled, layer.merged) for layer in layers]
    try:
        for layer in layers:
            layer.enabled = False
            layer.unmerge()
        bank = facts_of(model).bank
        with bank.disabled() if bank is not None else nullcontext():
            yield model
    finally:
        for layer, (enabled, merged) in zip(layers, before):
            layer.enabled = enabled
            layer.merge() if merged else layer.unmerge()
