"""(IA)³: keys, values and the inside of the MLP are scaled, number by number."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.family.method import Shapes, like
from labkit.family.peft_folders import LayersInPeftsFiles
from labkit.linear import dense_weight
from labkit.lora.patterns import names_or_expression
from labkit.lora.wrapping import AdaptedLinear


class Ia3Linear(AdaptedLinear):
    """y = l ⊙ (W x + b), with l of shape (out_features, 1); or y = W (l ⊙ x) + b, with l of shape (1, in_features).

    Args:
        feedforward: the second of the two.

    Attributes:
        ia3_l: l, which starts as ones, so the layer starts as its base.
    """

    def __init__(self, base_layer: nn.Module, feedforward: bool):
        super().__init__(base_layer)
        self.feedforward = feedforward
        shape = (1, self.in_features) if feedforward else (self.out_features, 1)
        self.ia3_l = like(base_layer, torch.ones(shape))
        if self.bias is not None and not feedforward:
            self.apart = "it scales the bias as well as the weight, and merging changes the weight only"

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features), in the dtype of the base's answer."""
        if not self.adds:
            return self.base_layer(x)
        scale = self.ia3_l.flatten()
        if self.feedforward:
            return self.base_layer((x * scale).to(x.dtype))
        y = self.base_layer(x)
        return (y * scale).to(y.dtype)

    @torch.no_grad()
    def delta_weight(self) -> Tensor:
        return (self.ia3_l - 1) * dense_weight(self.base_layer).float()


@dataclass(frozen=True)
class IA3(LayersInPeftsFiles):
    """A learned factor for each number of keys, values and the MLP's inside:

        softmax(Q (l_k ⊙ K)ᵀ / √d_k) (l_v ⊙ V),    W₂ (l_ff ⊙ γ(W₁ x))

    In a Llama, W₂ is ``down_proj``, and γ(W₁ x) what goes into it, silu(gate) ⊙ up. Its keys are turned by their
    position before they meet Q, and l_k scales them before that; the paper's T5 has no such turn. The factors start at
    one, so the model starts as its base. It trains as many numbers as keys, values and γ(W₁ x) have: out_features per
    layer, or in_features where the input is scaled. It merges, into the weights' rows or columns, except where a layer
    whose output is scaled has a bias.

    Args:
        target_modules: the layers whose output or input is scaled; by default the paper's three, and PEFT's for Llama.
        feedforward_modules: those of them whose input is.

    Raises:
        ConfigError: one of `feedforward_modules` isn't one of `target_modules`.

    Source: Liu et al., Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning, 2022,
    arXiv 2205.05638, section 3.3.
    """

    target_modules: list[str] | str | None = field(default_factory=lambda: ["k_proj", "v_proj", "down_proj"])
    feedforward_modules: list[str] | str | None = field(default_factory=lambda: ["down_proj"])

    peft_type: ClassVar[str] = "IA3"
    said: ClassVar[frozenset[str]] = frozenset({"init_ia3_weights"})

    def __post_init__(self):
        if isinstance(self.target_modules, list) and isinstance(self.feedforward_modules, list):
            if strays := sorted({*self.feedforward_modules} - {*self.target_modules}):
                raise ConfigError(f"feedforward_modules: {strays[0]!r} isn't one of target_modules")

    def _wrapped(self, name: str, layer: nn.Module) -> Ia3Linear:
        return Ia3Linear(layer, self._scales_input(name))

    def _of_layer(self, name: str, layer: nn.Module) -> Shapes:
        return {"ia3_l": (1, layer.in_features) if self._scales_input(name) else (layer.out_features, 1)}

    def _scales_input(self, name: str) -> bool:
        return names_or_expression(self.feedforward_modules, "feedforward_modules").match(name)
