"""PiSSA: A and B start as the largest part of W, and what's left of W is frozen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from labkit.errors import AdapterError, ConfigError
from labkit.family.lora import LoRA, RsLoRA
from labkit.family.method import LayerMethod, Shapes, Trained, like
from labkit.linear import dense_weight
from labkit.lora.adapter import Adapter, about_base
from labkit.lora.config import LoraConfig, scaling
from labkit.lora.files import read_config, write_folder
from labkit.lora.wrapping import AdaptedLinear, adapted_layers


class PissaLinear(AdaptedLinear):
    """y = (W − s · B₀ A₀) x + s · B A x + b,    A and B starting as A₀ and B₀.

    W itself stays as it is, and s · B₀ A₀ x is taken off its answer: so the base is still there, in whatever dtype, and
    the layer starts as it to the bit.

    Attributes:
        lora_A, lora_B: as in :class:`labkit.LoraLinear`.
        start_A, start_B: A₀ and B₀, frozen.
    """

    def __init__(self, base_layer: nn.Module, r: int, lora_alpha: float, use_rslora: bool, niter: int | None):
        super().__init__(base_layer)
        self.scaling = scaling(lora_alpha, r, use_rslora)
        W = dense_weight(base_layer).float()
        if niter is None:
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
        else:
            U, S, V = torch.svd_lowrank(W, r, niter)
            Vh = V.T
        root = (S[:r] / self.scaling).sqrt()  # half of each singular value for A, half for B
        self.lora_A, self.lora_B = nn.Module(), nn.Module()
        self.lora_A.weight, self.lora_B.weight = (
            like(base_layer, root[:, None] * Vh[:r]),
            like(base_layer, U[:, :r] * root),
        )
        self.register_buffer("start_A", self.lora_A.weight.detach().clone(), persistent=False)
        self.register_buffer("start_B", self.lora_B.weight.detach().clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features), in the dtype of the base's answer."""
        y = self.base_layer(x)
        if not self.adds:
            return y
        x = x.to(self.lora_A.weight.dtype)
        update = x @ self.lora_A.weight.T @ self.lora_B.weight.T - x @ self.start_A.T @ self.start_B.T
        return y + (self.scaling * update).to(y.dtype)

    @torch.no_grad()
    def delta_weight(self) -> Tensor:
        return self.scaling * (self.lora_B.weight @ self.lora_A.weight - self.start_B @ self.start_A)


@dataclass(frozen=True)
class PiSSA(LayerMethod):
    """LoRA that begins with the principal part of W, by its SVD, W = U S Vᵀ:

        A₀ = S_r^½ V_rᵀ / √s,    B₀ = U_r S_r^½ / √s,    W_res = W − s · B₀ A₀
        y = W_res x + s · B (A x)

    Where LoRA's B has to find its way from zero, here the largest r singular values and vectors learn from the first
    step. The model starts as its base. It trains r · (in_features + out_features) numbers per layer, and merges. The
    paper writes x on the left, Y = X W, so there U makes A, and V makes B.

    On a base in four bits, W is what its four bits stand for. The paper's QPiSSA instead rounds W_res, and keeps W's
    largest part from being rounded: that has to be done before a base is packed.

    What's saved is plain LoRA of rank 2r, [B, −B₀] [A; A₀], which fits the unchanged base in labkit and in PEFT; PEFT
    writes the same with ``path_initial_model_for_weight_conversion``. So loading gives a LoRA of rank 2r.

    Args:
        lora_alpha: r in the paper, so that s = 1: set both. The start is the same for any α, but at the same rate, a
            step of Adam moves s · B A √s times as far.
        niter: None for the exact SVD; else the paper's fast one, by so many power iterations from random vectors.

    Raises:
        ConfigError: r is more than W has singular values; α is 0; niter is no whole number.

    Source: Meng, Wang, Zhang, PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large Language
    Models, 2024, arXiv 2404.02948.
    """

    r: int = 8
    lora_alpha: float = 8
    target_modules: list[str] | str | None = "all-linear"
    use_rslora: bool = False
    niter: int | None = None

    def __post_init__(self):
        LoraConfig(self.r, self.lora_alpha, 0.0, self.target_modules, use_rslora=self.use_rslora)  # refuses
        if not self.lora_alpha:
            raise ConfigError("lora_alpha must be more than 0: A and B begin as a part of W, divided by it")
        if self.niter is not None and (type(self.niter) is not int or self.niter < 0):
            raise ConfigError(f"niter must be None or a whole number from 0 on, got {self.niter!r}")

    def _wrapped(self, name: str, layer: nn.Module) -> PissaLinear:
        return PissaLinear(layer, self.r, self.lora_alpha, self.use_rslora, self.niter)

    def _of_layer(self, name: str, layer: nn.Module) -> Shapes:
        if self.r > (most := min(layer.in_features, layer.out_features)):
            raise ConfigError(f"r={self.r} is more than the {most} singular values of {name}")
        return {"lora_A.weight": (self.r, layer.in_features), "lora_B.weight": (layer.out_features, self.r)}

    def _drawn(self, model: nn.Module) -> Iterator[Tensor]:
        return (layer.start_A for _, layer in adapted_layers(model))

    def as_lora(self, model: nn.Module) -> Adapter:
        """What was trained on `model`, as a plain LoRA adapter of rank 2r for the unchanged base."""
        layers = dict(adapted_layers(model))
        # the same s at twice the rank
        alpha = self.lora_alpha * (2**0.5 if self.use_rslora else 2)
        config = LoraConfig(2 * self.r, alpha, 0.0, self._named(layers), use_rslora=self.use_rslora)
        weights = {
            name: tuple(
                part.detach().cpu()
                for part in (
                    torch.cat([layer.lora_A.weight, layer.start_A]),
                    torch.cat([layer.lora_B.weight, -layer.start_B], dim=1),
                )
            )
            for name, layer in layers.items()
        }
        return Adapter(config, weights, {"base": about_base(model)})

    def _named(self, layers: Mapping[str, nn.Module]) -> list[str] | str | None:
        return [*layers] if self.target_modules == "all-linear" else self.target_modules

    def save(self, model: nn.Module, path: Path | str, about: Mapping | None = None) -> Path:
        path, adapter = Path(path).resolve(), self.as_lora(model)
        if not all(tensor.isfinite().all() for pair in adapter.weights.values() for tensor in pair):
            raise AdapterError(f"{path}: A or B holds NaN or infinite values, so nothing is left to keep")
        config = adapter.config.to_peft(adapter.about["base"]["name"])
        return write_folder(path, config, adapter.state(), {**adapter.about, **(about or {})})

    @classmethod
    def load(cls, model: nn.Module, path: Path | str) -> Trained:
        return (RsLoRA if read_config(path).use_rslora else LoRA).load(model, path)
