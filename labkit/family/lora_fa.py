"""LoRA-FA: A stays as it was drawn, and only B learns."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.family.lora import LoRA
from labkit.family.method import Shapes
from labkit.lora.inject import lora_layers

_DELTA = 1e-8  # so that A Aᵀ can be inverted


@dataclass(frozen=True)
class LoRAFA(LoRA):
    """LoRA with A frozen:

        y = W x + s · B (A x),    only B learns

    For A's gradient, LoRA keeps x, with in_features numbers per token. For B's it's enough to keep A x, with r: so
    activations take less memory. It trains r · out_features numbers per layer. Start, merging and file are LoRA's.

    With `corrected`, B's gradient g_B is replaced by the one that takes s · B A closest to where W's own gradient g
    would take W: it makes ‖s · g_B A − g‖ as small as it can be. That has a closed form:

        g_B ← g_B (A Aᵀ)⁻¹ / s²

    Adam divides by the gradient's size, so that only what mixes B's columns matters here: nothing, were A's rows at
    right angles, as they nearly are in a wide layer.

    Args:
        corrected: whether the gradient is corrected, as PEFT's optimizer for LoRA-FA does it; False only freezes A, as
            in the paper's first version.

    Raises:
        ConfigError: α is 0, with which nothing can be corrected.

    Source: Zhang et al., LoRA-FA: Memory-efficient Low-rank Adaptation for Large Language Models Fine-tuning, 2023,
    arXiv 2308.03303; the correction is in version 2, 2026, LoRA-FA: Efficient and Effective Low Rank Representation
    Fine-tuning.
    """

    corrected: bool = True

    def __post_init__(self):
        super().__post_init__()
        if self.corrected and not self.lora_alpha:
            raise ConfigError("lora_alpha=0 leaves no gradient to correct: choose another, or corrected=False")

    def shapes(self, model: nn.Module) -> Shapes:
        return {name: shape for name, shape in super().shapes(model).items() if ".lora_B." in name}

    def _drawn(self, model: nn.Module) -> Iterator[Tensor]:
        return (layer.lora_A.weight for _, layer in lora_layers(model))

    def tune(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
        if not self.corrected:
            return
        corrections: list[tuple[nn.Parameter, Tensor]] = []
        for _, layer in lora_layers(model):
            A = layer.lora_A.weight.detach()  # it never changes
            gram = A @ A.T + _DELTA * torch.eye(self.r, device=A.device)
            corrections.append((layer.lora_B.weight, torch.linalg.pinv(gram) / layer.scaling**2))

        @torch.no_grad()
        def correct(*_) -> None:
            for B, inverse in corrections:
                if B.grad is not None:
                    B.grad = B.grad @ inverse

        optimizer.register_step_pre_hook(correct)
