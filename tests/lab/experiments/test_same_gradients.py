"""A 4-bit model and the dense one with the same Ŵ have the same gradients; a layer that blocks them is seen."""

import copy

import torch
import torch.nn.functional as F
from conftest import make_tiny_llama

import labkit
from labkit.lab.experiments.same_gradients import dense_with, gradients, multiply_with, with_lora
from labkit.step.batch import Example, collate

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
BATCH = collate([Example(list(range(3, 12)), 4)], 0)


def blocked(x, packed, dequantize):
    with torch.no_grad():
        return F.linear(x, dequantize(packed))


def test_gradients_are_those_of_the_dense_model_unless_a_layer_blocks_them():
    dense = make_tiny_llama()
    adapted = with_lora(labkit.quantize_model(copy.deepcopy(dense)), **LORA)
    dense = with_lora(dense, **LORA)
    before = gradients(dense, BATCH)
    expected = gradients(dense_with(dense, adapted), BATCH)
    found = gradients(adapted, BATCH)
    assert len(found) == 1 + 2 * len(list(labkit.lora_layers(adapted)))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(before[0], expected[0], rtol=1e-3)  # Ŵ isn't W
    through = gradients(multiply_with(lambda x, packed, dequantize: F.linear(x, dequantize(packed)), adapted), BATCH)
    torch.testing.assert_close(through[0], expected[0], rtol=1e-3, atol=1e-6)
    lost = gradients(multiply_with(blocked, adapted), BATCH)
    assert (lost[0] - expected[0]).norm() > 0.1 * expected[0].norm()
