import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import ConfigError
from labkit.lowrank import (
    effective_rank,
    energy,
    intruder_dimensions,
    low_rank_approx,
    product_svd,
    rank_for_energy,
    stable_rank,
    subspace_overlap,
    subspace_overlaps,
    truncated_svd,
)

EVERY_MEASURE = [
    lambda matrix: truncated_svd(matrix, 1),
    lambda matrix: low_rank_approx(matrix, 1),
    lambda matrix: energy(matrix, 1),
    lambda matrix: rank_for_energy(matrix, 0.5),
    effective_rank,
    stable_rank,
    lambda matrix: subspace_overlap(matrix, matrix, 1),
    lambda matrix: intruder_dimensions(matrix, matrix),
]
OF_A_ZERO_MATRIX = EVERY_MEASURE[2:6]
MATRICES = st.builds(
    lambda m, n, seed: np.random.default_rng(seed).standard_normal((m, n)),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(0, 2**32 - 1),
)


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def orthogonal(n: int) -> torch.Tensor:
    return torch.linalg.qr(gaussian(n, n).double())[0]


@given(MATRICES, st.data())
def test_truncated_svd_is_numpys(matrix, data):
    rank = data.draw(st.integers(1, min(matrix.shape)))
    U, S, Vh = truncated_svd(torch.from_numpy(matrix), rank)
    assert U.shape == (matrix.shape[0], rank) and Vh.shape == (rank, matrix.shape[1])
    theirs = np.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(S.numpy(), theirs[1][:rank], atol=1e-12)
    # singular vectors have a free sign, so the pieces they make are compared
    np.testing.assert_allclose(
        (U * S @ Vh).numpy(), (theirs[0][:, :rank] * theirs[1][:rank]) @ theirs[2][:rank], atol=1e-9
    )


@given(MATRICES, st.data())
def test_no_matrix_of_that_rank_is_closer(matrix, data):
    rank = data.draw(st.integers(1, min(matrix.shape)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    best = low_rank_approx(torch.from_numpy(matrix), rank).numpy()
    assert np.linalg.matrix_rank(best) <= rank
    # the fairest rival: random columns, and the best coefficients for them
    columns = rng.standard_normal((matrix.shape[0], rank))
    columns = data.draw(
        st.sampled_from([columns, best @ rng.standard_normal((matrix.shape[1], rank)) + 0.01 * columns])
    )
    rival = columns @ np.linalg.lstsq(columns, matrix, rcond=None)[0]
    for order in ("fro", 2):
        assert np.linalg.norm(matrix - best, order) <= np.linalg.norm(matrix - rival, order) + 1e-9


def test_the_error_left_is_the_singular_values_left_out():
    left, right = orthogonal(5), orthogonal(5)
    matrix = left @ torch.diag(torch.tensor([5.0, 4, 3, 2, 1]).double()) @ right
    error = matrix - low_rank_approx(matrix, 3)
    assert torch.linalg.matrix_norm(error).item() == pytest.approx(math.sqrt(2**2 + 1**2))
    assert torch.linalg.matrix_norm(error, 2).item() == pytest.approx(2)


@pytest.mark.parametrize("rank, share", [(0, 0), (1, 16 / 30), (2, 25 / 30), (3, 29 / 30), (4, 1), (9, 1)])
def test_energy_of_a_diagonal_matrix(rank, share):
    assert energy(torch.diag(torch.tensor([1.0, 2, 3, 4])), rank) == pytest.approx(share)


@given(MATRICES, st.floats(1e-6, 1))
def test_rank_for_energy_is_the_smallest_that_reaches_it(matrix, share):
    matrix = torch.from_numpy(matrix)
    rank = rank_for_energy(matrix, share)
    assert 1 <= rank <= min(matrix.shape)
    assert energy(matrix, rank) >= share - 1e-9
    assert rank == 1 or energy(matrix, rank - 1) < share + 1e-9


def test_effective_rank_has_the_closed_forms():
    assert effective_rank(torch.eye(7)) == pytest.approx(7, rel=1e-5)
    assert effective_rank(orthogonal(6)) == pytest.approx(6)
    assert effective_rank(torch.outer(gaussian(4), gaussian(9))) == pytest.approx(1, abs=1e-4)
    p = np.array([0.75, 0.25])  # two directions, three to one
    assert effective_rank(torch.diag(torch.tensor([3.0, 1]))) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-6)


@given(MATRICES)
def test_stable_rank_is_at_most_the_rank(matrix):
    frobenius, spectral = np.linalg.norm(matrix), np.linalg.norm(matrix, 2)
    ours = stable_rank(torch.from_numpy(matrix))
    assert ours == pytest.approx(frobenius**2 / spectral**2, rel=1e-9)
    assert 1 <= ours <= np.linalg.matrix_rank(matrix) + 1e-9


def test_subspaces_apart_the_same_within_and_at_an_angle():
    axes = torch.eye(4).double()
    high, low = torch.diag(torch.tensor([4.0, 3, 0.2, 0.1])), torch.diag(torch.tensor([0.1, 0.2, 3, 4]))
    assert subspace_overlap(high, low, 2) == pytest.approx(0, abs=1e-6)
    assert subspace_overlap(high, high, 2) == pytest.approx(1, rel=1e-5)
    assert subspace_overlap(high, high, 1, 3) == pytest.approx(1, rel=1e-5)
    assert subspace_overlap(high, high, 3, 1) == pytest.approx(1, rel=1e-5)
    assert subspace_overlap(high, low, 3) == pytest.approx(2 / 3, rel=1e-5)  # two axes of three are shared
    tilted = math.cos(0.3) * axes[:, :1] + math.sin(0.3) * axes[:, 1:2]
    assert subspace_overlap(axes[:, :1], tilted, 1) == pytest.approx(math.cos(0.3) ** 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_worked_on_in_float32(dtype):
    matrix = gaussian(12, 6).to(dtype)
    assert low_rank_approx(matrix, 2).dtype == torch.float32
    torch.testing.assert_close(low_rank_approx(matrix, 2), low_rank_approx(matrix.float(), 2), rtol=0, atol=0)
    assert effective_rank(matrix) == effective_rank(matrix.float())


@pytest.mark.parametrize("measure", OF_A_ZERO_MATRIX)
def test_the_size_of_a_matrix_does_not_matter(measure):
    # squares of values near 1e-25 are zero in float32
    matrix = gaussian(6, 4)
    assert measure(1e-25 * matrix) == pytest.approx(measure(matrix), rel=1e-5)
    assert measure(1e25 * matrix) == pytest.approx(measure(matrix), rel=1e-5)


@pytest.mark.parametrize("measure", EVERY_MEASURE)
def test_no_matrix_no_numbers_no_measure(measure):
    for bad, why in (
        (torch.ones(3), "two dimensions"),
        (torch.ones(2, 2, 2), "two dimensions"),
        (torch.ones(0, 3), "is empty$"),
        (torch.tensor([[1.0, float("nan")]]), "has NaN values in it$"),
        (torch.tensor([[1.0, float("inf")]]), "has infinite values in it$"),
    ):
        with pytest.raises(ConfigError, match=why):
            measure(bad)


@pytest.mark.parametrize("measure", OF_A_ZERO_MATRIX)
def test_a_zero_matrix_has_no_directions(measure):
    with pytest.raises(ConfigError, match="the matrix is zero"):
        measure(torch.zeros(3, 4))


@pytest.mark.parametrize("rank", [0, -1, 4])
def test_ranks_outside_the_matrix_are_refused(rank):
    for function in (truncated_svd, low_rank_approx, lambda m, r: subspace_overlap(m, m, r)):
        with pytest.raises(ConfigError, match="rank must be 1 to 3"):
            function(torch.ones(3, 5), rank)


def test_other_refusals():
    with pytest.raises(ConfigError, match="at least 0"):
        energy(torch.eye(3), -1)
    for share in (0, -0.1, 1.01, float("nan")):
        with pytest.raises(ConfigError, match="share must be above 0"):
            rank_for_energy(torch.eye(3), share)
    with pytest.raises(ConfigError, match="3 rows against 4"):
        subspace_overlap(torch.eye(3), torch.eye(4), 1)


def test_the_matrix_is_left_alone_and_out_of_autograd():
    weight = torch.nn.Parameter(gaussian(4, 4))
    before = weight.detach().clone()
    assert not low_rank_approx(weight, 2).requires_grad
    assert torch.equal(weight, before)


def rotated(angle: float) -> torch.Tensor:
    """diag(3, 2, 1, …) of shape (6, 4), its strongest left direction turned by `angle` out of all that it had."""
    matrix = torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.5])).double()
    matrix = torch.cat([matrix, torch.zeros(2, 4, dtype=torch.float64)])
    matrix[0, 0], matrix[4, 0] = 3 * math.cos(angle), 3 * math.sin(angle)
    return matrix


@pytest.mark.parametrize("degrees, new", [(0, 0), (59, 0), (61, 1), (90, 1)])
def test_a_direction_intrudes_once_it_has_turned_by_more_than_epsilons_angle(degrees, new):
    """|cos 60°| = 0.5, the epsilon; the other directions stay."""
    assert intruder_dimensions(rotated(0), rotated(math.radians(degrees))) == new


def test_only_the_strongest_directions_are_looked_at():
    weight = torch.eye(6, 4).double() * torch.tensor([4.0, 3.0, 2.0, 1.0])
    changed = weight.clone()
    changed[2, 2], changed[5, 2] = 0, 2  # the third
    assert [intruder_dimensions(weight, changed, top) for top in (1, 2, 3, 99)] == [0, 0, 1, 1]


def test_what_makes_no_sense_of_intruders_is_refused():
    square = torch.eye(3)
    with pytest.raises(ConfigError, match="keeps its shape"):
        intruder_dimensions(square, torch.eye(4))
    with pytest.raises(ConfigError, match="top must be at least 1"):
        intruder_dimensions(square, square, top=0)
    with pytest.raises(ConfigError, match="epsilon must be"):
        intruder_dimensions(square, square, epsilon=0.0)


@given(st.integers(1, 4), st.integers(4, 7), st.integers(4, 7), st.integers(0, 99))
def test_the_svd_of_a_product_is_that_of_the_product(r, m, n, seed):
    B, A = gaussian(m, r, seed=seed).double(), gaussian(r, n, seed=seed + 100).double()
    U, S, Vh = product_svd(B, A)
    assert U.shape == (m, r) and S.shape == (r,) and Vh.shape == (r, n)
    torch.testing.assert_close(U * S @ Vh, B @ A)
    torch.testing.assert_close(S, torch.linalg.svdvals(B @ A)[:r])
    torch.testing.assert_close(U.T @ U, torch.eye(r, dtype=torch.float64))
    torch.testing.assert_close(Vh @ Vh.T, torch.eye(r, dtype=torch.float64))


@pytest.mark.parametrize("shapes", [((4, 2), (3, 4)), ((2, 3), (3, 4)), ((4, 3), (3, 2))])
def test_what_is_no_product_of_low_rank_is_refused(shapes):
    with pytest.raises(ConfigError, match="no product of a tall and a wide matrix"):
        product_svd(*(gaussian(*shape) for shape in shapes))


def test_the_table_of_overlaps_has_each_overlap():
    first, second = gaussian(9, 3).double(), gaussian(9, 5, seed=1).double()
    table = subspace_overlaps(truncated_svd(first, 3)[0], truncated_svd(second, 5)[0])
    for i in range(1, 4):
        for j in range(1, 6):
            assert table[i - 1, j - 1].item() == pytest.approx(subspace_overlap(first, second, i, j))
    with pytest.raises(ConfigError, match="9 rows against 8"):
        subspace_overlaps(first, second[:8])


def test_random_spaces_overlap_as_their_sizes_say():
    tables = [
        subspace_overlaps(*(torch.linalg.qr(gaussian(24, size, seed=seed + size))[0] for size in (4, 8)))
        for seed in range(0, 4000, 20)
    ]
    mean = torch.stack(tables).mean(0)
    for i, j in ((1, 1), (4, 4), (2, 8), (4, 8)):
        assert mean[i - 1, j - 1].item() == pytest.approx(max(i, j) / 24, rel=0.15)
