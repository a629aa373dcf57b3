import time

import torch
from torch import nn

from labkit.lab.experiments.counting import Counting, hooks_on, seconds_a_call


def test_operations_on_tensors_are_counted_and_others_are_not():
    with Counting() as counted:
        torch.zeros(3).clone()
        {"a": 1}["a"]
    torch.zeros(3)
    assert counted.operations == 2


def test_seconds_per_call_go_through_the_names_in_turn():
    called = []

    def call(name):
        called.append(name)
        time.sleep(0.002)

    assert 0.002 <= seconds_a_call(call, ["a", "b"], 3, goes=2) < 0.5
    assert called == ["a", "b", "a"] * 2


def test_hooks_of_both_kinds_are_counted():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert hooks_on(model) == 0
    hook = model[0].register_forward_hook(lambda *_: None)
    model[1].register_forward_pre_hook(lambda *_: None)
    assert hooks_on(model) == 2
    hook.remove()
    assert hooks_on(model) == 1
