"""Notebook 10's exercises: unusual right answers are right, and the mixed batch is what labkit's bank does."""

import pytest
import torch
from conftest import make_tiny_llama
from wrong_answers import Wrong, nb10

from labkit import AdapterBank, LoraConfig, inject_lora, lora_layers
from labkit.course.nb10.exercises import my_mixed


@pytest.mark.parametrize("each", nb10.RIGHT, ids=lambda each: f"{each[0]} {each[2]}")
def test_an_unusual_right_answer_is_right(each):
    verdict = Wrong(*each).verdict()
    assert verdict.mark == "✔", verdict.lines


@torch.no_grad()
def test_the_mixed_batch_is_what_the_bank_adds():
    model, layer = make_tiny_llama(), "model.layers.0.self_attn.q_proj"
    bank, pairs, names = AdapterBank(model), {}, ["a", None, "b", "a"]
    for name, r in (("a", 2), ("b", 3)):
        donor = inject_lora(make_tiny_llama(), LoraConfig(r=r, target_modules=["q_proj"]))
        for _, lora in lora_layers(donor):
            lora.lora_B.weight.normal_()
        lora = donor.get_submodule(layer)
        pairs[name] = lora.scaling * lora.lora_A.weight, lora.lora_B.weight
        bank.add(name, donor)
    x = torch.randn(4, 5, model.config.hidden_size)
    alone = model.get_submodule(layer)(x)
    with bank.rows(names):
        torch.testing.assert_close(my_mixed(alone, x, pairs, names), model.get_submodule(layer)(x))
