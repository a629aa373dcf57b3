"""What the ranks and seeds of LoRA have in common, on `sql`: how many directions ΔW really has, and whether they agree.

Of two updates B₁ A₁ and B₂ A₂ of a layer, four kinds of directions are compared, each by φ(i, j), the share of the
weaker one's leading i or j directions that lies within the other's:

- ``input``: right singular vectors of ΔW, which say what of its input the update looks at; ``output``: left ones, which
  say where it writes.
- ``A``: right singular vectors of A alone, and ``B``: left ones of B alone. The paper's section 7.2 compares these. A
  begins at random and B at zero, so A's may be directions that training never chose.

Two ranks are compared with the same seed: they've seen the same rows in the same order. Two seeds haven't.
"""

from pathlib import Path
from statistics import mean

import torch
from torch import Tensor, nn

from labkit.lora.layer import LoraLinear
from labkit.lowrank import effective_rank, energy, product_svd, subspace_overlaps
from studies.choices import rank
from studies.choices.kept import trained_once
from studies.choices.searching import NotYet
from studies.court.training import RECIPE
from studies.results import RESULTS
from studies.runner import Study

RANKS, SEEDS = (8, 64), (0, 1)
LEADING = (1, 2, 4, 8, 16, 32, 64)  # numbers of directions, as far as a rank has them
_pairs = [((8, 0), (8, 1)), ((64, 0), (64, 1)), ((8, 0), (64, 0)), ((8, 1), (64, 1))]

Factors = dict[str, tuple[Tensor, Tensor]]  # B and A, by the layer's name


def run(setting: dict) -> dict:
    """Of one adapter, its spectrum; of two, their overlap; by kind of layer."""
    if any(each["learning_rate"] is None for each in setting["adapters"]):
        raise NotYet("the overlap waits for the learning rates of the ranks: finish those first")
    found = [factors(each) for each in setting["adapters"]]
    return {"by_kind": overlap(*found) if len(found) == 2 else spectrum(*found)}


def factors(adapter: dict) -> Factors:
    """A trained adapter's B and A."""
    model, _ = trained_once(rank.candidate(rank.WITH, adapter["r"]), adapter["seed"], adapter["learning_rate"])
    return factors_of(model)


def factors_of(model: nn.Module) -> Factors:
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLinear)}
    return {name: (each.lora_B.weight.detach(), each.lora_A.weight.detach()) for name, each in layers.items()}


def spectrum(found: Factors) -> dict[str, dict]:
    """For each kind of layer: the effective rank of ΔW, block by block, and the share of its energy that the leading
    directions have, the mean over the blocks.

    ``of_random`` is the effective rank with B and A drawn from a normal distribution: that of no direction mattering
    more than another.
    """
    torch.manual_seed(0)
    kinds: dict[str, dict] = {}
    for name, (B, A) in found.items():
        about = kinds.setdefault(_kind(name), {"effective_rank": [], "of_random": [], "energy": {}})
        S = product_svd(B, A)[1].diag()
        drawn = product_svd(torch.randn_like(B), torch.randn_like(A))[1].diag()
        about["effective_rank"].append(round(effective_rank(S), 4))
        about["of_random"].append(round(effective_rank(drawn), 4))
        for leading in _leading(len(S)):
            about["energy"].setdefault(str(leading), []).append(energy(S, leading))
    for about in kinds.values():
        about["energy"] = {leading: round(mean(shares), 4) for leading, shares in about["energy"].items()}
    return kinds


def overlap(first: Factors, second: Factors) -> dict[str, dict]:
    """For each kind of layer and of directions: φ(i, j), the mean over the layers, and that of random spaces."""
    kinds: dict[str, dict] = {}
    for name in first:
        for side, (ours, theirs) in sides(first[name], second[name]).items():
            i, j = (list(_leading(each.shape[1])) for each in (ours, theirs))
            phi = subspace_overlaps(ours, theirs)[[each - 1 for each in i]][:, [each - 1 for each in j]]
            random = [[max(a, b) / len(ours) for b in j] for a in i]
            about = kinds.setdefault(_kind(name), {}).setdefault(side, {"i": i, "j": j, "phi": [], "of_random": random})
            about["phi"].append(phi)
    for about in (about for by_side in kinds.values() for about in by_side.values()):
        phi = torch.stack(about["phi"])  # (layers, i, j)
        about["phi"] = _rounded(phi.mean(0))
        about["deviation"] = _rounded(phi.std(0, correction=0))  # between layers
    return kinds


def sides(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Each kind of directions of two updates of a layer, as columns, the strongest first."""
    (U1, _, Vh1), (U2, _, Vh2) = product_svd(*first), product_svd(*second)
    (B1, A1), (B2, A2) = first, second
    found = {"input": (Vh1.T, Vh2.T), "output": (U1, U2)}
    found["A"] = tuple(torch.linalg.svd(A, full_matrices=False).Vh.T for A in (A1, A2))
    found["B"] = tuple(torch.linalg.svd(B, full_matrices=False).U for B in (B1, B2))
    return found


def _kind(name: str) -> str:
    return name.split(".")[-1]


def _leading(rank_: int) -> list[int]:
    return [each for each in LEADING if each <= rank_]


def _rounded(table: Tensor) -> list[list[float]]:
    return [[round(each, 4) for each in row] for row in table.tolist()]


def study(folder: Path = RESULTS) -> Study:
    """The four adapters, and their pairs."""
    best = {r: rank.best_rate(r, folder) for r in RANKS}
    alone = [((r, seed),) for r in RANKS for seed in SEEDS]
    grid = [
        {"adapters": [{"r": r, "learning_rate": best[r], "seed": seed} for r, seed in which]}
        for which in (*alone, *_pairs)
    ]
    return Study("choices_overlap", {**RECIPE, "leading": list(LEADING)}, grid, run, folder=folder)
