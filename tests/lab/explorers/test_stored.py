"""What the explorers leave in a notebook. One for all of them: a kernel takes seconds to begin."""

import base64
import io

import nbformat
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from nbformat.v4 import new_code_cell, new_notebook

from labkit.lab.explorers.advice import Asked, advice_picture
from labkit.lab.explorers.quantization_error import Quantizer, error_picture, take_sample
from labkit.lab.explorers.rank import rank_picture, take_apart
from labkit.lab.explorers.step_cost import Choice, Run, cost_picture
from labkit.lab.refresh import run

ASKED = Asked("smollm2-135m")
START = Choice("smollm2-135m", "lora")


def gaussian(rows: int, columns: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(rows, columns)


# the cell, its text, and the picture that the same code draws here
STORED = [
    (
        "import torch, labkit\ntorch.manual_seed(0)\nlabkit.rank_slider({'mine': torch.randn(30, 20)}, rank=3)",
        "(a slider for the rank is shown here; the picture is mine at rank 3)",
        lambda: rank_picture(take_apart(gaussian(30, 20)), 3),
    ),
    (
        "torch.manual_seed(0)\nlabkit.error_explorer({'mine': torch.randn(64, 64)})",
        "(the error explorer is shown here; the picture is mine, with NF4 in blocks of 64)",
        lambda: error_picture(take_sample(gaussian(64, 64), name="mine"), Quantizer()),
    ),
    (
        "labkit.cost_explorer('smollm2-135m', 'lora')",
        f"(the cost explorer is shown here; the picture is {START})",
        lambda: cost_picture(START, Run()),
    ),
    (
        "labkit.advice_explorer('smollm2-135m')",
        f"(the advice explorer is shown here; the picture is {ASKED})",
        lambda: advice_picture(ASKED, ASKED.advice()),
    ),
]


@pytest.mark.slow
def test_a_notebook_stores_a_picture_and_the_same_text_each_time(tmp_path):
    cells = run(new_notebook(cells=[new_code_cell(source) for source, *_ in STORED]), tmp_path).cells
    nbformat.validate(new_notebook(cells=cells))
    for cell, (_, text, draw) in zip(cells, STORED, strict=True):
        (output,) = cell.outputs
        assert output.output_type == "display_data" and set(output.data) == {"text/plain", "image/png"}
        assert output.data["text/plain"] == text
        stored, drawn = (imread(io.BytesIO(png)) for png in (base64.b64decode(output.data["image/png"]), draw()))
        assert np.array_equal(stored[..., :3], drawn[..., :3])
