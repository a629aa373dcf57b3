"""`bytes_kept` counts what autograd keeps, wherever it is kept, and nothing that's gone."""

import torch
import torch.nn.functional as F

from labkit import NF4Linear, dequantize_nf4, quantize_nf4
from labkit.lab.experiments.kept_dense import bytes_kept

W = torch.randn(48, 64)
PACKED = quantize_nf4(W)
X = torch.randn(5, 64, requires_grad=True)


class Hoarding(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.dense = dequantize_nf4(PACKED)  # behind autograd's back
        return F.linear(x, ctx.dense)


def test_a_matrix_is_counted_where_autograd_keeps_it_and_where_ctx_does():
    assert bytes_kept(lambda: F.linear(X, dequantize_nf4(PACKED)), W.numel()) == 4 * W.numel()
    assert bytes_kept(lambda: Hoarding.apply(X), W.numel()) == 4 * W.numel()


def test_what_is_gone_is_not_counted():
    layer = NF4Linear(torch.nn.Linear(64, 48))
    assert bytes_kept(lambda: layer(X), W.numel()) == 0
    assert bytes_kept(lambda: F.linear(X.detach(), dequantize_nf4(PACKED)), W.numel()) == 0
