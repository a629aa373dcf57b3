"""Training d numbers in place of D weights: θ = θ₀ + P z, with P drawn once and never trained.

How few numbers are enough for a task? Its *intrinsic dimension*, d90, is the smallest d at which training z alone
reaches 90 % of what training all of θ does.

P here has one entry per row. Each weight follows one of the d numbers, drawn at random, with a random sign:

    θᵢ = θ₀ᵢ ± z_j / √n_j,        j drawn for each i, n_j weights follow z_j

So P has orthonormal columns, and ‖P z‖ = ‖z‖ exactly. On average, it sees the share d/D of a gradient's energy:
E ‖Pᵀg‖² = d/D · ‖g‖². The papers that measure d90 mix each weight from all of z, by a dense, a sparse, or a Fastfood P;
they have that average as well, and ‖P z‖ ≈ ‖z‖. Over LoRA's A and B, and without the signs, this P is Uni-LoRA's.

Sources: Li, Farkhoor, Liu, Yosinski, Measuring the Intrinsic Dimension of Objective Landscapes, 2018, arXiv
1804.08838; Aghajanyan, Zettlemoyer, Gupta, Intrinsic Dimensionality Explains the Effectiveness of Language Model
Fine-Tuning, 2020, arXiv 2012.13255; Li et al., Uni-LoRA: One Vector is All You Need, 2025, arXiv 2506.00799.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError, TrainingError
from labkit.training.config import TrainConfig
from labkit.training.schedule import learning_rate_at, rows_at


class RandomSubspace:
    """The numbers z, and the weights that follow them.

    Args:
        parameters: θ, tensors with D numbers altogether; they're moved in place.
        d: how many numbers to train.
        seed: of P: the same seed and shapes give the same P.

    Attributes:
        z: shape (d,), zero at first, so that θ = θ₀.

    Raises:
        ConfigError: d isn't 1 to D.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], d: int, seed: int = 0):
        self.parameters = list(parameters)
        self.D = sum(parameter.numel() for parameter in self.parameters)
        if not 1 <= d <= self.D:
            raise ConfigError(f"d must be 1 to {self.D:,}, the numbers there are, got {d}")
        self.d, self.z = d, nn.Parameter(torch.zeros(d))
        draw = torch.Generator().manual_seed(seed)
        # j for +z_j and d + j for −z_j
        self._follows = [torch.randint(2 * d, (p.numel(),), generator=draw, dtype=torch.int32) for p in self.parameters]
        followers = sum(torch.bincount(follows, minlength=2 * d) for follows in self._follows).view(2, d).sum(0)
        self._scale = followers.clamp(min=1).rsqrt()
        self._start = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def push(self) -> None:
        """θ ← θ₀ + P z."""
        plus = self.z * self._scale
        either = torch.cat([plus, -plus])
        for parameter, start, follows in zip(self.parameters, self._start, self._follows):
            parameter.copy_(either.index_select(0, follows).view_as(start).add_(start))

    @torch.no_grad()
    def pull(self) -> None:
        """The gradient of z is Pᵀ ∇θ; that of θ is used up."""
        sums = torch.zeros(2 * self.d)
        for parameter, follows in zip(self.parameters, self._follows):
            if parameter.grad is not None:
                sums.index_add_(0, follows, parameter.grad.flatten())
                parameter.grad = None
        self.z.grad = (sums[: self.d] - sums[self.d :]) * self._scale

    def moved(self) -> list[Tensor]:
        """P z, in the shapes of the parameters."""
        return [parameter.detach() - start for parameter, start in zip(self.parameters, self._start)]


def descend(
    subspace: RandomSubspace, loss_of: Callable[[list[int]], Tensor], rows: int, config: TrainConfig
) -> Iterator[float]:
    """Adam on z alone, with the rows and the schedule that :func:`labkit.train` would take; the loss of each step.

    Args:
        loss_of: the loss on the rows with these numbers, as a function of θ; θ is where the subspace put it.
        rows: how many there are.
        config: its steps, batch size, learning rate, warm-up and seed.

    Raises:
        TrainingError: the loss is no longer a number.
    """
    optimizer = torch.optim.Adam([subspace.z])
    for step in range(config.steps):
        loss = loss_of(rows_at(step, rows, config))
        if not loss.isfinite():
            raise TrainingError(f"step {step + 1}: the loss is {loss.item()}. A lower learning rate usually helps")
        loss.backward()
        subspace.pull()
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, config)
        optimizer.step()
        subspace.push()
        yield loss.item()
