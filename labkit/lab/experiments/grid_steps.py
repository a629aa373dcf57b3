"""How large an update is, in steps of the grid that its weight is rounded to: bfloat16's, or NF4's."""

import torch
from torch import Tensor

from labkit.quant.codebooks import nf4_codebook


def steps_of_bfloat16(weight: Tensor, update: Tensor) -> Tensor:
    """|update| over the distance from each weight to the next bfloat16 number, away from zero.

    Args:
        weight: bfloat16, any shape.
        update: of the same shape.
    """
    size = weight.abs()
    step = torch.nextafter(size, torch.full_like(size, float("inf"))).float() - size.float()
    return update.abs() / step


def steps_of_nf4(weight: Tensor, update: Tensor, block_size: int = 64) -> Tensor:
    """|update| over the distance from each weight to the next of its block's sixteen numbers, on the update's side.

    Args:
        weight: made of sixteen numbers in each block, as :func:`labkit.dequantize_nf4` gives it.
        update: of the same shape.
        block_size: weights that share a scale, row by row.

    Returns:
        One number for each weight that has a next one: the outermost, moved outward, have none.
    """
    weight, update = weight.float().reshape(-1, block_size), update.float().reshape(-1, block_size)
    levels = nf4_codebook(weight.device)
    scales = weight.abs().amax(1, keepdim=True).clamp(min=1e-12)
    place = torch.searchsorted((levels[1:] + levels[:-1]) / 2, (weight / scales).contiguous())
    toward = (place + update.sign().long()).clamp(0, len(levels) - 1)
    gap = (levels[toward] - levels[place]).abs() * scales
    return (update.abs() / gap)[gap > 0]
