import math

import pytest
import torch
from torch import nn

from labkit.errors import ConfigError
from labkit.lora.layer import LoraLinear


def lora_layer(r: int = 3, trained: bool = True, dtype: torch.dtype = torch.float32, **settings) -> LoraLinear:
    torch.manual_seed(0)
    layer = LoraLinear(nn.Linear(6, 5, dtype=dtype), r=r, **settings).eval()
    layer.base_layer.requires_grad_(False)
    if trained:
        nn.init.normal_(layer.lora_B.weight)
    return layer


X = torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("use_rslora, scaling", [(False, 12 / 3), (True, 12 / math.sqrt(3))])
def test_the_equation(use_rslora, scaling):
    layer = lora_layer(lora_alpha=12, use_rslora=use_rslora)
    W, b = layer.base_layer.weight.double(), layer.base_layer.bias.double()
    A, B = layer.lora_A.weight.double(), layer.lora_B.weight.double()
    expected = X.double() @ (W + scaling * B @ A).T + b
    torch.testing.assert_close(layer(X).double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(layer.delta_weight().double(), scaling * B @ A, atol=1e-6, rtol=0)
    assert layer.scaling == scaling


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_new_layer_changes_nothing(dtype):
    layer = lora_layer(trained=False, dtype=dtype)
    answer = layer(X.to(dtype))
    assert answer.dtype == dtype
    assert torch.equal(answer, layer.base_layer(X.to(dtype)))


def test_the_first_gradient_reaches_b_alone():
    layer = lora_layer(trained=False)
    layer(X).square().sum().backward()
    assert torch.equal(layer.lora_A.weight.grad, torch.zeros(3, 6))
    assert layer.lora_B.weight.grad.abs().min() > 0
    assert layer.base_layer.weight.grad is None
    with torch.no_grad():
        layer.lora_B.weight -= 0.1 * layer.lora_B.weight.grad
    layer(X).square().sum().backward()
    assert layer.lora_A.weight.grad.abs().min() > 0


@pytest.mark.parametrize("shape", [(6,), (1, 6), (0, 6), (2, 3, 4, 6)])
@pytest.mark.parametrize("autocast", [False, True])
def test_any_shape_and_autocast_give_the_gradients_of_the_equation_written_out(shape, autocast):
    layer = lora_layer(lora_alpha=12)
    x, parameters = torch.randn(shape), (layer.lora_A.weight, layer.lora_B.weight)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = layer(x)
        expected = layer.base_layer(x) + layer.lora_B(layer.scaling * layer.lora_A(x))
    assert found.shape == (*shape[:-1], 5) and found.dtype == expected.dtype
    off = {"atol": 0.1, "rtol": 0.02} if autocast else {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(found, expected, **off)
    wanted = torch.autograd.grad(expected.float().square().sum(), parameters)
    for gradient, other in zip(torch.autograd.grad(found.float().square().sum(), parameters), wanted):
        torch.testing.assert_close(gradient, other, **({"atol": 0.5, "rtol": 0.05} if autocast else off))


def test_gradients_are_those_of_finite_differences():
    layer = lora_layer().double()
    x = X[0, :2].double().requires_grad_()
    weights = (layer.lora_A.weight, layer.lora_B.weight)

    def answer(x, A, B):
        return torch.func.functional_call(layer, {"lora_A.weight": A, "lora_B.weight": B}, (x,))

    assert torch.autograd.gradcheck(answer, (x, *weights))


def test_alpha_zero_is_no_update():
    layer = lora_layer(lora_alpha=0)
    assert torch.equal(layer(X), layer.base_layer(X))
    assert torch.equal(layer.delta_weight(), torch.zeros(5, 6))
    layer(X).sum().backward()
    assert not layer.lora_A.weight.grad.any() and not layer.lora_B.weight.grad.any()


@pytest.mark.parametrize("init_lora_weights, deviation", [(True, 1 / math.sqrt(3 * 400)), ("gaussian", 1 / 50)])
def test_how_a_begins(init_lora_weights, deviation):
    torch.manual_seed(0)
    layer = LoraLinear(nn.Linear(400, 8), r=50, init_lora_weights=init_lora_weights)
    A = layer.lora_A.weight
    assert A.std().item() == pytest.approx(deviation, rel=0.02)
    assert A.mean().item() == pytest.approx(0, abs=deviation / 20)
    if init_lora_weights is True:  # uniform: nothing beyond √3 deviations
        assert A.abs().max() <= math.sqrt(3) * deviation * 1.001
    assert not layer.lora_B.weight.any()


def test_dropout_acts_in_train_mode_before_a():
    layer = lora_layer(lora_dropout=0.5)
    still = layer(X)
    assert torch.equal(still, layer(X))
    delta = layer.delta_weight()
    layer.train()
    assert torch.equal(layer.delta_weight(), delta)
    torch.manual_seed(3)
    moved = layer(X) - layer.base_layer(X)
    torch.manual_seed(3)
    dropped = nn.functional.dropout(X, 0.5)  # the same draw, on the input of A
    torch.testing.assert_close(moved, dropped @ delta.T, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(moved, X @ delta.T, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_merging_sums_in_float32_and_casts_once(dtype):
    layer = lora_layer(dtype=dtype, lora_alpha=7)
    weight = layer.base_layer.weight.detach().clone()
    update = (7 / 3) * (layer.lora_B.weight.detach().numpy() @ layer.lora_A.weight.detach().numpy())
    expected = torch.from_numpy(weight.float().numpy() + update.astype("float32")).to(dtype)
    layer.merge()
    assert layer.merged and layer.base_layer.weight.dtype == dtype
    # numpy's product may differ from torch's in the last float32 bit, which a cast to 16 bits hides or shows as one ulp
    torch.testing.assert_close(layer.base_layer.weight, expected, atol=1e-6, rtol=torch.finfo(dtype).eps)
    if dtype != torch.float32:
        update_in_16_bits = (layer.scaling * layer.lora_B.weight.to(dtype) @ layer.lora_A.weight.to(dtype)).to(dtype)
        assert (layer.base_layer.weight - expected).abs().sum() < (weight + update_in_16_bits - expected).abs().sum()
    layer.unmerge()
    assert not layer.merged and torch.equal(layer.base_layer.weight, weight)


def test_merging_waits_to_be_asked():
    layer = lora_layer()
    weight = layer.base_layer.weight.clone()
    for mode in (layer.train, layer.eval, layer.train, layer.eval):
        mode()
        assert not layer.merged and torch.equal(layer.base_layer.weight, weight)
    layer.merge()
    merged = layer.base_layer.weight.clone()
    layer.train().eval()
    assert layer.merged and torch.equal(layer.base_layer.weight, merged)


def test_a_merged_layer_saves_the_merged_weight_and_no_more():
    layer = lora_layer()
    names = set(layer.state_dict())
    layer.merge()
    assert (
        set(layer.state_dict()) == names == {"base_layer.weight", "base_layer.bias", "lora_A.weight", "lora_B.weight"}
    )


def test_silenced_it_answers_as_its_base():
    layer = lora_layer()
    layer.enabled = False
    assert torch.equal(layer(X), layer.base_layer(X))


def test_an_adapter_is_float32_on_a_16_bit_base_unless_asked():
    assert lora_layer(dtype=torch.bfloat16).lora_A.weight.dtype == torch.float32
    asked = LoraLinear(nn.Linear(6, 5, dtype=torch.bfloat16), dtype=torch.bfloat16)
    assert asked.lora_A.weight.dtype == asked.lora_B.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    "settings", [{"r": 0}, {"r": -1}, {"lora_alpha": -1}, {"lora_dropout": 1}, {"lora_dropout": -0.1}]
)
def test_settings_that_cannot_be(settings):
    with pytest.raises(ConfigError, match="need r ≥ 1, lora_alpha ≥ 0 and 0 ≤ lora_dropout < 1"):
        LoraLinear(nn.Linear(6, 5), **settings)


def test_it_says_what_it_is():
    assert "r=3, scaling=4, merged=False" in repr(lora_layer(lora_alpha=12))
