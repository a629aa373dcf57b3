"""BitFit: only biases learn."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from labkit.errors import AdapterError
from labkit.family.method import Shapes, like
from labkit.family.peft_folders import LayersInPeftsFiles
from labkit.lora.wrapping import AdaptedLinear, adapted_layers


class BiasLinear(AdaptedLinear):
    """y = W x + b, where the base has no b.

    Attributes:
        beft_bias: b, shape (1, out_features), as PEFT's BEFT has it. It starts at zero.
    """

    apart = "the base has no bias to merge it into"

    def __init__(self, base_layer: nn.Module):
        super().__init__(base_layer)
        self.beft_bias = like(base_layer, torch.zeros(1, self.out_features))

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features), in the dtype of the base's answer."""
        y = self.base_layer(x)
        return y + self.beft_bias[0].to(y.dtype) if self.adds else y


@dataclass(frozen=True)
class BitFit(LayersInPeftsFiles):
    """Train every bias of the model, and no weight:

        y = W x + b,    only b learns

    The paper's BERT has a bias in each linear layer and each norm, and they're trained in place. A Llama has none at
    all: the paper's method would train nothing there. So this one adds what it needs: layers of `target_modules` that
    have no bias get one that starts at zero, and the model starts as its base. Strictly, that's BitFit's nearest
    relative, since it adds numbers to a model and BitFit doesn't. Norms get none.

    It trains out_features numbers per layer, and beside them each bias that the base has. An added one has no place in
    the base to be merged into. PEFT's name for added biases is BEFT, after a paper that adds them to ``v_proj`` alone
    (arXiv 2509.15974), and it has a file for them; for a base's own biases there's none.

    Source: Ben Zaken, Ravfogel, Goldberg, BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked
    Language-models, 2021, arXiv 2106.10199.
    """

    target_modules: list[str] | str | None = "all-linear"

    peft_type: ClassVar[str] = "BEFT"
    said: ClassVar[frozenset[str]] = frozenset({"init_weights"})

    def targets(self, model: nn.Module) -> dict[str, nn.Module]:
        return {name: layer for name, layer in super().targets(model).items() if layer.bias is None}

    def shapes(self, model: nn.Module) -> Shapes:
        own = {name: tuple(p.shape) for name, p in model.named_parameters() if name.split(".")[-1] == "bias"}
        return own | super().shapes(model)

    def _wrapped(self, name: str, layer: nn.Module) -> BiasLinear:
        return BiasLinear(layer)

    def _of_layer(self, name: str, layer: nn.Module) -> Shapes:
        return {"beft_bias": (1, layer.out_features)}

    def save(self, model: nn.Module, path: Path | str, about: Mapping | None = None) -> Path:
        if len(dict(adapted_layers(model))) < sum(p.requires_grad for p in model.parameters()):
            raise AdapterError(f"{path}: the base's own biases were trained, and there's no file format for those")
        return super().save(model, path, about)
