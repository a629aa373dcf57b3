"""Where a base lies: in a folder, in the hub's cache, or fetched; and what's said where no base is there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub.utils import HFValidationError, validate_repo_id
from transformers.utils import cached_file, find_adapter_config_file

from labkit.base.fetching import WHEEL_BASES, fetch_base, verify_base, wheel_base
from labkit.base.fingerprinting import fingerprint, read_model_json
from labkit.errors import BaseModelError, LabkitError, reason_of
from labkit.storage.untrusted import plain
from labkit.storage.writing import restored

BESIDE = "has an adapter beside the base. Move the adapter into a folder of its own"


def find_base(name: str | Path) -> Path:
    """The folder of a base that is on this machine already, and whole as far as a quick look can tell.

    Raises:
        BaseModelError: it is not here, or it is damaged.
    """
    if str(name) in aliases():
        return verify_base(str(name))
    source, _ = locate(name)
    with load_errors_explained(source):
        folder = folder_of(source)
        fingerprint(folder)
    return folder


def aliases() -> set[str]:
    """The names of the bases that come in a wheel."""
    return {alias for base in WHEEL_BASES for alias in (base.name, base.hub_name)}


def locate(name: str | Path) -> tuple[Path | str, str]:
    """Where to load from (a folder as a ``Path``, or a hub id), and the canonical name."""
    if str(name) not in aliases():
        folder = restored(os.path.expanduser(name))
        if folder.is_dir():
            if not (folder / "config.json").exists():
                refuse_adapter(folder)
            recorded = read_model_json(folder / "config.json").get("_name_or_path")
            return folder, recorded if is_hub_id(recorded) else folder.resolve().name
        if is_hub_id(name):
            return name, name
    try:
        base = wheel_base(str(name))
    except BaseModelError as error:
        raise BaseModelError(f"{error}. Or give a model's folder, or a hub id org/name") from None
    return fetch_base(base.name), base.hub_name


def folder_of(source: Path | str) -> Path:
    """The folder itself, or where the hub's cache keeps that id."""
    if isinstance(source, Path):
        return source
    return Path(cached_file(source, "config.json", local_files_only=True)).parent


def refuse_adapter(source: Path | str) -> None:
    """BaseModelError where there's an adapter in `source`: it's asked for where no base is found."""
    if file := find_adapter_config_file(str(source)):
        base = read_model_json(Path(file)).get("base_model_name_or_path")
        named = f" ({plain(base)})" if base else ""
        raise BaseModelError(
            f"{source} is an adapter, not a base. Load the base that it's for{named}, then the adapter"
        )


def is_hub_id(name: object) -> bool:
    """Whether `name` has the form of a hub id: ``org/name``."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return isinstance(name, str) and "/" in name


@contextmanager
def load_errors_explained(source: Path | str) -> Iterator[None]:
    """BaseModelError, in one sentence, for whatever transformers raises in the ``with`` block about `source`."""
    try:
        yield
    except LabkitError:
        raise
    except Exception as error:  # a broken folder can make transformers raise anything
        if "adapter_config.json" in str(error):  # older versions of transformers look for it wherever it lies
            raise BaseModelError(f"{source} {BESIDE}") from None
        if "trust_remote_code" in str(error):
            raise BaseModelError(
                f"{source} cannot be loaded: it needs code of its own, and labkit never runs code that comes with a "
                "model. Choose a model of an architecture that transformers knows"
            ) from None
        if "does not recognize this architecture" in str(error):
            raise BaseModelError(
                f"{source} has an architecture that this version of transformers doesn't know. Update transformers, or "
                "choose another base"
            ) from None
        if isinstance(source, Path):
            remedy = "Get a complete copy of the model"
        else:
            remedy = (
                "Check the name and the connection; with HF_HUB_OFFLINE=1 only what is on this machine can be loaded"
            )
        raise BaseModelError(f"{source} cannot be loaded: {reason_of(error)}. {remedy}") from error
