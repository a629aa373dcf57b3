"""How far weights moved: closed forms, every method that merges, and PEFT for what intrudes."""

import math

import peft
import pytest
import torch
from conftest import make_tiny_llama

import labkit
from labkit.errors import ConfigError
from labkit.evaluation.weight_changes import changed_weights, intruders, relative_change, relative_size
from labkit.family.registry import METHODS
from labkit.linear import linear_layers
from labkit.lora.wrapping import adapted_layers

APART = {"bitfit", "bottleneck", "prefix", "prompt"}


@torch.no_grad()
def moved(parameters) -> None:
    """Change each number a little."""
    generator = torch.Generator().manual_seed(0)
    for parameter in parameters:
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def tuned_with(name: str, amount: int = 1):
    model = make_tiny_llama()
    torch.manual_seed(1)
    trained = labkit.adapt(model, name)
    for _ in range(amount):
        moved(trained.parameters.values())
    return model, trained


@pytest.mark.parametrize("name", [name for name in METHODS if name not in APART])
def test_what_changed_is_what_the_method_says_it_adds(name):
    base = make_tiny_llama()
    model, trained = tuned_with(name)
    deltas = {f"{layer}.weight": each.delta_weight() for layer, each in adapted_layers(model)}
    if not deltas:  # full and Spectrum change the weights themselves
        before = dict(base.named_parameters())
        deltas = {key: parameter.detach() - before[key] for key, parameter in trained.parameters.items()}
    changed = changed_weights(base, trained.merge())
    assert changed.keys() == deltas.keys()
    for key, (before, after) in changed.items():
        torch.testing.assert_close(after - before, deltas[key], rtol=1e-4, atol=1e-6)
    weights = sum(before.double().square().sum() for before, _ in changed.values())
    updates = sum(delta.detach().double().square().sum() for delta in deltas.values())
    assert relative_change(changed) == pytest.approx(math.sqrt(updates / weights), rel=1e-4)


def test_half_as_much_again_is_a_half():
    base, tuned = make_tiny_llama(), make_tiny_llama()
    with torch.no_grad():
        for layer in linear_layers(tuned).values():
            layer.weight.mul_(1.5)
    changed = changed_weights(base, tuned)
    assert changed.keys() == {f"{name}.weight" for name in linear_layers(base)}
    assert relative_change(changed) == pytest.approx(0.5)
    assert relative_size([(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 10.0]))]) == 2  # ‖(3, 4)‖ is 5
    assert intruders(base, tuned).found == 0  # longer, and turned nowhere


def test_nothing_changed_is_zero():
    base, same = make_tiny_llama(), make_tiny_llama()
    assert changed_weights(base, same) == {} and relative_change({}) == 0
    assert intruders(base, same).looked_at == 0


def test_a_tied_weight_counts_once():
    base, tuned = make_tiny_llama(), make_tiny_llama()
    with torch.no_grad():
        tuned.get_input_embeddings().weight.add_(1)
    assert len(changed_weights(base, tuned)) == 1 and intruders(base, tuned).looked_at == 0


def test_intruders_are_those_that_peft_finds():
    model, trained = tuned_with("lora", amount=30)
    adapter = {key: value.detach().clone() for key, value in trained.parameters.items()}
    targets = list(linear_layers(make_tiny_llama()))
    config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=targets)
    twin = peft.get_peft_model(make_tiny_llama(), config)
    with torch.no_grad():
        for key, parameter in twin.named_parameters():
            if "lora_" in key:
                parameter.copy_(adapter[key.removeprefix("base_model.model.").replace(".default", "")])
    said = []
    theirs = pytest.importorskip("peft.tuners.lora.intruders")  # newer than the oldest PEFT that's allowed
    theirs.reduce_intruder_dimension(twin, top_k=10, threshold_epsilon=0.5, logging_sink=said.append)
    counted = sum(int(line.rpartition(" ")[2]) for line in said if "Intruders: " in line)
    found = intruders(make_tiny_llama(), trained.merge())
    assert found.found == counted > 0
    assert found.looked_at == 10 * len(targets) and sum(found.by_kind.values()) == found.found
    assert found.by_kind.keys() == {name.split(".")[-1] for name in targets}


def test_what_is_no_base_and_its_tuned_model_is_refused():
    model, _ = tuned_with("lora")
    with pytest.raises(ConfigError, match="merge it first"):
        changed_weights(make_tiny_llama(), model)
    with pytest.raises(ConfigError, match="only one of them has"):
        changed_weights(make_tiny_llama(), make_tiny_llama(num_hidden_layers=3))
    with pytest.raises(ConfigError, match="only one of them has"):
        changed_weights(make_tiny_llama(), make_tiny_llama(hidden_size=64))
