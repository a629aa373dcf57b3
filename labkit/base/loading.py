"""Loading a base model from wherever it is: fetched, in a folder, or on the hub."""

import os
from pathlib import Path

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from labkit.base.fetching import DEFAULT_BASE
from labkit.base.fingerprinting import fingerprint
from labkit.base.locating import BESIDE, aliases, find_base, folder_of, load_errors_explained, locate, refuse_adapter
from labkit.base.placing import chosen_device, chosen_dtype
from labkit.base.prequantized import how_to_turn_back, turn_back, warn_of_second_rounding
from labkit.base.quiet import forget_origin, quiet_transformers
from labkit.casting import cast, cast_weights
from labkit.errors import BaseModelError, ConfigError
from labkit.model_facts import note
from labkit.quant.convert import quantize_model
from labkit.storage.untrusted import plain

# transformers looks for an adapter in this folder of a base's folder, instead of in the base's own
_NO_ADAPTER = {"subfolder": "no adapter"}
_NO_CAUSAL_MODEL = (
    "which doesn't continue a text from left to right. Choose a causal language model (Llama, Qwen, Gemma)"
)


def load_base(
    name: str | Path | None = None,
    *,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    quantize: str | None = None,
    double: bool = False,
    backend: str = "labkit",
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a base model, in evaluation mode, and its tokenizer.

    On a CPU and with the dtype of the file the weights are mapped, not copied: all processes that load the
    same folder share one copy in memory. (In four bits nothing is mapped.) A checkpoint that is quantized already (FP8,
    MXFP4, bitsandbytes) is turned back into ordinary numbers, all of it at once, and is in every way the model that
    these stand for. An adapter that lies in the same folder is left there: the base is loaded without it.

    Args:
        name: a known base (fetched if it is not there yet), a model's folder, or a hub id; None means the
            environment variable ``LABKIT_BASE``, or else :data:`DEFAULT_BASE`. Code that comes with a model
            is never run.
        dtype: of the weights; with `quantize`, of those that stay dense. None means float32, and bfloat16 for a base
            other than the course's own on a GPU.
        device: where to put it ("cpu", "cuda", "cuda:1"); None means what the environment variable ``LABKIT_DEVICE``
            says, or else a CUDA GPU where there is one, and the CPU where there is none.
        quantize: "nf4" for linear layers in four bits, quantized one by one from the weights as they lie in the
            file (see :func:`labkit.quantize_model`); None for none. A :class:`labkit.LabkitWarning` says when these had
            been rounded to another kind of few bits before.
        double: quantize NF4's scales too.
        backend: "labkit" or "bitsandbytes": whose layers these are.

    Returns:
        ``(model, tokenizer)``. ``model.labkit`` says which base it is: its canonical name, never a path, and the
        :func:`labkit.base.fingerprint` of its folder.

    Raises:
        ConfigError: `quantize` is something else, or `double` or `backend` are given without it; there is no such
            device; weights can't be in `dtype`, one is too large for it, or the device can't multiply in it.
        BaseModelError: nothing is found under `name`; the folder is incomplete or damaged; the hub cannot be
            reached; there is no chat template; it is an adapter, no causal language model, needs code of its own, is
            quantized in a way that transformers can't turn back, or has weights that its config doesn't speak of.
    """
    if quantize not in (None, "nf4"):
        raise ConfigError(f'quantize must be "nf4" or None, got {quantize!r}')
    if quantize is None and (double or backend != "labkit"):
        raise ConfigError('double and backend are about four bits: they need quantize="nf4"')
    name, device = name or os.environ.get("LABKIT_BASE") or DEFAULT_BASE, chosen_device(device)
    dtype = chosen_dtype(dtype, device, courses_own=str(name) in aliases())
    source, base_name = locate(name)
    with quiet_transformers(), load_errors_explained(source):
        config = _config_of(source)
        known = fingerprint(source) if isinstance(source, Path) else None  # before transformers takes what it finds
        how = how_to_turn_back(config, source)
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
            quantization_config=how,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            adapter_kwargs=_NO_ADAPTER,
        )
        if how is not None:
            turn_back(model, model.dtype if quantize else dtype, source)
        _refuse_another_model(model, report, source, packed=how is not None)
        if dtype == torch.float16:  # the one dtype that a sound weight can be too large for
            for name, parameter in model.named_parameters():
                cast(parameter.detach(), parameter.dtype, f"{name} of {source}")
        # adapters and merged models take their base's name from here
        note(model, base_name=base_name, fingerprint=known or fingerprint(folder_of(source)))
    model.name_or_path = model.config._name_or_path = base_name
    forget_origin(tokenizer, base_name)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if quantize:
        warn_of_second_rounding(how, source)
        quantize_model(model, backend, double=double, device=device)
        cast_weights(model, dtype)
        if device.type == "cpu":
            _let_go_of_the_file(model)
    return model.to(device).eval(), tokenizer


def find_tokenizer(name: str | Path) -> tuple[PreTrainedTokenizerBase, str]:
    """The tokenizer of a model that's on this machine already, or else that of the course's base; and whose it is.

    Raises:
        BaseModelError: neither is here.
    """
    try:
        folder, whose = find_base(name), str(name)
    except BaseModelError:
        whose = os.environ.get("LABKIT_BASE") or DEFAULT_BASE
        folder = find_base(whose)
    with quiet_transformers(), load_errors_explained(folder):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False), plain(whose)


def _let_go_of_the_file(model: PreTrainedModel) -> None:
    """Copy the weights that stay dense: as long as one is mapped from the file, all of it may stay in memory, with the
    matrices that are in four bits by now."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.clone()


def _config_of(source: Path | str) -> PretrainedConfig:
    """The config of the causal language model in `source`.

    Raises:
        BaseModelError: it is another kind of model, or an adapter.
    """
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except OSError:
        refuse_adapter(source)
        raise
    if config.is_encoder_decoder or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise BaseModelError(f"{source} is a model of type {config.model_type!r}, {_NO_CAUSAL_MODEL}")
    return config


def _refuse_another_model(model: PreTrainedModel, report: dict, source: Path | str, packed: bool) -> None:
    """BaseModelError where `model`, as transformers loaded it, is not what lies in `source`."""
    if getattr(model, "_hf_peft_config_loaded", False):
        raise BaseModelError(f"{source} {BESIDE}")
    if missing := sorted(report["missing_keys"]):
        # transformers has filled them with random numbers and would only warn
        raise BaseModelError(f"{source} lacks {len(missing)} weights, {missing[0]} among them. Get a complete copy")
    if not packed:  # where there are scales of activations, too, which ordinary weights need not
        parts = dict(model.named_modules())
        for key in sorted(report["unexpected_keys"]):
            # heads and blocks that a model leaves out are common; a bias or a scale of a layer that it has is not
            if hasattr(parts.get(key.rpartition(".")[0]), "weight"):
                raise BaseModelError(
                    f"{source} has {key} in its weights, but its config doesn't use it, so the model would give "
                    "wrong answers. Get a complete copy of the model"
                )
    # only where the config leaves it open: an encoder that was told to be a decoder is one
    if getattr(model.config, "is_decoder", True) is False and _looks_ahead(model):
        raise BaseModelError(f"{source} is a model of type {model.config.model_type!r}, {_NO_CAUSAL_MODEL}")


@torch.no_grad()
def _looks_ahead(model: PreTrainedModel) -> bool:
    """Whether a later token changes what is predicted after an earlier one."""
    logits = model(torch.tensor([[5, 6, 7], [5, 6, 8]], device=model.device)).logits[:, 0].float()
    return not torch.allclose(logits[0], logits[1], atol=1e-3 * logits.std().item())
