"""The LoRA layer: y = base(x) + scaling · B(A(dropout(x)))."""

import math

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.linear import dense_weight, device_of
from labkit.lora.config import scaling
from labkit.lora.wrapping import AdaptedLinear


class LoraLinear(AdaptedLinear):
    """A frozen linear layer plus a trainable update of low rank.

        y = base(x) + scaling · B(A(dropout(x))),    scaling = α / r,  or α / √r with rsLoRA

    A starts Kaiming-uniform (a = √5) and B at zero, so that a new layer computes exactly what its base
    computes, and A receives no gradient until B has moved.

    Args:
        base_layer: the layer to adapt: a plain ``nn.Linear``, or a layer that answers
            :class:`labkit.linear.BaseLinear`. It is held, not copied.
        r: rank of the update, at least 1.
        lora_alpha: α ≥ 0. With α = 0 the update is zero for good.
        lora_dropout: probability of dropping an input of A while training.
        use_rslora: divide α by √r instead of r (arXiv 2312.03732).
        init_lora_weights: True for Kaiming-uniform A, "gaussian" for a normal A with deviation 1/r.
        dtype: of A and B, float32 by default, also on a 16-bit base: an optimizer's small steps vanish
            when they are added to 16-bit weights.

    Attributes:
        base_layer: the layer given.
        lora_A: ``nn.Linear`` without bias, weight of shape (r, in_features).
        lora_B: ``nn.Linear`` without bias, weight of shape (out_features, r).
        scaling: the factor above.
        enabled: False makes the layer answer as its base does.

    Raises:
        ConfigError: r < 1, α < 0, or a dropout outside [0, 1).

    Source: Hu et al., LoRA, arXiv 2106.09685, section 4.1.
    """

    def __init__(
        self,
        base_layer: nn.Module,
        r: int = 8,
        lora_alpha: float = 8,
        lora_dropout: float = 0.0,
        use_rslora: bool = False,
        init_lora_weights: bool | str = True,
        dtype: torch.dtype = torch.float32,
    ):
        if r < 1 or lora_alpha < 0 or not 0 <= lora_dropout < 1:
            raise ConfigError(
                f"need r ≥ 1, lora_alpha ≥ 0 and 0 ≤ lora_dropout < 1, got {r}, {lora_alpha}, {lora_dropout}"
            )
        super().__init__(base_layer)
        device = device_of(base_layer)
        self.r, self.lora_alpha = r, lora_alpha
        self.scaling = scaling(lora_alpha, r, use_rslora)
        self.lora_dropout = nn.Dropout(lora_dropout) if lora_dropout else nn.Identity()
        self.lora_A = nn.Linear(self.in_features, r, bias=False, device=device, dtype=dtype)
        self.lora_B = nn.Linear(r, self.out_features, bias=False, device=device, dtype=dtype)
        self.reset_parameters(init_lora_weights)

    def reset_parameters(self, init_lora_weights: bool | str = True) -> None:
        """Draw A again and set B to zero."""
        if init_lora_weights == "gaussian":
            nn.init.normal_(self.lora_A.weight, std=1 / self.r)
        else:
            nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)

    @property
    def weight(self) -> Tensor:
        """W + ΔW with its gradients, for models that have a kernel take the weight instead of calling the layer."""
        weight = dense_weight(self.base_layer)
        if not self.adds:
            return weight
        return weight + (self.scaling * (self.lora_B.weight @ self.lora_A.weight)).to(weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features), in the dtype of the base's answer."""
        y = self.base_layer(x)
        if self.adds:
            # scaling these r numbers is the same as scaling the out_features numbers that B makes of them, and cheaper
            low = self.scaling * self.lora_A(self.lora_dropout(x.to(self.lora_A.weight.dtype)))  # (..., r)
            y = _plus(y, low, self.lora_B)
        return y

    def delta_weight(self) -> Tensor:
        """ΔW = scaling · B A, shape (out_features, in_features), float32. Dropout has no part in it."""
        return self.scaling * (self.lora_B.weight.detach().float() @ self.lora_A.weight.detach().float())

    def extra_repr(self) -> str:
        return f"r={self.r}, scaling={self.scaling:g}, merged={self.merged}"


def _plus(y: Tensor, low: Tensor, B: nn.Linear) -> Tensor:
    """y + B(low), in the dtype of y."""
    if low.dtype != y.dtype:
        return y + B(low).to(y.dtype)
    rows = _PlusLowRank.apply(y.reshape(-1, y.shape[-1]), low.reshape(-1, low.shape[-1]), B.weight.to(low.dtype))
    return rows.view(y.shape)


class _PlusLowRank(torch.autograd.Function):
    """result + low Bᵀ, of shapes (tokens, out_features), (tokens, r) and (out_features, r), and quicker than that line.

    The product is added as it is made: a sum of its own would read and write all of `result` once more. And on the way
    back Bᵀ lies in memory row by row, and so does its gradient: a CPU then takes half the time for both products.
    """

    @staticmethod
    def forward(ctx, result: Tensor, low: Tensor, B: Tensor) -> Tensor:
        ctx.save_for_backward(low, B)
        return torch.addmm(result, low, B.T)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        low, B = ctx.saved_tensors
        return grad, grad @ B.T.contiguous().T, (low.T @ grad).T
