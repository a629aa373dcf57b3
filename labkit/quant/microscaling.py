"""MXFP4 and NVFP4: tiny floating-point numbers, E2M1, in small blocks whose scales have eight bits.

What they differ in is the scale. MXFP4 has one power of two (E8M0) per 32 numbers. NVFP4 has one 8-bit float (E4M3) per
16 numbers, and one float32 for the whole tensor. GPUs that know these formats multiply with the codes as they are.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.quant.blockwise import refuse_unquantizable
from labkit.quant.codebooks import e2m1_codebook

MX_BLOCK, NV_BLOCK = 32, 16
_LARGEST, _LARGEST_POWER = 6, 2  # of E2M1: 6 = 1.5 · 2²
_LARGEST_E4M3 = 448
# Halfway between two magnitudes, the one whose mantissa bit is zero is taken: below for these, above for those
_TIES_DOWN, _TIES_UP = (0.25, 1.25, 2.5, 5.0), (0.75, 1.75, 3.5)


@dataclass(frozen=True, eq=False)
class FP4Tensor:
    """A tensor in MXFP4 or NVFP4.

    Attributes:
        codes: uint8, shape (n,): the bit patterns of E2M1, one per byte; not packed.
        scales: shape (⌈n / block_size⌉,): float8_e8m0fnu in MXFP4, float8_e4m3fn in NVFP4.
        tensor_scale: float32, a single number; None in MXFP4.
        block_size: numbers per block.
        shape, dtype: of the tensor that was quantized, n numbers.
    """

    codes: Tensor
    scales: Tensor
    tensor_scale: Tensor | None
    block_size: int
    shape: torch.Size
    dtype: torch.dtype

    @property
    def bits_per_weight(self) -> float:
        """4.25 in MXFP4 and 4.5 in NVFP4, when n is large: code, scale of the block, scale of the tensor."""
        bits = 4 * self.codes.numel() + 8 * self.scales.numel() + (0 if self.tensor_scale is None else 32)
        return bits / self.codes.numel()


def quantize_mxfp4(tensor: Tensor) -> FP4Tensor:
    """Quantize a tensor to MXFP4.

        scale = 2^(⌊log₂ max |w|⌋ − 2) of each block of 32,    code = nearest E2M1 of w / scale

    The block's largest number then lies from 4 up to 8; beyond 6, it's cut to 6.

    Args:
        tensor: float32, bfloat16 or float16, any shape; the last block may be shorter.

    Raises:
        ConfigError: another dtype, an empty tensor, NaN or infinity in it.

    Source: Open Compute Project, Microscaling Formats (MX) Specification 1.0, 2023; Rouhani et al., arXiv 2310.10537.
    """
    refuse_unquantizable(tensor, MX_BLOCK)
    blocks = _blocks(tensor, MX_BLOCK)
    _, exponent = torch.frexp(blocks.abs().amax(dim=1))  # max |w| = m · 2^exponent with ½ ≤ m < 1: exact, unlike log2
    power = (exponent - 1 - _LARGEST_POWER).clamp(min=-127)
    scales = torch.ldexp(torch.ones_like(power, dtype=torch.float32), power)
    codes = _codes(blocks / scales[:, None])[: tensor.numel()]
    return FP4Tensor(codes, scales.to(torch.float8_e8m0fnu), None, MX_BLOCK, tensor.shape, tensor.dtype)


def quantize_nvfp4(tensor: Tensor) -> FP4Tensor:
    """Quantize a tensor to NVFP4.

        tensor scale = max |w| / (6 · 448),    scale = E4M3(max |w| of each block of 16 / 6 / tensor scale)
        code = nearest E2M1 of w / (scale · tensor scale)

    The largest block's scale is 448, E4M3's largest number. A block so small that its scale rounds to zero becomes
    zeros.

    Args:
        tensor: float32, bfloat16 or float16, any shape; the last block may be shorter.

    Raises:
        ConfigError: another dtype, an empty tensor, NaN or infinity in it.

    Source: NVIDIA, Pretraining Large Language Models with NVFP4, 2025, arXiv 2509.25149.
    """
    refuse_unquantizable(tensor, NV_BLOCK)
    blocks = _blocks(tensor, NV_BLOCK)
    absmax = blocks.abs().amax(dim=1)
    tensor_scale = (absmax.max() / (_LARGEST * _LARGEST_E4M3)).clamp(min=torch.finfo(torch.float32).tiny)
    scales = (absmax / _LARGEST / tensor_scale).to(torch.float8_e4m3fn)
    steps = (scales.float() * tensor_scale)[:, None]
    codes = _codes(torch.where(steps > 0, blocks / steps, 0))[: tensor.numel()]
    return FP4Tensor(codes, scales, tensor_scale, NV_BLOCK, tensor.shape, tensor.dtype)


def dequantize_fp4(quantized: FP4Tensor) -> Tensor:
    """The tensor that `quantized` stands for: E2M1[code] · scale (· tensor scale), in float32, cast once at the end."""
    scales = quantized.scales.float()
    if quantized.tensor_scale is not None:
        scales = scales * quantized.tensor_scale
    values = e2m1_codebook(quantized.codes.device)[quantized.codes.int()]
    scales = scales.repeat_interleave(quantized.block_size)[: len(values)]
    return (values * scales).view(quantized.shape).to(quantized.dtype)


def _blocks(tensor: Tensor, size: int) -> Tensor:
    """`tensor` row by row in float32, cut into blocks: shape (blocks, size). Zeros fill the last one."""
    flat = tensor.detach().reshape(-1).float()
    return F.pad(flat, (0, -len(flat) % size)).view(-1, size)


def _codes(scaled: Tensor) -> Tensor:
    """The bit patterns of the E2M1 numbers nearest to `scaled`, uint8, flat; ties go to an even mantissa."""
    magnitude = scaled.abs()
    codes = 8 * scaled.signbit().to(torch.uint8)
    for bound in _TIES_DOWN:
        codes += magnitude > bound
    for bound in _TIES_UP:
        codes += magnitude >= bound
    return codes.flatten()
