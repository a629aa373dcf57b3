"""What a model's config says of it, read in one place.

A model that sees as well as reads keeps what its language part is made of in a config of its own (``text_config``),
and other architectures call the same things by other names; transformers knows both.
"""

from transformers import PretrainedConfig

from labkit.errors import ConfigError

# most are the first by an `attribute_map`; MPT and DBRX, and what was the decoder of a speech model, keep their own
_CONTEXT = ("max_position_embeddings", "max_seq_len", "max_sequence_length", "max_target_positions")
_NOT_BY_LAYER = {"architectures", "eos_token_id"}  # lists as well, which may happen to be as long


def text_config(config: PretrainedConfig) -> PretrainedConfig:
    """The config of the part that reads and writes: `config` itself, or the one nested in it."""
    return config.get_text_config(decoder=True)


def refuse_encoder_decoder(config: PretrainedConfig) -> None:
    """Raise ConfigError for a model that reads with one half and writes with the other, as T5 does."""
    if config.is_encoder_decoder:
        raise ConfigError(
            f"{config.model_type!r} reads with an encoder and writes with a decoder, and labkit is for causal language "
            "models, which do both at once: choose one that AutoModelForCausalLM loads"
        )


def context_length(config: PretrainedConfig) -> int | None:
    """The longest input, in tokens; None where the config sets no limit."""
    for part in (text_config(config), config):
        for name in _CONTEXT:
            try:
                value = getattr(part, name, None)
            except NotImplementedError:  # how XLNet says that it has none
                continue
            if isinstance(value, int) and value > 0:
                return value
    return None


def layer_count(config: PretrainedConfig) -> int:
    """How many decoder layers there are."""
    config = text_config(config)
    return getattr(config, _layers(config))


def _layers(config: PretrainedConfig) -> str:
    # where a config is made for two halves, as BART's, num_hidden_layers is that of the other one
    return "decoder_layers" if hasattr(config, "decoder_layers") else "num_hidden_layers"


def layer_kinds(config: PretrainedConfig) -> list[str] | None:
    """The kind of each layer (``"full_attention"``, ``"sliding_attention"``, …); None where they're not told apart."""
    return getattr(text_config(config), "layer_types", None) or None


def set_layers(config: PretrainedConfig, count: int) -> None:
    """Have `config` describe a model with its first `count` layers; beyond those it has, with more like the first."""
    config, before = text_config(config), layer_count(config)
    for name, entries in vars(config).items():  # layer_types, and whatever else is said layer by layer
        if isinstance(entries, list) and len(entries) == before and name not in _NOT_BY_LAYER:
            setattr(config, name, (entries + entries[:1] * count)[:count])
    setattr(config, _layers(config), count)
