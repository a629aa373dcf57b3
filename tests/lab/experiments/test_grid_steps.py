"""Updates in steps of a grid: half a step decides whether rounding lets a weight go."""

import torch

from labkit.lab.experiments.grid_steps import steps_of_bfloat16, steps_of_nf4
from labkit.quant.nf4 import dequantize_nf4, quantize_nf4


def test_steps_of_bfloat16_are_known_ones():
    weight = torch.tensor([1.5, -1.0, 0.05, 3.0]).bfloat16()
    update = torch.tensor([1 / 128, 1 / 128, -1 / 4096, 1 / 64])
    assert torch.equal(steps_of_bfloat16(weight, update), torch.ones(4))


def test_half_a_step_of_bfloat16_decides():
    torch.manual_seed(0)
    weight, update = torch.randn(10_000).bfloat16(), 0.005 * torch.randn(10_000)
    stays = (weight.float() + update).bfloat16() == weight
    inside = steps_of_bfloat16(weight, update) < 0.5
    assert (stays == inside).float().mean() > 0.98  # toward zero, a power of two has smaller steps


def test_half_a_step_of_nf4_decides():
    torch.manual_seed(0)
    weight = dequantize_nf4(quantize_nf4(torch.randn(50, 64)))
    update = 0.05 * torch.randn(50, 64)
    update[weight.abs() == weight.abs().amax(1, keepdim=True)] = 0  # so that no block changes its scale
    stays = dequantize_nf4(quantize_nf4(weight + update)) == weight
    steps = steps_of_nf4(weight, update)
    assert 0 < (steps > 0.5).sum() == (~stays).sum()
    assert len(steps) < weight.numel()  # the largest of a block has no next number
