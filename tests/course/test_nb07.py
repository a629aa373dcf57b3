"""Notebook 07's exercises accept every way to find the nearest level, and so does its comparison with bitsandbytes."""

import pytest
import torch

from labkit import load_base, nf4_codebook, quantize_nf4
from labkit.lab.checking.form import find
from labkit.lab.checking.judging import RIGHT, judge


def _argmin(distance):
    def my_nf4(w, book, block_size):
        blocks = w.reshape(-1, block_size)
        absmax = blocks.abs().amax(dim=1)
        codes = distance(blocks[..., None], absmax[:, None, None], book).argmin(dim=-1)
        return codes.flatten().to(torch.uint8), absmax

    return my_nf4


WAYS = {
    "scaled": _argmin(lambda w, absmax, book: (w / absmax - book).abs()),
    "squared": _argmin(lambda w, absmax, book: (w / absmax - book).square()),
    "times the reciprocal": _argmin(lambda w, absmax, book: (w * (1 / absmax) - book).abs()),
    "levels on the weights' own scale": _argmin(lambda w, absmax, book: (w - book * absmax).abs()),
    "middles, ties up": lambda w, book, block_size: _middles(w, book, block_size, right=True),
}


def _middles(w, book, block_size, right):
    blocks = w.reshape(-1, block_size)
    absmax = blocks.abs().amax(dim=1)
    codes = torch.bucketize(blocks / absmax[:, None], (book[1:] + book[:-1]) / 2, right=right)
    return codes.flatten().to(torch.uint8), absmax


@pytest.fixture(scope="module")
def weight():
    """The one that the notebook holds against bitsandbytes; the base has others with ties."""
    model, _ = load_base(device="cpu")
    return model.get_submodule("model.layers.14.mlp.down_proj").weight.detach()


@pytest.mark.parametrize("way", WAYS)
def test_any_way_to_the_nearest_level_is_right_and_gives_the_notebooks_weight_the_same_bytes(way, weight):
    assert judge(find("07.3"), WAYS[way]).mark == RIGHT
    codes, absmax = WAYS[way](weight, nf4_codebook(), 64)
    theirs = quantize_nf4(weight)
    assert torch.equal((codes[0::2] << 4 | codes[1::2])[:, None], theirs.packed)
    assert torch.equal(absmax, theirs.absmax)
