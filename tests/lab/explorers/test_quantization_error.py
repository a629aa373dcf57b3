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

from labkit import error_explorer, nf4_codebook, quantize_nf4
from labkit.errors import ConfigError
from labkit.lab.explorers import quantization_error
from labkit.lab.explorers.quantization_error import (
    BLOCK_SIZES,
    BOOKS,
    OUTLIER_SIZE,
    SAMPLE,
    Quantizer,
    bit_choices,
    caption,
    error_picture,
    lost_share,
    rounding_error,
    take_sample,
)
from tests.pace import quiet_seconds

matplotlib.use("agg")


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def every_quantizer(block_size: int = 64) -> list[Quantizer]:
    return [Quantizer(book, bits, block_size) for book in BOOKS for bits in bit_choices(book)]


def nearest_by_hand(numbers: np.ndarray, quantizer: Quantizer) -> np.ndarray:
    """Block by block in float64: scaled, moved to the nearest of the levels, and scaled back."""
    restored = []
    for block in numbers.reshape(-1, quantizer.block_size).astype(np.float64):
        middle = (block.max() + block.min()) / 2 if quantizer.book == "int, affine" else 0
        half = np.abs(block - middle).max()
        levels = quantizer.levels.double().numpy()
        distance = np.abs((block - middle)[:, None] / half - levels)
        restored.append(levels[distance.argmin(axis=1)] * half + middle)
    return np.concatenate(restored)


@given(st.sampled_from([each for each in every_quantizer(32) if each.book != "NF4, double"]), st.integers(0, 1000))
def test_the_error_is_that_of_the_nearest_levels(quantizer, seed):
    sample = take_sample(gaussian(8, 64, seed=seed))
    numbers = sample.numbers.numpy()
    missed = np.linalg.norm(nearest_by_hand(numbers, quantizer) - numbers) / np.linalg.norm(numbers)
    assert rounding_error(sample, quantizer) == pytest.approx(missed, rel=1e-3)


@pytest.mark.parametrize("double", [False, True])
def test_bits_a_weight_are_those_of_the_stored_bytes(double):
    stored = quantize_nf4(gaussian(1024, 1024), 64, double)
    quantizer = Quantizer("NF4, double" if double else "NF4")
    assert quantizer.bits_per_weight == pytest.approx(stored.bits_per_weight, abs=1e-4)


def test_bits_a_weight_of_integers():
    assert Quantizer("int, absmax", 8, 128).bits_per_weight == 8.25
    assert Quantizer("int, affine", 4, 32).bits_per_weight == 6  # a scale and an offset
    assert Quantizer("FP4", 4, 32).bits_per_weight == 5


def test_levels_are_ascending_and_reach_as_far_as_a_block():
    for quantizer in every_quantizer():
        levels = quantizer.levels
        assert levels[0] == -1 and levels[-1] == 1 and (levels.diff() >= 0).all()
        assert len(levels.unique()) <= 2**quantizer.bits
        scaled = quantizer.scaled(gaussian(64, 64).flatten())
        assert scaled.abs().max() == pytest.approx(1)
    assert Quantizer().levels.equal(nf4_codebook())


def test_more_bits_and_smaller_blocks_have_a_smaller_error():
    sample = take_sample(gaussian(128, 512))
    for book in ("int, absmax", "int, affine"):
        by_bits = [rounding_error(sample, Quantizer(book, bits)) for bits in bit_choices(book)]
        assert by_bits == sorted(by_bits, reverse=True)
    for book in BOOKS:
        by_size = [rounding_error(sample, Quantizer(book, block_size=size)) for size in BLOCK_SIZES]
        assert by_size == sorted(by_size)


def test_outliers_are_as_many_and_as_large_as_said_and_not_counted_in_the_error():
    matrix = gaussian(300, 300)
    plain, spiked = take_sample(matrix), take_sample(matrix, 0.001)
    assert len(plain.numbers) == SAMPLE and plain.ordinary.all()
    assert (~spiked.ordinary).sum() == round(0.001 * SAMPLE)
    assert spiked.numbers[spiked.ordinary].equal(plain.numbers[spiked.ordinary])
    size = plain.numbers.square().mean().sqrt()
    torch.testing.assert_close(spiked.numbers[~spiked.ordinary].abs() / size, torch.full((66,), float(OUTLIER_SIZE)))
    assert take_sample(matrix, 0.001).numbers.equal(spiked.numbers)

    quantizer = Quantizer("int, absmax", 4, 4096)
    restored, kept = quantizer.restored(spiked.numbers), spiked.ordinary
    by_hand = (restored - spiked.numbers)[kept].norm() / spiked.numbers[kept].norm()
    assert rounding_error(spiked, quantizer) == pytest.approx(by_hand.item(), rel=1e-5)
    assert rounding_error(spiked, quantizer) > 2 * rounding_error(plain, quantizer)


def test_what_becomes_zero():
    sample = take_sample(torch.tensor([[0.0, 0.01, 0.01, 0.4, 0.6, 1.0, -1.0, 0.02] * 2]))
    assert lost_share(sample, Quantizer("int, absmax", 2, 16)) == pytest.approx(4 / 7)


def test_the_matrix_itself_stays_as_it_is():
    matrix = gaussian(64, 64)
    take_sample(matrix, 0.01)
    assert matrix.equal(gaussian(64, 64))


def test_the_line_below_the_sliders():
    sample = take_sample(torch.cat([torch.ones(512), -torch.ones(512)]))
    assert caption(sample, Quantizer()) == "NF4, blocks of 64: 4.5 bits per weight; error ≈0 %; ≈0 % become zero"
    spiked = take_sample(gaussian(64, 64), 0.01)
    assert "bits per weight; error of the others ≈" in caption(spiked, Quantizer("int, affine", 3, 128))


def picture(sample, quantizer) -> np.ndarray:
    return imread(io.BytesIO(error_picture(sample, quantizer)))[..., :3]


def test_the_picture_is_as_wide_as_the_page_small_and_shows_the_choice():
    sample = take_sample(gaussian(576, 576))
    drawn = []
    for quantizer in (Quantizer(), Quantizer("FP4"), Quantizer("int, affine", 8), Quantizer(block_size=1024)):
        assert len(error_picture(sample, quantizer)) < 80_000
        drawn.append(picture(sample, quantizer))
        assert drawn[-1].shape == (310, 700, 3)
    for one, other in itertools.combinations(drawn, 2):
        changed = (one != other).any(axis=2).any(axis=0)
        assert changed[20:320].any() and changed[380:].any(), "levels and curves follow the choice"


def test_a_move_is_answered_before_the_learner_notices():
    def move(sample) -> None:
        caption(sample, Quantizer())
        error_picture(sample, Quantizer())

    samples = [take_sample(gaussian(576, 576, seed=seed)) for seed in range(3)]  # new ones: nothing is remembered
    assert quiet_seconds(partial(move, sample) for sample in samples) < 0.3


def test_moving_the_sliders_changes_line_and_picture():
    box = quantization_error._explorer_box(
        {"a": take_sample(gaussian(64, 64)), "b": take_sample(gaussian(9, 9))}, Quantizer()
    )
    matrix, book, bits, block, outliers, line, image = box.children
    assert bits.disabled and line.value.startswith("NF4, blocks of 64: 4.5 bits per weight; error ≈9")
    seen = {image.value}
    book.value = "int, absmax"
    assert not bits.disabled and line.value.startswith("int, absmax, blocks of 64: 4.5 bits")
    seen.add(image.value)
    bits.value = 8
    assert line.value.startswith("int, absmax, blocks of 64: 8.5 bits")
    seen.add(image.value)
    block.value = 32
    assert line.value.startswith("int, absmax, blocks of 32: 9 bits")
    seen.add(image.value)
    outliers.value = "1 in 100"
    assert "error of the others" in line.value
    seen.add(image.value)
    book.value = "FP4"  # which has four bits only
    assert bits.value == 4 and bits.disabled and line.value.startswith("FP4, blocks of 32: 5 bits")
    seen.add(image.value)
    assert len(seen) == 6
    matrix.value, outliers.value = "b", "none"  # fewer numbers than a block
    block.value = 4096
    assert line.value.startswith("FP4, blocks of 4096") and image.value not in seen


def test_a_change_of_book_draws_one_picture(monkeypatch):
    drawn = []
    box = quantization_error._explorer_box({"a": take_sample(gaussian(64, 64))}, Quantizer("int, absmax", 8))
    monkeypatch.setattr(
        quantization_error, "error_picture", lambda sample, quantizer: drawn.append(quantizer.book) or b""
    )
    box.children[1].value = "NF4"
    assert drawn == ["NF4"]


def test_a_plain_run_prints_the_line(capsys):
    assert error_explorer({"mine": gaussian(64, 64)}, book="int, absmax", block_size=32) is None
    assert capsys.readouterr().out.startswith("mine, int, absmax, blocks of 32: 5 bits per weight; error ≈")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(matrices={}), "at least one matrix"),
        (dict(matrices=torch.eye(8)), "matrices by name"),
        (dict(matrices={"a": torch.eye(8)}, book="NF5"), "a code book is one of 'NF4'.* not 'NF5'"),
        (dict(matrices={"a": torch.eye(8)}, block_size=48), "a block size is one of .*4096.*, not 48"),
        (dict(matrices={"a": torch.zeros(8, 8)}), "the matrix is zero"),
        (dict(matrices={"a": torch.tensor([[1.0, float("nan")]])}), "the matrix has NaN"),
        (dict(matrices={"a": torch.ones(0, 3)}), "the matrix is empty"),
        (dict(matrices={"a": torch.arange(4)}), "the matrix is int64"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        error_explorer(**arguments)


@pytest.mark.parametrize("bits, book", [(8, "NF4"), (1, "int, absmax"), (9, "int, affine")])
def test_bits_that_a_book_does_not_have_are_refused(bits, book):
    with pytest.raises(ConfigError, match=f"has no {bits} bits, only"):
        Quantizer(book, bits)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_of_outliers_outside_0_to_1_is_refused(share):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        take_sample(torch.eye(4), share)
