"""Integers by blocks: the simplest quantizers, and what NF4 is measured against."""

from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.errors import ConfigError
from labkit.quant.blockwise import refuse_unquantizable


@dataclass(frozen=True, eq=False)
class IntTensor:
    """Numbers as integers of a few bits, block by block: w ≈ code · scale + offset.

    Attributes:
        codes: int16, shape (blocks, block_size), padded with zeros at the end; not packed.
        scale: float32, shape (blocks, 1).
        offset: float32, shape (blocks, 1); zeros for absmax quantization.
        shape, dtype: of the tensor that was quantized.
    """

    codes: Tensor
    scale: Tensor
    offset: Tensor
    shape: torch.Size
    dtype: torch.dtype


def quantize_int(tensor: Tensor, bits: int = 8, block_size: int = 64, affine: bool = False) -> IntTensor:
    """Round each number to one of evenly spaced levels, scaled block by block.

        absmax:  code = round(w / scale),          scale = max |w| / (2^(bits − 1) − 1)
        affine:  code = round((w − min) / scale),  scale = (max − min) / (2^bits − 1)

    Absmax keeps zero exact and leaves one of the 2^bits codes unused. Affine uses all of them, and needs a second
    number per block.

    Args:
        tensor: float32, bfloat16 or float16, any shape.
        bits: a code, 2 to 8.
        block_size: numbers per block, in row-major order.
        affine: between the block's smallest and largest number, instead of around zero.

    Raises:
        ConfigError: bits outside 2 to 8; a tensor that :func:`labkit.quant.blockwise.quantize_blockwise` refuses.

    Source: Dettmers et al., LLM.int8(), arXiv 2208.07339, section 2.
    """
    if not 2 <= bits <= 8:
        raise ConfigError(f"bits must be between 2 and 8, got {bits}")
    refuse_unquantizable(tensor, block_size)
    flat = tensor.detach().reshape(-1).float()
    # the padding repeats the last number, so that it changes no block's range
    padded = torch.cat([flat, flat[-1:].expand(-flat.numel() % block_size)])
    blocks = padded.view(-1, block_size)
    if affine:
        offset = blocks.amin(dim=1, keepdim=True)
        low, high = 0, 2**bits - 1
        scale = (blocks.amax(dim=1, keepdim=True) - offset) / high
    else:
        low, high = 1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1
        scale = blocks.abs().amax(dim=1, keepdim=True) / high
        offset = torch.zeros_like(scale)
    # in a block of one value the scale is zero, and so is every code; and a scale may be so small that it is
    # rounded itself, and quotients overshoot
    codes = ((blocks - offset) / scale.where(scale > 0, 1)).round().clamp(low, high).to(torch.int16)
    return IntTensor(codes, scale, offset, tensor.shape, tensor.dtype)


def dequantize_int(quantized: IntTensor) -> Tensor:
    """The numbers that `quantized` stands for, in the shape and dtype of the tensor it was made from."""
    blocks = quantized.codes * quantized.scale + quantized.offset
    return blocks.flatten()[: quantized.shape.numel()].view(quantized.shape).to(quantized.dtype)
