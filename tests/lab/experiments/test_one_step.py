"""What notebook 02 watches of a step is what the closed forms and the ledger say."""

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from labkit import LoraConfig, inject_lora, measure
from labkit.lab.experiments.one_step import kept_by_part, seconds_per_step, watch_step
from labkit.simulation.closed_forms import activations_per_layer

BATCH = {"batch_size": 2, "sequence": 32, "labelled": 0.25}


@pytest.fixture
def model():
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")


def test_a_watched_step_has_the_ledger_of_a_measured_one(model):
    step = watch_step(model, **BATCH)
    assert step.phases == measure(model, **BATCH).phases
    trained = sum(p.nbytes for p in model.parameters())
    assert 2 * trained <= step.most("optimizer") < 2.1 * trained


def test_the_parts_of_a_layer_keep_what_the_formula_says(model):
    inject_lora(model, LoraConfig(r=4, target_modules="all-linear"))
    x = torch.randn(1, 16, 32, requires_grad=True)
    rotation = model.model.rotary_emb(x, torch.arange(16)[None])
    kept = kept_by_part(model.model.layers[0], x, position_embeddings=rotation)
    assert list(kept) == ["input_layernorm", "self_attn", "post_attention_layernorm", "mlp"]
    assert sum(kept.values()) == activations_per_layer(model.config, 16, "lora", size=4, r=4)


def test_each_model_has_its_seconds(model):
    seconds = seconds_per_step({"one": model}, rounds=1, **BATCH)
    assert list(seconds) == ["one"] and seconds["one"] > 0
