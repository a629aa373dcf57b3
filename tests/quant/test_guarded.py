"""What goes wrong with bitsandbytes on a CPU, shown, and shown to be kept away."""

import gc
import os
import subprocess
import sys
import warnings
import weakref

import pytest
import torch
import torch.nn.functional as F
from quantized import HAS_AVX512, HAS_TRAP, bits, bnb, on_trap_cpu
from torch import nn

from labkit.quant import bnb as quiet_import
from labkit.quant.guarded import GuardedLinear4bit

KERNELS_THERE = quiet_import.find_bitsandbytes() is not None and __import__("importlib").util.find_spec("kernels")


def dense(in_features=128, out_features=64) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(in_features, out_features, bias=False)


def unguarded(linear: nn.Linear) -> bnb.nn.Linear4bit:
    layer = bnb.nn.Linear4bit(
        linear.in_features, linear.out_features, bias=False, compress_statistics=False, quant_type="nf4"
    )
    layer.load_state_dict(linear.state_dict())
    return layer.to("cpu")


def stored(layer) -> bytes:
    return bits(layer.weight.data) + bits(layer.weight.quant_state.absmax)


def evaluate(layer) -> None:
    """What a loop does between two stretches of training."""
    layer.eval()
    with torch.no_grad():
        layer(torch.randn(4, layer.in_features))
    layer.train()


def input_gradient(layer) -> torch.Tensor | None:
    torch.manual_seed(1)
    x = torch.randn(4, layer.in_features, requires_grad=True)
    y = layer(x)
    return torch.autograd.grad(y.sum(), x, allow_unused=True)[0] if y.requires_grad else None


# ---- trap 1: an evaluation repacks the weight


@on_trap_cpu
def test_unguarded_an_evaluation_spoils_what_follows():
    layer = unguarded(dense())
    weight, before = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state), stored(layer)
    assert input_gradient(layer) is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluate(layer)
        assert stored(layer) != before
        assert input_gradient(layer) is None  # the chain of gradients is cut, without an error
    read = bnb.functional.dequantize_4bit(layer.weight.data.view(-1, 1), layer.weight.quant_state).float()
    assert (read - weight).norm() / weight.norm() > 1  # what a merge would read


@pytest.mark.parametrize("double", [False, True])
def test_guarded_an_evaluation_changes_nothing(double):
    layer = GuardedLinear4bit(dense(), double=double)
    before, gradient, weight = stored(layer), input_gradient(layer), layer.dense_weight()
    evaluate(layer)
    assert stored(layer) == before
    assert torch.equal(input_gradient(layer), gradient) and torch.equal(layer.dense_weight(), weight)
    torch.testing.assert_close(gradient, weight.sum(dim=0).expand(4, -1), atol=1e-5, rtol=1e-5)


def test_guarded_a_layer_that_nobody_needs_is_freed_at_once():
    """bitsandbytes' weight knows its layer, which would keep both until Python's collector comes by."""
    layer = GuardedLinear4bit(dense(), double=True)
    layer.replace_weight(torch.randn(64, 128))
    gone = [weakref.ref(layer), weakref.ref(layer.weight)]
    gc.disable()
    try:
        del layer
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()


# ---- trap 2: scales of rows that are no whole blocks


def test_unguarded_odd_rows_read_wrong_scales():
    """Where bitsandbytes' own kernel has AVX-512; that is what `quantized` in the layer avoids."""
    linear = dense(in_features=48)
    packed, state = bnb.functional.quantize_4bit(linear.weight.detach(), quant_type="nf4")
    wrong = bnb.functional.dequantize_4bit(packed, state)
    right = GuardedLinear4bit(linear).dense_weight()
    assert (right - linear.weight).norm() / linear.weight.norm() < 0.1
    assert torch.equal(wrong, right) != HAS_AVX512


@pytest.mark.parametrize("in_features", [32, 48, 96, 100, 65])
def test_guarded_odd_rows_are_right(in_features):
    layer = GuardedLinear4bit(dense(in_features))
    packed, state = bnb.functional.quantize_4bit(dense(in_features).weight.detach().reshape(1, -1), quant_type="nf4")
    with torch.compiler.set_stance("force_eager"):
        weight = bnb.functional.dequantize_4bit(packed, state).view(64, in_features)
    assert torch.equal(layer.dense_weight(), weight)
    for training in (True, False):
        x = torch.randn(3, in_features, requires_grad=True)
        y = layer.train(training)(x)
        torch.testing.assert_close(y, F.linear(x, weight))
        y.sum().backward()
        torch.testing.assert_close(x.grad, weight.sum(dim=0).expand(3, -1), atol=1e-5, rtol=1e-5)


# ---- trap 3: shapes it cannot repack


@on_trap_cpu
def test_unguarded_small_shapes_raise():
    with pytest.raises(AssertionError, match="N must be divisible by block_n"):
        evaluate(unguarded(dense(out_features=24)))


@pytest.mark.parametrize("out_features", [1, 24, 33])
def test_guarded_small_shapes_are_right(out_features):
    layer = GuardedLinear4bit(dense(out_features=out_features)).eval()
    x = torch.randn(5, 128)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), x @ layer.dense_weight().T)


# ---- trap 4: a line in the log


def said_while(code: str) -> str:
    run = [sys.executable, "-c", code]
    return subprocess.run(run, capture_output=True, text=True, check=True, env=os.environ, timeout=120).stderr


@pytest.mark.slow
@on_trap_cpu
@pytest.mark.skipif(bool(KERNELS_THERE), reason="the package that bitsandbytes misses is installed here")
def test_unguarded_the_import_says_something():
    assert "pip install kernels" in said_while("import bitsandbytes")


@pytest.mark.slow
def test_guarded_the_import_says_nothing_and_other_messages_still_come_through():
    code = (
        "import logging, labkit.quant.guarded, labkit.quant.bnb; "
        "logging.getLogger('bitsandbytes.backends.cpu.ops').warning('something %s', 'else')"
    )
    assert said_while(code) == "something else\n"


# ---- trap 5: the first input's dtype


def test_unguarded_the_first_input_decides():
    layer, x = unguarded(dense()), torch.randn(4, 128, requires_grad=True)
    expected = layer(x)
    other = unguarded(dense())
    other(x.bfloat16())
    assert torch.equal(layer(x), expected) and not torch.equal(other(x), expected)


def test_guarded_every_input_decides_for_itself():
    layer, x = GuardedLinear4bit(dense()), torch.randn(4, 128)
    expected = x @ layer.dense_weight().T
    layer(x.bfloat16())
    torch.testing.assert_close(layer(x), expected)


def test_this_machine_tells_whether_it_has_the_trap():
    assert HAS_TRAP == bool(unguarded(dense()).support_avx512bf16_for_cpu)
