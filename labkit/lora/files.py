"""Adapters on disk, in PEFT's two files and one of our own.

    adapter_config.json          what was adapted, in PEFT's words
    adapter_model.safetensors    A and B of every layer, float32, under PEFT's key names
    labkit.json                  where it came from: task, system prompt, base and how it was held, recipe, scores;
                                 sha256 of the two

PEFT reads what is saved here, and what PEFT saves is read here. PEFT's files have no checksum: in a folder that
PEFT wrote, a number that was changed on the way cannot be told from one that was meant.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from labkit.errors import AdapterError, ConfigError
from labkit.lora.config import LoraConfig
from labkit.lora.inject import inject_lora, lora_layers, refuse_bank, resolve_targets
from labkit.storage.untrusted import digest_of, plain, read_json, read_weights, try_patterns
from labkit.storage.writing import folder_written_aside

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
ABOUT_FILE = "labkit.json"
_PREFIX = "base_model.model."  # PEFT's wrappers, as they show in its key names
_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)  # no packed 4- or 8-bit ones


def keys_of(name: str) -> tuple[str, str]:
    """PEFT's keys for A and B of the layer called `name`."""
    return f"{_PREFIX}{name}.lora_A.weight", f"{_PREFIX}{name}.lora_B.weight"


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """A and B of every LoRA layer under PEFT's key names, as float32 copies on the CPU."""
    return {
        key: part.weight.detach().to("cpu", torch.float32, copy=True)
        for name, layer in lora_layers(model)
        for key, part in zip(keys_of(name), (layer.lora_A, layer.lora_B))
    }


def save_adapter(model: nn.Module, path: Path | str, about: dict | None = None) -> Path:
    """Write the adapter of `model` to the folder `path`, whole or not at all.

    Args:
        model: a model with LoRA layers, as :func:`labkit.inject_lora` leaves it.
        path: the folder; an older one there is replaced.
        about: what to write into ``labkit.json`` besides the base: task, system prompt, recipe, scores.

    Returns:
        The folder.

    Raises:
        AdapterError: the model has no adapter, or what is at `path` is more than an adapter.
        ConfigError: the model is served by an AdapterBank.
    """
    refuse_bank(model)
    path = Path(path).resolve()  # what a link points to is replaced, not the link
    state, config = adapter_state(model), getattr(model, "lora_config", None)
    if not state or config is None:
        raise AdapterError(f"{path}: there is no adapter to save, the model has no LoRA layer from inject_lora")
    refuse_to_overwrite(path)
    base_name = getattr(model, "base_name", None)
    base = {"name": base_name, "fingerprint": getattr(model, "base_fingerprint", None)}
    if quantization := getattr(model, "quantization", None):
        base["quantization"] = quantization
    with folder_written_aside(path) as folder:
        save_file(state, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        _write_json(folder / CONFIG_FILE, config.to_peft(base_name))
        sums = {name: digest_of(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)}
        _write_json(folder / ABOUT_FILE, {"base": base, **(about or {}), "sha256": sums})
    return path


def load_adapter(model: nn.Module, path: Path | str) -> nn.Module:
    """Put the adapter in the folder `path` onto `model`, in place.

    Everything is read and checked before the model is touched: after an error it is as it was.

    Args:
        model: a base model without LoRA layers.
        path: a folder written by :func:`save_adapter` or by PEFT.

    Returns:
        The model, adapter in place, everything else frozen.

    Raises:
        AdapterError: naming the file and what is wrong with it; also when the adapter was trained on
            another base, or the model has an adapter already.
        ConfigError: the model is served by an AdapterBank.
    """
    refuse_bank(model)
    if any(True for _ in lora_layers(model)):
        raise AdapterError(f"{path}: the model already has an adapter: start from a fresh base")
    config, state = read_adapter(model, path)
    inject_lora(model, config)
    with torch.no_grad():
        for name, layer in lora_layers(model):
            for part, key in zip((layer.lora_A, layer.lora_B), keys_of(name)):
                part.weight.copy_(state[key])
    return model


def read_adapter(model: nn.Module, path: Path | str) -> tuple[LoraConfig, dict[str, Tensor]]:
    """The adapter in the folder `path`, read and checked against `model`, which is not touched.

    Returns:
        The config, and A and B of every layer under PEFT's key names.

    Raises:
        AdapterError: naming the file and what is wrong with it; also when it was trained on another base.
    """
    path = Path(path)
    config, about = read_config(path), read_about(path)
    _check_base(model, about.get("base") or {}, path / ABOUT_FILE)
    try_patterns(config.repeating_patterns(), [name for name, _ in model.named_modules()], path / CONFIG_FILE)
    state = read_weights(path / WEIGHTS_FILE)
    _check_state(state, _expected_shapes(model, config, path / CONFIG_FILE), path / WEIGHTS_FILE)
    _check_sums(path, about)
    return config, state


def adapter_of(source: nn.Module, model: nn.Module, where: str) -> tuple[LoraConfig, dict[str, Tensor]]:
    """The adapter on the model `source`, checked against `model`: what saving and reading would give.

    Raises:
        AdapterError: beginning with `where`; there is no adapter, it sits on another base, or is not whole.
    """
    state, config = adapter_state(source), getattr(source, "lora_config", None)
    if not state or config is None:
        raise AdapterError(f"{where}: the model given has no LoRA layer from inject_lora")
    base = {"name": getattr(source, "base_name", None), "fingerprint": getattr(source, "base_fingerprint", None)}
    _check_base(model, base, where)
    return config, check_adapter(model, config, state, where)


def check_adapter(
    model: nn.Module, config: LoraConfig, state: Mapping[str, Tensor], where: str
) -> Mapping[str, Tensor]:
    """`state`, when it is exactly what `config` asks for on `model`, and all finite.

    Raises:
        AdapterError: beginning with `where`.
    """
    if strays := [key for key, tensor in state.items() if not isinstance(tensor, Tensor)]:
        raise AdapterError(f"{where}: {strays[0]} is a {type(state[strays[0]]).__name__}, not a tensor")
    _check_state(state, _expected_shapes(model, config, where), where)
    return state


def read_config(path: Path | str) -> LoraConfig:
    """The config in an adapter folder.

    Raises:
        AdapterError: the file is missing, is no JSON object, or asks for what labkit does not do.
    """
    file = Path(path) / CONFIG_FILE
    try:
        return LoraConfig.from_peft(read_json(file))
    except ConfigError as error:
        raise AdapterError(f"{file}: {plain(error, 400)}") from None
    except (TypeError, AttributeError, RecursionError) as error:
        raise AdapterError(f"{file}: a field has a value of the wrong kind ({plain(error)})") from None


def read_about(path: Path | str) -> dict:
    """What ``labkit.json`` says of the adapter; empty when PEFT wrote the folder.

    Raises:
        AdapterError: the file is there and is no JSON object, or its task or system prompt is no text.
    """
    file = Path(path) / ABOUT_FILE
    about = read_json(file) if os.path.lexists(file) else {}  # a link to nowhere is no file that PEFT left out
    for field in ("task", "system"):
        value = about.get(field)
        if value is not None and (not isinstance(value, str) or value != value.encode(errors="replace").decode()):
            raise AdapterError(f"{file}: {field!r} must be text, found {plain(repr(value))}")
    return about


def refuse_to_overwrite(path: Path) -> None:
    """AdapterError where `path` is there and is more than an adapter."""
    if path.exists() and not path.is_dir():
        raise AdapterError(f"{path}: this is a file, and it will not be overwritten")
    names = {file.name for file in path.iterdir()} if path.exists() else set()
    others = sorted(names - {CONFIG_FILE, WEIGHTS_FILE, ABOUT_FILE})
    if others:
        raise AdapterError(f"{path}: besides an adapter this folder holds {others[0]}, and it will not be overwritten")


def _check_base(model: nn.Module, base: dict, where: Path | str) -> None:
    if not isinstance(base, dict):
        raise AdapterError(f"{where}: 'base' must be a JSON object, found {type(base).__name__}")
    theirs = base.get("fingerprint")
    ours = getattr(model, "base_fingerprint", None)
    if theirs and ours and theirs != ours:
        raise AdapterError(
            f"{where}: trained on another base: {plain(base.get('name'))} with fingerprint {plain(theirs)}, "
            f"but this model is {getattr(model, 'base_name', None)} with fingerprint {ours}"
        )


def _check_sums(path: Path, about: dict) -> None:
    """AdapterError where PEFT's files are not those that ``labkit.json`` was written with."""
    sums = about.get("sha256", {})
    if not isinstance(sums, dict):
        raise AdapterError(f"{path / ABOUT_FILE}: 'sha256' must be a JSON object, found {type(sums).__name__}")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if name in sums and sums[name] != digest_of(path / name):
            raise AdapterError(
                f"{path / name}: damaged, or changed since {ABOUT_FILE} was written (its sha256 is another). Get the "
                f"folder again; if the change was meant, remove {ABOUT_FILE}, which does not describe it any more"
            )


def _expected_shapes(model: nn.Module, config: LoraConfig, where: Path | str) -> dict[str, tuple[int, int]]:
    """Key names and shapes that this config gives on this model."""
    try:
        _, names = resolve_targets(model, config)
    except ConfigError as error:
        raise AdapterError(f"{where}: does not fit this model: {plain(error, 800)}") from None
    shapes = {}
    for name in names:
        layer, r = model.get_submodule(name), config.rank_of(name)
        shapes |= zip(keys_of(name), ((r, layer.in_features), (layer.out_features, r)))
    return shapes


def _check_state(state: Mapping[str, Tensor], expected: dict[str, tuple[int, int]], where: Path | str) -> None:
    missing, strays = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or strays:
        raise AdapterError(
            f"{where}: the keys are not those the config asks for on this model: "
            f"{len(missing)} missing{_first(missing)}, {len(strays)} not expected{_first(strays)}"
        )
    for key, shape in expected.items():
        tensor = state[key]
        if tuple(tensor.shape) != shape:
            raise AdapterError(f"{where}: {key} has shape {tuple(tensor.shape)}, expected {shape}")
        if tensor.dtype not in _DTYPES:
            raise AdapterError(
                f"{where}: {key} holds {tensor.dtype}, expected floating point numbers of at least 16 bits"
            )
        if not tensor.float().isfinite().all():
            raise AdapterError(f"{where}: {key} holds NaN or infinite values")


def _first(keys: list[str]) -> str:
    return f" (the first is {plain(keys[0])})" if keys else ""


def _write_json(file: Path, content: dict) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
