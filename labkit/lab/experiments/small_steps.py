"""Steps too small for the numbers they're meant to move."""

import torch
from torch import Tensor


def share_moved(weights: Tensor, step: float, dtype: torch.dtype) -> float:
    """The share of `weights`, kept in `dtype`, that are another number after a step.

    Args:
        weights: of any shape.
        step: what's subtracted from each.
        dtype: ``torch.float32`` or ``torch.bfloat16``, say.
    """
    kept = weights.to(dtype)
    return (kept - step != kept).float().mean().item()
