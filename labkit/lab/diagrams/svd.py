"""The SVD in pictures: turn, stretch, turn; a matrix and a word as sums of pieces; and what noise does to them."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from labkit.errors import ConfigError
from labkit.lab.plots import COLOURS, use_style
from labkit.lowrank import low_rank_approx, truncated_svd

_PAPER, _INK = 0.0, 1.0
_MARKED = (25, 100, 250)  # degrees on the circle, far from each other
_REACH = 2.25  # the same scale for every W that stretches less than 1.8 times
_MARGIN = 8  # pixels of paper around a word


def turn_stretch_turn(matrix: Tensor | list) -> Figure:
    """What a 2 × 2 matrix does to a circle, in the three steps of its SVD: W = U Σ Vᵀ.

    Args:
        matrix: W, shape (2, 2), a tensor or a list of two rows.

    Raises:
        ConfigError: W is no 2 × 2 matrix of finite numbers.
    """
    W = torch.as_tensor(matrix, dtype=torch.float64)
    if W.shape != (2, 2):
        raise ConfigError(f"a circle needs a 2 × 2 matrix, got shape {tuple(W.shape)}")
    U, S, Vh = truncated_svd(W, 2)
    if Vh[0].sum() < 0:  # −u₁ and −v₁ make the same piece; this way v₁ points up or to the right
        U, Vh = U * torch.tensor([-1.0, 1.0]), Vh * torch.tensor([[-1.0], [1.0]])
    if torch.linalg.det(Vh) < 0:  # a mirror would be as right, but it's no turn
        U, Vh = U * torch.tensor([1.0, -1.0]), Vh * torch.tensor([[1.0], [-1.0]])
    last = "turn" if torch.linalg.det(U) > 0 else "turn, mirror"
    steps = {
        "start\n$x$": torch.eye(2, dtype=torch.float64),
        "1 · turn\n$V^T x$": Vh,
        "2 · stretch\n$\\Sigma\\,V^T x$": torch.diag(S) @ Vh,
        f"3 · {last}\n$U\\,\\Sigma\\,V^T x = W x$": W,
    }
    use_style()
    figure, panels = plt.subplots(1, 4, figsize=(7, 2.3), sharex=True, sharey=True, layout="none")
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.13, top=0.8, wspace=0)
    circle, marked = _on_circle(torch.linspace(0, 360, 181)), _on_circle(torch.tensor(_MARKED))
    reach = max(_REACH, 1.25 * S[0].item())
    height = max((step @ circle)[1].max().item() for step in steps.values()) + 0.28 * reach
    for ax, (title, step) in zip(panels, steps.items()):
        ax.plot(*(step @ circle), color="gray", marker="", linestyle="-", linewidth=1.2)
        for direction, color, style, name in zip((step @ Vh.T).T, (COLOURS[0], COLOURS[3]), ("-", "--"), "₁₂"):
            arm = {"color": color, "linestyle": style, "marker": "", "linewidth": 2.6}
            ax.plot(*zip((0, 0), direction), label=f"v{name}, which becomes σ{name} u{name}", **arm)
            ax.plot(*direction, color=color, marker="o", markersize=4)  # or a dash's gap could hide how far it goes
        for point, outward, name in zip((step @ marked).T, (_cofactors(step) @ marked).T, "abc"):
            ax.plot(*point, color="black", marker="o", markersize=5)
            x, y = point + 0.2 * reach * outward / outward.norm().clamp(min=1e-9)
            ax.text(x, y, name, ha="center", va="center", size=10)
        ax.set(xlim=(-reach, reach), ylim=(-height, height), aspect="equal")
        ax.set_title(title, loc="center", size=10)
        ax.axis("off")
    figure.legend(handles=panels[0].lines[1:4:2], loc="lower center", ncols=2, handlelength=2.5)
    return figure


def two_pieces(matrix: Tensor) -> Figure:
    """A 2 × 2 matrix as the sum of its two rank-1 pieces, all numbers written out.

    Args:
        matrix: W, shape (2, 2), of rank 2.
    """
    U, S, Vh = truncated_svd(matrix, 2)
    pieces = [S[i] * torch.outer(U[:, i], Vh[i]) for i in range(2)]
    use_style()
    figure, panels = plt.subplots(1, 3, figsize=(7, 1.7))
    figure.get_layout_engine().set(wspace=0.08)
    for ax, table, title in zip(panels, (matrix, *pieces), ("W", "= σ₁ u₁ v₁ᵀ", "+ σ₂ u₂ v₂ᵀ")):
        for (row, column), number in np.ndenumerate(table.numpy()):
            ax.text(column, row, f"{number:.2f}".replace("-", "−"), ha="center", va="center", size=12)
        ax.set(xticks=[0.5], yticks=[0.5], xlim=(-0.5, 1.5), ylim=(1.5, -0.5), title=title, facecolor="#eeeeee")
        ax.tick_params(length=0, labelbottom=False, labelleft=False)
        ax.grid(color="white", linewidth=3)
        ax.spines[:].set_visible(False)
    return figure


def _on_circle(degrees: Tensor) -> Tensor:
    angles = degrees.double().deg2rad()
    return torch.stack([angles.cos(), angles.sin()])


def _cofactors(step: Tensor) -> Tensor:
    """Takes a point of the circle to the outward normal of what W makes of the circle, flat or not."""
    (a, b), (c, d) = step
    return torch.stack([d, -c, -b, a]).reshape(2, 2) * (-1 if a * d < b * c else 1)


def word_picture(word: str) -> Tensor:
    """The picture of a word as a matrix, shape (80, 240), float64: 0 is paper, 1 is ink."""
    with plt.rc_context({"font.family": "DejaVu Sans"}):
        figure = plt.figure(figsize=(2.4, 0.8), dpi=100)
        figure.text(0.5, 0.46, word, size=38, weight="bold", ha="center", va="center")
        figure.canvas.draw()
        pixels = np.array(figure.canvas.buffer_rgba())[..., 0]
        plt.close(figure)
    return 1 - torch.tensor(pixels / 255)


def pieces_and_sums(matrix: Tensor, count: int = 5) -> Figure:
    """A picture's first rank-1 pieces, and below each the sum of all pieces up to it.

    Args:
        matrix: a picture, shape (m, n), from 0 (paper) to 1 (ink). Most of the paper around the ink isn't drawn.
        count: how many pieces.
    """
    U, S, Vh = truncated_svd(matrix, count)
    rows, columns = (_around(matrix.sum(side)) for side in (1, 0))
    use_style()
    figure, grid = plt.subplots(2, count, figsize=(7, 1.75), squeeze=False)
    for above, below, i in zip(*grid, range(count)):
        piece, total = S[i] * torch.outer(U[:, i], Vh[i]), low_rank_approx(matrix, i + 1)
        _gray(above, piece[rows, columns], -_INK, f"piece {i + 1}")
        _gray(below, total[rows, columns], _PAPER, f"sum of first {i + 1}" if i else "first alone")
    return figure


def _around(ink: Tensor) -> slice:
    """From the first to the last row or column with ink, and a margin."""
    inked = ink.nonzero().flatten()
    return slice(max(0, inked[0].item() - _MARGIN), inked[-1].item() + 1 + _MARGIN)


def noise_and_pieces(clean: Tensor, noisy: Tensor, rank: int) -> Figure:
    """A picture with noise, its first pieces summed, and the singular values of both pictures.

    Args:
        clean, noisy: the picture without and with noise, shape (m, n).
        rank: how many pieces of the noisy one to sum.
    """
    use_style()
    figure, places = plt.subplot_mosaic([["noisy", "sizes"], ["sum", "sizes"]], figsize=(7, 2.5))
    gray_paper = -0.4 * _INK  # so that specks show both ways
    _gray(places["noisy"], noisy, gray_paper, "with noise (gray is 0)")
    _gray(places["sum"], low_rank_approx(noisy, rank), gray_paper, f"its first {rank} pieces (gray is 0)")
    right = places["sizes"]
    for matrix, label, look in (
        (noisy, "with noise", {"color": COLOURS[3], "linestyle": "--"}),
        (clean, "without", {"color": COLOURS[0], "linestyle": "-"}),
    ):
        S = torch.linalg.svdvals(matrix)
        S = S[S > 1e-9 * S[0]]
        right.plot(range(1, len(S) + 1), S, marker="", label=label, **look)
    right.annotate("all zero\nfrom here", (len(S) + 1, S[-1]), (8, 0), textcoords="offset points", va="bottom")
    right.set(title="Singular values (log scale)", xlabel="piece", yscale="log", xlim=(0, len(clean) + 1))
    right.legend()
    return figure


def energy_curves(kinds: dict[str, dict[str, Tensor]], rank: int = 8) -> Figure:
    """How much of each matrix's energy its first pieces hold: one panel per name, one line per kind.

    Args:
        kinds: ``{"update": {"q_proj": matrix, …}, "weight": {…}}``, all with the same names.
        rank: where to draw an upright line.
    """
    use_style()
    names = list(next(iter(kinds.values())))
    figure, panels = plt.subplots(1, len(names), figsize=(7, 3), sharex=True, sharey=True, squeeze=False)
    for ax, name in zip(panels[0], names):
        for label, matrices in kinds.items():
            squares = torch.linalg.svdvals(matrices[name].float()).square()
            kept = 100 * squares.cumsum(0) / squares.sum()
            ax.plot(range(1, len(kept) + 1), kept, marker="", label=label)
        ax.axvline(rank, color="gray", linewidth=1)
        ax.set(title=f"{name}: {len(kept)} pieces", xlabel="first pieces, log scale", xscale="log", ylim=(0, 104))
        ax.set_xticks([1, rank, 100])
        ax.xaxis.set_major_formatter("{x:.0f}")
        ax.minorticks_off()
    panels[0][0].set_ylabel("energy held (%)")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(kinds))
    return figure


def _gray(ax: Axes, picture: Tensor, lightest: float, title: str) -> None:
    """Ink is black; `lightest`, the value drawn white, makes zero middle gray where pieces take ink away."""
    ax.imshow(picture.numpy(), cmap="gray_r", vmin=lightest, vmax=_INK)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, size=10)
    ax.spines[:].set(visible=True, color="#b0b0b0", linewidth=0.8)
