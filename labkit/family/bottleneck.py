"""Bottleneck adapters: two small layers with a bend between them, after attention and after the MLP."""

from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn

from labkit.family.method import LayerMethod, Shapes, refuse_below_one
from labkit.linear import device_of
from labkit.lora.wrapping import AdaptedLinear


class BottleneckLinear(AdaptedLinear):
    """y = h + U gelu(D h + d) + u,    h = W x + b the answer of the base.

    Attributes:
        down: D and d, h's out_features → `bottleneck`; up: U and u, back again.
    """

    apart = "a nonlinear function stands between what's learned and the weight"

    def __init__(self, base_layer: nn.Module, bottleneck: int):
        super().__init__(base_layer)
        device = device_of(base_layer)
        self.down = nn.Linear(self.out_features, bottleneck, device=device)
        self.up = nn.Linear(bottleneck, self.out_features, device=device)
        for part in (self.down, self.up):
            nn.init.trunc_normal_(part.weight, std=0.01, a=-0.02, b=0.02)
            nn.init.zeros_(part.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features), in the dtype of the base's answer."""
        h = self.base_layer(x)
        if not self.adds:
            return h
        return h + self.up(F.gelu(self.down(h.to(self.down.weight.dtype)))).to(h.dtype)


@dataclass(frozen=True)
class Bottleneck(LayerMethod):
    """Houlsby's adapters: in each block, one after attention and one after the MLP, before what they answer is added to
    the stream:

        h ← h + U gelu(D h + d) + u,    D of shape (m, hidden size), U of shape (hidden size, m)

    The layers that end attention and the MLP are ``o_proj`` and ``down_proj`` in a Llama, so that's where the adapters
    sit. D and U start as normal numbers of deviation 0.01, cut off at two deviations (0.001 in the authors' code), and
    biases at zero: the model starts close to its base, and not quite as it. With d the hidden size, it trains
    2 m d + d + m numbers per adapter.

    It can't be merged: between D and U stands a nonlinear function, and so each answer takes longer. The paper doesn't
    say which one; its code takes gelu. The paper trains the layer norms as well; here they stay frozen. PEFT doesn't
    have the method, and there's no file for it.

    Args:
        bottleneck: m, what the hidden size is squeezed to.
        target_modules: after which layers. ``["down_proj"]`` leaves one adapter per block, after the MLP, where
            Pfeiffer et al. put it (arXiv 2005.00247).

    Source: Houlsby et al., Parameter-Efficient Transfer Learning for NLP, 2019, arXiv 1902.00751.
    """

    bottleneck: int = 64
    target_modules: list[str] | str | None = field(default_factory=lambda: ["o_proj", "down_proj"])

    def __post_init__(self):
        refuse_below_one(self, "bottleneck")

    def _wrapped(self, name: str, layer: nn.Module) -> BottleneckLinear:
        return BottleneckLinear(layer, self.bottleneck)

    def _of_layer(self, name: str, layer: nn.Module) -> Shapes:
        m, width = self.bottleneck, layer.out_features
        return {"down.weight": (m, width), "down.bias": (m,), "up.weight": (width, m), "up.bias": (width,)}
