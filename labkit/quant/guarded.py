"""bitsandbytes' 4-bit layer behind labkit's interface, kept away from what goes wrong with it on a CPU.

As of bitsandbytes 0.50, on a CPU:

1. Where the CPU has AVX512-BF16, a forward pass in eval mode whose input needs no gradient repacks the weight in
   place. Training after it gets wrong gradients with no more than a warning, and what reads the weight to merge into it
   reads nonsense, without an error.
2. Where the CPU has AVX-512, dequantizing reads wrong scales when in_features is no multiple of the block size.
3. The forward of 1. raises when out_features is no multiple of 32.
4. Importing it logs a line about an optional package (see ``bnb.py``).
5. A layer computes for good in the dtype of its first input, and casts its bias to it.
6. An input in another dtype than the weight had meets the weight rounded to that dtype, or not, as gradients are needed
   or not.
"""

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.quant.blockwise import refuse_unquantizable
from labkit.quant.bnb import fast_dequantize, find_bitsandbytes
from labkit.quant.double_quantization import DoubleAbsmax
from labkit.quant.linear4bit import check_shape, compute_dtype, dtype_after, from_bytes, frozen_linear, to_bytes
from labkit.quant.nf4 import NF4Tensor

bnb = find_bitsandbytes()
if bnb is None:
    raise ConfigError('bitsandbytes is not installed, or does not run here: pip install it, or use backend="labkit"')

BLOCK_SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)


class GuardedLinear4bit(bnb.nn.Linear4bit):
    """bitsandbytes' ``Linear4bit`` in NF4, with the interface of :class:`labkit.NF4Linear` and right on every CPU.

    It is quantized by bitsandbytes, holds bitsandbytes' parameter, and multiplies by bitsandbytes' ``matmul_4bit``.
    Only ``Linear4bit.forward`` around that is not used: it is where layers are repacked.

    Args:
        dense: the layer to quantize; its bias is taken over as it is, its weight is not kept.
        block_size: numbers per block.
        double: quantize the scales too (``compress_statistics``).
        device: where to quantize and keep the weight; None means where it is.

    Raises:
        ConfigError: the weight cannot be quantized, or bitsandbytes knows no such block size.
    """

    def __init__(
        self,
        dense: nn.Linear,
        block_size: int = 64,
        double: bool = False,
        device: torch.device | str | None = None,
    ):
        # on "meta", so that no weight is drawn only to be thrown away
        super().__init__(dense.in_features, dense.out_features, bias=False, quant_type="nf4", device="meta")
        self.block_size, self.double_quant = block_size, double
        self.bias = dense.bias
        self.weight = self._quantize(dense.weight, device)

    def _quantize(self, weight: Tensor, device: torch.device | str | None = None) -> nn.Parameter:
        if self.block_size not in BLOCK_SIZES:
            raise ConfigError(f"bitsandbytes has block sizes {BLOCK_SIZES}, not {self.block_size}")
        refuse_unquantizable(weight, self.block_size)
        parameter = bnb.nn.Params4bit(
            weight.detach(),
            blocksize=self.block_size,
            compress_statistics=self.double_quant,
            quant_type="nf4",
            module=self,
        )
        parameter = parameter.to(device or weight.device)  # this is what quantizes it
        # It holds its layer, which nothing here asks for. In that circle, both would stay in memory after the model is
        # dropped, until Python's collector comes by.
        parameter.module = None
        return parameter

    @property
    def weight_dtype(self) -> torch.dtype:
        """The dtype of the weight once it's dequantized; casting the model changes it."""
        return self.weight.quant_state.dtype

    @weight_dtype.setter
    def weight_dtype(self, dtype: torch.dtype) -> None:
        self.weight.quant_state.dtype = dtype

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.weight_dtype = dtype_after(fn, self.weight_dtype)
        return self

    @property
    def quantized(self) -> NF4Tensor:
        """The weight as :class:`labkit.quant.nf4.NF4Tensor`; its tensors are the layer's own."""
        state = self.weight.quant_state
        scales = state.absmax
        if state.nested:
            scales = DoubleAbsmax(state.absmax, state.state2.absmax, state.offset, state.state2.code)
        return NF4Tensor(self.weight.data, scales, state.shape, state.dtype, state.blocksize)

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features)."""
        wrong_scales = x.device.type == "cpu" and self.in_features % self.block_size
        # one of its kernels rounds to weight_dtype first, and another doesn't: in float32 it's the same
        not_rounded = self.weight_dtype not in (torch.float32, compute_dtype(x))
        if wrong_scales or not_rounded:
            return frozen_linear(x, self.quantized, self.bias)
        y = bnb.matmul_4bit(x.to(compute_dtype(x)), self.weight, quant_state=self.weight.quant_state)
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def dense_weight(self) -> Tensor:
        """The weight, shape (out_features, in_features), in `weight_dtype`."""
        return fast_dequantize(self.quantized)

    def replace_weight(self, weight: Tensor) -> None:
        """Quantize `weight`, shape (out_features, in_features), in place of the present one.

        Raises:
            ConfigError: it cannot be quantized, or has another shape.
        """
        check_shape(weight, self)
        self.weight = self._quantize(weight)

    def stored_weight(self) -> Tensor:
        """The packed bytes and the scales as one uint8 tensor, for :meth:`restore_weight`."""
        return to_bytes(self.quantized)

    def restore_weight(self, stored: Tensor) -> None:
        """Put back what :meth:`stored_weight` gave, bit for bit."""
        kept, state = from_bytes(stored, self.quantized), self.weight.quant_state
        self.weight.data = kept.packed
        if state.nested:
            state.absmax, state.state2.absmax, state.offset = kept.absmax.codes, kept.absmax.absmax, kept.absmax.offset
        else:
            state.absmax = kept.absmax
