"""A model on 4-bit layers beside a dense one with the same Ŵ: what's needed to compare their gradients."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from labkit.lora.config import LoraConfig
from labkit.lora.inject import inject_lora, lora_layers
from labkit.quant.bnb import fast_dequantize
from labkit.quant.nf4 import dequantize_nf4
from labkit.step.batch import Batch


def with_lora(model: nn.Module, **settings) -> nn.Module:
    """`model` with the same adapters each time, B off zero: at zero, A would have no gradient to compare.

    Args:
        model: a language model, dense or in four bits; it's changed.
        settings: of :class:`labkit.LoraConfig`.
    """
    torch.manual_seed(0)
    for _, layer in lora_layers(inject_lora(model, LoraConfig(**settings))):
        nn.init.normal_(layer.lora_B.weight, std=1e-3)
    return model


def dense_with(dense: nn.Module, adapted: nn.Module) -> nn.Module:
    """`dense`, with the Ŵ of each 4-bit layer of `adapted` as an ordinary matrix.

    Args:
        dense: a model with LoRA on dense layers; it's changed.
        adapted: the same model on 4-bit layers.
    """
    for name, layer in lora_layers(adapted):
        matrix = nn.Parameter(dequantize_nf4(layer.base_layer.quantized), requires_grad=False)
        dense.get_submodule(name).base_layer.weight = matrix
    return dense


class _Multiplying(nn.Module):
    def __init__(self, quantized, product: Callable):
        super().__init__()
        self.quantized, self.product = quantized, product

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x, self.quantized, fast_dequantize)


def multiply_with(product: Callable, adapted: nn.Module) -> nn.Module:
    """`adapted`, whose 4-bit layers now answer with ``product(x, packed, dequantize)``."""
    for _, layer in lora_layers(adapted):
        layer.base_layer = _Multiplying(layer.base_layer.quantized, product)
    return adapted


def gradients(model: nn.Module, batch: Batch) -> list[Tensor]:
    """∂loss/∂(input of the first block), and ∂loss/∂(each trained matrix).

    Args:
        model: a language model with LoRA.
        batch: as :func:`labkit.step.batch.collate` makes it.
    """
    embedded = model.get_input_embeddings()(batch.input_ids).detach().requires_grad_()
    loss = model.train()(inputs_embeds=embedded, labels=batch.labels).loss
    return list(torch.autograd.grad(loss, [embedded, *(p for p in model.parameters() if p.requires_grad)]))
