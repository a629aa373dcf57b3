"""Code books: the few numbers in [−1, 1] to which scaled weights are rounded."""

import torch
from torch import Tensor

# Where the outermost quantile lies: halfway between 1 − 1/30 and 1 − 1/32, the two ways of leaving half a bin over.
_OFFSET = 0.9677083


def nf4_codebook(device: torch.device | str | None = None) -> Tensor:
    """The 16 numbers of NF4: quantiles of a normal distribution, scaled so that the largest is 1.

        c = Φ⁻¹(p) / max Φ⁻¹,    p even in probability: eight above ½, seven below, and exactly 0

    Trained weights are nearly normal, so the entries are densest where most weights are. (It isn't the least possible
    error: see notebook 07.) Zero has an entry of its own, and there's one positive number more than negative ones.

    Returns:
        float32, shape (16,), ascending, bit for bit those of bitsandbytes 0.50.

    Source: Dettmers et al., QLoRA, arXiv 2305.14314, section 3 and appendix E.
    """
    positive = _normal_quantiles(torch.linspace(_OFFSET, 0.5, 9)[:-1])
    negative = -_normal_quantiles(torch.linspace(_OFFSET, 0.5, 8)[:-1])
    book = torch.cat([negative, torch.zeros(1), positive]).sort().values
    return (book / book.max()).to(device)


def _normal_quantiles(probability: Tensor) -> Tensor:
    # in float64, as SciPy does it: the last bit of the code book depends on it
    return torch.special.ndtri(probability.double()).float()


def fp4_codebook(device: torch.device | str | None = None) -> Tensor:
    """The 16 numbers of bitsandbytes' FP4: one sign bit, two bits of exponent, one of mantissa, divided by 12.

    Zero is there twice, as in every such format. bitsandbytes numbers them by their bit patterns, here they ascend.

    Returns:
        float32, shape (16,), ascending.
    """
    magnitudes = torch.tensor([0, 0.0625, 2, 3, 4, 6, 8, 12])
    # 0 − x, because −x would make a negative zero of the second zero
    return (torch.cat([0 - magnitudes.flip(0), magnitudes]) / 12).to(device)


def dynamic_codebook(device: torch.device | str | None = None) -> Tensor:
    """The 256 numbers of the signed dynamic 8-bit type: seven decades, each with twice the numbers of the one below.

    Returns:
        float32, shape (256,), ascending.

    Source: Dettmers, arXiv 1511.04561; used on NF4's scales in QLoRA, arXiv 2305.14314, section 3.
    """
    book = [torch.tensor([0.0, 1.0])]
    for decade in range(7):
        edges = torch.linspace(0.1, 1, 2**decade + 1)
        middles = 10 ** (decade - 6) * (edges[:-1] + edges[1:]) / 2
        book += [middles, -middles]
    return torch.cat(book).sort().values.to(device)


def e2m1_codebook(device: torch.device | str | None = None) -> Tensor:
    """The 16 numbers of E2M1, the element of MXFP4 and NVFP4: a sign bit, two bits of exponent, one of mantissa.

    From 1 on, a number is (1 + mantissa / 2) · 2^(exponent − 1); below, exponent 0 makes 0 and ½. Unlike bitsandbytes'
    FP4, it isn't scaled to 1, and is in the order of the bit patterns: index 0b1011 holds −1.5.

    Returns:
        float32, shape (16,): 0, ½, 1, 1½, 2, 3, 4, 6, and the same below zero, −0 included.

    Source: Open Compute Project, Microscaling Formats (MX) Specification 1.0, 2023.
    """
    magnitudes = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    return torch.cat([magnitudes, -magnitudes]).to(device)
