"""What a method trained, in the two files that PEFT reads and writes for it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from labkit.errors import AdapterError, ConfigError
from labkit.family.method import LayerMethod, Method, Shapes, Trained, refuse_adapted, settings_of
from labkit.lora.adapter import about_base, refuse_other_base, refuse_other_keys, refuse_unusable
from labkit.lora.base_form import warn_if_held_otherwise
from labkit.lora.files import ABOUT_FILE, CONFIG_FILE, WEIGHTS_FILE, check_sums, read_about, write_folder
from labkit.lora.inject import refuse_bank
from labkit.lora.peft_fields import OFF, SAID
from labkit.lora.wrapping import adapted_layers
from labkit.model_facts import facts_of
from labkit.storage.untrusted import plain, read_json, read_weights, try_patterns
from labkit.storage.writing import restored

_PREFIX = "base_model.model."


class InPeftsFiles(Method):
    """A method that PEFT has a file for, under the names that this class gives its settings.

    Attributes:
        peft_type: what PEFT calls it.
        fixed: further fields of PEFT's config, and the one value each may have.
        said: fields that tell how training began, or repeat the base's config: with the tensors there, they do nothing.
        optional: keys that the file needn't have.
        own: settings of ours that tell how training begins, and aren't written.
    """

    peft_type: ClassVar[str]
    fixed: ClassVar[Mapping[str, object]] = {}
    said: ClassVar[frozenset[str]] = frozenset()
    optional: ClassVar[frozenset[str]] = frozenset()
    own: ClassVar[frozenset[str]] = frozenset()

    def save(self, model: nn.Module, path: Path | str, about: Mapping | None = None) -> Path:
        refuse_bank(model)
        if facts_of(model).method != self:
            raise AdapterError(f"{path}: this method isn't on that model")
        path = Path(path).resolve()
        left_out = self.optional if self._leaves_out_optional() else ()
        found = {key: tensor for key, tensor in self._state(model).items() if key not in left_out}
        state = {key: tensor.detach().to("cpu", torch.float32).contiguous() for key, tensor in found.items()}
        for key, tensor in state.items():
            refuse_unusable(key, tensor, tuple(tensor.shape), path)
        base = about_base(model)
        config = {
            "peft_type": self.peft_type,
            "base_model_name_or_path": base["name"],
            "inference_mode": True,
            "task_type": "CAUSAL_LM",
            **self.fixed,
            **self._fields(model),
        }
        return write_folder(path, config, state, {"base": base, **(about or {})})

    @classmethod
    def load(cls, model: nn.Module, path: Path | str) -> Trained:
        refuse_adapted(model)
        path = Path(path)
        file = restored(path) / CONFIG_FILE
        fields, about = read_json(file), read_about(path)
        refuse_other_base(model, about, path / ABOUT_FILE)
        try:
            method = cls._from_peft(fields)
            method._try_patterns(model, file)
            shapes = method._shapes_in_file(model)
        except (ConfigError, TypeError, AttributeError) as error:
            raise AdapterError(f"{file}: {plain(error, 400)}") from None
        state = read_weights(path / WEIGHTS_FILE)
        refuse_other_keys(state, shapes.keys() - (cls.optional - state.keys()), path / WEIGHTS_FILE)
        for key, tensor in state.items():
            refuse_unusable(key, tensor, shapes[key], path / WEIGHTS_FILE)
        check_sums(path, about)
        warn_if_held_otherwise(model, about, path)
        trained = method.apply(model)
        with torch.no_grad():
            for key, tensor in method._state(model).items():
                if key in state:
                    tensor.copy_(state[key])
        return trained

    @classmethod
    def _from_peft(cls, fields: Mapping[str, object]) -> "InPeftsFiles":
        """The method in an ``adapter_config.json``, each field of which is honored, does nothing, or is refused."""
        if fields.get("peft_type") != cls.peft_type:
            raise ConfigError(f"peft_type={plain(repr(fields.get('peft_type')))} is not {cls.peft_type}")
        names = {each.name for each in dataclasses.fields(cls)} - cls.own
        fixed = {"task_type": "CAUSAL_LM", **cls.fixed}
        for name, value in fields.items():
            harmless = name in SAID | cls.said or value in OFF or value == fixed.get(name)
            if name not in names and not harmless:
                raise ConfigError(f"{name}={plain(repr(value))} is not supported; loading without it would be wrong")
        return cls(**{name: value for name, value in fields.items() if name in names})

    def _fields(self, model: nn.Module) -> dict[str, object]:
        """The settings for PEFT's config."""
        return {name: value for name, value in settings_of(self).items() if name not in self.own}

    def _try_patterns(self, model: nn.Module, where: Path) -> None:
        """AdapterError where a stranger's regular expression takes for ever."""

    def _state(self, model: nn.Module) -> dict[str, Tensor]:
        """The tensors of the file in the model that has the method on it, under PEFT's keys."""
        parameters = dict(model.named_parameters())
        return {f"{_PREFIX}{name}": parameters[name] for name in parameters if parameters[name].requires_grad}

    def _shapes_in_file(self, model: nn.Module) -> Shapes:
        """The shape of each tensor in the file, by key; `model` is a base."""
        return {f"{_PREFIX}{name}": shape for name, shape in self.shapes(model).items()}

    def _leaves_out_optional(self) -> bool:
        return False


class LayersInPeftsFiles(InPeftsFiles, LayerMethod):
    """The same, of a method that's around linear layers."""

    def _fields(self, model: nn.Module) -> dict[str, object]:
        fields = super()._fields(model)
        if self.target_modules == "all-linear":  # spelled out, since it's the model that says what they are
            fields["target_modules"] = [name for name, _ in adapted_layers(model)]
        return fields

    def _try_patterns(self, model: nn.Module, where: Path) -> None:
        given = [value for name, value in settings_of(self).items() if name.endswith("_modules")]
        patterns = [("fullmatch", value) for value in given if isinstance(value, str) and value != "all-linear"]
        try_patterns(patterns, [name for name, _ in model.named_modules()], where)
