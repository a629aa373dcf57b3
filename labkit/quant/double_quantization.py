"""Double quantization: the scales of the blocks are numbers too, and can be quantized themselves."""

from dataclasses import dataclass

from torch import Tensor

from labkit.quant.blockwise import dequantize_blockwise, quantize_blockwise
from labkit.quant.codebooks import dynamic_codebook

_BLOCK_SIZE = 256


@dataclass(frozen=True, eq=False)
class DoubleAbsmax:
    """The absmax of many blocks in 8 bits each instead of 32.

    Attributes:
        codes: uint8, shape (blocks,).
        absmax: float32, shape (⌈blocks / 256⌉,): the scale of each 256 codes.
        offset: float32, no dimensions: the mean that was taken off before.
        codebook: float32, shape (256,).
    """

    codes: Tensor
    absmax: Tensor
    offset: Tensor
    codebook: Tensor


def double_quantize(absmax: Tensor) -> DoubleAbsmax:
    """Quantize scales to 8 bits, in blocks of 256, after their mean is taken off.

    With NF4's blocks of 64 a weight's share of the scales falls from 32/64 = 0.5 bits to 8/64 + 32/(64 · 256) =
    0.127.

    bitsandbytes does the same, and on a GPU its codes are the nearest ones as here. On a CPU it first rounds a
    scaled number to a table of 65,536 even steps, which sends about one in 700 to a neighbouring code.

    Args:
        absmax: float32, shape (blocks,).

    Source: Dettmers et al., QLoRA, arXiv 2305.14314, section 3.
    """
    codebook, offset = dynamic_codebook(absmax.device), absmax.mean()
    codes, second = quantize_blockwise(absmax - offset, codebook, _BLOCK_SIZE)
    return DoubleAbsmax(codes, second, offset, codebook)


def double_dequantize(double: DoubleAbsmax) -> Tensor:
    """The scales that `double` stands for: float32, shape (blocks,)."""
    return dequantize_blockwise(double.codes, double.absmax, double.codebook, _BLOCK_SIZE) + double.offset
