"""A step moves a number in bfloat16 if it's more than half of the way to the next one."""

import torch

from labkit.lab.experiments.small_steps import share_moved


def test_a_step_of_half_the_distance_is_the_border():
    weights = torch.tensor([0.02, 0.01, 0.005, 0.0])  # the next numbers are 12, 6, 3 and no hundred-thousandths away
    assert share_moved(weights, 2e-5, torch.bfloat16) == 0.5
    assert share_moved(weights, 4e-5, torch.bfloat16) == 0.75
    assert share_moved(weights, 2e-5, torch.float32) == 1
