"""Checkpoints that are quantized already: turned back into ordinary numbers while they're loaded, or refused.

LoRA goes onto ordinary matrices and onto labkit's own 4-bit layers. Whatever else a folder's weights are packed in,
transformers has layers for it that are linear by class only, and some of them it packs again when the model is saved.
"""

from pathlib import Path

import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.quantizers.auto import AutoQuantizationConfig
from transformers.utils.quantization_config import BitsAndBytesConfig, QuantizationConfigMixin

from labkit.base.describing import text_config
from labkit.casting import cast
from labkit.errors import BaseModelError, warn
from labkit.linear import ORDINARY


def quantization_of(config: PretrainedConfig) -> dict | None:
    """What `config` says of how the weights in the file are packed; None where they're ordinary."""
    found = getattr(config, "quantization_config", None) or getattr(text_config(config), "quantization_config", None)
    return found.to_dict() if isinstance(found, QuantizationConfigMixin) else found


def how_to_turn_back(config: PretrainedConfig, source: Path | str) -> QuantizationConfigMixin | None:
    """What to tell transformers, so that it gives ordinary weights; None where there's nothing to tell.

    Raises:
        BaseModelError: transformers can't turn this kind back.
    """
    packed = quantization_of(config)
    if packed is None:
        return None
    try:
        how = AutoQuantizationConfig.from_dict(dict(packed))
    except Exception:  # of a kind it doesn't know, or with settings it doesn't know
        how = None
    if isinstance(how, BitsAndBytesConfig):
        return how  # turned back afterwards
    if not hasattr(how, "dequantize"):
        kind = packed.get("quant_method", "an unknown kind") if isinstance(packed, dict) else "an unknown kind"
        raise BaseModelError(
            f"{source} is quantized ({kind}), and transformers can't turn that back into ordinary weights. Get the "
            "model that it was made from"
        )
    how.dequantize = True
    return how


def turn_back(model: PreTrainedModel, dtype: torch.dtype, source: Path | str) -> None:
    """Make an ordinary model of `model`, which was loaded as :func:`how_to_turn_back` says, in place.

    Raises:
        BaseModelError: a weight isn't an ordinary one afterwards.
    """
    if getattr(model, "hf_quantizer", None) is not None:
        _refuse_wrong_scales(model, source)
        model.dequantize(dtype)
    # how the file's weights became the model's; saving would do it backwards, and pack them again
    vars(model).pop("_weight_conversions", None)
    for name, parameter in model.named_parameters():
        if parameter.dtype not in ORDINARY:
            raise BaseModelError(f"{source} keeps {name} as {parameter.dtype}. Get the model that it was made from")
        if parameter.dtype not in (dtype, torch.float32):  # not every version of transformers casts what it turns back
            parameter.data = cast(parameter.detach(), dtype, f"{name} of {source}")


def warn_of_second_rounding(how: QuantizationConfigMixin | None, source: Path | str) -> None:
    """A LabkitWarning where weights that :func:`how_to_turn_back` found packed are to be rounded to NF4.

    Those of bitsandbytes' NF4 are on these sixteen levels already, and stay there to the bit.
    """
    if how is None or getattr(how, "bnb_4bit_quant_type", None) == "nf4" and how.load_in_4bit:
        return
    kind = how.quant_method
    warn(
        f"{source} is quantized already ({getattr(kind, 'value', kind)}), and NF4 rounds it again. Get the model "
        'that it was made from, or load it without quantize="nf4"'
    )


def _refuse_wrong_scales(model: PreTrainedModel, source: Path | str) -> None:
    """Refuse what bitsandbytes dequantizes with wrong scales on a CPU with AVX-512: rows that aren't whole blocks.

    On every CPU, so that what loads on one machine loads on the next.
    """
    for name, module in model.named_modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None and module.weight.device.type == "cpu" and state.shape[-1] % state.blocksize:
            raise BaseModelError(
                f"{source} is quantized by bitsandbytes, which reads {name} back wrongly with AVX-512. Get the "
                "model that it was made from"
            )
