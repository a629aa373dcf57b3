"""Spectrum: of each kind of layer, those learn whose weight stands out most from noise."""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.family.method import Method, Shapes, refuse_packed
from labkit.lora.config import LoraConfig
from labkit.lora.inject import resolve_targets

_IQR_OF_NORMAL = 1.349  # from the first to the third quartile of a normal distribution, in deviations


@torch.no_grad()
def signal_to_noise(weight: Tensor) -> float:
    """How far `weight`, shape (out_features, in_features), stands out from noise, by its singular values S:

        ε = σ (1 + √β),    σ = IQR(S) / 1.349,    β = the shorter side / the longer
        SNR = Σ S above ε / Σ S up to ε, divided by the largest of S

    ε has the form of the largest singular value that Marchenko and Pastur let noise have. Their σ is the deviation of
    the noise's entries, and the edge is σ √(longer side) (1 + √β). Spectrum takes the deviation of S in its place, by
    the interquartile range (IQR), and leaves the root out (the paper's section 3.3). So its ε isn't where noise ends,
    and pure noise has "signal" as well: it's a rule to rank by. Infinite where nothing is below.
    """
    S = torch.linalg.svdvals(weight.float())
    quartiles = torch.quantile(S, torch.tensor([0.25, 0.75], device=S.device))
    sigma = (quartiles[1] - quartiles[0]) / _IQR_OF_NORMAL
    edge = sigma * (1 + math.sqrt(min(weight.shape) / max(weight.shape)))
    noise = S[S <= edge].sum()
    return math.inf if noise == 0 else float(S[S > edge].sum() / noise / S[0])


@dataclass(frozen=True)
class Spectrum(Method):
    """Full fine-tuning of a part of the layers: of each kind (q_proj, up_proj, …), the share with the highest
    signal-to-noise ratio (:func:`signal_to_noise`). All other weights are frozen: embeddings, output head and norms,
    too. The published code can rank norms as one more kind, and always trains embeddings and head; here it's the linear
    layers that the other methods adapt.

    It trains in_features · out_features numbers for each chosen layer, and its bias. Nothing is added, so the model
    starts as its base, there's nothing to merge, and no adapter to save. The choice takes an SVD of each layer.

    Args:
        top_percent: how many layers of each kind, rounded down, and at least one; the paper's default is 25.
        target_modules: which kinds, as for LoRA.
        layers: the names of the layers, where they've been chosen before: :meth:`chosen` gives them.

    Raises:
        ConfigError: a share outside (0, 100]; weights are packed; `layers` names others than the targets.

    Source: Hartford, Atkins, Fernandes Neto, Golchinfar, Spectrum: Targeted Training on Signal to Noise Ratio, 2024,
    arXiv 2406.06623. The ratio is the one of its published code.
    """

    top_percent: float = 25.0
    target_modules: list[str] | str | None = "all-linear"
    layers: tuple[str, ...] | None = None

    _no_file: ClassVar[str] = "what was trained is a part of the model itself: save the model"

    def __post_init__(self):
        if type(self.top_percent) not in (int, float) or not 0 < self.top_percent <= 100:
            raise ConfigError(f"top_percent must be more than 0 and at most 100, got {self.top_percent!r}")

    def chosen(self, model: nn.Module) -> tuple[str, ...]:
        """The names of the layers that will train."""
        refuse_packed(model)
        found = []
        for names in self._kinds(model).values():
            ranked = sorted(names, key=lambda name: -signal_to_noise(model.get_submodule(name).weight))
            found += ranked[: self._share(names)]
        return tuple(sorted(found))

    def _share(self, names: list[str]) -> int:
        return max(1, int(len(names) * self.top_percent / 100))

    def _kinds(self, model: nn.Module) -> dict[object, list[str]]:
        """The targets by the last part of their name, and by shape, which is the same in most models."""
        kinds = defaultdict(list)
        for name in resolve_targets(model, LoraConfig(target_modules=self.target_modules))[1]:
            kinds[name.split(".")[-1], *_numbers(model, name).values()].append(name)
        return kinds

    def count(self, model: nn.Module) -> int:
        refuse_packed(model)
        if self.layers is not None:
            return super().count(model)
        alike = self._kinds(model).values()
        return sum(self._share(names) * sum(map(math.prod, _numbers(model, names[0]).values())) for names in alike)

    def shapes(self, model: nn.Module) -> Shapes:
        refuse_packed(model)
        names = self.chosen(model) if self.layers is None else self.layers
        known = {name for alike in self._kinds(model).values() for name in alike}
        if strays := [name for name in names if name not in known]:
            raise ConfigError(f"layers: {strays[0]!r} is none of the layers that target_modules names")
        return {full: shape for name in names for full, shape in _numbers(model, name).items()}

    def _put_on(self, model: nn.Module) -> None:
        pass


def _numbers(model: nn.Module, name: str) -> Shapes:
    return {f"{name}.{part}": tuple(p.shape) for part, p in model.get_submodule(name).named_parameters()}
