"""What a model's config says of it, read in one place.

A model that sees as well as reads keeps what its language part is made of in a config of its own (``text_config``),
and other architectures call the same things by other names; transformers knows both.
"""

from transformers import PretrainedConfig


def text_config(config: PretrainedConfig) -> PretrainedConfig:
    """The config of the part that reads and writes: `config` itself, or the one nested in it."""
    return config.get_text_config(decoder=True)


def context_length(config: PretrainedConfig) -> int | None:
    """The longest input, in tokens; None where the config sets no limit."""
    return getattr(text_config(config), "max_position_embeddings", None)


def layer_count(config: PretrainedConfig) -> int:
    """How many decoder layers there are."""
    return text_config(config).num_hidden_layers


def layer_kinds(config: PretrainedConfig) -> list[str] | None:
    """The kind of each layer (``"full_attention"``, ``"sliding_attention"``, …); None where they're not told apart."""
    return getattr(text_config(config), "layer_types", None) or None


def set_layers(config: PretrainedConfig, count: int) -> None:
    """Have `config` describe a model with its first `count` layers; beyond those it has, with more like the first."""
    config, kinds = text_config(config), layer_kinds(config)
    config.num_hidden_layers = count
    if kinds:
        config.layer_types = (kinds + kinds[:1] * count)[:count]


def has_window(config: PretrainedConfig) -> bool:
    """Whether attention looks back over a window of tokens only, in any layer."""
    return bool(getattr(text_config(config), "sliding_window", None))
