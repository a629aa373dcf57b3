"""Loading a base model from wherever it is: fetched, in a folder, or on the hub."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub.utils import HFValidationError, validate_repo_id
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file

from labkit.base.fetching import DEFAULT_BASE, WHEEL_BASES, fetch_base, verify_base, wheel_base
from labkit.base.fingerprinting import fingerprint, read_model_json
from labkit.base.quiet import forget_origin, quiet_transformers
from labkit.errors import BaseModelError, ConfigError
from labkit.model_facts import note
from labkit.quant.convert import quantize_model
from labkit.storage.writing import restored


def load_base(
    name: str | Path | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
    quantize: str | None = None,
    double: bool = False,
    backend: str = "labkit",
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a base model, in evaluation mode, and its tokenizer.

    On a CPU and with the dtype of the file the weights are mapped, not copied: all processes that load the
    same folder share one copy in memory.

    Args:
        name: a known base (fetched if it is not there yet), a model's folder, or a hub id; None means the
            environment variable ``LABKIT_BASE``, or else :data:`DEFAULT_BASE`. Code that comes with a model
            is never run.
        dtype: of the weights; with `quantize`, of those that stay dense.
        device: where to put it; None means a CUDA GPU where there is one, else the CPU.
        quantize: "nf4" for linear layers in four bits, quantized one by one from the weights as they lie in the
            file (see :func:`labkit.quantize_model`); None for none.
        double: quantize NF4's scales too.
        backend: "labkit" or "bitsandbytes": whose layers these are.

    Returns:
        ``(model, tokenizer)``. ``model.labkit`` says which base it is: its canonical name, never a path, and the
        :func:`labkit.base.fingerprint` of its folder.

    Raises:
        ConfigError: `quantize` is something else, or `double` or `backend` are given without it.
        BaseModelError: nothing is found under `name`; the folder is incomplete or damaged; the hub cannot be
            reached; there is no chat template.
    """
    if quantize not in (None, "nf4"):
        raise ConfigError(f'quantize must be "nf4" or None, got {quantize!r}')
    if quantize is None and (double or backend != "labkit"):
        raise ConfigError('double and backend are about four bits: they need quantize="nf4"')
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    source, base_name = _locate(name or os.environ.get("LABKIT_BASE") or DEFAULT_BASE)
    with quiet_transformers(), _load_errors_explained(source):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        if not tokenizer.chat_template:
            raise BaseModelError(
                f"{source} has no chat template, which tells a question from an answer. Choose a model tuned to follow "
                "instructions, or put a chat_template.jinja into its folder"
            )
        # transformers maps safetensors from the file by itself (not on Windows); only a cast makes a copy
        model, report = AutoModelForCausalLM.from_pretrained(
            source,
            # a cast here would have the whole model in memory before the first layer is quantized
            dtype="auto" if quantize else dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        if missing := sorted(report["missing_keys"]):
            # transformers has filled them with random numbers and would only warn
            raise BaseModelError(f"{source} lacks {len(missing)} weights, {missing[0]} among them. Get a complete copy")
        # adapters and merged models take their base's name from here
        note(model, base_name=base_name, fingerprint=fingerprint(_folder_of(source)))
    model.name_or_path = model.config._name_or_path = base_name
    forget_origin(tokenizer, base_name)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if quantize:
        quantize_model(model, backend, double=double, device=device)
        for parameter in model.parameters():  # model.to(dtype) would round the rotary frequencies, which are buffers
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(dtype)
    return model.to(device).eval(), tokenizer


def find_base(name: str | Path) -> Path:
    """The folder of a base that is on this machine already, and whole as far as a quick look can tell.

    Raises:
        BaseModelError: it is not here, or it is damaged.
    """
    if str(name) in _aliases():
        return verify_base(str(name))
    source, _ = _locate(name)
    with _load_errors_explained(source):
        folder = _folder_of(source)
        fingerprint(folder)
    return folder


def _aliases() -> set[str]:
    return {alias for base in WHEEL_BASES for alias in (base.name, base.hub_name)}


def _locate(name: str | Path) -> tuple[Path | str, str]:
    """Where to load from (a folder as a ``Path``, or a hub id), and the canonical name."""
    if str(name) not in _aliases():
        folder = restored(os.path.expanduser(name))
        if folder.is_dir():
            recorded = read_model_json(folder / "config.json").get("_name_or_path")
            return folder, recorded if _is_hub_id(recorded) else folder.resolve().name
        if _is_hub_id(name):
            return name, name
    base = wheel_base(str(name))  # raises, and says what is known, for all other names
    return fetch_base(base.name), base.hub_name


def _folder_of(source: Path | str) -> Path:
    """The folder itself, or where the hub's cache keeps that id."""
    if isinstance(source, Path):
        return source
    return Path(cached_file(source, "config.json", local_files_only=True)).parent


def _is_hub_id(name: object) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return isinstance(name, str) and "/" in name


@contextmanager
def _load_errors_explained(source: Path | str) -> Iterator[None]:
    try:
        yield
    except BaseModelError:
        raise
    except Exception as error:  # a broken folder can make transformers raise anything
        reason = str(error).strip().split("\n")[0].rstrip(".")
        if isinstance(source, Path):
            remedy = "Get a complete copy of the model"
        else:
            remedy = (
                "Check the name and the connection; with HF_HUB_OFFLINE=1 only what is on this machine can be loaded"
            )
        raise BaseModelError(f"{source} cannot be loaded: {reason}. {remedy}") from error
