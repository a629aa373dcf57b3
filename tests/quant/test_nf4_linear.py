"""The 4-bit layer against a dense one that holds the same numbers."""

import copy
import io
import pickle
import weakref

import pytest
import torch
import torch.nn.functional as F
from quantized import BACKENDS, bits
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from labkit import NF4Linear, dequantize_nf4, quantize_nf4
from labkit.errors import ConfigError
from labkit.linear import BaseLinear, PackedLinear, is_linear
from labkit.quant import linear4bit
from labkit.quant.guarded import GuardedLinear4bit
from labkit.quant.linear4bit import frozen_linear

LAYERS = {"labkit": NF4Linear, "bitsandbytes": GuardedLinear4bit}
KINDS = [(backend, double) for backend in BACKENDS for double in (False, True)]


def dense(in_features=96, out_features=40, bias=True, dtype=torch.float32) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(in_features, out_features, bias, dtype=dtype)


def packed_bits(layer) -> bytes:
    return bits(layer.stored_weight())


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}{'-double' * kind[1]}")
def layer(request):
    backend, double = request.param
    return LAYERS[backend](dense(), double=double)


def test_it_answers_what_lora_asks(layer):
    assert isinstance(layer, BaseLinear) and isinstance(layer, PackedLinear) and is_linear(layer)
    assert (layer.in_features, layer.out_features) == (96, 40)
    assert layer.dense_weight().shape == (40, 96) and not layer.dense_weight().requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_dense_weight_is_the_dequantized_one(dtype):
    linear = dense(dtype=dtype)
    expected = dequantize_nf4(quantize_nf4(linear.weight))
    for make in LAYERS.values():
        layer = make(linear)
        assert layer.dense_weight().dtype == dtype and bits(layer.dense_weight()) == bits(expected)
        assert layer.bias is linear.bias


@pytest.mark.parametrize("shape", [(96,), (5, 96), (2, 3, 96), (0, 96)])
@pytest.mark.parametrize("training", [True, False])
def test_answers_and_gradients_are_those_of_the_dense_layer(layer, shape, training):
    layer.train(training)
    x = torch.randn(shape, requires_grad=True)
    twin_x = x.detach().clone().requires_grad_()
    y, twin_y = layer(x), F.linear(twin_x, layer.dense_weight(), layer.bias)
    grad = torch.randn_like(y)
    torch.testing.assert_close(y, twin_y, atol=1e-6, rtol=1e-6)
    bias_grads = [torch.autograd.grad((out * grad).sum(), layer.bias, retain_graph=True)[0] for out in (y, twin_y)]
    torch.testing.assert_close(*bias_grads)
    y.backward(grad)
    twin_y.backward(grad)
    torch.testing.assert_close(x.grad, twin_x.grad, atol=1e-6, rtol=1e-6)


def test_the_gradient_is_the_derivative():
    """Against finite differences, in float64."""
    weight = quantize_nf4(torch.randn(5, 7))
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, bias: frozen_linear(x, weight, bias), (x, bias))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_computes_in_its_inputs_dtype(layer, dtype):
    x = torch.randn(4, 96)
    first = layer(x)  # which decides nothing for the inputs to come
    low = x.to(dtype).requires_grad_()
    y = layer(low)
    expected = F.linear(low.detach(), layer.dense_weight().to(dtype)) + layer.bias.to(dtype)
    assert y.dtype == dtype and layer.bias.dtype == torch.float32
    torch.testing.assert_close(y.detach(), expected.detach(), atol=2e-2, rtol=2e-2)
    y.sum().backward()
    assert low.grad.dtype == dtype
    assert torch.equal(layer(x), first)


def test_autocast_computes_in_its_dtype_and_gradients_keep_theirs(layer):
    x = torch.randn(4, 96, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, layer(x.bfloat16()))
    y.sum().backward()
    assert x.grad.dtype == torch.float32


def test_nothing_dense_is_kept_for_the_backward_pass(monkeypatch):
    made = []

    def watched(*args):
        made.append(weakref.ref(weight := fast_dequantize(*args)))
        return weight

    fast_dequantize = linear4bit.fast_dequantize
    monkeypatch.setattr(linear4bit, "fast_dequantize", watched)
    x = torch.randn(4, 96, requires_grad=True)
    y = NF4Linear(dense())(x)
    assert len(made) == 1 and made[0]() is None
    y.sum().backward()
    assert len(made) == 2 and made[1]() is None


# ---- what happens to models happens to its tensors


CASTS = {
    "half": lambda layer: layer.half(),
    "bfloat16": lambda layer: layer.bfloat16(),
    "double": lambda layer: layer.double(),
    "to dtype": lambda layer: layer.to(torch.bfloat16),
    "to device and dtype": lambda layer: layer.to("cpu", torch.float16),
    "inside a model": lambda layer: nn.Sequential(layer).half()[0],
}


@pytest.mark.parametrize("cast", CASTS)
def test_no_cast_changes_the_packed_weight(layer, cast):
    before = packed_bits(layer)
    bias = layer.bias.detach().clone()
    after = CASTS[cast](layer)
    assert packed_bits(after) == before
    assert after.bias.dtype != torch.float32 and after.bias.equal(bias.to(after.bias.dtype))


def test_a_cast_of_everything_leaves_nf4linear_alone():
    """Module.type casts whole numbers too."""
    layer = NF4Linear(dense(), double=True)
    before = packed_bits(layer)
    assert packed_bits(layer.type(torch.float16)) == before


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer)), lambda layer: layer.to("cpu")]
)
def test_copies_are_the_same_layer(layer, copied):
    x = torch.randn(3, 96)
    before, expected = packed_bits(layer), layer(x)
    other = copied(layer)
    assert packed_bits(other) == before and torch.equal(other(x), expected)
    if other is not layer:
        other.replace_weight(torch.ones(40, 96))
        assert packed_bits(layer) == before


def test_it_moves_to_another_device():
    layer = NF4Linear(dense(), double=True).to("meta")
    assert {tensor.device.type for tensor in (*layer.buffers(), *layer.parameters())} == {"meta"}
    assert layer(torch.empty(3, 96, device="meta")).shape == (3, 40)


@pytest.mark.parametrize("double", [False, True])
def test_it_is_saved_and_loaded_bit_for_bit(double):
    layer = NF4Linear(dense(), double=double)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = NF4Linear(nn.Linear(96, 40), double=double)
    assert packed_bits(other) != packed_bits(layer)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert packed_bits(other) == packed_bits(layer) and other.bias.equal(layer.bias)


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(RuntimeError, match="absmax_codes"):
        NF4Linear(dense()).load_state_dict(NF4Linear(dense(), double=True).state_dict())


# ---- a new weight, and the old one back


def test_a_weight_is_replaced_and_the_old_one_comes_back(layer):
    before, other = packed_bits(layer), torch.randn(40, 96)
    stored = layer.stored_weight()
    layer.replace_weight(other)
    assert packed_bits(layer) == packed_bits(type(layer)(_as_linear(other), double=layer.double_quant)) != before
    layer.restore_weight(stored)
    assert packed_bits(layer) == before


def _as_linear(weight):
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight = nn.Parameter(weight)
    return linear


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.ones(96, 40), r"shape \(96, 40\) cannot take the place of one of shape \(40, 96\)"),
        (torch.full((40, 96), float("nan")), "NaN or infinity"),
        (torch.ones(40, 96, dtype=torch.int8), "int8"),
    ],
)
def test_a_weight_that_does_not_fit_is_refused_and_nothing_changed(layer, weight, message):
    before = packed_bits(layer)
    with pytest.raises(ConfigError, match=message):
        layer.replace_weight(weight)
    assert packed_bits(layer) == before


def test_a_block_size_bitsandbytes_does_not_have():
    with pytest.raises(ConfigError, match=r"bitsandbytes has block sizes \(32, .*\), not 48"):
        GuardedLinear4bit(dense(), block_size=48)
    assert NF4Linear(dense(), block_size=48)(torch.ones(96)).shape == (40,)


# ---- memory


def kept_bytes(layer) -> int:
    return sum(tensor.nbytes for tensor in layer.buffers())


@pytest.mark.parametrize("double, bound", [(False, 0.2813), (True, 0.27)])
def test_bytes_against_bfloat16(double, bound):
    """4.5 of 16 bits, and 4.127 with double quantization plus each layer's own code book of 1 kB."""
    shapes = {"q": (576, 576), "k": (192, 576), "v": (192, 576), "o": (576, 576), "gate": (1536, 576)}
    shapes |= {"up": (1536, 576), "down": (576, 1536)}
    four, sixteen = 0, 0
    for rows, columns in shapes.values():
        linear = nn.Linear(columns, rows, bias=False, dtype=torch.bfloat16)
        four, sixteen = four + kept_bytes(NF4Linear(linear, double=double)), sixteen + linear.weight.nbytes
    assert bound - 0.012 < four / sixteen < bound


def test_a_layer_too_large_to_exist():
    """40 GB in float32: under fake tensors, only shapes are computed."""
    with FakeTensorMode():
        layers = [NF4Linear(nn.Linear(100_000, 100_000, bias=False), double=double) for double in (False, True)]
        x = torch.empty(2, 100_000, dtype=torch.bfloat16, requires_grad=True)
        for layer in layers:
            y = layer(x)
            y.sum().backward()
            assert y.shape == x.grad.shape == (2, 100_000) and y.dtype == x.grad.dtype == torch.bfloat16
            assert all(isinstance(tensor, FakeTensor) for tensor in (y, x.grad, *layer.buffers()))
    assert [kept_bytes(layer) for layer in layers] == [
        5 * 10**9 + 4 * 156_250_000,  # packed, and a float32 scale for every 64
        5 * 10**9 + 156_250_000 + 4 * 610_352 + 4 + 4 * 256,  # scales in a byte, theirs, their mean, their code book
    ]
