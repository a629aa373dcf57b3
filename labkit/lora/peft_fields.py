"""What may be in an ``adapter_config.json`` besides LoRA's own settings: any PEFT wrote it, or another trainer."""

import reprlib
from collections.abc import Mapping

from labkit.errors import ConfigError

# Said about the file or its history; they do not change what the adapter computes once it is loaded.
SAID = {
    "peft_type",
    *("peft_version", "base_model_name_or_path", "revision", "auto_mapping", "inference_mode", "runtime_config"),
    # how A and B began, which `init_lora_weights` names
    *("eva_config", "corda_config", "lora_ga_config", "loftq_config"),
    # what other fields need that are refused (use_qalora, megatron_config), or how a Conv1D's weight lies
    *("qalora_group_size", "megatron_core", "fan_in_fan_out"),
    # other trainers: Unsloth, ms-swift (learning rates and the dtype of training), PEFT before 0.3
    *("unsloth_fixed", "unsloth_version", "lora_dtype", "lorap_lr_ratio", "lorap_emb_lr", "merge_weights"),
}

# What a field that is not known here may hold, since it does nothing then: it is off, or there is nothing in it.
OFF = (None, False, "", [], {})
# Those of PEFT's for which that is not so: they are switched on by whatever object is there.
_ONLY_OFF = {
    "bias": ("none",),
    **dict.fromkeys(("velora_config", "kasa_config", "arrow_config", "use_bdlora", "monteclora_config"), (None, False)),
}

# PEFT's ways to begin that leave the base as it is: with A and B from a file, they do nothing
_BASE_UNTOUCHED = ("eva", "orthogonal", "mica")
# ... and those that take what A and B begin with out of the base's weights
_BASE_CHANGED = ("pissa", "olora", "corda", "lora_ga")


def refuse_beyond_lora(fields: Mapping[str, object]) -> None:
    """ConfigError, beginning with its name, for a field that may change what the adapter computes."""
    for name, value in fields.items():
        if name not in SAID and value not in _ONLY_OFF.get(name, OFF):
            raise ConfigError(
                f"{name}={reprlib.repr(value)} goes beyond plain LoRA and is not supported; "
                "loading without it would be wrong"
            )


def beginning(given: object) -> bool | str:
    """How A and B of a file began, as ``init_lora_weights`` has it: ``"gaussian"``, or True for all that's harmless.

    Raises:
        ConfigError: it changed the base as well, or isn't known.
    """
    kind = given.lower() if isinstance(given, str) else given
    if not kind or kind is True or kind in _BASE_UNTOUCHED:
        return True
    if kind == "gaussian":
        return "gaussian"
    what = f"init_lora_weights={reprlib.repr(given)}"
    if isinstance(kind, str) and kind.startswith(_BASE_CHANGED):
        raise ConfigError(
            f"{what} changed the base's weights before training, and what it took out of them is not in the file. "
            "Save the adapter again in PEFT with path_initial_model_for_weight_conversion, which makes it plain LoRA"
        )
    if kind == "loftq":
        raise ConfigError(
            f"{what} changed the base's weights before training, and the rounded ones are not in the file. "
            "Merge it in PEFT, into the base that it was trained on"
        )
    raise ConfigError(f"{what} is not known here: it may have changed the base's weights, too")
