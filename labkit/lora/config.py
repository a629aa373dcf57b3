"""What to adapt and how much: the fields of PEFT's ``LoraConfig`` that LoRA itself needs.

The field names and defaults are PEFT's, so that a config can be read from and written to
``adapter_config.json`` without renaming. What PEFT can do beyond plain LoRA is refused by name.
"""

import dataclasses
import math
import reprlib
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace

from labkit.errors import ConfigError
from labkit.lora.patterns import ByKey, compiled, is_name, names_or_expression, refuse_too_long
from labkit.lora.peft_fields import beginning, refuse_beyond_lora

# what ``target_modules=None`` means, as PEFT has it for Llama
DEFAULT_TARGETS = ["q_proj", "v_proj"]


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
        ConfigError: a value LoRA cannot work with, or more names or regular expressions than are searched (see
            :mod:`labkit.lora.patterns`).
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
        for where, ranks in (("r", [self.r]), ("rank_pattern: r", self.rank_pattern.values())):
            for rank in ranks:
                if type(rank) is not int or rank < 1:
                    raise ConfigError(f"{where} must be a whole number of at least 1, got {rank!r}")
        for where, alphas in (("lora_alpha", [self.lora_alpha]), ("alpha_pattern: α", self.alpha_pattern.values())):
            for alpha in alphas:
                if type(alpha) not in (int, float) or not 0 <= alpha <= sys.float_info.max:
                    raise ConfigError(f"{where} must be a number of at least 0, got {alpha!r}")
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
            raise ConfigError(f"layers_to_transform must be whole numbers or None, got {reprlib.repr(numbers)}")
        if isinstance(self.target_modules, str) and self.target_modules != "all-linear" and numbers not in (None, []):
            raise ConfigError(
                "layers_to_transform needs a list of names: a regular expression can say the layers itself"
            )
        for name in ("target_modules", "exclude_modules"):
            value = getattr(self, name)
            if isinstance(value, (list, set, tuple)) and all(isinstance(entry, str) for entry in value):
                object.__setattr__(self, name, sorted(value))
            elif value is not None and not isinstance(value, str):
                raise ConfigError(
                    f"{name} must be a list of names, a regular expression or None, got {reprlib.repr(value)}"
                )
        self._read_patterns()

    def _read_patterns(self) -> None:
        """Compile what is matched with the names of layers, once."""
        targets = DEFAULT_TARGETS if self.target_modules is None else self.target_modules
        chosen = [layers] if isinstance(layers := self.layers_to_transform, int) else layers or []
        patterns = [given] if isinstance(given := self.layers_pattern, str) else given or []
        refuse_too_long(patterns, "layers_pattern")
        # as in PEFT, a number after the first name is none of a layer
        before = [compiled(_before_a_number(p), p, "layers_pattern") for p in patterns or [r".*?\.[^.]*"]]
        read = {
            "targets": names_or_expression(targets, "target_modules"),
            "excluded": names_or_expression(self.exclude_modules, "exclude_modules"),
            "layers": frozenset(chosen),
            "before_a_number": before,
            "ranks": ByKey(self.rank_pattern, "rank_pattern"),
            "alphas": ByKey(self.alpha_pattern, "alpha_pattern"),
        }
        object.__setattr__(self, "_read", SimpleNamespace(**read))  # no field: not compared, copied or written

    def targets(self, name: str) -> bool:
        """Whether the layer called `name`, such as ``model.layers.3.self_attn.q_proj``, is to be adapted.

        ``"all-linear"`` must have been spelled out before: which layers are linear, and which is the
        output head, only the model knows (see :func:`labkit.inject_lora`).
        """
        read = self._read
        if read.excluded.match(name):
            return False
        if read.targets.names_in_full(name):  # whatever its number is, as in PEFT
            return True
        return read.targets.match(name) and self._in_chosen_layers(name)

    def _in_chosen_layers(self, name: str) -> bool:
        if not self._read.layers:
            return True
        found = (pattern.match(name) for pattern in self._read.before_a_number)
        first = next((match for match in found if match), None)
        # an alternative in the pattern may match without a number
        return first is not None and first["number"] is not None and int(first["number"]) in self._read.layers

    def rank_of(self, name: str) -> int:
        """r for the layer called `name`. ConfigError when two keys of rank_pattern disagree on it."""
        return _the_one("rank_pattern", self._read.ranks.match(name), name, self.r)

    def alpha_of(self, name: str) -> float:
        """α for the layer called `name`. ConfigError when two keys of alpha_pattern disagree on it."""
        return _the_one("alpha_pattern", self._read.alphas.match(name), name, self.lora_alpha)

    def scaling_of(self, name: str) -> float:
        """The factor before B A in the layer called `name`."""
        return scaling(self.alpha_of(name), self.rank_of(name), self.use_rslora)

    def regular_expressions(self) -> list[tuple[str, str]]:
        """What is matched with the names of layers, is more than a name, and so may take for ever.

        Returns:
            For each, the function of :mod:`re` that matches it, and the pattern.
        """
        whole = [p for p in (self.target_modules, self.exclude_modules) if isinstance(p, str)]
        numbers = [self.layers_pattern] if isinstance(self.layers_pattern, str) else self.layers_pattern or []
        keys = (self._read.ranks.expressions | self._read.alphas.expressions).values()
        return [
            *(("fullmatch", pattern) for pattern in whole if pattern and not is_name(pattern)),
            *(("match", _before_a_number(pattern)) for pattern in numbers if not is_name(pattern)),
            *(("match", pattern) for pattern in keys),
        ]

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

        Each field of PEFT's config is honoured, or does nothing, or is refused by name; none is ignored. So is what
        ``init_lora_weights`` says of ways to begin that changed the base as well (PiSSA, OLoRA, CorDA, LoftQ …): with
        the weights from a file, all others are alike.

        Raises:
            ConfigError: naming the field that cannot be honoured.
        """
        own = {f.name for f in dataclasses.fields(cls)}
        if fields.get("peft_type", "LORA") != "LORA":
            raise ConfigError(f"peft_type={reprlib.repr(fields['peft_type'])} is not LoRA")
        refuse_beyond_lora({name: value for name, value in fields.items() if name not in own})
        chosen = {name: value for name, value in fields.items() if name in own}
        for name in ("rank_pattern", "alpha_pattern"):
            chosen[name] = chosen.get(name) or {}
        if chosen.get("use_rslora", False) is None:
            del chosen["use_rslora"]
        if chosen.get("layers_to_transform") is None:
            chosen["layers_pattern"] = None  # it says nothing alone, and PEFT wrote it so until 0.14
        chosen["init_lora_weights"] = beginning(chosen.get("init_lora_weights", True))
        return cls(**chosen)


def _before_a_number(pattern: str) -> str:
    # lazy, so that the first number in the name counts: the layer, not an expert inside it
    return rf"(?:^|.*?\.){pattern}\.(?P<number>\d+)\."


def _the_one(where: str, found: set, name: str, default):
    # PEFT takes the first key that matches, but writes its file with the keys sorted: the order does not survive
    if len(found) > 1:
        raise ConfigError(f"{where}: several keys match {name} and disagree; let each layer be matched by one")
    return found.pop() if found else default
