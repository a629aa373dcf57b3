"""A frozen linear layer that keeps its weight in NF4."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.quant.bnb import fast_dequantize
from labkit.quant.double_quantization import DoubleAbsmax
from labkit.quant.nf4 import NF4Tensor, quantize_nf4


class NF4Linear(nn.Module):
    """A linear layer whose weight is four bits per weight, and is made dense only while it is multiplied.

        y = x Ŵᵀ + b,    Ŵ = dequantize_nf4(quantize_nf4(W))

    The weight is frozen: gradients pass through to x (and to the bias, if it is trainable), and for them too Ŵ
    is made again from the packed bytes. The product is computed in x's dtype, or in autocast's; Ŵ has been rounded to
    `weight_dtype` before, as bitsandbytes does it, so that it's the same that :meth:`dense_weight` gives.

    Args:
        dense: the layer to quantize; its bias is taken over as it is, its weight is not kept.
        block_size: numbers per block.
        double: quantize the scales too.
        device: where to quantize and keep the weight; None means where it is.

    Attributes:
        packed: buffer, uint8, shape (⌈n / 2⌉, 1).
        absmax: buffer, float32; with `double` there are ``absmax_codes`` (uint8), ``absmax_absmax`` and
            ``absmax_offset`` (float32) instead. Casting the model to another dtype leaves all of them alone.
        weight_dtype: of Ŵ: at first that of the weight given; casting the model changes it.
        bias: as in ``nn.Linear``.

    Raises:
        ConfigError: the weight cannot be quantized (see :func:`labkit.quantize_nf4`).

    Source: Dettmers et al., QLoRA, arXiv 2305.14314, section 3, equation 5.
    """

    def __init__(
        self,
        dense: nn.Linear,
        block_size: int = 64,
        double: bool = False,
        device: torch.device | str | None = None,
    ):
        super().__init__()
        self.in_features, self.out_features = dense.in_features, dense.out_features
        self.block_size, self.weight_dtype = block_size, dense.weight.dtype
        self.double_quant = double  # `double` is what nn.Module calls a cast to float64
        self.bias = dense.bias
        self._keep(quantize_nf4(dense.weight.to(device), block_size, double))

    def _keep(self, quantized: NF4Tensor) -> None:
        for name, tensor in parts_of(quantized).items():
            # the code book is the same for all layers: no need to save it with each
            self.register_buffer(name, tensor, persistent=name != "absmax_codebook")

    @property
    def quantized(self) -> NF4Tensor:
        """The weight as :class:`labkit.quant.nf4.NF4Tensor`; its tensors are the layer's own."""
        if self.double_quant:
            scales = DoubleAbsmax(self.absmax_codes, self.absmax_absmax, self.absmax_offset, self.absmax_codebook)
        else:
            scales = self.absmax
        shape = torch.Size((self.out_features, self.in_features))
        return NF4Tensor(self.packed, scales, shape, self.weight_dtype, self.block_size)

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features)."""
        return frozen_linear(x, self.quantized, self.bias)

    def dense_weight(self) -> Tensor:
        """Ŵ, shape (out_features, in_features), in `weight_dtype`."""
        return fast_dequantize(self.quantized)

    def replace_weight(self, weight: Tensor) -> None:
        """Quantize `weight`, shape (out_features, in_features), in place of the present one.

        Raises:
            ConfigError: it cannot be quantized, or has another shape.
        """
        check_shape(weight, self)
        self.weight_dtype = weight.dtype
        self._keep(quantize_nf4(weight, self.block_size, self.double_quant))

    def stored_weight(self) -> Tensor:
        """The packed bytes and the scales as one uint8 tensor, for :meth:`restore_weight`."""
        return to_bytes(self.quantized)

    def restore_weight(self, stored: Tensor) -> None:
        """Put back what :meth:`stored_weight` gave, bit for bit."""
        self._keep(from_bytes(stored, self.quantized))

    def _apply(self, fn, recurse=True):
        # model.half() and the like cast every float tensor they find. Scales must move with the model and stay
        # float32: a rounded scale would change all weights of its block.
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, tensor in before.items():
            if self._buffers[name].dtype != tensor.dtype:
                self._buffers[name] = tensor.to(self._buffers[name].device)
        self.weight_dtype = dtype_after(fn, self.weight_dtype)
        return self

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, "
            f"block_size={self.block_size}, double={self.double_quant}"
        )


def frozen_linear(x: Tensor, weight: NF4Tensor, bias: Tensor | None = None) -> Tensor:
    """x Ŵᵀ + b with a frozen weight in NF4, of which only the packed form is kept for the backward pass.

    Args:
        x: shape (..., in_features).
        weight: of shape (out_features, in_features).
        bias: shape (out_features,).
    """
    y = _FrozenMatmul.apply(x.to(compute_dtype(x)), weight)
    return y if bias is None else y + bias.to(y.dtype)


class _FrozenMatmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: NF4Tensor) -> Tensor:
        ctx.weight = weight
        return F.linear(x, _multiplied(weight, x.dtype))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return grad @ _multiplied(ctx.weight, grad.dtype), None


def _multiplied(weight: NF4Tensor, dtype: torch.dtype) -> Tensor:
    """Ŵ for a product in `dtype`: what ``dense_weight`` gives, cast."""
    if weight.dtype in (torch.float32, torch.float64):  # then this is the only rounding
        return fast_dequantize(weight, dtype)
    return fast_dequantize(weight).to(dtype)


def dtype_after(fn: Callable[[Tensor], Tensor], dtype: torch.dtype) -> torch.dtype:
    """What `fn`, as ``nn.Module._apply`` is given it by ``model.half()`` and the like, makes of this `dtype`."""
    return fn(torch.zeros(1, dtype=dtype)).dtype


def compute_dtype(x: Tensor) -> torch.dtype:
    """Autocast's dtype where it is on for x's device, else x's own."""
    kind = x.device.type
    on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if on else x.dtype


def check_shape(weight: Tensor, layer: nn.Module) -> None:
    """Raise ConfigError unless `weight` has the shape of the layer's own."""
    if weight.shape != (layer.out_features, layer.in_features):
        raise ConfigError(
            f"a weight of shape {tuple(weight.shape)} cannot take the place of one of shape "
            f"{(layer.out_features, layer.in_features)}"
        )


def parts_of(quantized: NF4Tensor) -> dict[str, Tensor]:
    """The tensors `quantized` consists of, by the names :class:`NF4Linear` gives them."""
    scales = quantized.absmax
    if not isinstance(scales, DoubleAbsmax):
        return {"packed": quantized.packed, "absmax": scales}
    return {"packed": quantized.packed} | {f"absmax_{name}": tensor for name, tensor in vars(scales).items()}


def to_bytes(quantized: NF4Tensor) -> Tensor:
    """All of `quantized` as one uint8 tensor: nothing that casts or moves a model can change it."""
    return torch.cat([part.reshape(-1).view(torch.uint8) for part in parts_of(quantized).values()])


def from_bytes(stored: Tensor, like: NF4Tensor) -> NF4Tensor:
    """What :func:`to_bytes` was given, of which `like` tells the sizes."""
    parts, start = {}, 0
    for name, part in parts_of(like).items():
        piece = stored[start : start + part.nbytes].clone()  # cloned, since float32 must begin at a multiple of four
        parts[name], start = piece.view(part.dtype).view(part.shape), start + part.nbytes
    packed, *scales = parts.values()
    absmax = DoubleAbsmax(*scales) if isinstance(like.absmax, DoubleAbsmax) else scales[0]
    return NF4Tensor(packed, absmax, like.shape, like.dtype, like.block_size)
