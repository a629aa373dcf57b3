"""Two runs are compared where their losses are closest, and code finds them."""

import pytest

from labkit.lab.experiments.races import closest_pair


def run(method, *losses):
    return {"method": method, "validation": [{"loss": loss} for loss in losses]}


def test_the_pair_with_the_closest_last_losses():
    far, near, other = run("lora", 0.5, 0.009), run("lora", 0.1, 0.004), run("full", 0.1, 0.02)
    full = run("full", 0.5, 0.005)
    assert closest_pair([far, full, other, near]) == (near, full)


def test_a_race_of_one_is_none():
    with pytest.raises(ValueError):
        closest_pair([run("lora", 0.5)])
