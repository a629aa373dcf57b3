"""Configs of transformers' own classes; the oracle is the model that transformers builds from them."""

import pytest
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
)

from labkit.base.describing import (
    context_length,
    has_window,
    layer_count,
    layer_kinds,
    set_layers,
    text_config,
)
from labkit.simulation.tracing import decoder_layers

LLAMA = LlamaConfig(num_hidden_layers=3, max_position_embeddings=77)
NESTED = Gemma3Config(text_config={"num_hidden_layers": 7, "max_position_embeddings": 99, "sliding_window": 16})


@pytest.mark.parametrize(
    "config, context, layers",
    [(LLAMA, 77, 3), (NESTED, 99, 7), (GPT2Config(n_layer=5, n_positions=55), 55, 5)],
    ids=["llama", "nested", "by other names"],
)
def test_context_and_layers_are_found_wherever_they_stand(config, context, layers):
    assert (context_length(config), layer_count(config)) == (context, layers)


def test_a_config_without_a_limit_has_none():
    assert context_length(BloomConfig()) is None  # its positions are slopes, for any length


def test_windows_are_seen_also_where_they_are_nested():
    assert has_window(NESTED) and set(layer_kinds(NESTED)) == {"full_attention", "sliding_attention"}
    assert has_window(MistralConfig(sliding_window=8)) and not has_window(MistralConfig(sliding_window=None))
    assert not has_window(LLAMA)
    windowless = Qwen2Config(num_hidden_layers=2, use_sliding_window=False, sliding_window=8)
    assert not has_window(windowless) and set(layer_kinds(windowless)) == {"full_attention"}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_model_built_afterwards_has_that_many_layers(count):
    config = Qwen2Config(
        vocab_size=16,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    set_layers(config, count)
    assert layer_count(config) == len(layer_kinds(config)) == count
    assert len(decoder_layers(AutoModelForCausalLM.from_config(config))) == count


def test_a_nested_config_keeps_what_is_around_it():
    config = Gemma3Config(text_config={"num_hidden_layers": 4})
    set_layers(config, 2)
    assert text_config(config).num_hidden_layers == 2 and config.text_config.num_hidden_layers == 2
    assert config.vision_config.num_hidden_layers == Gemma3Config().vision_config.num_hidden_layers
