"""What all methods of the family answer: what trains, how much that is, at which rate, and what becomes of it."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from labkit.errors import AdapterError, ConfigError
from labkit.linear import BaseLinear, device_of
from labkit.lora.config import LoraConfig
from labkit.lora.inject import refuse_bank, resolve_targets
from labkit.lora.merging import merge_and_unload, say_merged
from labkit.lora.wrapping import AdaptedLinear, adapted_layers, is_adapted
from labkit.model_facts import facts_of, note

Shapes = dict[str, tuple[int, ...]]  # of each tensor that trains, by its name in the model


class Method(ABC):
    """A way to fine-tune: frozen settings, under PEFT's names where PEFT has the method.

    A kind of it says two things: :meth:`shapes`, and how it's put on a model (`_put_on`).

    Attributes:
        apart: why what it trains can't be merged, in a sentence; empty where it can.
    """

    apart: ClassVar[str] = ""

    def apply(self, model: nn.Module) -> "Trained":
        """Put the method on `model`, in place, and freeze everything else. Nothing is changed unless everything can be.

        Raises:
            ConfigError: a setting that this model can't honor; the model has been adapted already, or has a bank.
        """
        refuse_adapted(model)
        shapes = self.shapes(model)
        self._put_on(model)
        return self._trains(model, shapes)

    def _trains(self, model: nn.Module, shapes: Shapes) -> "Trained":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in shapes)
        note(model, method=self)
        return Trained(model, self)

    @abstractmethod
    def shapes(self, model: nn.Module) -> Shapes:
        """The shape of each tensor that will train, by name. `model` is a base; one on the meta device will do."""

    @abstractmethod
    def _put_on(self, model: nn.Module) -> None:
        """Add to `model` what isn't there yet. What trains is said by `shapes`."""

    def count(self, model: nn.Module) -> int:
        """How many numbers will train, from shapes alone."""
        return sum(math.prod(shape) for shape in self.shapes(model).values())

    def rate_factor(self, name: str) -> float:
        """By what the learning rate is multiplied for the parameter called `name`."""
        return 1.0

    def tune(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:  # noqa: B027  (most have no wish)
        """Have `optimizer` do what the method asks for besides its rates: nothing, mostly."""

    def recipe(self, model: nn.Module) -> str:
        """What a checkpoint of `model` must have been made with to be gone on from: it holds only what trains."""
        sums = "".join(
            hashlib.sha256(t.detach().cpu().float().numpy().tobytes()).hexdigest() for t in self._drawn(model)
        )
        return f"{self} on {hashlib.sha256(sums.encode()).hexdigest()[:16]}" if sums else str(self)

    def _drawn(self, model: nn.Module) -> Iterator[Tensor]:
        """What the method began with on `model`, perhaps at random, and doesn't train."""
        yield from ()

    def save(self, model: nn.Module, path: Path | str, about: Mapping | None = None) -> Path:
        """Write what was trained on `model` to the folder `path`, in PEFT's two files and ``labkit.json``.

        Raises:
            AdapterError: there is no format for it, or what is at `path` is more than an adapter.
        """
        raise AdapterError(f"{path}: {self._no_file}")

    @classmethod
    def load(cls, model: nn.Module, path: Path | str) -> "Trained":
        """Put what's in the folder `path` on `model`, a fresh base. It's read and checked before `model` is touched.

        Raises:
            AdapterError: naming the file and what is wrong with it; there is no format for this method.
        """
        raise AdapterError(f"{path}: {cls._no_file}")

    _no_file: ClassVar[str] = "there's no file format for this method"


@dataclass(frozen=True, eq=False)
class Trained:
    """A model with a method on it.

    Attributes:
        model: the one that was given to :meth:`Method.apply`.
        method: with its settings.
    """

    model: nn.Module
    method: Method

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """What trains, by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    @property
    def count(self) -> int:
        """How many numbers train."""
        return sum(parameter.numel() for parameter in self.parameters.values())

    def optimizer(self, learning_rate: float, weight_decay: float = 0.0, **named) -> torch.optim.AdamW:
        """AdamW as the method wants it, for a loop of your own; :func:`labkit.train` makes its own from the same."""
        groups = rate_groups(self.model)
        for group in groups:
            group["lr"] = learning_rate * group["rate_factor"]
        optimizer = torch.optim.AdamW(groups, lr=learning_rate, weight_decay=weight_decay, **named)
        self.method.tune(optimizer, self.model)
        return optimizer

    def merge(self) -> nn.Module:
        """Make an ordinary model of it, in place, with the same answers. Where nothing was added, it's one.

        Raises:
            ConfigError: it can't be merged; the message says why.
        """
        if self.method.apart or any(True for _ in adapted_layers(self.model)):
            return merge_and_unload(self.model)
        say_merged(self.model)
        return self.model

    def save(self, path: Path | str, about: Mapping | None = None) -> Path:
        """As :meth:`Method.save`."""
        return self.method.save(self.model, path, about)


def rate_groups(model: nn.Module) -> list[dict]:
    """What trains in `model`, as groups for an optimizer: those with the same ``rate_factor`` together.

    Without a method it's one group, of all that is trainable.
    """
    method, groups = facts_of(model).method, {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(method.rate_factor(name) if method else 1.0, []).append(parameter)
    return [{"params": parameters, "rate_factor": factor} for factor, parameters in groups.items()]


def refuse_adapted(model: nn.Module) -> None:
    """ConfigError where `model` isn't a fresh base."""
    refuse_bank(model)
    if is_adapted(model):
        raise ConfigError("this model has been adapted already: start from a fresh base")


def refuse_packed(model: nn.Module) -> None:
    """ConfigError where weights of `model` are packed: such a method trains the weights themselves."""
    packed = [name for name, module in model.named_modules() if isinstance(module, BaseLinear)]
    packed += [name for name, parameter in model.named_parameters() if not parameter.is_floating_point()]
    if packed:
        raise ConfigError(f"{packed[0]} is packed, and a packed weight can't be trained: load the base unquantized")


class LayerMethod(Method):
    """A method that lays something around linear layers: those that ``target_modules`` names, as for LoRA.

    Where the method's paper doesn't say which, it's all linear layers but the head, so that methods can be compared.
    PEFT's default for a Llama is ``q_proj`` and ``v_proj``, mostly.
    """

    target_modules: list[str] | str | None

    def _wrapped(self, name: str, layer: nn.Module) -> AdaptedLinear:
        """What takes the place of the `layer` called `name`."""
        raise NotImplementedError

    def _all_wrapped(self, layers: dict[str, nn.Module]) -> dict[str, AdaptedLinear]:
        """The same for all of them, where they have something in common."""
        return {name: self._wrapped(name, layer) for name, layer in layers.items()}

    @abstractmethod
    def _of_layer(self, name: str, layer: nn.Module) -> Shapes:
        """What will train there, by name within what takes the layer's place. It may refuse."""

    def targets(self, model: nn.Module) -> dict[str, nn.Module]:
        """The layers that are adapted, by name. ConfigError as for :func:`labkit.inject_lora`."""
        _, names = resolve_targets(model, LoraConfig(target_modules=self.target_modules))
        return {name: model.get_submodule(name) for name in names}

    def shapes(self, model: nn.Module) -> Shapes:
        return {
            f"{name}.{part}": shape
            for name, layer in self.targets(model).items()
            for part, shape in self._of_layer(name, layer).items()
        }

    def _put_on(self, model: nn.Module) -> None:
        for name, layer in self._all_wrapped(self.targets(model)).items():
            model.set_submodule(name, layer.train(model.training))


def refuse_below_one(method: Method, *names: str) -> None:
    """ConfigError unless each of these settings is a whole number of at least 1."""
    for name in names:
        value = getattr(method, name)
        if type(value) is not int or value < 1:
            raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}")


def settings_of(method: Method) -> dict[str, object]:
    """The settings by name."""
    return {field.name: getattr(method, field.name) for field in fields(method)}


def like(layer: nn.Module, tensor: Tensor) -> nn.Parameter:
    """`tensor` in float32 as a parameter, on the device of `layer`."""
    return nn.Parameter(tensor.to(device_of(layer), torch.float32).contiguous())
