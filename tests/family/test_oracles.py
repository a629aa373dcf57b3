"""What PEFT doesn't have, against the same thing written in another way."""

import math

import numpy as np
import pytest
import torch
from conftest import make_tiny_llama
from families import ATOL, TOKENS, gradients, logits, put_on, trained
from torch import nn

from labkit import ConfigError
from labkit.family.bottleneck import Bottleneck
from labkit.family.full import Full
from labkit.family.lora_fa import LoRAFA
from labkit.family.method import Trained
from labkit.family.pissa import PiSSA
from labkit.family.spectrum import Spectrum, signal_to_noise
from labkit.lora.wrapping import adapted_layers

pytestmark = pytest.mark.usefixtures("one_thread")


class WithAdapter(nn.Module):
    """A sublayer of a block, and the adapter behind it, as the paper's figure 2 draws them."""

    def __init__(self, sublayer: nn.Module, numbers: dict[str, torch.Tensor]):
        super().__init__()
        self.sublayer = sublayer
        self.numbers = nn.ParameterDict({name.replace(".", "_"): t.detach().clone() for name, t in numbers.items()})

    def forward(self, *args, **named):
        found = self.sublayer(*args, **named)
        h, *rest = found if isinstance(found, tuple) else (found,)
        n = self.numbers
        small = torch.einsum("bth,mh->btm", h, n["down_weight"]) + n["down_bias"]
        bent = 0.5 * small * (1 + torch.erf(small / math.sqrt(2)))
        h = h + torch.einsum("btm,hm->bth", bent, n["up_weight"]) + n["up_bias"]
        return (h, *rest) if isinstance(found, tuple) else h


def by_the_paper(ours: nn.Module, **shape) -> nn.Module:
    """The base with adapters around its sublayers, with the numbers of `ours`."""
    model = make_tiny_llama(**shape).requires_grad_(False)
    for number, block in enumerate(model.model.layers):
        for inside, last in (("self_attn", "o_proj"), ("mlp", "down_proj")):
            layer = ours.get_submodule(f"model.layers.{number}.{inside}.{last}")
            numbers = {n: p for n, p in layer.named_parameters() if n.startswith(("down.", "up."))}
            setattr(block, inside, WithAdapter(getattr(block, inside), numbers))
    return model


@pytest.mark.parametrize("shape", [{}, {"attention_bias": True, "mlp_bias": True}], ids=["no biases", "biases"])
def test_bottleneck_adapters_are_those_of_the_paper(shape):
    ours = put_on(Bottleneck(5), **shape)
    theirs = by_the_paper(ours, **shape)
    torch.testing.assert_close(logits(ours), logits(theirs), atol=ATOL, rtol=0)
    found, expected = gradients(ours), gradients(theirs)
    torch.testing.assert_close(found["input"], expected["input"], atol=ATOL, rtol=0)
    for name, parameter in trained(ours).items():
        block, _, part = name.partition("_proj.")
        inside = block.rsplit(".", 1)[0]
        other = expected[f"{inside}.numbers.{part.replace('.', '_')}"]
        torch.testing.assert_close(parameter.grad, other, atol=ATOL, rtol=0)
    for model in (ours, theirs):
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        for _ in range(10):
            optimizer.zero_grad()
            model(TOKENS, labels=TOKENS).loss.backward()
            optimizer.step()
    torch.testing.assert_close(logits(ours), logits(theirs), atol=ATOL, rtol=0)


def ratio(weight: torch.Tensor) -> float:
    """The published rule once more, in float64, by the eigenvalues of W Wᵀ."""
    W = weight.detach().double().numpy()
    W = W if W.shape[0] <= W.shape[1] else W.T
    S = np.sqrt(np.maximum(np.linalg.eigvalsh(W @ W.T), 0))[::-1]
    q25, q75 = np.percentile(S, [25, 75])
    edge = np.sqrt(((q75 - q25) / 1.349) ** 2 * (1 + np.sqrt(W.shape[0] / W.shape[1])) ** 2)
    signal, noise = S[S > edge].sum(), S[S <= edge].sum()
    return signal / noise / S[0] if noise else math.inf


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (50, 50)])
@pytest.mark.parametrize("spikes", [0, 3])
def test_the_ratio_of_signal_to_noise_is_the_published_one(shape, spikes):
    generator = torch.Generator().manual_seed(sum(shape) + spikes)
    noise = torch.randn(shape, generator=generator)
    left, right = (torch.randn(side, spikes, generator=generator) for side in shape)
    weight = noise + 2 * left @ right.T
    assert signal_to_noise(weight) == pytest.approx(ratio(weight), rel=1e-4)


def test_pure_noise_has_signal_for_spectrum_and_none_for_marchenko_and_pastur():
    """Why its ε is a rule to rank by, and not where noise ends."""
    noise = torch.randn(200, 400, generator=torch.Generator().manual_seed(0))
    S = torch.linalg.svdvals(noise)
    assert S.max() < 1.05 * (math.sqrt(400) + math.sqrt(200))  # σ √(longer side) (1 + √β), with σ = 1
    above = signal_to_noise(noise) * S[0] / (1 + signal_to_noise(noise) * S[0])  # the share of ΣS above ε
    assert above > 0.3


def test_a_weight_with_nothing_below_the_edge_is_all_signal():
    assert signal_to_noise(torch.eye(8) * 3) == math.inf == ratio(torch.eye(8) * 3)


@pytest.mark.parametrize("top_percent, of_five", [(25, 1), (40, 2), (100, 5), (1, 1)])
def test_of_each_kind_the_layers_with_the_highest_ratios_train(top_percent, of_five):
    model = make_tiny_llama(num_hidden_layers=5)
    with torch.no_grad():  # layers that differ
        for number, block in enumerate(model.model.layers):
            for layer in block.modules():
                if isinstance(layer, nn.Linear):
                    layer.weight += 0.2 * ((number * 3) % 5) * torch.eye(*layer.weight.shape)
    method = Spectrum(top_percent)
    expected = set()
    for kind in ("self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj", "mlp.down_proj"):
        names = [f"model.layers.{number}.{kind}" for number in range(5)]
        expected |= {*sorted(names, key=lambda name: -ratio(model.get_submodule(name).weight))[:of_five]}
    chosen = set(method.chosen(model))
    assert {name for name in chosen if name.endswith(("q_proj", "k_proj", "gate_proj", "down_proj"))} == expected
    assert len(chosen) == 7 * of_five
    count = method.count(model)
    assert count == method.apply(model).count == of_five * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48)
    again = make_tiny_llama(num_hidden_layers=5)
    assert Spectrum(layers=tuple(chosen)).apply(again).count == count


def test_spectrum_trains_those_weights_as_full_fine_tuning_does():
    model, whole = make_tiny_llama(), make_tiny_llama()
    Spectrum(50).apply(model)
    Full().apply(whole)
    for each in (model, whole):
        each(TOKENS, labels=TOKENS).loss.backward()
    for name, parameter in trained(model).items():
        torch.testing.assert_close(parameter.grad, whole.get_parameter(name).grad, atol=ATOL, rtol=0)


def test_lora_fa_steps_as_near_to_full_fine_tuning_as_its_rows_let_it():
    """The corrected gradient of B is the least-squares fit of s · B A to the gradient of W itself."""
    method = LoRAFA(r=3, target_modules=["q_proj", "down_proj"])
    model = put_on(method)
    layers = dict(adapted_layers(model))
    for layer in layers.values():
        layer.base_layer.weight.requires_grad_()
    model(TOKENS, labels=TOKENS).loss.backward()
    Trained(model, method).optimizer(1e-3).step()
    for name, layer in layers.items():
        A, g = layer.lora_A.weight.detach().double(), layer.base_layer.weight.grad.double()
        best = torch.linalg.lstsq(layer.scaling * A.T, g.T).solution.T
        found = layer.lora_B.weight.grad.double()
        torch.testing.assert_close(found, best, atol=0, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}")


def test_at_one_rate_pissa_steps_as_far_as_the_root_of_its_scale():
    moved_by = {}
    for alpha in (4, 16):  # s = 1 and s = 4
        model = make_tiny_llama()
        trained = PiSSA(r=4, lora_alpha=alpha, target_modules=["q_proj"]).apply(model)
        optimizer = trained.optimizer(1e-6)
        model(TOKENS, labels=TOKENS).loss.backward()
        optimizer.step()
        moved_by[alpha] = torch.stack([layer.delta_weight() for _, layer in adapted_layers(model)]).norm().item()
    assert moved_by[16] == pytest.approx(2 * moved_by[4], rel=0.05)


def test_layers_that_are_not_targets_are_refused():
    with pytest.raises(ConfigError, match="layers: 'model.norm' is none of the layers"):
        Spectrum(layers=("model.norm",)).apply(make_tiny_llama())
