"""What to adapt and how much: the fields of PEFT's ``LoraConfig`` that LoRA itself needs.

The field names and defaults are PEFT's, so that a config can be read from and written to
``adapter_config.json`` without renaming. What PEFT can do beyond plain LoRA is refused by name.
"""

import dataclasses
import math
import re
import reprlib
import sys
from dataclasses import dataclass, field

from labkit.errors import ConfigError

# Said about the file or its history; they do not change what the adapter computes once it is loaded.
DESCRIPTIVE = {"peft_version", "base_model_name_or_path", "revision", "auto_mapping", "inference_mode"}

# what ``target_modules=None`` means, as PEFT has it for Llama
DEFAULT_TARGETS = ["q_proj", "v_proj"]

# PEFT's fields for what lies beyond plain LoRA, with the only values under which they do nothing.
# A value not listed here, and a field not known here, is refused by name.
INERT = {
    "bias": ("none",),
    "fan_in_fan_out": (False,),
    "modules_to_save": (None, []),
    "megatron_core": ("megatron.core", None),
    "qalora_group_size": (16,),
    "loftq_config": ({}, None),
}


def scaling(lora_alpha: float, r: int, use_rslora: bool = False) -> float:
    """The factor before B A: α/r, or α/√r with rsLoRA (arXiv 2312.03732)."""
    return lora_alpha / (math.sqrt(r) if use_rslora else r)


@dataclass(frozen=True)
class LoraConfig:
    """The settings of one adapter.

    Args:
        r: rank of the update, at least 1.
        lora_alpha: α ≥ 0; the update is scaled by α/r.
        lora_dropout: probability of dropping an input of A while training.
        target_modules: which linear layers to adapt. Names such as ``"q_proj"`` match at a ``.``
            boundary; a string is a regular expression for the whole name; ``"all-linear"`` takes every
            linear layer but the output head; None takes ``q_proj`` and ``v_proj``, as PEFT does for Llama.
        exclude_modules: layers to leave alone, as names or as a regular expression.
        use_rslora: scale by α/√r instead.
        layers_to_transform: only these layer numbers.
        layers_pattern: the name before the layer number, when it is none of the usual ones.
        rank_pattern, alpha_pattern: r and α for the layers whose name ends in a match of the key.
        init_lora_weights: True for Kaiming-uniform A, ``"gaussian"`` for a normal A; B is zero.
        task_type: written into the file for PEFT, ``"CAUSAL_LM"`` here.

    Raises:
        ConfigError: a value LoRA cannot work with.
    """

    r: int = 8
    lora_alpha: float = 8
    lora_dropout: float = 0.0
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    use_rslora: bool = False
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    init_lora_weights: bool | str = True
    task_type: str | None = "CAUSAL_LM"

    def __post_init__(self):
        for rank in (self.r, *self.rank_pattern.values()):
            if type(rank) is not int or rank < 1:
                raise ConfigError(f"r, also in rank_pattern, must be a whole number of at least 1, got {rank!r}")
        for alpha in (self.lora_alpha, *self.alpha_pattern.values()):
            if type(alpha) not in (int, float) or not 0 <= alpha <= sys.float_info.max:
                raise ConfigError(f"lora_alpha, also in alpha_pattern, must be a number of at least 0, got {alpha!r}")
        if type(self.lora_dropout) not in (int, float) or not 0 <= self.lora_dropout < 1:
            raise ConfigError(f"lora_dropout must be in [0, 1), got {self.lora_dropout!r}")
        if type(self.use_rslora) is not bool:
            raise ConfigError(f"use_rslora must be True or False, got {self.use_rslora!r}")
        if self.init_lora_weights is not True and self.init_lora_weights != "gaussian":
            raise ConfigError(f"init_lora_weights={self.init_lora_weights!r} is not supported: use True or 'gaussian'")
        if self.task_type not in (None, "CAUSAL_LM"):
            raise ConfigError(f"task_type={self.task_type!r} is not supported: labkit adapts causal language models")
        if self.layers_pattern and self.layers_to_transform is None:
            raise ConfigError("layers_pattern says where layer numbers stand; it needs layers_to_transform")
        numbers = self.layers_to_transform
        listed = numbers if isinstance(numbers, list) else [numbers]
        if numbers is not None and not all(type(n) is int for n in listed):
            raise ConfigError(f"layers_to_transform must be whole numbers or None, got {numbers!r}")
        if isinstance(self.target_modules, str) and self.target_modules != "all-linear" and numbers not in (None, []):
            raise ConfigError(
                "layers_to_transform needs a list of names: a regular expression can say the layers itself"
            )
        for name in ("target_modules", "exclude_modules"):
            value = getattr(self, name)
            if isinstance(value, str):
                _compile(value, name)
            elif isinstance(value, (list, set, tuple)) and all(isinstance(entry, str) for entry in value):
                object.__setattr__(self, name, sorted(value))
            elif value is not None:
                raise ConfigError(f"{name} must be a list of names, a regular expression or None, got {value!r}")
        for name in ("rank_pattern", "alpha_pattern"):
            for key in getattr(self, name):
                _compile(_at_the_end(key), name)
        for pattern in self._layers_patterns():
            _compile(_before_a_number(pattern), "layers_pattern")

    def targets(self, name: str) -> bool:
        """Whether the layer called `name`, such as ``model.layers.3.self_attn.q_proj``, is to be adapted.

        ``"all-linear"`` must have been spelled out before: which layers are linear, and which is the
        output head, only the model knows (see :func:`labkit.inject_lora`).
        """
        if self.exclude_modules and _matches(self.exclude_modules, name):
            return False
        targets = DEFAULT_TARGETS if self.target_modules is None else self.target_modules
        if isinstance(targets, list) and name in targets:  # named in full, whatever its number is, as in PEFT
            return True
        return _matches(targets, name) and self._in_chosen_layers(name)

    def _in_chosen_layers(self, name: str) -> bool:
        numbers = self.layers_to_transform
        if numbers is None or numbers == []:
            return True
        numbers = [numbers] if isinstance(numbers, int) else numbers
        found = (re.match(_before_a_number(pattern), name) for pattern in self._layers_patterns())
        first = next((match for match in found if match), None)
        # an alternative in the pattern may match without a number
        return first is not None and first["number"] is not None and int(first["number"]) in numbers

    def _layers_patterns(self) -> list[str]:
        patterns = self.layers_pattern or [r".*?\.[^.]*"]  # as in PEFT, a number after the first name is none of these
        return [patterns] if isinstance(patterns, str) else patterns

    def rank_of(self, name: str) -> int:
        """r for the layer called `name`. ConfigError when two keys of rank_pattern disagree on it."""
        return _by_pattern("rank_pattern", self.rank_pattern, name, self.r)

    def alpha_of(self, name: str) -> float:
        """α for the layer called `name`. ConfigError when two keys of alpha_pattern disagree on it."""
        return _by_pattern("alpha_pattern", self.alpha_pattern, name, self.lora_alpha)

    def scaling_of(self, name: str) -> float:
        """The factor before B A in the layer called `name`."""
        return scaling(self.alpha_of(name), self.rank_of(name), self.use_rslora)

    def repeating_patterns(self) -> list[str]:
        """The regular expressions given that repeat something, as they are matched with the names of layers."""
        whole = [p for p in (self.target_modules, self.exclude_modules) if isinstance(p, str)]
        keys, numbers = (
            [*self.rank_pattern, *self.alpha_pattern],
            self._layers_patterns() if self.layers_pattern else [],
        )
        matched = [
            *zip(whole, whole),
            *zip(keys, map(_at_the_end, keys)),
            *zip(numbers, map(_before_a_number, numbers)),
        ]
        return [pattern for given, pattern in matched if set("*+?{") & set(given)]

    def to_peft(self, base_model_name: str | None = None) -> dict:
        """The content of PEFT's ``adapter_config.json`` for this adapter.

        Args:
            base_model_name: the canonical hub name of the base, never a path of this machine.
        """
        fields = dataclasses.asdict(self)
        if self.target_modules is None:
            fields["target_modules"] = DEFAULT_TARGETS  # vLLM and older PEFT want it spelled out
        return {
            "peft_type": "LORA",
            "base_model_name_or_path": base_model_name,
            "inference_mode": True,
            "bias": "none",
            "fan_in_fan_out": False,
            "modules_to_save": None,
            "use_dora": False,
            **fields,
        }

    @classmethod
    def from_peft(cls, fields: dict) -> "LoraConfig":
        """The settings in the content of an ``adapter_config.json``.

        Each field of PEFT's config is honoured, or is at a value that does nothing, or is refused by
        name; none is ignored. Other values of ``init_lora_weights`` are refused as well, although the
        weights come from a file: many of them (PiSSA, OLoRA, CorDA, LoftQ …) also changed the base.

        Raises:
            ConfigError: naming the field that cannot be honoured.
        """
        own = {f.name for f in dataclasses.fields(cls)}
        if fields.get("peft_type", "LORA") != "LORA":
            raise ConfigError(f"peft_type={reprlib.repr(fields['peft_type'])} is not LoRA")
        for name, value in fields.items():
            if name in own or name in DESCRIPTIVE or name == "peft_type":
                continue
            if value not in INERT.get(name, (None, False)):
                raise ConfigError(
                    f"{name}={reprlib.repr(value)} goes beyond plain LoRA and is not supported; "
                    "loading without it would be wrong"
                )
        chosen = {name: value for name, value in fields.items() if name in own}
        for name in ("rank_pattern", "alpha_pattern"):
            chosen[name] = chosen.get(name) or {}
        return cls(**chosen)


def _before_a_number(pattern: str) -> str:
    # lazy, so that the first number in the name counts: the layer, not an expert inside it
    return rf"(?:^|.*?\.){pattern}\.(?P<number>\d+)\."


def _at_the_end(pattern: str) -> str:
    return rf"(.*\.)?({pattern})$"


def _compile(pattern: str, where: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{where}: {pattern!r} is not a regular expression ({error})") from None


def _matches(wanted: list[str] | str, name: str) -> bool:
    if isinstance(wanted, str):
        return re.fullmatch(wanted, name) is not None
    return any(name == entry or name.endswith("." + entry) for entry in wanted)


def _by_pattern(where: str, patterns: dict, name: str, default):
    found = {value for key, value in patterns.items() if re.match(_at_the_end(key), name)}
    # PEFT takes the first key that matches, but writes its file with the keys sorted: the order does not survive
    if len(found) > 1:
        raise ConfigError(f"{where}: several keys match {name} and disagree; let each layer be matched by one")
    return found.pop() if found else default
