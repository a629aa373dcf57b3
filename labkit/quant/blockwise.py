"""Quantizing by blocks to the nearest entry of a code book: what NF4, FP4 and double quantization share."""

import torch
from torch import Tensor

from labkit.casting import is_finite
from labkit.errors import ConfigError

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
# bitsandbytes' own bound: the reciprocal of anything smaller could be infinite
_SMALLEST = 1e-38


def quantize_blockwise(tensor: Tensor, codebook: Tensor, block_size: int) -> tuple[Tensor, Tensor]:
    """For each number of `tensor`, which entry of a code book is nearest once its block is scaled into [−1, 1].

        absmax_b = max |w| over block b,    code = argmin |w / absmax_b − codebook|

    A block is a run of `block_size` numbers in row-major order, whatever the rows; the last may be shorter.
    Halfway between two entries the lower one is taken.

    Args:
        tensor: float32, bfloat16 or float16, any shape, n numbers.
        codebook: float32, at most 256 ascending numbers in [−1, 1]; on the tensor's device, or, up to 16 of them, on
            the CPU.
        block_size: numbers per block.

    Returns:
        ``(codes, absmax)``: uint8 of shape (n,), float32 of shape (⌈n / block_size⌉,).

    Raises:
        ConfigError: another dtype, an empty tensor, NaN or infinity in it, a block size below 1.
    """
    refuse_unquantizable(tensor, block_size)
    flat = tensor.detach().reshape(-1).float()
    whole = flat.numel() - flat.numel() % block_size
    blocks, tail = flat[:whole].view(-1, block_size), flat[whole:]
    absmax = blocks.abs().amax(dim=1)
    scaled = (blocks * (1 / absmax.clamp(min=_SMALLEST))[:, None]).flatten()
    if tail.numel():
        # bitsandbytes divides here, where it multiplies by the reciprocal above: now and then another last bit
        tail_absmax = tail.abs().amax().clamp(min=_SMALLEST)
        absmax = torch.cat([absmax, tail_absmax[None]])
        scaled = torch.cat([scaled, tail / tail_absmax])
    return _count_below(scaled, (codebook[:-1] + codebook[1:]) / 2), absmax


def _count_below(numbers: Tensor, bounds: Tensor) -> Tensor:
    """How many of the ascending `bounds` are below each number, uint8: the index of the entry they lead to."""
    if len(bounds) > 15:
        return torch.bucketize(numbers, bounds, out_int32=True).to(torch.uint8)
    # the same, and more than twice as fast when there are few: no search, so no branch to mispredict
    below = torch.zeros(numbers.shape, dtype=torch.uint8, device=numbers.device)
    for bound in bounds:
        below += numbers > bound
    return below


def dequantize_blockwise(codes: Tensor, absmax: Tensor, codebook: Tensor, block_size: int) -> Tensor:
    """The numbers that codes stand for: codebook[code] · absmax of their block, float32, shape (n,).

    Args:
        codes: integers of shape (n,).
        absmax: float32, shape (⌈n / block_size⌉,).
        codebook: float32, as it was quantized with.
        block_size: numbers per block.
    """
    return codebook[codes.int()] * absmax.repeat_interleave(block_size)[: codes.numel()]


def refuse_unquantizable(tensor: Tensor, block_size: int, what: str = "the tensor") -> None:
    """Raise ConfigError unless `tensor` can be quantized in blocks of `block_size`; `what` names it in the message."""
    if block_size < 1:
        raise ConfigError(f"block_size must be at least 1, got {block_size}")
    if tensor.dtype not in FLOATS:
        kinds = ", ".join(str(dtype).removeprefix("torch.") for dtype in FLOATS)
        raise ConfigError(f"{what} is {str(tensor.dtype).removeprefix('torch.')}; quantizable are {kinds}")
    if not tensor.numel():
        raise ConfigError(f"{what} is empty: there is nothing to quantize")
    if not is_finite(tensor):
        raise ConfigError(f"{what} has NaN or infinity in it, and its whole block would be lost. Repair it first")
