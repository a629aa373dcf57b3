"""Models with the shape of a known one and random weights, made on the device, one layer after the other."""

import copy

import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig

import labkit
from labkit.base.describing import layer_count, set_layers
from labkit.simulation.options import DTYPES
from labkit.simulation.shapes import config_of, with_layers
from labkit.simulation.tracing import decoder_layers

# like SmolLM2, whose tokenizer it can be given, and small enough for any machine
TINY = LlamaConfig(
    vocab_size=49_152,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    tie_word_embeddings=True,
)


def shape_of(name: str) -> PretrainedConfig:
    """The config of a preset of :func:`labkit.simulate`, or of "tiny", a Llama that any machine can train."""
    return copy.deepcopy(TINY) if name == "tiny" else config_of(name)


def random_model(config: PretrainedConfig, device: str, dtype: str) -> nn.Module:
    """A dense one."""
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=DTYPES[dtype])


def random_model_in_four_bits(
    config: PretrainedConfig, device: str, dtype: str, backend: str = "labkit", double: bool = True
) -> nn.Module:
    """A Llama whose linear layers are in NF4. At any moment, one of its layers at most is dense.

    So a 70B model can be made on a card that its dense weights would fill three times.
    """

    def with_one_layer(like: PretrainedConfig) -> nn.Module:
        return labkit.quantize_model(random_model(with_layers(like, 1), device, dtype), backend, double=double)

    small = copy.deepcopy(config)
    small.vocab_size = 8  # the embeddings are made once
    model, depth = with_one_layer(config), layer_count(config)
    layers = decoder_layers(model)
    for index in range(1, depth):
        (layer,) = decoder_layers(with_one_layer(small))
        layer.self_attn.layer_idx = index
        layers.append(layer)
    set_layers(model.config, depth)
    return model
