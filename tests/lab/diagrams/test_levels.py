"""The drawings of notebook 07: each number falls to its nearest level, slices are equal, and every word is legible."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import Tensor

from labkit import nf4_codebook
from labkit.lab.diagrams import levels, quantizers
from labkit.quant.codebooks import e2m1_codebook

BOOK, OFFSET = nf4_codebook(), 0.9677083
BLOCK = torch.tensor([0.2, -0.4, 0.05, 0.11, 0.0, -0.02, 0.1, 0.13])
ERRORS = {"normal": {"NF4": 0.092, "MXFP4": 0.115, "int4": 0.107}, "fresh": {"NF4": 0.09, "MXFP4": 0.11, "int4": 0.1}}
CURVE = {32: (5.0, 0.09), 128: (4.25, 0.11), 64: (4.5, 0.1)}
DRAWINGS = {
    "falling": lambda: levels.falling(BLOCK, BOOK, 0),
    "falling, negative": lambda: levels.falling(-BLOCK, BOOK, 2),
    "equal_slices": lambda: levels.equal_slices(BOOK, OFFSET),
    "side_by_side": lambda: levels.side_by_side({"NF4": BOOK, "E2M1": e2m1_codebook()}),
    "within_blocks": lambda: levels.within_blocks({"a": torch.randn(8, 64), "b": torch.rand(4, 128)}),
    "against_block_size": lambda: quantizers.error_against_block_size([16, 1024], {"a": [0.1, 0.2], "b": [0.2, 0.4]}),
    "against_bits": lambda: quantizers.error_against_bits(
        {"32": {"a": CURVE}, "8": {"a": CURVE}}, {"b": (5.0, 0.12)}, 4.5
    ),
    "formats": lambda: quantizers.errors_of_formats(ERRORS, {"NF4": 4.5, "MXFP4": 4.25, "int4": 4.5}),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_texts_are_large_enough_and_inside_the_figure(name):
    figure = DRAWINGS[name]()
    figure.canvas.draw()
    frame = figure.bbox
    for ax in figure.axes:
        ticks = [*ax.get_xticklabels(), *ax.get_yticklabels()] if ax.axison else []
        texts = [text for text in [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label] if text.get_text()]
        assert all(text.get_fontsize() >= 9 for text in texts + ticks)
        for box in (text.get_window_extent() for text in texts):
            assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        own = [text.get_window_extent() for text in ax.texts]
        assert not any(one.overlaps(other) for i, one in enumerate(own) for other in own[:i])
    plt.close(figure)


def test_each_number_falls_to_its_nearest_level():
    figure = levels.falling(BLOCK, BOOK, 0)
    texts = [text.get_text() for text in figure.axes[0].texts]
    plt.close(figure)
    code = (BLOCK[0] / 0.4 - BOOK).abs().argmin().item()
    assert "0.2000 / 0.4000 = 0.500" in texts
    assert f"stored: {code}, in four bits {code:04b}" in texts
    assert f"restored: {BOOK[code]:.4f} · 0.4000 = {0.4 * BOOK[code]:.4f}" in texts


def test_slices_have_the_same_area_on_each_side():
    def area_left_of(x: Tensor) -> Tensor:
        return torch.special.ndtr(x)

    figure = levels.equal_slices(BOOK, OFFSET)
    lines = figure.axes[0].collections[-1].get_segments()
    plt.close(figure)
    areas = area_left_of(torch.tensor([float(line[0][0]) for line in lines], dtype=torch.float64)).diff()
    torch.testing.assert_close(areas[:7], torch.full((7,), (OFFSET - 0.5) / 7, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(areas[7:], torch.full((8,), (OFFSET - 0.5) / 8, dtype=torch.float64), atol=1e-6, rtol=0)


def test_the_best_format_is_on_top_with_its_bits():
    figure = DRAWINGS["formats"]()
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    plt.close(figure)
    assert rows == ["MXFP4: 4.25 bits", "int4: 4.5 bits", "NF4: 4.5 bits"]  # from the bottom


def test_block_sizes_say_what_they_cost():
    figure = DRAWINGS["against_block_size"]()
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    plt.close(figure)
    assert ticks == ["16\n6", "1,024\n4.031"]


def test_errors_are_drawn_against_bits_in_order_and_single_formats_in_the_last_panel():
    figure = DRAWINGS["against_bits"]()
    lines = [[list(line.get_xdata()) for line in ax.lines] for ax in figure.axes]
    plt.close(figure)
    assert lines == [[[4.5, 4.5], [4.25, 4.5, 5.0]], [[4.5, 4.5], [4.25, 4.5, 5.0], [5.0]]]
