"""NF4: a weight matrix in four bits per weight, as QLoRA stores it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.quant.blockwise import quantize_blockwise
from labkit.quant.codebooks import nf4_codebook
from labkit.quant.double_quantization import DoubleAbsmax, double_dequantize, double_quantize


@dataclass(frozen=True, eq=False)
class NF4Tensor:
    """A tensor in NF4.

    Attributes:
        packed: uint8, shape (⌈n / 2⌉, 1): two codes per byte, the first in the high half.
        absmax: float32, shape (⌈n / block_size⌉,): the scale of each block; or the same quantized once more.
        shape, dtype: of the tensor that was quantized, n numbers.
        block_size: numbers per block.
    """

    packed: Tensor
    absmax: Tensor | DoubleAbsmax
    shape: torch.Size
    dtype: torch.dtype
    block_size: int

    @property
    def nbytes(self) -> int:
        """What has to be stored, in bytes. The dynamic code book is the same for all: held, not stored, not counted."""
        scales = self.absmax
        parts = [scales.codes, scales.absmax, scales.offset] if isinstance(scales, DoubleAbsmax) else [scales]
        return sum(part.nbytes for part in (self.packed, *parts))

    @property
    def bits_per_weight(self) -> float:
        """4.5 with blocks of 64, and 4.127 with double quantization, when n is large."""
        return 8 * self.nbytes / self.shape.numel()


def quantize_nf4(tensor: Tensor, block_size: int = 64, double: bool = False) -> NF4Tensor:
    """Quantize a tensor to NF4: packed bytes and scales are bitsandbytes' to the bit.

    Each block of weights is divided by its largest magnitude, and each quotient becomes the index of the nearest
    of the 16 numbers of :func:`nf4_codebook`.

    Args:
        tensor: float32, bfloat16 or float16, any shape.
        block_size: numbers per block, in row-major order.
        double: quantize the scales too; see :func:`labkit.quant.double_quantization.double_quantize` for how far that
            equals bitsandbytes.

    Raises:
        ConfigError: another dtype, an empty tensor, NaN or infinity in it, a block size below 1.

    Source: Dettmers et al., QLoRA, arXiv 2305.14314, section 3.
    """
    codes, absmax = quantize_blockwise(tensor, nf4_codebook(), block_size)
    scales = double_quantize(absmax) if double else absmax
    return NF4Tensor(_pack(codes), scales, tensor.shape, tensor.dtype, block_size)


def dequantize_nf4(quantized: NF4Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The tensor that `quantized` stands for: codebook[code] · absmax, computed in float32 and cast once.

    Args:
        quantized: what :func:`quantize_nf4` returned.
        dtype: of the result; None means that of the tensor it was made from.
    """
    book, count = nf4_codebook(quantized.packed.device), quantized.shape.numel()
    # a byte holds two codes, so one look-up among 256 pairs finds two numbers
    pairs = torch.stack([book.repeat_interleave(16), book.repeat(16)], dim=1)
    values = pairs.index_select(0, quantized.packed.flatten().int()).flatten()[:count]
    scales = dequantized_scales(quantized).repeat_interleave(quantized.block_size)[:count]
    return values.mul_(scales).view(quantized.shape).to(dtype or quantized.dtype)


def dequantized_scales(quantized: NF4Tensor) -> Tensor:
    """The scale of each block: float32, shape (⌈n / block_size⌉,)."""
    scales = quantized.absmax
    return double_dequantize(scales) if isinstance(scales, DoubleAbsmax) else scales


def _pack(codes: Tensor) -> Tensor:
    if codes.numel() % 2:
        # what stands beside the last code is never read; bitsandbytes puts the code of 0.0 there
        codes = torch.cat([codes, codes.new_full((1,), 7)])
    return (codes[::2] << 4 | codes[1::2])[:, None]
