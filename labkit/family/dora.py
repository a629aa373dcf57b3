"""DoRA: the length and the direction of each row of W learn apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from labkit.family.method import Shapes, like
from labkit.family.peft_folders import LayersInPeftsFiles
from labkit.linear import dense_weight
from labkit.lora.config import LoraConfig
from labkit.lora.layer import LoraLinear
from labkit.lora.peft_fields import beginning
from labkit.lora.wrapping import AdaptedLinear


class DoraLinear(AdaptedLinear):
    """y = (m / ‖V'‖) ⊙ V' x + b,    V' = W + s · B A, and ‖V'‖ the length of each of its rows.

    Attributes:
        lora_A, lora_B, lora_dropout: as in :class:`labkit.LoraLinear`.
        lora_magnitude_vector: m, shape (out_features,). It starts as ‖W‖, so the layer starts as its base.
    """

    def __init__(
        self, base_layer: nn.Module, r: int, lora_alpha: float, use_rslora: bool = False, lora_dropout: float = 0.0
    ):
        super().__init__(base_layer)
        lora = LoraLinear(base_layer, r, lora_alpha, lora_dropout, use_rslora)
        self.lora_A, self.lora_B, self.scaling = lora.lora_A, lora.lora_B, lora.scaling
        self.lora_dropout = lora.lora_dropout
        self.lora_magnitude_vector = like(base_layer, self._lengths())

    @torch.no_grad()
    def _direction(self) -> Tensor:
        """V', shape (out_features, in_features), float32."""
        return dense_weight(self.base_layer).float() + self.scaling * (self.lora_B.weight @ self.lora_A.weight)

    def _lengths(self) -> Tensor:
        return self._direction().norm(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features), in the dtype of the base's answer."""
        y = self.base_layer(x)
        if not self.adds:
            return y
        # the paper's section 4.3: ‖V'‖ counts as a constant, which saves memory, and they saw no difference in accuracy
        stretch = self.lora_magnitude_vector / self._lengths()
        dropped = self.lora_dropout(x)
        wx = y if dropped is x else self.base_layer(dropped)
        wx = wx if self.bias is None else wx - self.bias
        low = self.scaling * self.lora_B(self.lora_A(dropped.to(self.lora_A.weight.dtype)))
        # y holds W x already, and what drops out is only left out of what's added: stretch · V' x − W x
        return y + ((stretch - 1) * wx + stretch * low).to(y.dtype)

    @torch.no_grad()
    def delta_weight(self) -> Tensor:
        stretch = self.lora_magnitude_vector / self._lengths()
        return stretch[:, None] * self._direction() - dense_weight(self.base_layer).float()


@dataclass(frozen=True)
class DoRA(LayersInPeftsFiles):
    """LoRA for the direction of each row of W, and a number of its own for the row's length:

        W' = m ⊙ V' / ‖V'‖,    V' = V + ΔV = W + s · B A,    m of shape (out_features,), ‖·‖ row by row

    m starts as ‖W‖ and B at zero, so the model starts as its base. It trains r · (in_features + out_features) +
    out_features numbers per layer, and merges. A step forms V' in full, which takes time and memory that LoRA doesn't
    need. For gradients, ‖V'‖ is a constant (the paper's section 4.3). PEFT's file for it is LoRA's, with one tensor
    more per layer.

    The paper has m of shape (1, k), and ‖·‖ over columns: it writes W as (in_features, out_features), as its first
    author says (github.com/nbasyl/DoRA/issues/1). PyTorch keeps W the other way round, so those columns are rows here,
    the weights of one output each. The authors' code and PEFT's do the same.

    Args:
        lora_dropout: as LoRA's, and while it drops inputs, each step runs the base twice: only what's added loses them.

    Source: Liu et al., DoRA: Weight-Decomposed Low-Rank Adaptation, 2024, arXiv 2402.09353.
    """

    r: int = 8
    lora_alpha: float = 16
    target_modules: list[str] | str | None = "all-linear"
    use_rslora: bool = False
    lora_dropout: float = 0.0

    peft_type: ClassVar[str] = "LORA"
    fixed: ClassVar[dict] = {"use_dora": True, "bias": "none"}
    said: ClassVar[frozenset[str]] = frozenset({"init_lora_weights"})

    def __post_init__(self):
        # it refuses what makes no sense
        LoraConfig(self.r, self.lora_alpha, self.lora_dropout, self.target_modules, use_rslora=self.use_rslora)

    @classmethod
    def _from_peft(cls, fields: Mapping[str, object]) -> "DoRA":
        beginning(fields.get("init_lora_weights", True))  # refuses what changed the base
        return super()._from_peft(fields)

    def _wrapped(self, name: str, layer: nn.Module) -> DoraLinear:
        return DoraLinear(layer, self.r, self.lora_alpha, self.use_rslora, self.lora_dropout)

    def _of_layer(self, name: str, layer: nn.Module) -> Shapes:
        return {
            "lora_magnitude_vector": (layer.out_features,),
            "lora_A.weight": (self.r, layer.in_features),
            "lora_B.weight": (layer.out_features, self.r),
        }
