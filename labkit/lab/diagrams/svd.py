"""The SVD in pictures: turn, stretch, turn; a word as a matrix; its rank-1 pieces; and what noise does to them."""

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
    figure, panels = plt.subplots(1, 4, figsize=(7, 2.2), sharex=True, sharey=True)
    circle, marked = _on_circle(torch.linspace(0, 360, 181)), _on_circle(torch.tensor(_MARKED))
    reach = 1.25 * max(1.0, S[0].item())
    for ax, (title, step) in zip(panels, steps.items()):
        ax.plot(*(step @ circle), color="gray", marker="", linestyle="-", linewidth=1.2)
        for direction, color, style in zip((step @ Vh.T).T, (COLOURS[0], COLOURS[3]), ("-", "--")):
            ax.plot(*zip((0, 0), direction), color=color, linestyle=style, marker="", linewidth=2.6)
        for point, outward, name in zip((step @ marked).T, (_cofactors(step) @ marked).T, "abc"):
            ax.plot(*point, color="black", marker="o", markersize=5)
            x, y = point + 0.2 * reach * outward / outward.norm().clamp(min=1e-9)
            ax.text(x, y, name, ha="center", va="center", size=10)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.set_title(title, loc="center", size=10)
        ax.axis("off")
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


def pieces_and_sums(matrix: Tensor, ranks: tuple[int, ...] = (1, 2, 3, 5)) -> Figure:
    """Some of a picture's rank-1 pieces, and below each the sum of all pieces up to it.

    Args:
        matrix: a picture, shape (m, n), from 0 (paper) to 1 (ink).
        ranks: which pieces, counted from 1.
    """
    U, S, Vh = truncated_svd(matrix, max(ranks))
    use_style()
    figure, grid = plt.subplots(2, len(ranks), figsize=(7, 2.1))
    for above, below, r in zip(*grid, ranks):
        _gray(above, S[r - 1] * torch.outer(U[:, r - 1], Vh[r - 1]), -_INK, f"piece {r}")
        _gray(below, low_rank_approx(matrix, r), _PAPER, f"sum of first {r}" if r > 1 else "first alone")
    return figure


def noise_and_pieces(clean: Tensor, noisy: Tensor, rank: int) -> Figure:
    """A picture with noise, its first pieces summed, and the stretches of both pictures.

    Args:
        clean, noisy: the picture without and with noise, shape (m, n).
        rank: how many pieces of the noisy one to sum.
    """
    use_style()
    figure, places = plt.subplot_mosaic([["noisy", "sizes"], ["sum", "sizes"]], figsize=(7, 2.5))
    _gray(places["noisy"], noisy, _PAPER, "with noise")
    _gray(places["sum"], low_rank_approx(noisy, rank), _PAPER, f"the first {rank} pieces of that")
    right = places["sizes"]
    for matrix, label, look in (
        (noisy, "with noise", {"color": COLOURS[3], "linestyle": "--"}),
        (clean, "without", {"color": COLOURS[0], "linestyle": "-"}),
    ):
        S = torch.linalg.svdvals(matrix)
        S = S[S > 1e-9 * S[0]]
        right.plot(range(1, len(S) + 1), S, marker="", label=label, **look)
    right.set(title="Singular values", xlabel="piece", ylabel="size", yscale="log")
    right.legend()
    return figure


def energy_curves(kinds: dict[str, dict[str, Tensor]], rank: int = 8) -> Figure:
    """How much of each matrix's energy its first pieces hold, one panel per name, one line per kind.

    Args:
        kinds: ``{"update": {"q_proj": matrix, …}, "weight": {…}}``, all with the same names.
        rank: where to draw a line.
    """
    use_style()
    names = list(next(iter(kinds.values())))
    figure, panels = plt.subplots(1, len(names), figsize=(7, 3), sharey=True, squeeze=False)
    for ax, name in zip(panels[0], names):
        for label, matrices in kinds.items():
            squares = torch.linalg.svdvals(matrices[name].float()).square()
            kept = 100 * squares.cumsum(0) / squares.sum()
            ax.plot(range(1, len(kept) + 1), kept, marker="", label=label)
        ax.axvline(rank, color="gray", linewidth=1)
        ax.set(title=name, xlabel=f"first pieces (line: {rank})", xscale="log", ylim=(0, 104))
        ax.xaxis.set_major_formatter("{x:.0f}")
    panels[0][0].set_ylabel("energy kept (%)")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(kinds))
    return figure


def _gray(ax: Axes, picture: Tensor, lightest: float, title: str) -> None:
    """Ink is black; `lightest`, the value drawn white, makes zero middle gray where pieces take ink away."""
    ax.imshow(picture.numpy(), cmap="gray_r", vmin=lightest, vmax=_INK)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, size=10)
    ax.spines[:].set(visible=True, color="#b0b0b0", linewidth=0.8)
