"""One layer in labkit and in PEFT: the same answers, away from the start, and any other answer is off."""

import pytest
import torch
from torch import nn

from labkit.errors import ConfigError
from labkit.lab.experiments import one_layer as experiment
from labkit.lab.experiments.one_layer import one_layer

SETTINGS = {
    "dora": {"r": 3, "lora_alpha": 6},
    "pissa": {"r": 3, "lora_alpha": 3},
    "vera": {"r": 8},
    "ia3": {"feedforward_modules": []},
    "bitfit": {},
    "bottleneck": {"bottleneck": 5},
}


def layer_and_x():
    torch.manual_seed(0)
    return nn.Linear(10, 6, bias=False), torch.randn(4, 10)


@pytest.mark.parametrize("method", SETTINGS)
def test_both_libraries_answer_alike_and_not_as_the_base(method):
    layer, x = layer_and_x()
    before = layer.weight.detach().clone()
    made = one_layer(method, layer, x, **SETTINGS[method])
    assert set(made.answers) == {"labkit", "PEFT"} - ({"PEFT"} if method == "bottleneck" else set())
    assert made.off(made.answers["labkit"]) < 1e-5
    assert made.off(layer(x).detach()) > 0.01, "it has been moved away from its start"
    assert torch.equal(layer.weight, before)


def test_the_farther_of_the_two_counts():
    layer, x = layer_and_x()
    made = one_layer("bitfit", layer, x)
    made.answers["PEFT"] = 2 * made.answers["labkit"]
    assert made.off(made.answers["labkit"]) == pytest.approx(0.5)


def test_what_was_drawn_is_among_the_numbers():
    layer, x = layer_and_x()
    assert set(one_layer("vera", layer, x, r=8).numbers) == {"vera_lambda_b", "vera_lambda_d", "vera_A", "vera_B"}
    assert set(one_layer("bottleneck", layer, x).numbers) == {"down", "down.bias", "up", "up.bias"}


def test_another_method_in_peft_is_refused(monkeypatch):
    monkeypatch.setitem(experiment._IN_PEFT, "bitfit", experiment._IN_PEFT["dora"])
    with pytest.raises(ConfigError, match="PEFT trains"):
        one_layer("bitfit", *layer_and_x())
