"""Answers to notebook 01's exercises as people type them, not as the module writes them: who gets which message."""

import math

import numpy as np
import pytest
import torch

from labkit.lab.checking import find
from labkit.lab.checking.judging import judge

GENERAL = "Your answer isn't right yet."


def svd(W):
    return torch.linalg.svd(W, full_matrices=False)


def in_a_loop(W, r):
    U, S, Vh = svd(W)
    total = torch.zeros_like(W)
    for i in range(r):
        total += S[i] * torch.outer(U[:, i], Vh[i])
    return total


def by_projection(W, r):
    U = svd(W)[0][:, :r]
    return U @ (U.T @ W)


def full_matrices(W, r):
    U, S, Vh = torch.linalg.svd(W)
    return (U[:, :r] * S[:r]) @ Vh[:r, :]


def sizes_in_A(W, r):
    U, S, Vh = svd(W)
    return U[:, :r], torch.diag(S[:r]) @ Vh[:r]


def a_root_in_each(W, r):
    U, S, Vh = svd(W)
    return [U[:, :r] * S[:r].sqrt(), S[:r].sqrt().unsqueeze(1) * Vh[:r]]


def projected(W, r):
    U = svd(W)[0][:, :r]
    return U, U.T @ W


def by_eigenvectors(W, r):
    V = torch.linalg.eigh(W.T @ W)[1].flip(1)[:, :r]
    return W @ V, V.T


def loop_over_ranks(S, share):
    total, so_far = float((S**2).sum()), 0.0
    for r, s in enumerate(S, start=1):
        so_far += float(s) ** 2
        if so_far / total >= share:
            return r


@pytest.mark.parametrize(
    "each, answer",
    [
        ("01.1", lambda m, n, r: (m * n) / (r * m + r * n)),
        ("01.1", lambda m, n, r: m / r / (1 + m / n)),
        ("01.1", lambda m, n, r: np.float64(m * n) / (m + n) / r),
        ("01.2", in_a_loop),
        ("01.2", by_projection),
        ("01.2", full_matrices),
        ("01.2", lambda W, r: torch.from_numpy(by_projection(W, r).numpy())),
        ("01.3", sizes_in_A),
        ("01.3", lambda W, r: (sizes_in_A(W, r)[0] * -7, sizes_in_A(W, r)[1] / -7)),
        ("01.3", a_root_in_each),
        ("01.3", projected),
        ("01.3", by_eigenvectors),
        ("01.4", loop_over_ranks),
        ("01.4", lambda S, share: ((S**2).cumsum(0) / (S**2).sum() >= share).nonzero()[0] + 1),
        ("01.4", lambda S, share: int(torch.searchsorted((S**2).cumsum(0) / (S**2).sum(), share)) + 1),
        ("01.4", lambda S, share: next(r for r in range(1, 99) if (S[:r] ** 2).sum() >= share * (S**2).sum())),
    ],
)
def test_right_in_another_form(each, answer):
    assert judge(find(each), answer).mark == "✔"


def factors(change):
    """01.3 answered by U, S, Vh cut to r, and changed."""
    return lambda W, r: change(svd(W)[0][:, :r], svd(W)[1][:r], svd(W)[2][:r])


@pytest.mark.parametrize(
    "each, answer, message",
    [
        ("01.1", lambda m, n, r: m * n / (m * r + r + r * n), "count the r singular values"),
        ("01.1", lambda m, n, r: m * n / (m * r + r * r + r * n), "an r × r matrix of singular values"),
        ("01.1", lambda m, n, r: m * n / (m * r + n), "only one of the other"),
        ("01.1", lambda m, n, r: m * n / r * (m + n), "multiply by something"),
        ("01.1", lambda m, n, r: int(m * n / (r * (m + n))), "round to a whole"),
        ("01.1", lambda m, n, r: m / (2 * r), "square matrices only"),
        ("01.1", lambda m, n, r: 2 * m * n / (r * (m + n)), GENERAL),
        ("01.1", lambda m, n, r: math.sqrt(m * n) / (2 * r), GENERAL),
        ("01.2", lambda W, r: svd(W)[0][:, :r] * svd(W)[1][:r] ** 2 @ svd(W)[2][:r], "square the singular values"),
        ("01.2", lambda W, r: W[:, :r] @ W[:r], GENERAL),
        ("01.3", factors(lambda U, S, Vh: (Vh * S[:, None], U)), GENERAL),
        ("01.3", factors(lambda U, S, Vh: (Vh, U * S)), "A and B, in that order"),
        ("01.3", factors(lambda U, S, Vh: (U @ S.diag(), S.diag() @ Vh)), "every size twice"),
        ("01.3", factors(lambda U, S, Vh: (U, S.sqrt().diag() @ Vh)), "only the square roots"),
        ("01.3", factors(lambda U, S, Vh: (U * S, Vh.T)), "Your A is turned"),
        ("01.3", factors(lambda U, S, Vh: ((U * S).T, Vh)), "Your B is turned"),
        ("01.3", factors(lambda U, S, Vh: (U * S) @ Vh), "You return the product"),
        ("01.3", factors(lambda U, S, Vh: (U, S, Vh)), "three things"),
        ("01.3", factors(lambda U, S, Vh: (U, S.diag(), Vh)), "three things"),
        ("01.3", lambda W, r: [W, W, W], "three things"),
        ("01.3", lambda W, r: (torch.randn(len(W), r), torch.randn(r, W.shape[1])), GENERAL),
        ("01.4", lambda S, share: int((S.cumsum(0) < share * S.sum()).sum()) + 1, "without squaring"),
        ("01.4", lambda S, share: loop_over_ranks(S, share**2), "sizes with the share"),
        ("01.4", lambda S, share: loop_over_ranks(S, share) - 1, "one too low"),
        ("01.4", lambda S, share: len(S), GENERAL),
    ],
)
def test_what_a_wrong_answer_is_told(each, answer, message):
    verdict = judge(find(each), answer)
    assert verdict.mark == "✗" and message in verdict.lines[0], verdict.lines


@pytest.mark.parametrize("answer", [lambda W, r: W, lambda W, r: (W,), lambda W, r: "B and A"])
def test_no_pair_is_not_taken_for_another_mistake(answer):
    verdict = judge(find("01.3"), answer)
    assert verdict.lines[0] == GENERAL and "lacks 'shape of A', 'shape of B'" in verdict.lines[1]
