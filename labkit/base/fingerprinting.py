"""Telling one base model from another without reading all of it."""

import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

from labkit.errors import BaseModelError
from labkit.storage.untrusted import read_json

_SAMPLES = 16
_INDEX_BYTES = 200_000_000  # a weight map has a line for each tensor of each expert
_SAMPLE_BYTES = 64 * 1024
# a library upgrade may add, drop or rewrite these
_VOLATILE = {"architectures", "dtype", "pretraining_tp", "torch_dtype", "transformers_version", "use_cache"}


def fingerprint(folder: Path | str) -> str:
    """A sha256 (hex) that tells one base model from another, in milliseconds.

    It covers the architecture in ``config.json``; each weight file's tensor names, dtypes and shapes; the
    size of its numbers, and sixteen evenly spaced samples of 64 KiB of them, because a sibling fine-tune of
    the same shape has the same header and the same size. What a library upgrade may rewrite (versions,
    paths, null entries, header metadata) is left out. It finds mix-ups, not forgeries, and not every
    flipped bit.

    Args:
        folder: a Hugging Face folder with one safetensors file or several.

    Raises:
        BaseModelError: no config, no safetensors weights, or a file that is cut short.
    """
    folder = Path(folder)
    digest = hashlib.sha256(_canonical(_architecture(folder)))
    for path in _weight_files(folder):
        try:
            with open(path, "rb") as file:
                tensors, start, size = _read_header(file, path)
                digest.update(_canonical([tensors, size]))
                for sample in range(_SAMPLES):
                    file.seek(start + max(0, size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
                    digest.update(file.read(_SAMPLE_BYTES))
        except OSError as error:
            raise BaseModelError(f"{path} cannot be read: {error}. Get a complete copy of the model") from error
    return digest.hexdigest()


def read_model_json(path: Path) -> dict:
    """The JSON object in `path`, a file of a model's folder.

    Raises:
        BaseModelError: it is missing, or something else.
    """
    try:
        return read_json(path, BaseModelError, _INDEX_BYTES)
    except BaseModelError as error:
        raise BaseModelError(f"{error}. Get a complete copy of the model") from None


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _architecture(folder: Path) -> dict:
    config = read_model_json(folder / "config.json")
    return {k: v for k, v in config.items() if k not in _VOLATILE and not k.startswith("_") and v is not None}


def _weight_files(folder: Path) -> list[Path]:
    """The files transformers would load, and no others: an adapter may lie in the same folder."""
    if pieces := sorted(folder.glob("shard-*-model-*.safetensors")):  # these it would prefer
        raise BaseModelError(f"{folder} holds {pieces[0].name}, a piece of a checkpoint in training. Convert it first")
    named = read_model_json(folder / "config.json").get("transformers_weights") or "model.safetensors"
    if (folder / str(named)).is_file() and not str(named).endswith(".index.json"):
        return [folder / str(named)]
    index = folder / f"{str(named).removesuffix('.index.json')}.index.json"
    if index.exists():
        return [folder / shard for shard in sorted(set(read_model_json(index).get("weight_map", {}).values()))]
    # other weight formats can run code when they are opened
    raise BaseModelError(f"{folder} has no model.safetensors, the only form of weights labkit reads. Convert it first")


def _read_header(file: BinaryIO, path: Path) -> tuple[list, int, int]:
    """Of a safetensors file: sorted (name, dtype, shape), where its numbers start, and their size in bytes."""
    total = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    try:
        header = json.loads(file.read(min(length, total)))
        header.pop("__metadata__", None)
        tensors = sorted([name, entry["dtype"], entry["shape"]] for name, entry in header.items())
        size = max(entry["data_offsets"][1] for entry in header.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaseModelError(f"{path} is no whole safetensors file. Get a complete copy of the model") from error
    if 8 + length + size != total:
        raise BaseModelError(f"{path} has {total:,} bytes instead of {8 + length + size:,}. Get a complete copy")
    return tensors, 8 + length, size
