"""Training that knows it will be merged: forward through the rounded sum, gradients straight through the rounding.

A layer in four bits has sixteen levels per block, and a small update seldom carries a weight to the next one. So most
of an ordinary adapter is lost when it's merged into such a layer. Here training sees the rounded sum from its first
step, and can only learn what survives the rounding:

    forward     y = x Qᵀ + b,    Q = round(W + ΔW),    ΔW = s · B A
    backward    dQ / d(W + ΔW) := 1,  so with g = ∂L/∂y and G = gᵀ x
                ∂L/∂x = g Q,     ∂L/∂A = s · Bᵀ G = s · (g B)ᵀ x,     ∂L/∂B = s · G Aᵀ = s · gᵀ (x Aᵀ)

Rounding is a staircase: its true derivative is 0 nearly everywhere, and nothing would learn. Taking it for 1 is the
straight-through estimator (Bengio et al., arXiv 1308.3432). LoRA's update inside the rounding is the idea of L4Q (Jeon
et al., arXiv 2402.04902), which learns the steps' sizes as well; NF4 takes them from each block's largest weight. G is
as large as W and is never made: in the order on the right, the products go through r numbers per token, and cost what
LoRA's own cost.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.linear import PackedLinear, dense_weight, linear_layers, output_head, replace_weight
from labkit.lora.inject import lora_layers, refuse_bank
from labkit.lora.layer import LoraLinear
from labkit.lora.merging import refuse_unmergeable
from labkit.model_facts import Model, note
from labkit.quant.linear4bit import NF4Linear


@contextmanager
def merge_aware(model: Model, *, block_size: int | None = None, double: bool | None = None) -> Iterator[Model]:
    """Inside the ``with`` block, every LoRA layer of `model` answers as it will once it's merged into four bits.

        with labkit.merge_aware(model):
            labkit.train(model, tokenizer, task, config)
        labkit.merge_and_unload(model)  # the weights that training saw, to the bit

    Training, evaluation and checkpoints go on as usual, and a checkpoint goes on only where training is merge-aware in
    the same way. Where the base is dense, training rounds W + ΔW as :func:`labkit.quantize_model` is going to: merge
    first, and then quantize with the same `block_size` and `double`.

    Besides the model, there's one more copy of the adapted layers in memory, in four bits. Afterwards the layers are
    ordinary ones again, whatever happened inside. An adapter that's then kept apart gives other answers than those
    training saw, for its base isn't rounded again.

    Args:
        model: with LoRA on it, unmerged and without dropout. On a dense base, LoRA has to be on all linear layers.
        block_size: numbers per block on a dense base; None means 64. A base in four bits has its own.
        double: whether the scales will be quantized too, on a dense base; None means no.

    Raises:
        ConfigError: there is no LoRA layer, or an AdapterBank serves the model; the adapter is merged, has dropout, or
            sits on the output head or on a tied weight; a dense base has a linear layer without LoRA; a base in four
            bits is to be rounded in another way than its own; `model` is in such a block already; a weight can't be
            quantized. Nothing is changed then.

    Source: Bengio, Léonard, Courville, arXiv 1308.3432 (straight-through); Jeon et al., L4Q, arXiv 2402.04902.
    """
    layers = [layer for _, layer in lora_layers(model)]
    _refuse_unmergeable(model)
    packed = isinstance(layers[0].base_layer, PackedLinear)
    if packed and not (block_size is None and double is None):
        raise ConfigError("this base is in four bits and rounds in its own way: leave out block_size and double")
    block_size, double = block_size or 64, bool(double)
    copies = [_packed_copy(layer.base_layer, block_size, double) for layer in layers]
    in_words = "as its base" if packed else f"nf4, blocks of {block_size}{', double' if double else ''}"
    try:
        for layer, rounded in zip(layers, copies):
            MergeAwareLinear.put_over(layer, rounded)
        note(model, merge_aware=in_words)
        yield model
    finally:
        for layer in layers:
            MergeAwareLinear.take_off(layer)
        note(model, merge_aware=None)


class MergeAwareLinear(LoraLinear):
    """A :class:`labkit.LoraLinear` that answers with Q = round(W + ΔW). One becomes the other in place, and back.

    Attributes:
        rounded: a packed layer that holds Q, and has the base's bias.
        rounded_A, rounded_B: A and B when Q was made.
    """

    @staticmethod
    def put_over(layer: LoraLinear, rounded: nn.Module) -> None:
        """Make `layer` merge-aware. What it's to be rounded like is `rounded`, which it keeps."""
        layer.__class__ = MergeAwareLinear
        layer.rounded = rounded
        for name in ("rounded_A", "rounded_B"):
            layer.register_buffer(name, None, persistent=False)

    @staticmethod
    def take_off(layer: LoraLinear) -> None:
        """Make `layer` an ordinary one again. Nothing happens if it is."""
        if isinstance(layer, MergeAwareLinear):
            del layer.rounded, layer.rounded_A, layer.rounded_B
            layer.__class__ = LoraLinear

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features)."""
        if not self.enabled or self.merged:
            return self.base_layer(x)
        self._round()
        return _StraightThrough.apply(self.rounded(x), x, self.lora_A.weight, self.lora_B.weight, self.scaling)

    @property
    def weight(self) -> Tensor:
        """Q, with the gradients of W + ΔW."""
        exact = super().weight
        if not self.enabled or self.merged:
            return exact
        self._round()
        return exact + (dense_weight(self.rounded) - exact).detach()

    def _round(self) -> None:
        """Make Q again. While answers are written, A and B stay as they are, and so does Q."""
        A, B = self.lora_A.weight, self.lora_B.weight
        known = not self.training and self.rounded_A is not None
        if not (known and torch.equal(A, self.rounded_A) and torch.equal(B, self.rounded_B)):
            replace_weight(self.rounded, self.merged_weight())
            self.rounded_A, self.rounded_B = A.detach().clone(), B.detach().clone()


class _StraightThrough(torch.autograd.Function):
    """y = x Qᵀ as it is. On the way back, A and B get the gradients they would get from x (W + s · B A)ᵀ."""

    @staticmethod
    def forward(ctx, y: Tensor, x: Tensor, A: Tensor, B: Tensor, scaling: float) -> Tensor:
        ctx.save_for_backward(x, A, B)
        ctx.scaling = scaling
        return y.view_as(y)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, Tensor, Tensor, None]:
        x, A, B = ctx.saved_tensors  # (..., in_features), (r, in_features), (out_features, r)
        rows, g = (tensor.reshape(-1, tensor.shape[-1]).to(A.dtype) for tensor in (x, grad))
        grad_A = ctx.scaling * (g @ B).T @ rows
        grad_B = ctx.scaling * g.T @ (rows @ A.T)
        return grad, None, grad_A, grad_B, None  # x has its gradient from y, through Q


def _packed_copy(base: nn.Module, block_size: int, double: bool) -> nn.Module:
    """A packed layer for what W + ΔW is rounded to: of the base's own kind, or in NF4 where that is dense."""
    if not isinstance(base, PackedLinear):
        return NF4Linear(base, block_size, double)
    made = copy.deepcopy(base)
    made.bias = base.bias
    return made


def _refuse_unmergeable(model: nn.Module) -> None:
    """ConfigError unless W + ΔW of every adapted layer will be rounded to four bits, and nothing else will."""
    refuse_bank(model)
    layers = dict(lora_layers(model))
    if not layers:
        raise ConfigError("there is nothing to merge later: the model has no LoRA layer. Call inject_lora first")
    refuse_unmergeable(model)
    kinds = {isinstance(layer.base_layer, PackedLinear) for layer in layers.values()}
    if len(kinds) > 1:
        raise ConfigError("some adapted layers are in four bits and some are dense: adapt only those of one kind")
    for name, layer in layers.items():
        if isinstance(layer, MergeAwareLinear):
            raise ConfigError("this model is inside a merge_aware block already")
        if layer.merged:
            raise ConfigError("the adapter is merged, and would not be trained: call labkit.unmerge(model) first")
        if not isinstance(layer.lora_dropout, nn.Identity):
            raise ConfigError(
                f"{name} has dropout, which a merged weight has no place for: inject LoRA with lora_dropout=0"
            )
        if layer is output_head(model):
            raise ConfigError(f"{name} is the output head, which stays dense: leave it out of target_modules")
    dense = {n.removesuffix(".base_layer") for n, m in linear_layers(model).items() if not isinstance(m, PackedLinear)}
    if dense & layers.keys() and dense - layers.keys():  # quantize_model takes all
        raise ConfigError(
            f"{sorted(dense - layers.keys())[0]} has no LoRA on it, and will be rounded where training doesn't see it: "
            'use target_modules="all-linear", or quantize the base first'
        )
