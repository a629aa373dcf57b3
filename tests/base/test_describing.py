"""Configs of transformers' own classes; the oracle is the model that transformers builds from them."""

import pytest
import torch
from kinds_of_base import config_of, make
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForCausalLM,
    BloomConfig,
    Gemma3Config,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    Qwen2Config,
    T5Config,
    XLNetConfig,
)

from labkit.base.describing import (
    context_length,
    layer_count,
    layer_kinds,
    refuse_encoder_decoder,
    set_layers,
    text_config,
)
from labkit.errors import ConfigError
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
    assert context_length(MambaConfig()) is None  # it has states instead
    assert context_length(XLNetConfig()) is None  # it raises when it's asked


def test_the_layers_of_what_was_a_decoder_are_its_own():
    config = BartConfig(
        encoder_layers=1, decoder_layers=3, d_model=16, decoder_ffn_dim=16, decoder_attention_heads=2, vocab_size=8
    )
    model = BartForCausalLM(config)
    assert layer_count(model.config) == 3 == len(decoder_layers(model))


def test_whatever_is_said_layer_by_layer_is_cut_with_them():
    config = config_of("llama4_text", num_hidden_layers=3, no_rope_layers=[1, 0, 1])
    set_layers(config, 2)
    assert (len(config.layer_types), config.no_rope_layers) == (2, [1, 0])
    assert len(decoder_layers(AutoModelForCausalLM.from_config(config))) == 2


def test_kinds_of_layers_are_seen_also_where_they_are_nested():
    assert set(layer_kinds(NESTED)) == {"full_attention", "sliding_attention"}
    windowless = Qwen2Config(num_hidden_layers=2, use_sliding_window=False, sliding_window=8)
    assert set(layer_kinds(windowless)) == {"full_attention"} and layer_kinds(LLAMA) is None


@pytest.mark.parametrize("kind", ["opt", "gpt2", "gpt_neo", "mpt"])
def test_the_context_is_as_long_as_the_models_table_of_positions(kind):
    model = make(kind)
    context = context_length(model.config)
    model(input_ids=torch.full((1, context), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, context + 1), 5))


def test_a_model_of_two_halves_is_refused():
    with pytest.raises(ConfigError, match="'t5' reads with an encoder and writes with a decoder, and labkit is for"):
        refuse_encoder_decoder(T5Config())
    refuse_encoder_decoder(LLAMA)


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
