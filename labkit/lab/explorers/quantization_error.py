"""The error explorer: what it costs to keep a matrix in a few bits, by code book, bits, block size and outliers.

Errors are measured on the first SAMPLE numbers of a matrix, and remembered, so that the picture follows the slider.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from labkit.errors import ConfigError
from labkit.lab.claims import approx
from labkit.lab.explorers.frame import chooser, drawn, explorer_box, show_explorer
from labkit.lab.plots import COLOURS, LINESTYLES, MARKERS
from labkit.quant.blockwise import dequantize_blockwise, quantize_blockwise, refuse_unquantizable
from labkit.quant.codebooks import fp4_codebook, nf4_codebook
from labkit.quant.integers import dequantize_int, quantize_int
from labkit.quant.nf4 import dequantize_nf4, quantize_nf4

SAMPLE = 65_536
BOOKS = ("NF4", "NF4, double", "FP4", "int, absmax", "int, affine")
BLOCK_SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
OUTLIERS = {"none": 0.0, "1 in 10,000": 1e-4, "1 in 1,000": 1e-3, "1 in 100": 1e-2}
OUTLIER_SIZE = 20  # times the root mean square of the other numbers


@dataclass(frozen=True)
class Quantizer:
    """A way to keep numbers in a few bits.

    Args:
        book: one of BOOKS. The first three have 4 bits; integers have as many as you like.
        bits: of a code, 2 to 8.
        block_size: numbers per block.

    Raises:
        ConfigError: an unknown book, a number of bits it does not have, a block size that is not in BLOCK_SIZES.
    """

    book: str = "NF4"
    bits: int = 4
    block_size: int = 64

    def __post_init__(self):
        if self.book not in BOOKS:
            raise ConfigError(f"a code book is one of {', '.join(map(repr, BOOKS))}, not {self.book!r}")
        if self.bits not in bit_choices(self.book):
            raise ConfigError(f"{self.book!r} has no {self.bits} bits, only {bit_choices(self.book)}")
        if self.block_size not in BLOCK_SIZES:
            raise ConfigError(f"a block size is one of {BLOCK_SIZES}, not {self.block_size}")

    @property
    def bits_per_weight(self) -> float:
        """Code and scales together, for a large matrix; scales are float32, or 8 bits in "NF4, double"."""
        scales = {"NF4, double": 8 + 32 / 256, "int, affine": 2 * 32}.get(self.book, 32)
        return self.bits + scales / self.block_size

    @property
    def levels(self) -> Tensor:
        """What a block can hold, once it is scaled into [−1, 1]: float32, ascending."""
        if self.book == "int, affine":
            return torch.linspace(-1, 1, 2**self.bits)
        if self.book == "int, absmax":
            highest = 2 ** (self.bits - 1) - 1
            return torch.arange(-highest, highest + 1) / highest
        return fp4_codebook() if self.book == "FP4" else nf4_codebook()

    def scaled(self, numbers: Tensor) -> Tensor:
        """`numbers`, shape (n,), each scaled into [−1, 1] as this quantizer scales its block; whole blocks only."""
        blocks = numbers[: len(numbers) // self.block_size * self.block_size].view(-1, self.block_size)
        middle = (blocks.amax(1, True) + blocks.amin(1, True)) / 2 if self.book == "int, affine" else 0
        return ((blocks - middle) / (blocks - middle).abs().amax(1, True).clamp(min=1e-38)).flatten()

    def restored(self, numbers: Tensor) -> Tensor:
        """What is left of `numbers`, shape (n,), after quantizing and dequantizing."""
        if self.book == "FP4":
            codes, absmax = quantize_blockwise(numbers, fp4_codebook(), self.block_size)
            return dequantize_blockwise(codes, absmax, fp4_codebook(), self.block_size)
        if self.book in ("NF4", "NF4, double"):
            return dequantize_nf4(quantize_nf4(numbers, self.block_size, double=self.book == "NF4, double"))
        return dequantize_int(quantize_int(numbers, self.bits, self.block_size, affine=self.book == "int, affine"))


@dataclass(frozen=True, eq=False)
class Sample:
    """The numbers that errors are measured on.

    Attributes:
        numbers: float32, shape (n,), n ≤ SAMPLE, outliers among them.
        ordinary: bool, shape (n,): which of them are no outliers that were put in.
        name: what the picture calls them.
    """

    numbers: Tensor
    ordinary: Tensor
    name: str = "the numbers"


def bit_choices(book: str) -> tuple[int, ...]:
    """The numbers of bits that a code book comes in."""
    return (2, 3, 4, 5, 6, 7, 8) if book.startswith("int") else (4,)


def take_sample(matrix: Tensor, outliers: float = 0.0, name: str = "the numbers") -> Sample:
    """The first numbers of `matrix`, row by row, some of them made OUTLIER_SIZE times as large as the others are.

    Args:
        matrix: float32, bfloat16 or float16, any shape.
        outliers: share of the numbers that become outliers, from 0 to 1; where they are is the same each time.
        name: what the picture calls them.

    Raises:
        ConfigError: it cannot be quantized (see :func:`labkit.quantize_nf4`), or is zero; a share outside 0 to 1.
    """
    refuse_unquantizable(matrix, 1, "the matrix")
    numbers = matrix.detach().reshape(-1)[:SAMPLE].cpu().float().clone()  # on the CPU, where it is drawn
    if not 0 <= outliers <= 1:
        raise ConfigError(f"the share of outliers is between 0 and 1, got {outliers}")
    if not numbers.any():
        raise ConfigError("the matrix is zero where it is looked at: there is no error to measure")
    random = torch.Generator().manual_seed(0)
    places = torch.randperm(len(numbers), generator=random)[: round(outliers * len(numbers))]
    sign = torch.randint(0, 2, places.shape, generator=random) * 2 - 1
    numbers[places] = sign * OUTLIER_SIZE * numbers.square().mean().sqrt()
    ordinary = torch.ones(len(numbers), dtype=torch.bool)
    ordinary[places] = False
    return Sample(numbers, ordinary, name)


@lru_cache(maxsize=1000)
def rounding_error(sample: Sample, quantizer: Quantizer) -> float:
    """‖ŵ − w‖ / ‖w‖ over the ordinary numbers of a sample: what outliers do to the others, not how large they are."""
    numbers, ordinary = sample.numbers, sample.ordinary
    missed = (quantizer.restored(numbers) - numbers)[ordinary].double().norm()
    return (missed / numbers[ordinary].double().norm()).item()


def lost_share(sample: Sample, quantizer: Quantizer) -> float:
    """Which share of the ordinary numbers that are not zero become zero."""
    nonzero = sample.ordinary & (sample.numbers != 0)
    return (quantizer.restored(sample.numbers)[nonzero] == 0).float().mean().item()


def caption(sample: Sample, quantizer: Quantizer) -> str:
    """``NF4, blocks of 64: 4.5 bits per weight; error ≈9.2 %; ≈8.9 % become zero``."""
    whose = "" if sample.ordinary.all() else " of the others"
    return (
        f"{quantizer.book}, blocks of {quantizer.block_size}: {quantizer.bits_per_weight:.4g} bits per weight; "
        f"error{whose} {approx(rounding_error(sample, quantizer), '%')}; "
        f"{approx(lost_share(sample, quantizer), '%')} become zero"
    )


def error_picture(sample: Sample, quantizer: Quantizer) -> bytes:
    """A PNG, 700 pixels wide: the scaled numbers with the levels they are rounded to, and error against bits.

    On the right there is a curve for each code book of as many bits, and a point on it for each block size.
    """

    def draw(figure: Figure) -> None:
        left, right = (figure.add_axes(place) for place in ((0.035, 0.16, 0.415, 0.74), (0.545, 0.16, 0.445, 0.74)))
        _draw_levels(left, sample, quantizer)
        _draw_curves(right, sample, quantizer)

    return drawn(draw, height=3.1)


def _draw_levels(ax, sample: Sample, quantizer: Quantizer) -> None:
    levels = quantizer.levels
    counts, edges = torch.histogram(quantizer.scaled(sample.numbers), bins=101, range=(-1, 1))
    highest = counts[1:-1].max().clamp(min=1)  # in small blocks many numbers are the largest: bars of their own
    ax.stairs((counts / highest).clamp(max=1.06), edges, fill=True, color="#c9c9d4")
    few = len(levels) <= 32
    ax.vlines(levels, 0, 1.06 if few else 0.06, color=COLOURS[1], linewidth=0.7 if few else 0.5)
    ax.set(xlim=(-1.05, 1.05), ylim=(0, 1.12), yticks=[], xlabel="number, scaled within its block")
    ax.set_title(f"{sample.name}, and {len(levels.unique())} levels")
    ax.spines["left"].set_visible(False)
    ax.grid(False)


def _draw_curves(ax, sample: Sample, chosen: Quantizer) -> None:
    looks = dict(zip(BOOKS, zip(COLOURS, LINESTYLES, MARKERS)))
    last = max(chosen.bits + 2, chosen.bits_per_weight)  # affine's smallest blocks take four more bits
    for book in BOOKS:
        if chosen.bits in bit_choices(book):
            ways = [Quantizer(book, chosen.bits, size) for size in BLOCK_SIZES]
            ways = [way for way in ways if way.bits_per_weight <= last]
            errors = [100 * rounding_error(sample, way) for way in ways]
            colour, line, marker = looks[book]
            points = [way.bits_per_weight for way in ways]
            ax.plot(points, errors, color=colour, linestyle=line, marker=marker, markersize=3.5, label=book)
    here = 100 * rounding_error(sample, chosen)
    colour, _, marker = looks[chosen.book]
    ax.plot([chosen.bits_per_weight], [here], color=colour, marker=marker, markersize=11, markeredgecolor="white")
    ax.set(xlim=(chosen.bits - 0.1, last + 0.1), xlabel="bits per weight", ylabel="error (%)")
    ax.set_ylim(0, 1.45 * ax.get_ylim()[1])  # room for the legend
    ax.set_title(f"error: {approx(here / 100, '%')}")
    ax.legend(loc="upper right", fontsize=8, ncols=2)


def error_explorer(matrices: Mapping[str, Tensor], book: str = "NF4", block_size: int = 64) -> None:
    """Choose a matrix, a code book, bits, a block size and outliers, and see the error they make.

    The error is ‖Ŵ − W‖ / ‖W‖, measured on the first 65,536 numbers. When outliers are put in, it is that of all other
    numbers. Where there is no kernel, there's the picture of the first matrix.

    Args:
        matrices: what to choose from, by name; float32, bfloat16 or float16.
        book: the code book at first: "NF4", "NF4, double", "FP4", "int, absmax" or "int, affine".
        block_size: numbers per block at first, a power of two from 16 to 4096.

    Raises:
        ConfigError: no matrices by name; a matrix that cannot be quantized, or is zero; an unknown book or block size.
    """
    if not isinstance(matrices, Mapping):
        raise ConfigError('error_explorer needs matrices by name, as in error_explorer({"mine": matrix})')
    if not matrices:
        raise ConfigError("error_explorer needs at least one matrix")
    quantizer = Quantizer(book, block_size=block_size)
    samples = {name: take_sample(matrix, name=name) for name, matrix in matrices.items()}
    name, sample = next(iter(samples.items()))
    show_explorer(
        "the error explorer",
        f"{name}, with {book} in blocks of {block_size}",
        lambda: _explorer_box(samples, quantizer),
        f"{name}, {caption(sample, quantizer)}",
        lambda: error_picture(sample, quantizer),
    )


def _explorer_box(samples: dict[str, Sample], start: Quantizer):
    """The five controls, the line below them, and the picture."""
    matrix = chooser("matrix", samples)
    book = chooser("code book", BOOKS, start.book)
    bits = chooser("bits", bit_choices(start.book), start.bits, slider=True)
    block = chooser("block", BLOCK_SIZES, start.block_size, slider=True)
    outliers = chooser("outliers", OUTLIERS, slider=True)
    made = {(name, "none"): sample for name, sample in samples.items()}

    def offer_bits() -> None:
        choices, wanted = bit_choices(book.value), bits.value
        if bits.options != choices:
            bits.options = choices
            bits.value = wanted if wanted in choices else 4
        bits.disabled = len(choices) == 1

    def answer() -> tuple[str, bytes]:
        key = (matrix.value, outliers.value)
        if key not in made:
            made[key] = take_sample(made[matrix.value, "none"].numbers, OUTLIERS[outliers.value], matrix.value)
        quantizer = replace(start, book=book.value, bits=bits.value, block_size=block.value)
        return caption(made[key], quantizer), error_picture(made[key], quantizer)

    return explorer_box([matrix, book, bits, block, outliers], answer, offer_bits)
