"""The drawings of notebook 03: all of it inside, nothing on top of a word, and widths that are the model's."""

import io
from itertools import combinations
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
from matplotlib.patches import FancyBboxPatch, Rectangle

from labkit.lab.diagrams.block import llama_block
from labkit.lab.diagrams.boxes import LEARNS
from labkit.lab.diagrams.layer import gradients_way, lora_beside_full

SMOL = SimpleNamespace(hidden_size=576, intermediate_size=1536, num_attention_heads=9, num_key_value_heads=3)
LLAMA_8B = SimpleNamespace(hidden_size=4096, intermediate_size=14336, num_attention_heads=32, num_key_value_heads=8)
DRAWINGS = {
    "beside": lora_beside_full,
    "gradients": gradients_way,
    "smol": lambda: llama_block(SMOL),
    "8B": lambda: llama_block(LLAMA_8B),
}


@pytest.fixture(params=DRAWINGS)
def drawing(request):
    figure = DRAWINGS[request.param]()
    yield figure
    plt.close(figure)


def test_every_word_can_be_read(drawing):
    drawing.canvas.draw()
    words = [text for text in drawing.axes[0].texts if text.get_text()]
    frames = [text.get_window_extent() for text in words]
    for text, frame in zip(words, frames):
        assert text.get_fontsize() >= 9, text.get_text()
        assert drawing.bbox.x0 <= frame.x0 and frame.x1 <= drawing.bbox.x1, text.get_text()
        assert drawing.bbox.y0 <= frame.y0 and frame.y1 <= drawing.bbox.y1, text.get_text()
    for (one, a), (other, b) in combinations(zip(words, frames), 2):
        assert not a.overlaps(b), (one.get_text(), other.get_text())


def test_a_label_fits_its_box(drawing):
    drawing.canvas.draw()
    boxes = [
        each.get_window_extent() for each in drawing.axes[0].patches if isinstance(each, (FancyBboxPatch, Rectangle))
    ]
    for text in drawing.axes[0].texts:
        frame = text.get_window_extent()
        for box in boxes:
            if box.overlaps(frame):
                assert box.x0 <= frame.x0 and frame.x1 <= box.x1, text.get_text()
                assert box.y0 <= frame.y0 and frame.y1 <= box.y1, text.get_text()


def test_it_is_seven_inches_wide_and_small(drawing):
    picture = io.BytesIO()
    drawing.savefig(picture, format="png", dpi=100)
    assert drawing.get_figwidth() == 7 and len(picture.getvalue()) < 80_000


@pytest.mark.parametrize(
    "config, outputs",
    [(SMOL, [576, 192, 192, 576, 1536, 1536, 576]), (LLAMA_8B, [4096, 1024, 1024, 4096, 14336, 14336, 4096])],
)
def test_a_layer_is_as_wide_as_its_outputs(config, outputs):
    figure = llama_block(config)
    patches = [each for each in figure.axes[0].patches if isinstance(each, FancyBboxPatch)]
    trained = plt.matplotlib.colors.to_rgba(LEARNS)
    widths = [each.get_width() for each in patches if each.get_facecolor() == trained]
    plt.close(figure)
    assert [width / widths[0] for width in widths] == pytest.approx([each / outputs[0] for each in outputs])
