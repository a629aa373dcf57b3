"""All methods by their short names, and the shortest way to put one on a model."""

from dataclasses import fields

from torch import nn

from labkit.errors import ConfigError
from labkit.family.bitfit import BitFit
from labkit.family.bottleneck import Bottleneck
from labkit.family.dora import DoRA
from labkit.family.full import Full
from labkit.family.ia3 import IA3
from labkit.family.lora import LoRA, RsLoRA
from labkit.family.lora_fa import LoRAFA
from labkit.family.lora_plus import LoRAPlus
from labkit.family.method import Method, Trained
from labkit.family.pissa import PiSSA
from labkit.family.prefix_tuning import PrefixTuning
from labkit.family.prompt_tuning import PromptTuning
from labkit.family.spectrum import Spectrum
from labkit.family.vera import VeRA

METHODS: dict[str, type[Method]] = {
    "full": Full,
    "spectrum": Spectrum,
    "lora": LoRA,
    "rslora": RsLoRA,
    "lora+": LoRAPlus,
    "lora-fa": LoRAFA,
    "dora": DoRA,
    "pissa": PiSSA,
    "vera": VeRA,
    "ia3": IA3,
    "bitfit": BitFit,
    "bottleneck": Bottleneck,
    "prefix": PrefixTuning,
    "prompt": PromptTuning,
}


def adapt(model: nn.Module, method: str, **settings) -> Trained:
    """Put one of the family's methods on `model`, in place: :func:`labkit.train` then trains what it trains.

    Args:
        model: a fresh base.
        method: its short name: one of :data:`METHODS`.
        settings: of the method, such as ``r=256``.

    Returns:
        The model with the method on it: what trains, how much that is, how to merge and to save it.

    Raises:
        ConfigError: there's no such method or setting; the method can't be on this model.
    """
    if method not in METHODS:
        raise ConfigError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    try:
        made = METHODS[method](**settings)
    except TypeError:
        known = ", ".join(field.name for field in fields(METHODS[method])) or "none"
        raise ConfigError(f"{method} has no such setting as {', '.join(settings)}; it has {known}") from None
    return made.apply(model)
