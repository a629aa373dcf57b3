import pytest
import torch

from labkit import low_rank_approx
from labkit.lab.experiments.rivals import from_columns


def test_it_mixes_columns_of_the_matrix_itself_and_never_beats_the_svd():
    W = torch.randn(6, 9, dtype=torch.float64)
    for count in range(1, 7):
        mixed = from_columns(W, count)
        assert torch.linalg.matrix_rank(mixed) == count
        exact = [torch.allclose(mixed[:, i], W[:, i]) for i in range(9)]
        assert sum(exact) >= count, "a chosen column is met exactly"
        assert (W - mixed).norm() > (W - low_rank_approx(W, count)).norm() - 1e-9


def test_the_first_column_is_the_best_one():
    W = torch.randn(5, 7, dtype=torch.float64)
    directions = W / W.norm(dim=0)
    missed = [(W - torch.outer(u, u @ W)).norm() for u in directions.T]
    assert (W - from_columns(W, 1)).norm() == pytest.approx(min(missed).item())


def test_equal_columns_are_taken_once():
    W = torch.cat([torch.eye(4, dtype=torch.float64)] * 2, dim=1)
    for count in range(1, 5):
        assert (W - from_columns(W, count)).square().sum() == pytest.approx(8 - 2 * count)


@pytest.mark.parametrize("count", [0, 4])
def test_there_must_be_that_many(count):
    with pytest.raises(ValueError, match="1 to 3"):
        from_columns(torch.ones(3, 5), count)
