"""LoRA as a method of the family, and rsLoRA, which scales it otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from torch import nn

from labkit.errors import AdapterError, ConfigError
from labkit.family.method import Method, Shapes, Trained, refuse_adapted
from labkit.lora.config import LoraConfig
from labkit.lora.files import load_adapter, read_config, save_adapter
from labkit.lora.inject import inject_lora, resolve_targets


@dataclass(frozen=True)
class LoRA(Method):
    """An update of low rank beside each frozen weight:

        y = W x + ΔW x = W x + s · B (A x),    s = α / r

    A of shape (r, in_features) starts at random and B of shape (out_features, r) at zero, so the model starts as its
    base. It trains r · (in_features + out_features) numbers per layer. It merges, and its file is PEFT's.

    The paper draws A from a normal distribution. Here it's uniform up to ±1/√in_features (Kaiming, with a = √5), as in
    the authors' code and in PEFT. Dropout is on what goes into A.

    Args:
        r, lora_alpha, lora_dropout, target_modules: as in :class:`labkit.LoraConfig`, which has PEFT's defaults: α = 8,
            and ``q_proj`` and ``v_proj`` only. Here it's α/r = 2 on all linear layers, as the course trains.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021, arXiv 2106.09685, section 4.1.
    """

    r: int = 8
    lora_alpha: float = 16
    lora_dropout: float = 0.0
    target_modules: list[str] | str | None = "all-linear"

    use_rslora: ClassVar[bool] = False

    def __post_init__(self):
        self.config  # noqa: B018  (refuses what makes no sense)

    @property
    def config(self) -> LoraConfig:
        """The same as LoRA's own settings."""
        return LoraConfig(self.r, self.lora_alpha, self.lora_dropout, self.target_modules, use_rslora=self.use_rslora)

    def shapes(self, model: nn.Module) -> Shapes:
        found: Shapes = {}
        for name in resolve_targets(model, self.config)[1]:
            layer = model.get_submodule(name)
            found[f"{name}.lora_A.weight"] = (self.r, layer.in_features)
            found[f"{name}.lora_B.weight"] = (layer.out_features, self.r)
        return found

    def _put_on(self, model: nn.Module) -> None:
        inject_lora(model, self.config)

    def save(self, model: nn.Module, path: Path | str, about: Mapping | None = None) -> Path:
        return save_adapter(model, path, dict(about or {}))

    @classmethod
    def load(cls, model: nn.Module, path: Path | str) -> Trained:
        refuse_adapted(model)
        config = read_config(path)
        method = cls(config.r, config.lora_alpha, config.lora_dropout, config.target_modules)
        if method.config != replace(config, init_lora_weights=True, task_type="CAUSAL_LM"):
            raise AdapterError(f"{path}: its settings go beyond this method's. Load it with labkit.load_adapter")
        try:
            shapes = method.shapes(model)
        except ConfigError:
            shapes = {}  # load_adapter says what doesn't fit
        return method._trains(load_adapter(model, path), shapes)


@dataclass(frozen=True)
class RsLoRA(LoRA):
    """LoRA, scaled so that a larger rank learns as fast as a small one:

        y = W x + s · B (A x),    s = α / √r

    The paper shows that with α / r learning slows down as r grows. Trained numbers, start, merging and file are LoRA's,
    and at a single r it's LoRA with α √r in the place of α.

    Source: Kalajdzievski, A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA, 2023, arXiv 2312.03732.
    """

    use_rslora: ClassVar[bool] = True
