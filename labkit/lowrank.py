"""What a matrix looks like through its singular values.

Every function takes a matrix of shape (m, n) and works in at least float32, whatever it is given,
because singular values of half-precision matrices are mostly rounding. A matrix that is empty or holds NaN or
infinite values is refused with a ``ConfigError``; so is a zero matrix where a share of it is asked for.
"""

import torch
from torch import Tensor

from labkit.errors import ConfigError


def _wide(matrix: Tensor) -> Tensor:
    if matrix.ndim != 2:
        raise ConfigError(f"expected a matrix with two dimensions, got shape {tuple(matrix.shape)}")
    if matrix.numel() == 0:
        raise ConfigError(f"the matrix of shape {tuple(matrix.shape)} is empty")
    if not matrix.isfinite().all():
        what = "NaN" if matrix.isnan().any() else "infinite"
        raise ConfigError(f"the matrix of shape {tuple(matrix.shape)} has {what} values in it")
    return matrix.detach().to(torch.promote_types(matrix.dtype, torch.float32))


def truncated_svd(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `rank` leading singular triplets of W: W ≈ U diag(S) Vh.

    Args:
        matrix: W, shape (m, n).
        rank: how many triplets to keep, 1 … min(m, n).

    Returns:
        U of shape (m, rank), S of shape (rank,) in falling order, Vh of shape (rank, n).

    Raises:
        ConfigError: W is no matrix, or `rank` is outside 1 … min(m, n).
    """
    matrix = _wide(matrix)
    if not 1 <= rank <= min(matrix.shape):
        raise ConfigError(f"rank must be 1 to {min(matrix.shape)} for shape {tuple(matrix.shape)}, got {rank}")
    U, S, Vh = torch.linalg.svd(matrix, full_matrices=False)
    return U[:, :rank], S[:rank], Vh[:rank]


def low_rank_approx(matrix: Tensor, rank: int) -> Tensor:
    """The closest matrix of rank `rank`, in the Frobenius and the spectral norm.

    Source: Eckart and Young, "The approximation of one matrix by another of lower rank", 1936.
    """
    U, S, Vh = truncated_svd(matrix, rank)
    return U * S @ Vh


def _relative_singular_values(matrix: Tensor) -> Tensor:
    # relative to the largest, so that the squares of a small update's values do not vanish in float32
    S = torch.linalg.svdvals(_wide(matrix))
    if S[0] == 0:
        raise ConfigError("the matrix is zero, as a fresh LoRA update is: it has no directions to measure")
    return S / S[0]


def energy(matrix: Tensor, rank: int) -> float:
    """Share of W's squared Frobenius norm in its `rank` largest singular values: Σᵢ≤ᵣ σᵢ² / Σᵢ σᵢ².

    Raises:
        ConfigError: `rank` is negative.
    """
    if rank < 0:
        raise ConfigError(f"rank must be at least 0, got {rank}")
    squares = _relative_singular_values(matrix).square()
    return (squares[:rank].sum() / squares.sum()).item()


def rank_for_energy(matrix: Tensor, share: float) -> int:
    """The smallest rank whose :func:`energy` reaches `share`, 0 < share ≤ 1.

    Raises:
        ConfigError: `share` is outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ConfigError(f"share must be above 0 and at most 1, got {share}")
    squares = _relative_singular_values(matrix).square().double()
    cumulative = squares.cumsum(0) / squares.sum()
    # rounding can leave the last entry a hair below 1, hence the minimum
    return min(int((cumulative < share).sum()) + 1, len(squares))


def effective_rank(matrix: Tensor) -> float:
    """exp(−Σ pᵢ ln pᵢ) with pᵢ = σᵢ / Σσ: how many directions matter, from 1 to min(m, n).

    Source: Roy and Vetterli, "The effective rank: a measure of effective dimensionality", 2007.
    """
    S = _relative_singular_values(matrix)
    return torch.special.entr(S / S.sum()).sum().exp().item()


def stable_rank(matrix: Tensor) -> float:
    """‖W‖²_F / ‖W‖²₂ = Σσᵢ² / σ₁², never more than the rank.

    Source: Rudelson and Vershynin, "Sampling from large matrices", 2007.
    """
    return _relative_singular_values(matrix).square().sum().item()


def subspace_overlap(first: Tensor, second: Tensor, rank: int, rank_second: int | None = None) -> float:
    """How much of one matrix's leading directions lies in the other's: ‖U₁ᵀ U₂‖²_F / min(i, j).

    0 for orthogonal spaces, 1 when the smaller lies within the larger.

    Args:
        first, second: matrices of shapes (m, n₁) and (m, n₂); left singular vectors are compared.
            Pass transposes to compare right singular vectors.
        rank: i, how many directions of `first`.
        rank_second: j, how many of `second`; `rank` when not given.

    Raises:
        ConfigError: the matrices have different numbers of rows, or too few directions.

    Source: Hu et al., LoRA, arXiv 2106.09685, section 7.2.
    """
    if first.shape[0] != second.shape[0]:
        raise ConfigError(f"the spaces differ: {first.shape[0]} rows against {second.shape[0]}")
    i, j = rank, rank if rank_second is None else rank_second
    U1, U2 = truncated_svd(first, i)[0], truncated_svd(second, j)[0]
    return ((U1.T @ U2).square().sum() / min(i, j)).item()


def product_svd(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The singular triplets of B A, as many as the product's rank can be, without forming the product.

    With B = Q₁ R₁ and Aᵀ = Q₂ R₂, the small R₁ R₂ᵀ has the singular values of B A: it's U diag(S) Vh, and B A is
    (Q₁ U) diag(S) (Vh Q₂ᵀ).

    Args:
        B, A: of shapes (m, r) and (r, n), with r at most m and n.

    Returns:
        U of shape (m, r), S of shape (r,) in falling order, Vh of shape (r, n).

    Raises:
        ConfigError: one of them is no matrix, or the shapes don't go together.
    """
    B, A = _wide(B), _wide(A)
    if B.shape[1] != A.shape[0] or B.shape[1] > min(B.shape[0], A.shape[1]):
        raise ConfigError(f"no product of a tall and a wide matrix: {tuple(B.shape)} and {tuple(A.shape)}")
    (left, R1), (right, R2) = torch.linalg.qr(B), torch.linalg.qr(A.T)
    U, S, Vh = torch.linalg.svd(R1 @ R2.T)
    return left @ U, S, Vh @ right.T


def subspace_overlaps(first: Tensor, second: Tensor) -> Tensor:
    """:func:`subspace_overlap` for all numbers of leading directions at once.

        φ[i − 1, j − 1] = ‖U₁[:, :i]ᵀ U₂[:, :j]‖²_F / min(i, j)

    Of random spaces in m dimensions, i · j / m of the squared norm is expected, so φ = max(i, j) / m.

    Args:
        first, second: U₁ and U₂, of shapes (m, a) and (m, b), with orthonormal columns, the strongest first.

    Returns:
        Shape (a, b).

    Raises:
        ConfigError: they have different numbers of rows.
    """
    if first.shape[0] != second.shape[0]:
        raise ConfigError(f"the spaces differ: {first.shape[0]} rows against {second.shape[0]}")
    inside = (first.T @ second).square().cumsum(0).cumsum(1)
    i, j = (torch.arange(1, size + 1) for size in inside.shape)
    return inside / torch.minimum(i[:, None], j)


def intruder_dimensions(weight: Tensor, changed: Tensor, top: int = 10, epsilon: float = 0.5) -> int:
    """How many strong directions of a changed weight are new: like none that the weight had before.

        #{ i ≤ top : maxⱼ |uᵢ · vⱼ| < ε },    uᵢ left singular vectors of W + ΔW, vⱼ of W

    Full fine-tuning turns the directions of W a little. Where an update is large, new ones push in among the
    strongest, and the paper finds that models with more of them forget more.

    Args:
        weight: W, shape (m, n).
        changed: W + ΔW, of the same shape.
        top: of how many directions of W + ΔW, the strongest first; all of them where there are fewer.
        epsilon: below which |cosine| a direction counts as new, above 0 and at most 1.

    Raises:
        ConfigError: the shapes differ, `top` is below 1, or `epsilon` is outside (0, 1].

    Source: Shuttleworth, Andreas, Torralba, Sharma, LoRA vs Full Fine-tuning: An Illusion of Equivalence, 2024,
    arXiv 2410.21228, section 3.
    """
    if weight.shape != changed.shape:
        raise ConfigError(f"a changed weight keeps its shape: {tuple(weight.shape)} against {tuple(changed.shape)}")
    if top < 1:
        raise ConfigError(f"top must be at least 1, got {top}")
    if not 0 < epsilon <= 1:
        raise ConfigError(f"epsilon must be above 0 and at most 1, got {epsilon}")
    before, after = (torch.linalg.svd(_wide(matrix), full_matrices=False).U for matrix in (weight, changed))
    cosines = (after[:, :top].T @ before).abs()  # (top, min(m, n))
    return int((cosines.max(dim=1).values < epsilon).sum())
