"""Quantizing by blocks to the nearest entry of a code book: what NF4, FP4 and double quantization share."""

from functools import cache

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

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
    """How many of the ascending `bounds` are below each number in [−1, 1], uint8: the entry's index they lead to."""
    if len(bounds) > 15:
        return torch.bucketize(numbers, bounds, out_int32=True).to(torch.uint8)
    on_cpu = numbers.device.type == "cpu" and not isinstance(numbers, FakeTensor)
    if on_cpu and (table := _cells(tuple(bounds.tolist()))):
        below, edge = table
        place = torch.mul(numbers, _CELLS / 2).add_(_CELLS / 2)
        cell = place.int()
        count = below.index_select(0, cell)
        return count.add_((numbers > torch.index_select(edge, 0, cell, out=place)).view(torch.uint8))
    # without a table: no search either, so no branch to mispredict
    below = torch.zeros(numbers.shape, dtype=torch.uint8, device=numbers.device)
    for bound in bounds:
        below += numbers > bound
    return below


_CELLS = 1024


@cache
def _cells(bounds: tuple[float, ...]) -> tuple[Tensor, Tensor] | None:
    """[−1, 1] cut into cells: how many bounds lie before each, and which lies in it; None where a cell has two.

    A number's cell never falls as the number grows, rounded as it may be. So a number is above the bounds of earlier
    cells and below those of later ones, and only the one in its own is still to be compared.
    """
    at = torch.tensor(bounds, device="cpu")
    cells = (at * (_CELLS / 2) + _CELLS / 2).long()
    if len(cells.unique()) < len(bounds):
        return None
    below = (cells[:, None] < torch.arange(_CELLS + 1, device="cpu")).sum(0).to(torch.uint8)
    edge = torch.full((_CELLS + 1,), torch.inf, device="cpu").index_copy_(0, cells, at)
    return below, edge


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
