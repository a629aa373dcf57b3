"""Adapters on disk, in PEFT's two files and one or two of our own.

    adapter_config.json          what was adapted, in PEFT's words
    adapter_model.safetensors    A and B of every layer, float32, under PEFT's key names
    labkit.json                  where it came from: task, system prompt, base and how it was held, recipe, scores;
                                 sha256 of the two
    history.json                 how its training went, if labkit trained it (see labkit.training.history_file);
                                 loading an adapter doesn't read it

PEFT reads what is saved here, and what PEFT saves is read here. PEFT's files have no checksum: in a folder that
PEFT wrote, a number that was changed on the way cannot be told from one that was meant.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from labkit.errors import AdapterError, ConfigError, warn
from labkit.lora.adapter import Adapter, adapter_of, fitted, refuse_other_base
from labkit.lora.base_form import warn_if_held_otherwise
from labkit.lora.config import LoraConfig
from labkit.lora.inject import refuse_bank
from labkit.lora.wrapping import is_adapted
from labkit.model_facts import Model
from labkit.storage.untrusted import digest_of, plain, read_json, read_weights, try_patterns
from labkit.storage.writing import folder_written_aside, refuse_occupied, restored

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
ABOUT_FILE = "labkit.json"
HISTORY_FILE = "history.json"
_NAMES_OF_EXPERTS = {"gate", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"}
FILES = (CONFIG_FILE, WEIGHTS_FILE, ABOUT_FILE, HISTORY_FILE)


def save_adapter(model: nn.Module, path: Path | str, about: dict | None = None, history: dict | None = None) -> Path:
    """Write the adapter of `model` to the folder `path`, whole or not at all.

    Args:
        model: a model with LoRA layers, as :func:`labkit.inject_lora` leaves it.
        path: the folder; an older one there is replaced.
        about: what to write into ``labkit.json`` besides the base: task, system prompt, recipe, scores.
        history: how its training went, as :func:`labkit.training.history_file.as_file` puts it.

    Returns:
        The folder.

    Raises:
        AdapterError: the model has no adapter, or what is at `path` is more than an adapter.
        ConfigError: the model is served by an AdapterBank.
    """
    refuse_bank(model)
    path = Path(path).resolve()  # what a link points to is replaced, not the link
    adapter = adapter_of(model, path)
    _warn_of_names_of_experts(model, adapter)
    config = adapter.config.to_peft(adapter.about["base"]["name"])
    return write_folder(path, config, adapter.state(), {**adapter.about, **(about or {})}, history)


def write_folder(
    path: Path, config: dict, state: Mapping[str, Tensor], about: dict, history: dict | None = None
) -> Path:
    """Write an adapter's folder, whole or not at all: PEFT's `config` and `state`, and what `about` says.

    Raises:
        AdapterError: what is at `path` is more than an adapter.
    """
    refuse_occupied(path, AdapterError, besides=FILES)
    with folder_written_aside(path) as folder:
        save_file(dict(state), folder / WEIGHTS_FILE, metadata={"format": "pt"})
        _write_json(folder / CONFIG_FILE, config)
        sums = {name: digest_of(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)}
        _write_json(folder / ABOUT_FILE, {**about, "sha256": sums})
        if history:
            (folder / HISTORY_FILE).write_text(json.dumps(history) + "\n", encoding="utf-8", newline="\n")
    return path


def _warn_of_names_of_experts(model: nn.Module, adapter: Adapter) -> None:
    """A LabkitWarning where PEFT would take adapted layers for a mixture's experts, because of their names.

    transformers keeps the experts of a mixture as stacks of matrices, and PEFT turns the names that they had before
    into those of the stacks, also where a layer still has such a name: DeepSeek's first layers, say.
    """
    stacked = any(".experts." in name and parameter.ndim == 3 for name, parameter in model.named_parameters())
    names = sorted(_NAMES_OF_EXPERTS & {name.rpartition(".")[2] for name in adapter.weights})
    if stacked and names:
        warn(
            f"PEFT may take {', '.join(names)} for the names of this mixture's experts, and then skips these layers "
            "without saying so: if you load this adapter with PEFT, compare its answers, or adapt attention only"
        )


def load_adapter(model: Model, path: Path | str) -> Model:
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
    if is_adapted(model):
        raise AdapterError(f"{path}: the model already has an adapter: start from a fresh base")
    return read_adapter(model, path).put_on(model)


def read_adapter(model: nn.Module, path: Path | str) -> Adapter:
    """The adapter in the folder `path`, read and checked against `model`, which is not touched.

    A :class:`labkit.LabkitWarning` says when it learned on the base in four bits and `model` is dense, or the reverse.

    Raises:
        AdapterError: naming the file and what is wrong with it; also when it was trained on another base.
    """
    path = Path(path)
    config, about = read_config(path), read_about(path)
    refuse_other_base(model, about, path / ABOUT_FILE)
    try_patterns(config.regular_expressions(), [name for name, _ in model.named_modules()], path / CONFIG_FILE)
    state = read_weights(path / WEIGHTS_FILE)
    adapter = fitted(model, config, state, about, where=path / WEIGHTS_FILE, config_where=path / CONFIG_FILE)
    check_sums(path, about)
    warn_if_held_otherwise(model, about, path)
    return adapter


def read_config(path: Path | str) -> LoraConfig:
    """The config in an adapter folder.

    Raises:
        AdapterError: the file is missing, is no JSON object, or asks for what labkit does not do.
    """
    file = restored(path) / CONFIG_FILE
    try:
        return LoraConfig.from_peft(read_json(file))
    except ConfigError as error:
        raise AdapterError(f"{file}: {plain(error, 400)}") from None
    except (TypeError, AttributeError, RecursionError) as error:
        raise AdapterError(f"{file}: a field has a value of the wrong kind ({plain(error)})") from None


def read_about(path: Path | str) -> dict:
    """What ``labkit.json`` says of the adapter; empty when PEFT wrote the folder.

    Raises:
        AdapterError: the file is there and is no JSON object, or what it says of the task, the system prompt, the rows
            or the base is no text.
    """
    file = restored(path) / ABOUT_FILE
    about = read_json(file) if os.path.lexists(file) else {}  # a link to nowhere is no file that PEFT left out
    base = about.get("base") or {}
    if not isinstance(base, dict):
        raise AdapterError(f"{file}: 'base' must be a JSON object, found {type(base).__name__}")
    for of, fields in ((about, ("task", "system", "data")), (base, ("name", "fingerprint", "quantization", "dtype"))):
        for field in fields:
            value = of.get(field)
            if value is not None and (not isinstance(value, str) or value != value.encode(errors="replace").decode()):
                raise AdapterError(f"{file}: {field!r} must be text, found {plain(repr(value))}")
    return about


def check_sums(path: Path, about: dict) -> None:
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


def _write_json(file: Path, content: dict) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    file.write_text(text, encoding="utf-8", errors="replace", newline="\n")  # a data file's name may be no text
