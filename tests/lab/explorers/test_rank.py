import io
import itertools
from functools import partial

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from labkit import rank_slider
from labkit.errors import ConfigError
from labkit.lab.explorers import rank as explorer
from labkit.lab.explorers.rank import caption, rank_choices, rank_facts, rank_picture, take_apart
from tests.pace import quiet_seconds

matplotlib.use("agg")


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000), st.data())
def test_what_a_rank_keeps_is_what_numpy_finds_left(m, n, seed, data):
    matrix = gaussian(m, n, seed=seed)
    rank = data.draw(st.integers(1, min(m, n)))
    facts = rank_facts(take_apart(matrix), rank)
    U, S, Vh = np.linalg.svd(matrix.double().numpy(), full_matrices=False)
    left = np.linalg.norm(matrix.double().numpy() - U[:, :rank] * S[:rank] @ Vh[:rank]) / np.linalg.norm(S)
    assert facts.error == pytest.approx(left, abs=1e-5)
    assert facts.energy == pytest.approx(1 - left**2, abs=1e-5)
    assert (facts.full_rank, facts.numbers_whole) == (min(m, n), m * n)
    assert facts.numbers == U[:, :rank].size + Vh[:rank].size


def test_a_higher_rank_keeps_more_and_costs_more():
    pieces = take_apart(gaussian(12, 7))
    facts = [rank_facts(pieces, rank) for rank in range(1, 8)]
    for low, high in itertools.pairwise(facts):
        assert low.energy < high.energy and low.error > high.error and low.numbers < high.numbers
    assert facts[-1].energy == pytest.approx(1) and facts[-1].error == 0


@pytest.mark.parametrize("full_rank", [1, 2, 7, 8, 9, 40, 576, 4096])
def test_the_slider_offers_every_small_rank_and_the_full_one(full_rank):
    choices = rank_choices(full_rank)
    assert choices[:8] == list(range(1, min(full_rank, 8) + 1)) and choices[-1] == full_rank
    assert choices == sorted(set(choices)) and len(choices) <= 27
    assert all(high <= 1.5 * low for low, high in itertools.pairwise(choices[7:]))


def test_the_line_below_the_slider():
    pieces = take_apart(torch.diag(torch.tensor([4.0, 2.0, 2.0, 1.0, 0.0, 0.0])))
    assert caption(rank_facts(pieces, 1)) == (
        "rank 1 of 6: ≈64.0 % of the energy, with 12 numbers instead of 36 (3 times fewer)"
    )
    assert caption(rank_facts(pieces, 4)).endswith("with 48 numbers instead of 36 (no fewer than the matrix itself)")


def picture(pieces, rank: int) -> np.ndarray:
    return imread(io.BytesIO(rank_picture(pieces, rank)))[..., :3]


def test_the_picture_is_as_wide_as_the_page_small_and_shows_the_rank():
    pieces = take_apart(gaussian(576, 1536))
    assert len(rank_picture(pieces, 8)) < 80_000
    one, two = picture(pieces, 8), picture(pieces, 64)
    assert one.shape == two.shape == (270, 700, 3)
    changed = (one != two).any(axis=2).any(axis=0)
    assert not changed[:200].any(), "the matrix itself stays as it is"
    assert changed[220:400].any() and changed[480:].any(), "approximation and curve follow the rank"


def test_black_is_large_and_white_is_negative_or_zero_where_nothing_is_negative():
    stripes = torch.tensor([1.0, 0.0, -1.0]).repeat_interleave(7).expand(21, 21)
    columns = [40, 105, 170]  # in the middle of each stripe
    for matrix, shades in ((stripes, (0, 0.5, 1)), (stripes.clamp(min=0), (0, 1, 1))):
        assert picture(take_apart(matrix), 1)[120, columns, 0] == pytest.approx(shades, abs=0.02)


def test_at_full_rank_both_pictures_are_the_same():
    shown = picture(take_apart(gaussian(20, 20)), 20)
    dark_rows, columns = slice(30, 200), (slice(8, 200), slice(216, 408))
    left, right = (shown[dark_rows, part] for part in columns)
    assert np.abs(left.mean() - right.mean()) < 0.01


def test_a_picture_is_there_before_the_learner_notices():
    pieces = take_apart(gaussian(576, 1536))
    rank_picture(pieces, 8)
    assert quiet_seconds(partial(rank_picture, pieces, rank) for rank in (1, 8, 64, 256, 576)) < 0.3


def test_moving_the_slider_changes_line_and_picture():
    box = explorer._slider_box({"a": take_apart(gaussian(40, 30)), "b": take_apart(gaussian(5, 9))}, 8)
    chooser, slider, line, image = box.children
    first = image.value
    assert slider.value == 8 and line.value.startswith("rank 8 of 30")
    slider.value = 24
    assert line.value.startswith("rank 24 of 30") and image.value not in (b"", first)
    chooser.value = "b"  # whose rank is 5 at most
    assert slider.value == 5 and line.value.startswith("rank 5 of 5: ≈100 % of the energy")
    chooser.value = "a"
    assert slider.value == 5 and slider.options[-1] == 30 and line.value.startswith("rank 5 of 30")


def test_a_change_of_matrix_draws_one_picture(monkeypatch):
    drawn = []
    box = explorer._slider_box({"a": take_apart(gaussian(40, 30)), "b": take_apart(gaussian(5, 9))}, 8)
    monkeypatch.setattr(explorer, "rank_picture", lambda pieces, rank: drawn.append(rank) or b"")
    box.children[0].value = "b"
    assert drawn == [5]


def test_a_plain_run_prints_the_line(capsys):
    assert rank_slider({"mine": gaussian(6, 4)}, rank=2) is None
    assert capsys.readouterr().out.startswith("mine, rank 2 of 4: ≈")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(matrices={}), "at least one matrix"),
        (dict(matrices={"a": torch.eye(3)}, rank=0), "rank of 1 or more"),
        (dict(matrices={"a": torch.ones(3)}), "two dimensions"),
        (dict(matrices={"a": torch.zeros(3, 3)}), "the matrix is zero"),
        (dict(matrices={"a": torch.tensor([[1.0, float("nan")]])}), "has NaN values"),
        (dict(matrices={"a": torch.ones(0, 3)}), "empty"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        rank_slider(**arguments)


@pytest.mark.parametrize("rank", [0, 4])
def test_a_rank_outside_the_matrix_is_refused(rank):
    with pytest.raises(ConfigError, match="rank must be 1 to 3"):
        rank_facts(take_apart(gaussian(3, 5)), rank)
