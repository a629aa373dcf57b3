"""θ = θ₀ + P z, against a P that's written out, and what P promises."""

import pytest
import torch
from conftest import make_tiny_llama
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

import labkit
from labkit.errors import ConfigError, TrainingError
from labkit.lab.experiments.random_subspace import RandomSubspace, descend


def written_out(subspace: RandomSubspace) -> torch.Tensor:
    """P, shape (D, d), column by column: where z is a unit vector."""
    columns = []
    for j in range(subspace.d):
        subspace.z.data = torch.eye(subspace.d)[j]
        subspace.push()
        columns.append(torch.cat([part.flatten() for part in subspace.moved()]))
    subspace.z.data = torch.zeros(subspace.d)
    subspace.push()
    return torch.stack(columns, dim=1)


def vectors(*sizes: int) -> list[nn.Parameter]:
    """Zeros, so that nothing is rounded when they're moved."""
    return [nn.Parameter(torch.zeros(size)) for size in sizes]


def test_weights_and_gradient_are_those_of_a_dense_p(tiny_llama):
    named = {name: parameter.detach().clone() for name, parameter in tiny_llama.named_parameters()}
    subspace = RandomSubspace(tiny_llama.parameters(), 7, seed=3)
    zeros = [nn.Parameter(torch.zeros_like(parameter)) for parameter in tiny_llama.parameters()]
    P = written_out(RandomSubspace(zeros, 7, seed=3))
    assert P.shape == (subspace.D, 7) and (P != 0).sum(1).eq(1).all(), "each weight follows one number"

    z = (0.1 * torch.randn(7, generator=torch.Generator().manual_seed(0))).requires_grad_()
    moves = (P @ z).split([parameter.numel() for parameter in named.values()])
    theta = {name: start + move.view_as(start) for (name, start), move in zip(named.items(), moves)}
    ids = torch.arange(3, 60).view(3, 19)
    expected = functional_call(tiny_llama, theta, args=(ids,), kwargs={"labels": ids}).loss
    expected.backward()

    subspace.z.data = z.detach()
    subspace.push()
    for name, parameter in tiny_llama.named_parameters():
        torch.testing.assert_close(parameter.detach(), theta[name].detach())
    loss = tiny_llama(ids, labels=ids).loss
    loss.backward()
    subspace.pull()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(subspace.z.grad, z.grad, rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None for parameter in tiny_llama.parameters())


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4), seed=st.integers(0, 2**32), data=st.data())
def test_moving_z_moves_the_weights_as_far(sizes, seed, data):
    d = data.draw(st.integers(1, sum(sizes)))
    P = written_out(RandomSubspace(vectors(*sizes), d, seed))
    followed = P.ne(0).any(0)  # with few weights, some numbers of z have no follower
    torch.testing.assert_close(P.T @ P, torch.diag(followed.float()))


def test_on_average_it_sees_the_share_d_over_D_of_a_gradients_energy():
    gradient = torch.randn(400, generator=torch.Generator().manual_seed(0)) ** 3  # few large, many small
    shares = []
    for seed in range(400):
        (theta,) = vectors(400)
        subspace = RandomSubspace([theta], 20, seed)
        theta.grad = gradient.clone()
        subspace.pull()
        shares.append((subspace.z.grad.square().sum() / gradient.square().sum()).item())
    assert sum(shares) / 400 == pytest.approx(20 / 400, rel=0.1)


def test_the_seed_decides():
    first, again, other = (written_out(RandomSubspace(vectors(50), 5, seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_what_lies_in_the_subspace_is_found_and_what_does_not_is_not():
    theta = nn.Parameter(torch.randn(60))
    subspace = RandomSubspace([theta], 4)
    P = written_out(RandomSubspace(vectors(60), 4))
    within, beyond = P @ torch.tensor([0.3, -0.2, 0.1, 0.4]), torch.randn(60)
    beyond -= P @ (P.T @ beyond)
    goal = theta.detach() + within + beyond
    config = labkit.TrainConfig(steps=300, batch_size=1, learning_rate=0.05)
    losses = list(descend(subspace, lambda rows: (theta - goal).square().sum(), 1, config))
    assert losses[-1] == pytest.approx(beyond.square().sum().item(), rel=1e-3) and losses[0] > losses[-1]


def test_where_b_is_zero_the_gradient_comes_from_b_alone_and_that_is_enough():
    model = make_tiny_llama()
    labkit.inject_lora(model, labkit.LoraConfig(r=2, target_modules="all-linear"))
    ids = torch.arange(3, 60).view(3, 19)

    def seen(letters: str) -> torch.Tensor:
        parts = [p for name, p in model.named_parameters() if any(f"lora_{letter}" in name for letter in letters)]
        subspace = RandomSubspace(parts, 10)
        model(ids, labels=ids).loss.backward()
        subspace.pull()
        model.zero_grad()
        return subspace.z.grad

    assert seen("A").eq(0).all() and seen("B").ne(0).all() and seen("AB").ne(0).all()


def test_the_update_of_a_matrix_has_full_rank_however_few_numbers_there_are():
    """Claims of low rank don't follow from a low dimension."""
    matrix = nn.Parameter(torch.zeros(32, 32))
    subspace = RandomSubspace([matrix], 3)
    subspace.z.data = torch.tensor([1.0, -2.0, 0.5])
    subspace.push()
    assert torch.linalg.matrix_rank(subspace.moved()[0]) == 32


def test_what_cannot_be_trained_is_refused():
    for d in (0, 51):
        with pytest.raises(ConfigError, match="d must be 1 to 50"):
            RandomSubspace(vectors(20, 30), d)
    theta = nn.Parameter(torch.ones(5))
    with pytest.raises(TrainingError, match="step 1: the loss is nan"):
        list(
            descend(RandomSubspace([theta], 2), lambda rows: theta.sum() * float("nan"), 1, labkit.TrainConfig(steps=2))
        )
