"""Which update each row of a batch gets, and adding it with two batched matrix products.

    y[i] = base(x[i]) + (x[i] Aᵀ) B,    A and B those of row i

A plain loop over the rows would do, and is what the tests compare with. Here the rows' A and B are stacked, so that
one product serves them all, whatever their number.

Source: Chen et al., Punica, arXiv 2310.18547 (rows of different adapters in one gathered, batched product); Sheng et
al., S-LoRA, arXiv 2311.03285 (different ranks in one batch).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.errors import ConfigError


@dataclass(frozen=True)
class Route:
    """The update of every layer, for each group of equally many neighbouring rows.

    Attributes:
        updates: for a layer's name, A of shape (groups, r, in_features), scaling in it, and B of shape
            (groups, r, out_features). A layer not named here answers as its base does.
        rows: how many rows the batch must have; None where one group is for any input.
    """

    updates: dict[str, tuple[Tensor, Tensor]]
    rows: int | None = None

    def apply(self, name: str, x: Tensor, result: Tensor) -> Tensor:
        """`result` plus the update of layer `name`.

        Args:
            name: of the layer.
            x: what it was given, shape (..., in_features); (rows, tokens, in_features) where `rows` counts.
            result: what its base answered, shape (..., out_features).

        Returns:
            Shape and dtype of `result`.

        Raises:
            ConfigError: the batch has not the rows that were announced.
        """
        if name not in self.updates:
            return result
        if self.rows is not None and (x.ndim != 3 or x.shape[0] != self.rows):
            raise ConfigError(
                f"adapters were chosen for {self.rows} rows, but {name} was given an input of shape {tuple(x.shape)}; "
                "expected (rows, tokens, features). If generate repeats rows (num_beams, num_return_sequences), say "
                "so: rows(..., copies=4)"
            )
        A, B = self.updates[name]
        low = torch.bmm(x.reshape(len(A), -1, x.shape[-1]).to(A.dtype), A.mT)  # (groups, ..., r)
        flat = result.reshape(len(A), -1, result.shape[-1])
        if flat.dtype == B.dtype:
            return torch.baddbmm(flat, low, B).view_as(result)
        return (flat + torch.bmm(low, B).to(flat.dtype)).view_as(result)


BASE = Route({})


def blend(routes: Sequence[Route], weights: Sequence[float]) -> Route:
    """One route whose update is Σ wᵢ ΔWᵢ, exactly: the ranks are put side by side, A weighted.

    Averaging the A's and the B's apart would be another thing: (½A₁ + ½A₂)(½B₁ + ½B₂) has cross terms that neither
    adapter ever learned, and is undefined for different ranks.
    """
    updates = {}
    for name in _names(routes):
        pairs = [(route.updates[name], weight) for route, weight in zip(routes, weights) if name in route.updates]
        updates[name] = (
            torch.cat([weight * A for (A, _), weight in pairs], dim=1),
            torch.cat([B for (_, B), _ in pairs], dim=1),
        )
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
        updates[name] = (_stacked([A for A, _ in pairs]), _stacked([B for _, B in pairs]))
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
