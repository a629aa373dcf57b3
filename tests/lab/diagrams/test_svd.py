import json

import pytest
import torch
from matplotlib import pyplot as plt

from labkit.errors import ConfigError
from labkit.lab.diagrams.full_update import all_matrices, tickets_by_rank
from labkit.lab.diagrams.svd import (
    energy_curves,
    noise_and_pieces,
    pieces_and_sums,
    turn_stretch_turn,
    two_pieces,
    word_picture,
)
from labkit.storage.paths import course_data_dir


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def outline(figure, panel):
    """The circle as that panel shows it, shape (2, points)."""
    return torch.tensor(figure.axes[panel].lines[0].get_xydata().T)


@pytest.mark.parametrize("matrix", [[[1.2, 1.0], [0.1, 1.1]], [[0.0, 1.0], [2.0, 1.0]], [[1.0, 0.5], [2.0, 1.0]]])
def test_the_four_panels_are_the_steps_of_the_svd(matrix):
    figure = turn_stretch_turn(matrix)
    circle, turned, stretched, done = (outline(figure, panel) for panel in range(4))
    S = torch.linalg.svdvals(torch.tensor(matrix, dtype=torch.float64))
    torch.testing.assert_close(turned.norm(dim=0), torch.ones(turned.shape[1], dtype=torch.float64))
    torch.testing.assert_close(stretched, torch.diag(S) @ turned, atol=1e-6, rtol=0)
    torch.testing.assert_close(done, torch.tensor(matrix, dtype=torch.float64) @ circle)


def test_a_turn_is_a_turn_and_a_mirror_says_so():
    for matrix, title in (([[1.2, 1.0], [0.1, 1.1]], "turn"), ([[0.0, 1.0], [2.0, 1.0]], "turn, mirror")):
        figure = turn_stretch_turn(matrix)
        circle, turned = outline(figure, 0), outline(figure, 1)
        (x, y), (a, b) = circle[:, :2].T, turned[:, :2].T
        assert x[0] * y[1] - x[1] * y[0] > 0 and a[0] * b[1] - a[1] * b[0] > 0  # both run counterclockwise
        assert f"3 · {title}\n" in figure.axes[3].get_title()


def test_no_letter_lies_on_its_point_or_outside_its_panel():
    for matrix in ([[1.2, 1.0], [0.1, 1.1]], [[1.0, 0.5], [2.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]):
        for ax in turn_stretch_turn(matrix).axes:
            reach = ax.get_xlim()[1]
            for letter, point in zip(ax.texts, ax.lines[5:], strict=True):
                away = torch.tensor(letter.get_position()) - torch.tensor(point.get_xydata()[0])
                assert torch.tensor(letter.get_position()).abs().max() < reach
                assert away.norm() > 0.15 * reach or not any(map(any, matrix))


@pytest.mark.parametrize("matrix", [torch.eye(3), torch.ones(2), [[float("nan"), 1.0], [0.0, 1.0]]])
def test_only_a_small_finite_matrix_has_a_circle(matrix):
    with pytest.raises(ConfigError):
        turn_stretch_turn(matrix)


def test_a_word_is_ink_on_paper():
    picture = word_picture("LoRA")
    assert picture.shape == (80, 240) and picture.dtype == torch.float64
    assert picture.min() == 0 and picture.max() == 1 and picture[0].sum() == 0
    assert 0.05 < picture.mean() < 0.3 and not plt.get_fignums()


def test_the_first_piece_is_the_first_sum():
    above, _, below, _ = pieces_and_sums(torch.eye(3, 4) + torch.ones(3, 4), 2).axes
    torch.testing.assert_close(*(torch.tensor(ax.images[0].get_array().data) for ax in (above, below)))


def test_only_the_ink_is_drawn_with_a_margin():
    picture = torch.zeros(80, 100)
    picture[30:40, 50:95] = torch.rand(10, 45)
    assert pieces_and_sums(picture, 1).axes[1].images[0].get_array().shape == (10 + 16, 45 + 8 + 5)


def test_the_two_pieces_add_up_to_the_matrix():
    W = torch.tensor([[1.2, 1.0], [0.1, 1.1]])
    tables = [[float(text.get_text().replace("−", "-")) for text in ax.texts] for ax in two_pieces(W).axes]
    assert tables[0] == pytest.approx(W.flatten().tolist())
    assert [sum(both) for both in zip(*tables[1:])] == pytest.approx(tables[0], abs=0.011)


def test_the_same_scale_for_both_matrices_of_the_notebook():
    first, second = (turn_stretch_turn(W) for W in ([[1.2, 1.0], [0.1, 1.1]], [[0.5, 0.5], [1.0, 1.0]]))
    assert first.axes[0].get_xlim() == second.axes[0].get_xlim()
    assert [text.get_text()[:2] for text in first.legends[0].get_texts()] == ["v₁", "v₂"]


def test_noise_lifts_the_tail_of_the_singular_values():
    picture = torch.outer(torch.rand(20, dtype=torch.float64), torch.rand(30, dtype=torch.float64))
    noisy, clean = noise_and_pieces(picture, picture + 0.1 * torch.randn(20, 30), 2).axes[1].lines
    assert len(noisy.get_xdata()) == 20 and len(clean.get_xdata()) == 1


def test_energy_curves_end_at_all_of_it_and_start_with_the_first_piece():
    matrices = {"q": torch.diag(torch.tensor([3.0, 4.0])), "k": torch.eye(3)}
    figure = energy_curves({"update": matrices, "weight": matrices}, rank=2)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["q: 2 pieces", "k: 3 pieces"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == pytest.approx([64, 100])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["update", "weight"]


def test_the_stored_study_in_two_pictures():
    study = json.loads((course_data_dir() / "results" / "full_update.json").read_text(encoding="utf-8"))
    attention, mlp, weights = all_matrices(study).axes[0].lines
    assert len(attention.get_xdata()) + len(mlp.get_xdata()) == len(weights.get_xdata()) == len(study["spectra"])
    assert min(*attention.get_ydata(), *mlp.get_ydata()) > sorted(weights.get_ydata())[-3]
    bars = tickets_by_rank(study).axes[0]
    assert bars.lines[0].get_xdata().tolist() == study["ranks"]
