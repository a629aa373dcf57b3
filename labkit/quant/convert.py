"""Quantizing the linear layers of a model, one after the other."""

import re

import torch
from torch import nn

from labkit.errors import ConfigError, warn
from labkit.linear import BaseLinear, keeps_its_own_form, linear_layers, output_head
from labkit.model_facts import Model, facts_of, note
from labkit.quant.blockwise import refuse_unquantizable
from labkit.quant.linear4bit import NF4Linear

NOTABLE = 0.1  # share of a model's weights that can't stay dense without a word


def quantize_model(
    model: Model,
    backend: str = "labkit",
    *,
    block_size: int = 64,
    double: bool = False,
    device: torch.device | str | None = None,
) -> Model:
    """Replace the linear layers of `model` by layers in NF4, in place.

    One layer is quantized and its dense weight freed before the next is touched, so the most that is in memory
    besides the model as it was is one layer. Embeddings, norms and the output head stay as they are. Every weight
    is looked at first: nothing is changed unless all of them can be quantized. Where a tenth of the weights or more is
    in none of these, as in a mixture of experts, a warning says so.

    Args:
        model: any model with plain ``nn.Linear`` layers.
        backend: "labkit" for :class:`labkit.NF4Linear`; "bitsandbytes" for its ``Linear4bit``, guarded.
        block_size: numbers per block.
        double: quantize the scales too: 4.127 bits per weight instead of 4.5, with blocks of 64.
        device: where the quantized layers go, one by one; None means where they are.

    Returns:
        The same model. ``model.labkit.quantization`` says what was done, in words.

    Raises:
        ConfigError: an unknown backend, or bitsandbytes asked for and not there; a model that is quantized already,
            has LoRA layers, an AdapterBank or no linear layers; a weight that cannot be quantized, named.
    """
    make = _layer_of(backend)
    names = _names_to_quantize(model)
    elsewhere = in_words(weights_elsewhere(model), sum(parameter.numel() for parameter in model.parameters()))
    for name in names:
        refuse_unquantizable(model.get_submodule(name).weight, block_size, f"the weight of {name}")
    for name in names:
        dense = model.get_submodule(name)
        layer = make(dense, block_size=block_size, double=double, device=device)
        model.set_submodule(name, layer.train(dense.training))
    note(model, quantization=f"nf4 by {backend}, blocks of {block_size}{', double' if double else ''}")
    if elsewhere:
        warn(f"{elsewhere}: NF4 leaves them dense, and LoRA can't reach them")
    return model


def weights_elsewhere(model: nn.Module) -> dict[str, int]:
    """How many numbers are neither in a linear layer, nor in an embedding, nor in the output head, by name.

    Layers share a name, with * for their number. The experts of most mixtures are among these: transformers keeps them
    as stacks of matrices, not as layers.
    """
    layers, head = (nn.Linear, BaseLinear, nn.Embedding), output_head(model)
    known = [module for module in model.modules() if isinstance(module, layers) or module is head]
    known = {id(parameter) for module in known for parameter in module.parameters()}
    found = {}
    for name, parameter in model.named_parameters():
        if id(parameter) not in known:
            short = re.sub(r"\.\d+(?=\.)", ".*", name)
            found[short] = found.get(short, 0) + parameter.numel()
    return found


def in_words(elsewhere: dict[str, int], parameters: int) -> str | None:
    """What :func:`weights_elsewhere` has found, if it's worth a word.

    Args:
        elsewhere: numbers by name.
        parameters: how many the model has in all.
    """
    share = sum(elsewhere.values()) / max(1, parameters)
    if share < NOTABLE:
        return None
    largest = sorted(elsewhere, key=elsewhere.get, reverse=True)[:2]
    return f"{share:.0%} of the weights are in no linear layer (most of them in {' and '.join(largest)})"


def _layer_of(backend: str) -> type[nn.Module]:
    if backend == "labkit":
        return NF4Linear
    if backend == "bitsandbytes":
        from labkit.quant.guarded import GuardedLinear4bit  # raises where it is not installed

        return GuardedLinear4bit
    raise ConfigError(f'backend must be "labkit" or "bitsandbytes", got {backend!r}')


def _names_to_quantize(model: nn.Module) -> list[str]:
    if facts_of(model).bank is not None:
        raise ConfigError("this model is served by an AdapterBank: quantize the base first, then make the bank on it")
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            raise ConfigError(f"{name} has LoRA on it: quantize the base first, then inject_lora")
        if isinstance(module, BaseLinear) or keeps_its_own_form(module):
            raise ConfigError(f"this model is quantized already ({name} is a {type(module).__name__})")
    names = list(linear_layers(model))
    if not names:
        raise ConfigError("there is nothing to quantize: the model has no linear layers besides its output head")
    return names
