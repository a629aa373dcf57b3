"""The models whose step can be simulated: a preset, a ``config.json``, or a hub id. Only their shapes are needed."""

import copy
import os
import re
from dataclasses import dataclass
from pathlib import Path

from transformers import PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from labkit.base.describing import layer_kinds, set_layers
from labkit.errors import ConfigError
from labkit.simulation.options import MOST
from labkit.storage.untrusted import plain, read_json


@dataclass(frozen=True)
class Preset:
    """A public model's shape, as its ``config.json`` on the hub says.

    Attributes:
        hub_id: whose config it is.
        model_type: transformers' name of the architecture.
        parameters: how many the published weights have: what the shape must come out at.
        shape: the entries of the config that decide sizes.
    """

    hub_id: str
    model_type: str
    parameters: int
    shape: dict


def _shape(hidden, mlp, layers, heads, kv_heads, vocabulary, context, tied) -> dict:
    return {
        "hidden_size": hidden,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        "tie_word_embeddings": tied,
    }


def _llama(hub_id: str, parameters: int, *shape) -> Preset:
    return Preset(hub_id, "llama", parameters, _shape(*shape))


def _qwen(hub_id: str, parameters: int, *shape) -> Preset:
    return Preset(hub_id, "qwen2", parameters, _shape(*shape))


# hidden, MLP, layers, heads, key/value heads, vocabulary, context, tied embeddings. All have the published number of
# parameters; SmolLM2, Qwen2.5-7B and Llama 3 were compared with litgpt/config.py (github.com/Lightning-AI/litgpt).
PRESETS = {
    "smollm2-135m": _llama("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008, 576, 1536, 30, 9, 3, 49152, 8192, True),
    "smollm2-360m": _llama("HuggingFaceTB/SmolLM2-360M-Instruct", 361_821_120, 960, 2560, 32, 15, 5, 49152, 8192, True),
    "smollm2-1.7b": _llama(
        "HuggingFaceTB/SmolLM2-1.7B-Instruct", 1_711_376_384, 2048, 8192, 24, 32, 32, 49152, 8192, True
    ),
    "qwen2.5-0.5b": _qwen("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768, 896, 4864, 24, 14, 2, 151936, 32768, True),
    "qwen2.5-7b": _qwen("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512, 3584, 18944, 28, 28, 4, 152064, 32768, False),
    "llama-2-7b": _llama("meta-llama/Llama-2-7b-hf", 6_738_415_616, 4096, 11008, 32, 32, 32, 32000, 4096, False),
    "llama-3-8b": _llama("meta-llama/Meta-Llama-3-8B", 8_030_261_248, 4096, 14336, 32, 32, 8, 128256, 8192, False),
    "llama-3-70b": _llama("meta-llama/Meta-Llama-3-70B", 70_553_706_496, 8192, 28672, 80, 64, 8, 128256, 8192, False),
}

# What a model has at least one of, in the names that most configs know them by; and how they call their layers.
_SIZES = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("head_dim", "vocab_size"),
)
_LAYERS = r"(num|n|encoder|decoder)(_\w+)?_layers?|depth"
MOST_LAYERS = 1_000  # all of them are simulated where they differ; the deepest models known have some hundred

# decoders whose layers are all alike: what a step takes grows by the same bytes with each of them
ALIKE = {"llama", "mistral", "qwen2", "qwen3"}


def config_of(model: str | Path | PretrainedConfig) -> PretrainedConfig:
    """The config of a preset, of a ``config.json`` (or the folder it lies in), or of a model on the hub.

    Raises:
        ConfigError: nothing is known under that name, its architecture needs code of its own, or its numbers are none
            that a model can have.
    """
    if isinstance(model, PretrainedConfig):
        refuse_impossible(model.to_dict(), type(model), "the config")
        return model
    name = str(model)
    preset = PRESETS.get(name.lower()) or next((p for p in PRESETS.values() if p.hub_id == name), None)
    if preset:
        return CONFIG_MAPPING[preset.model_type](**preset.shape)
    path = Path(os.path.expanduser(name))
    if name.strip() and path.exists():
        file = path / "config.json" if path.is_dir() else path
        read_json(file, ConfigError)  # bounded, and with a sentence of its own where it isn't JSON
        return _config_from(PretrainedConfig.get_config_dict(file)[0], str(file))
    known = ", ".join(PRESETS)
    if name.count("/") != 1 or path.suffix == ".json":
        raise ConfigError(f"no model is known as {name!r}. Known are {known}; a config.json and a hub id will do, too")
    try:
        entries, _ = PretrainedConfig.get_config_dict(name)
    except Exception as error:  # offline, gated, misspelt: transformers raises many things
        raise ConfigError(
            f"the config of {name!r} cannot be had from the hub. Check the name and the connection, "
            f"or give the path of its config.json; without a connection there are {known}"
        ) from error
    return _config_from(entries, name)


def with_layers(config: PretrainedConfig, layers: int) -> PretrainedConfig:
    """The same model with so many layers."""
    like = copy.deepcopy(config)
    set_layers(like, layers)
    return like


def layers_are_alike(config: PretrainedConfig) -> bool:
    """Whether each layer costs what the others do."""
    return config.model_type in ALIKE and len(set(layer_kinds(config) or [""])) == 1


def refuse_impossible(entries: dict, kind: type[PretrainedConfig], where: str) -> None:
    """ConfigError where a config has a size no model can have: a negative width, a million layers.

    transformers finds some of them, in many places and words, and begins to make a million layers.

    Args:
        entries: of the config.
        kind: whose names they have.
        where: the config in words.
    """
    sizes = {*_SIZES, *(kind.attribute_map.get(name) for name in _SIZES)}
    for part in (entries, *(entry for entry in entries.values() if isinstance(entry, dict))):
        of_text = part is entries or part is entries.get("text_config")
        for name, value in part.items():
            most = MOST_LAYERS if (layers := re.fullmatch(_LAYERS, str(name))) else MOST
            least = 1 if of_text and name in sizes else 0
            if not (layers or least) or value is None or isinstance(value, (list, dict)):  # a list: one for each layer
                continue
            if type(value) is not int:
                raise ConfigError(f"{where}: {plain(name)} must be a whole number, got {plain(repr(value))}")
            if not least <= value <= most:
                raise ConfigError(f"{where}: {plain(name)} must be from {least} to {most:,}, got {value:,}")


def reason_of(error: Exception) -> str:
    """What somebody else's code stopped at, in one line without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = lines[-1] if "Validation" in type(error).__name__ else lines[0]  # of a config's field: the cause comes last
    line = re.sub(r"^\w+Error: ", "", line)
    if isinstance(error, KeyError) and error.args:  # whose text is that of the key, in quotes, or a sentence in quotes
        line = str(error.args[0]) if " " in line else f"it doesn't know {line}"
    return plain(line).rstrip(".")


def _config_from(entries: dict, where: str) -> PretrainedConfig:
    name = entries.get("model_type")
    if name is None:
        raise ConfigError(f"{where}: without a model_type it doesn't say which architecture it describes")
    kind = CONFIG_MAPPING[name] if isinstance(name, str) and name in CONFIG_MAPPING else None
    if kind is None:
        brings = ", and the code that comes with it is never run" if entries.get("auto_map") else ""
        raise ConfigError(f"{where}: transformers doesn't know the architecture {plain(repr(name))}{brings}")
    refuse_impossible(entries, kind, where)
    try:
        return kind.from_dict(entries)
    except Exception as error:  # a field of the wrong kind raises what each class likes
        raise ConfigError(f"{where} is not the config of a {name!r} model: {reason_of(error)}") from error
