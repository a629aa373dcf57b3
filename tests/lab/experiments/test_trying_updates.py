import pytest
import torch

from labkit import load_update
from labkit.lab.experiments.trying_updates import loss_with


@pytest.mark.slow
def test_an_update_lowers_the_loss_and_is_gone_afterwards(base):
    model, tokenizer = base
    updates = load_update()
    before = {name: model.get_submodule(name).weight.clone() for name in updates}
    assert loss_with(model, tokenizer, updates) < loss_with(model, tokenizer, {})
    assert all(torch.equal(model.get_submodule(name).weight, weight) for name, weight in before.items())


def test_the_weights_come_back_when_the_measurement_fails(base, monkeypatch):
    model, tokenizer = base
    name = "model.layers.14.self_attn.k_proj"
    weight = model.get_submodule(name).weight
    before = weight.clone()

    def stopped(model):
        assert not torch.equal(weight, before)
        raise KeyboardInterrupt

    monkeypatch.setattr("labkit.lab.experiments.trying_updates.CompletionLoss", stopped)
    with pytest.raises(KeyboardInterrupt):
        loss_with(model, tokenizer, {name: torch.ones_like(weight)})
    assert torch.equal(weight, before)
