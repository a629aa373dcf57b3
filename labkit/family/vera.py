"""VeRA: all layers share one random A and one random B, and each learns two vectors."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.family.method import Shapes, like, refuse_below_one
from labkit.family.peft_folders import LayersInPeftsFiles
from labkit.linear import device_of
from labkit.lora.wrapping import AdaptedLinear, adapted_layers

_A, _B = "base_model.vera_A", "base_model.vera_B"


class Projections(nn.Module):
    """A of shape (r, widest input) and B of shape (widest output, r), frozen; a layer takes what it needs of each."""

    def __init__(self, r: int, in_features: int, out_features: int, key: int, device: torch.device):
        super().__init__()
        generator = torch.Generator().manual_seed(key)
        # Kaiming's bound for ReLU, and PEFT's order, so that the same key gives the same numbers
        for name, shape in (("vera_A", (r, in_features)), ("vera_B", (out_features, r))):
            bound = math.sqrt(6 / shape[1])
            numbers = torch.empty(shape).uniform_(-bound, bound, generator=generator)
            self.register_buffer(name, numbers.to(device), persistent=False)


class VeraLinear(AdaptedLinear):
    """y = W x + b + λ_b ⊙ B (λ_d ⊙ A x).

    Attributes:
        vera_lambda_d: shape (r,); vera_lambda_b: shape (out_features,).
        projections: A and B, the same object in all layers.
    """

    def __init__(self, base_layer: nn.Module, projections: Projections, d_initial: float):
        super().__init__(base_layer)
        self.projections = projections
        self.vera_lambda_b = like(base_layer, torch.zeros(self.out_features))
        self.vera_lambda_d = like(base_layer, torch.full((len(projections.vera_A),), d_initial))

    def _sliced(self) -> tuple[Tensor, Tensor]:
        return self.projections.vera_A[:, : self.in_features], self.projections.vera_B[: self.out_features]

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features), in the dtype of the base's answer."""
        y = self.base_layer(x)
        if not self.adds:
            return y
        A, B = self._sliced()
        low = self.vera_lambda_d * F.linear(x.to(A.dtype), A)  # (..., r)
        return y + (self.vera_lambda_b * F.linear(low, B)).to(y.dtype)

    @torch.no_grad()
    def delta_weight(self) -> Tensor:
        A, B = self._sliced()
        return (self.vera_lambda_b[:, None] * B) @ (self.vera_lambda_d[:, None] * A)


@dataclass(frozen=True)
class VeRA(LayersInPeftsFiles):
    """Two vectors per layer around a pair of random matrices that all layers share and that never learn:

        y = W x + Λ_b B Λ_d A x = W x + λ_b ⊙ B (λ_d ⊙ A x)

    Λ_b and Λ_d are diagonal: on them stand the paper's vectors b and d, which PEFT calls λ_b and λ_d. A of shape
    (r, in_features) and B of shape (out_features, r) are Kaiming-uniform, up to ±√(6 / columns), drawn from a key: √6
    times as far as LoRA's A. λ_d starts at `d_initial` and λ_b at zero, so the model starts as its base. It trains
    r + out_features numbers per layer, so r can be large, and it wants higher rates than LoRA. It merges. PEFT's file
    has A and B beside the vectors, or leaves them to the key.

    Where layers differ in shape, A and B are as wide as the widest, and a layer takes A's first columns and B's first
    rows, as in PEFT. There's no dropout, and a file that was trained with some is refused.

    Args:
        r: rank of what's shared; PEFT's default.
        projection_prng_key: what A and B are drawn from.
        save_projection: whether the file has A and B; without, it relies on PyTorch drawing the same from the key.
        d_initial: what λ_d starts at; 0.1 in the paper.

    Source: Kopiczko, Blankevoort, Asano, VeRA: Vector-based Random Matrix Adaptation, 2023, arXiv 2310.11454.
    """

    r: int = 256
    target_modules: list[str] | str | None = "all-linear"
    projection_prng_key: int = 0
    save_projection: bool = True
    d_initial: float = 0.1

    peft_type: ClassVar[str] = "VERA"
    fixed: ClassVar[dict] = {"bias": "none", "vera_dropout": 0.0}
    said: ClassVar[frozenset[str]] = frozenset({"init_weights"})
    optional: ClassVar[frozenset[str]] = frozenset({_A, _B})

    def __post_init__(self):
        refuse_below_one(self, "r")
        if type(self.projection_prng_key) is not int or not 0 <= self.projection_prng_key < 2**63:
            raise ConfigError(f"projection_prng_key must be a whole number from 0 on, got {self.projection_prng_key!r}")
        if type(self.d_initial) not in (int, float) or not math.isfinite(self.d_initial):
            raise ConfigError(f"d_initial must be a finite number, got {self.d_initial!r}")

    def _all_wrapped(self, layers: dict[str, nn.Module]) -> dict[str, AdaptedLinear]:
        device = device_of(next(iter(layers.values())))
        shared = Projections(self.r, *self._widest(layers), self.projection_prng_key, device)
        return {name: VeraLinear(layer, shared, self.d_initial) for name, layer in layers.items()}

    def _of_layer(self, name: str, layer: nn.Module) -> Shapes:
        return {"vera_lambda_b": (layer.out_features,), "vera_lambda_d": (self.r,)}

    def _widest(self, layers: dict[str, nn.Module]) -> tuple[int, int]:
        return max(layer.in_features for layer in layers.values()), max(layer.out_features for layer in layers.values())

    def _state(self, model: nn.Module) -> dict[str, Tensor]:
        shared = next(layer.projections for _, layer in adapted_layers(model))
        return super()._state(model) | {_A: shared.vera_A, _B: shared.vera_B}

    def _shapes_in_file(self, model: nn.Module) -> Shapes:
        in_features, out_features = self._widest(self.targets(model))
        return super()._shapes_in_file(model) | {_A: (self.r, in_features), _B: (out_features, self.r)}

    def _leaves_out_optional(self) -> bool:
        return not self.save_projection
