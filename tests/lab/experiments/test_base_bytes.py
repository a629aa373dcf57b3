"""`bytes_of` counts every byte of a base once, dense or in four bits."""

import pytest
import torch
from conftest import make_tiny_llama

from labkit import quantize_model
from labkit.lab.experiments.base_bytes import bytes_of

ROOMY = {"hidden_size": 64, "intermediate_size": 128}


def test_the_parts_of_a_dense_model_are_all_its_parameters():
    model = make_tiny_llama(**ROOMY)
    parts = bytes_of(model)
    assert sum(parts.values()) == sum(p.nbytes for p in model.parameters())
    linear = sum(p.nbytes for name, p in model.named_parameters() if "_proj" in name)
    assert parts["linear layers"] == linear > 0


@pytest.mark.parametrize("backend", ["labkit", "bitsandbytes"])
def test_four_bits_shrink_the_linear_layers_alone(backend):
    pytest.importorskip("bitsandbytes")
    dense = bytes_of(make_tiny_llama(**ROOMY))
    packed = bytes_of(quantize_model(make_tiny_llama(**ROOMY), backend))
    assert packed["everything else"] == dense["everything else"]
    assert packed["linear layers"] == dense["linear layers"] * 4.5 / 32


def test_a_shape_without_numbers_will_do():
    with torch.device("meta"):
        assert bytes_of(make_tiny_llama(**ROOMY)) == bytes_of(make_tiny_llama(**ROOMY))
