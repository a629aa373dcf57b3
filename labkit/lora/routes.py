"""Which update each row of a batch gets, and adding it with two batched matrix products.

    y[i] = base(x[i]) + (x[i] Aᵀ) Bᵀ,    A and B those of row i, the scaling within A

A plain loop over the rows would do, and is what the tests compare with. Here the rows' matrices are stacked, so that
one product serves them all, whatever their number.

Source: Chen et al., Punica, arXiv 2310.18547 (rows of different adapters in one gathered, batched product); Sheng et
al., S-LoRA, arXiv 2311.03285 (different ranks in one batch).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.casting import is_finite
from labkit.errors import ConfigError
from labkit.linear import device_of


@dataclass(frozen=True)
class Route:
    """The update of every layer, for each group of equally many neighbouring rows.

    Attributes:
        updates: for a layer's name, A of shape (groups, r, in_features), scaling within it, and Bᵀ of shape
            (groups, r, out_features). A layer not named here answers as its base does.
        rows: how many rows the batch must have; None where one group is for any input.
    """

    updates: dict[str, tuple[Tensor, Tensor]]
    rows: int | None = None

    def follow(self, layers: Mapping[str, nn.Module]) -> None:
        """Put the updates where their layers are, if the model has been moved since."""
        for name, pair in self.updates.items():
            device = device_of(layers[name])
            if pair[0].device != device:
                self.updates[name] = (pair[0].to(device), pair[1].to(device))

    def apply(self, name: str, x: Tensor, result: Tensor) -> Tensor:
        """`result` plus the update of layer `name`, which must be one of `updates`.

        Args:
            name: of the layer.
            x: what it was given, shape (..., in_features); (rows, ..., in_features) where `rows` counts.
            result: what its base answered, shape (..., out_features).

        Returns:
            Shape and dtype of `result`.

        Raises:
            ConfigError: the batch has not the rows that were announced.
        """
        if self.rows is not None and x.ndim < 3:
            raise ConfigError(
                f"{name} gets the tokens of all rows in one flat list, so the bank can't tell the rows apart. With "
                "this kind of model, choose one adapter for all rows: bank.activate(...)"
            )
        if self.rows is not None and len(x) != self.rows:
            raise ConfigError(
                f"adapters were chosen for {self.rows} rows, but {name} was given {len(x)}. If generate repeats rows "
                "(num_beams, num_return_sequences), say so: rows(..., copies=4)"
            )
        A, Bt = self.updates[name]
        shape = result.shape
        if self.rows != len(A) or x.ndim > 3:  # the rows of a group become one row of more tokens
            x, result = (t.reshape(len(A), -1, t.shape[-1]) for t in (x, result))
        # A xᵀ and not x Aᵀ: with one token a row, reading A is what takes the time, and here it is read as it lies
        low = torch.bmm(A, x.mT.to(A.dtype)).mT  # (groups, tokens, r)
        if result.dtype == Bt.dtype:
            return torch.baddbmm(result, low, Bt).view(shape)
        return (result + torch.bmm(low, Bt).to(result.dtype)).view(shape)


BASE = Route({})


def blend(routes: Sequence[Route], weights: Sequence[float]) -> Route:
    """One route whose update is Σ wᵢ ΔWᵢ, exactly: the ranks are put side by side, A weighted.

    Averaging the A's and the B's apart would be another thing: (½A₁ + ½A₂)(½B₁ + ½B₂) has cross terms that neither
    adapter ever learned, and is undefined for different ranks.

    Raises:
        ConfigError: a weight makes an update too large for the adapters' dtype.
    """
    updates = {}
    for name in _names(routes):
        pairs = [(route.updates[name], weight) for route, weight in zip(routes, weights) if name in route.updates]
        updates[name] = (
            torch.cat([weight * A for (A, _), weight in pairs], dim=1),
            torch.cat([Bt for (_, Bt), _ in pairs], dim=1),
        )
        if not is_finite(updates[name][0]):
            raise ConfigError(f"weights of {', '.join(f'{w:g}' for w in weights)} make the update of {name} infinite")
    return Route(updates)


def row_by_row(routes: Sequence[Route]) -> Route:
    """One route for a batch in which row i takes `routes[i]`, each of them for a single group.

    Runs of the same route share one copy where all runs are equally long: all rows alike, or each row
    repeated as often. Otherwise each row has its own. Smaller ranks, and rows that leave a layer alone,
    are filled up with zeros.
    """
    runs = [list(run) for _, run in groupby(routes, key=id)]
    groups = [run[0] for run in runs] if len({len(run) for run in runs}) == 1 else routes
    updates = {}
    for name in _names(groups):
        pairs = [route.updates.get(name, (None, None)) for route in groups]
        updates[name] = (_stacked([A for A, _ in pairs]), _stacked([Bt for _, Bt in pairs]))
    return Route(updates, rows=len(routes))


def _names(routes: Sequence[Route]) -> dict[str, None]:
    return dict.fromkeys(name for route in routes for name in route.updates)


def _stacked(matrices: Sequence[Tensor | None]) -> Tensor:
    there = [matrix for matrix in matrices if matrix is not None]
    rank = max(matrix.shape[1] for matrix in there)
    nothing = there[0].new_zeros(1, rank, there[0].shape[2])
    # padding makes a copy even where there is nothing to pad
    return torch.cat(
        [
            nothing if m is None else m if m.shape[1] == rank else F.pad(m, (0, 0, 0, rank - m.shape[1]))
            for m in matrices
        ]
    )
