"""Which codes a merge into four bits changes, and how much of an update arrives, counted one by one."""

import pytest
import torch
from conftest import make_tiny_llama
from torch import nn

from labkit import LoraConfig, inject_lora, lora_layers, merge_and_unload, merge_aware, quantize_model
from labkit.lab.experiments.four_bit_steps import codes_of, dense_weights, share_arrived, share_changed, updates_of
from labkit.linear import dense_weight
from labkit.quant.blockwise import quantize_blockwise
from labkit.quant.codebooks import nf4_codebook

pytestmark = pytest.mark.filterwarnings("ignore:the base is in four bits, so merging rounds")


def adapted(size: float) -> nn.Module:
    model = inject_lora(quantize_model(make_tiny_llama()), LoraConfig(r=4, target_modules="all-linear"))
    torch.manual_seed(0)
    for _, layer in lora_layers(model):
        nn.init.normal_(layer.lora_B.weight, std=size)
    return model


def test_codes_are_counted_one_by_one():
    model = adapted(0.02)
    before, weights = codes_of(model), dense_weights(model, updates_of(model))
    sums = {name: weights[name] + update for name, update in updates_of(model).items()}
    with merge_aware(model):
        assert codes_of(model).keys() == before.keys() == sums.keys(), "the copies inside are no layers of the model"
    merge_and_unload(model)
    codes = [[quantize_blockwise(tensors[name], nf4_codebook(), 64)[0] for name in sums] for tensors in (weights, sums)]
    expected = (torch.cat(codes[0]) != torch.cat(codes[1])).double().mean().item()
    assert share_changed(before, codes_of(model)) == pytest.approx(expected) and expected > 0.01
    assert share_changed(before, before) == 0


def test_of_a_dense_sum_everything_arrives():
    model = adapted(0.01)
    updates = updates_of(model)
    before = dense_weights(model, updates)
    whole = {name: before[name] + update for name, update in updates.items()}
    assert share_arrived(before, before, updates) == 0
    assert share_arrived(before, whole, updates) == pytest.approx(1)
    merge_and_unload(model)
    after = dense_weights(model, updates)
    assert all(torch.equal(after[name], dense_weight(model.get_submodule(name))) for name in updates)
    assert 0 < share_arrived(before, after, updates) < 1
