"""The rank slider: a matrix beside the best approximation of each rank, and what that rank keeps and costs.

The SVD is taken once. After that a rank is a slice of it, so the picture follows the slider.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure
from torch import Tensor

from labkit.errors import ConfigError
from labkit.lab.claims import approx
from labkit.lab.explorers.frame import chooser, drawn, explorer_box, show_explorer
from labkit.lab.plots import COLOURS
from labkit.lowrank import truncated_svd

# A matrix of more rows or columns than WHOLE is drawn by its first CORNER of each, large enough to be seen one by one.
WHOLE, CORNER = 256, 96


@dataclass(frozen=True)
class Pieces:
    """A matrix and all its rank-1 pieces: the state behind the slider.

    Attributes:
        matrix: W, shape (m, n).
        U, S, Vh: its singular value decomposition, shapes (m, k), (k,), (k, n) with k = min(m, n).
        kept: share of the energy in the first 1, 2, … k pieces, shape (k,), float64.
    """

    matrix: Tensor
    U: Tensor
    S: Tensor
    Vh: Tensor
    kept: Tensor


@dataclass(frozen=True)
class RankFacts:
    """What rank r keeps of a matrix of shape (m, n), and what it costs.

    Attributes:
        rank: r.
        full_rank: min(m, n), the most there can be.
        energy: Σᵢ≤ᵣ σᵢ² / Σ σᵢ².
        error: ‖W − Wᵣ‖ / ‖W‖ in the Frobenius norm, which is √(1 − energy).
        numbers: r · (m + n), to store the two factors.
        numbers_whole: m · n, to store the matrix.
    """

    rank: int
    full_rank: int
    energy: float
    error: float
    numbers: int
    numbers_whole: int


def take_apart(matrix: Tensor) -> Pieces:
    """All rank-1 pieces of a matrix.

    Raises:
        ConfigError: it is no matrix, has values that are not finite, or is zero.
    """
    matrix = matrix.cpu()  # where it is drawn
    U, S, Vh = truncated_svd(matrix, max(1, min(matrix.shape, default=1)))
    squares = S.double().square()
    if not squares.sum() > 0:
        raise ConfigError("the matrix is zero: it has no pieces to choose from")
    return Pieces(matrix.detach().float(), U, S, Vh, squares.cumsum(0) / squares.sum())


def rank_facts(pieces: Pieces, rank: int) -> RankFacts:
    """What the first `rank` pieces keep and cost.

    Raises:
        ConfigError: `rank` is outside 1 … min(m, n).
    """
    (m, n), k = pieces.matrix.shape, len(pieces.S)
    if not 1 <= rank <= k:
        raise ConfigError(f"rank must be 1 to {k} for shape {(m, n)}, got {rank}")
    energy = pieces.kept[rank - 1].item()
    # from the values left out, not from 1 − energy: near full rank that difference is all rounding
    error = (pieces.S[rank:].double().norm() / pieces.S.double().norm()).item()
    return RankFacts(rank, k, energy, error, rank * (m + n), m * n)


def rank_choices(full_rank: int) -> list[int]:
    """Every rank up to 8, then ever larger steps, and the full rank: 1, 2, … 8, 12, 16, 24, 32, 48, …"""
    steps = [2**power + half for power in range(3, 20) for half in (0, 2 ** (power - 1))]
    return sorted({rank for rank in [*range(1, 9), *steps] if rank < full_rank} | {full_rank})


def caption(facts: RankFacts) -> str:
    """``rank 8 of 576: ≈9.1 % of the energy, with 9,216 numbers instead of 331,776 (36 times fewer)``."""
    times = facts.numbers_whole / facts.numbers
    saved = f"{times:.3g} times fewer" if times > 1 else "no fewer than the matrix itself"
    return (
        f"rank {facts.rank} of {facts.full_rank}: {approx(facts.energy, '%')} of the energy, "
        f"with {facts.numbers:,} numbers instead of {facts.numbers_whole:,} ({saved})"
    )


def rank_picture(pieces: Pieces, rank: int) -> bytes:
    """A PNG, 700 pixels wide: the matrix, its best approximation of rank `rank`, and the energy kept by rank.

    Of a large matrix the first rows and columns are shown. Both use the same shades: black is the largest number
    that is not an outlier, and zero is middle grey, or white where no number is negative.
    """
    facts, shape = rank_facts(pieces, rank), pieces.matrix.shape
    side = CORNER if max(shape) > WHOLE else WHOLE
    given = pieces.matrix[:side, :side]
    near = pieces.U[:side, :rank] * pieces.S[:rank] @ pieces.Vh[:rank, :side]
    limit = given.abs().flatten().quantile(0.995).item() or given.abs().max().item() or 1.0
    lightest = -limit if (pieces.matrix < 0).any() else 0
    size = "{} × {}".format(*shape)
    part = size if given.shape == shape else "first {} × {} of {}".format(*given.shape, size)
    stored = f"{facts.numbers:,} numbers, not {facts.numbers_whole:,}"

    def draw(figure: Figure) -> None:
        # 198 by 198 pixels for a square matrix
        places = ((0.008, 0.17, 0.283, 0.734), (0.308, 0.17, 0.283, 0.734), (0.68, 0.17, 0.305, 0.734))
        left, middle, right = (figure.add_axes(place) for place in places)
        for ax, shown in ((left, given), (middle, near)):
            drawn = "nearest" if side == CORNER else "antialiased"
            ax.imshow(shown.numpy(), cmap="gray_r", vmin=lightest, vmax=limit, interpolation=drawn)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(visible=True, color="#b0b0b0")
        left.set(title="the matrix", xlabel=part)
        middle.set(title=f"its best rank {rank}", xlabel=stored)
        ranks = range(1, facts.full_rank + 1)
        right.plot(ranks, 100 * pieces.kept, color=COLOURS[0], marker="", linestyle="-")
        # lines to both axes: the energy is a height, and an area below the curve would say otherwise
        right.plot([rank, rank, 0.1], [0, 100 * facts.energy, 100 * facts.energy], color="gray", linewidth=1, marker="")
        right.plot([rank], [100 * facts.energy], color=COLOURS[3], marker="o", markersize=8)
        right.set(xscale="log", xlim=(0.9, 1.1 * facts.full_rank), ylim=(0, 104), ylabel="energy (%)")
        right.set_xlabel("rank (log scale)")
        right.xaxis.set_major_formatter("{x:.0f}")
        right.minorticks_off()
        right.set_title(f"energy held: {approx(facts.energy, '%')}")

    return drawn(draw, height=2.7)


def rank_slider(matrices: Mapping[str, Tensor], rank: int = 8) -> None:
    """Show a slider for the rank, and what each rank keeps of each of the `matrices`.

    Where there is no kernel, there's the picture of the first matrix at `rank`.

    Args:
        matrices: what to choose from, by name; each of shape (m, n).
        rank: where the slider stands at first (or at the full rank, where a matrix has no more).

    Raises:
        ConfigError: nothing to show; a matrix that is none, is zero or holds NaN; a rank below 1.
    """
    if not matrices or rank < 1:
        raise ConfigError("rank_slider needs at least one matrix and a rank of 1 or more")
    taken_apart = {name: take_apart(matrix) for name, matrix in matrices.items()}
    name, pieces = next(iter(taken_apart.items()))
    start = min(rank, len(pieces.S))
    show_explorer(
        "a slider for the rank",
        f"{name} at rank {start}",
        lambda: _slider_box(taken_apart, start),
        f"{name}, {caption(rank_facts(pieces, start))}",
        lambda: rank_picture(pieces, start),
    )


def _slider_box(taken_apart: dict[str, Pieces], start: int):
    """The list of matrices, the slider, the line below it, and the picture."""
    matrix = chooser("matrix", taken_apart)
    slider = chooser("rank", [start], slider=True)

    def offer_ranks() -> None:
        choices, wanted = rank_choices(len(taken_apart[matrix.value].S)), slider.value
        if slider.options != tuple(choices):
            slider.options = choices
            slider.value = max(rank for rank in choices if rank <= wanted)

    def answer() -> tuple[str, bytes]:
        pieces = taken_apart[matrix.value]
        return caption(rank_facts(pieces, slider.value)), rank_picture(pieces, slider.value)

    return explorer_box([matrix, slider], answer, offer_ranks)
