"""A rival of the SVD: a matrix of low rank made from some of the matrix's own columns."""

import torch
from torch import Tensor


def from_columns(matrix: Tensor, count: int) -> Tensor:
    """The closest matrix that can be mixed from `count` columns of `matrix`.

    The columns are picked one by one, always the one that brings the mix closest. That's greedy: another set may be
    a little better.

    Args:
        matrix: shape (m, n).
        count: how many columns, 1 … min(m, n).

    Raises:
        ValueError: `count` is outside 1 … min(m, n).
    """
    if not 1 <= count <= min(matrix.shape):
        raise ValueError(f"count must be 1 to {min(matrix.shape)}, got {count}")
    left = matrix.clone()  # what the mix can't reach yet
    for _ in range(count):
        lengths = left.norm(dim=0)
        directions = left / torch.where(lengths > 1e-9 * matrix.norm(), lengths, torch.inf)
        gains = (directions.T @ left).square().sum(dim=1)
        best = directions[:, gains.argmax()]
        left = left - torch.outer(best, best @ left)
    return matrix - left
