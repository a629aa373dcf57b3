"""How much each method trains, and where it starts: on a dense base, in four bits and in 16."""

import warnings

import pytest
import torch
from conftest import make_tiny_llama
from families import ATOL, TOKENS, logits, moved
from transformers import LlamaConfig, LlamaForCausalLM

import labkit
from labkit.family.bitfit import BitFit
from labkit.family.bottleneck import Bottleneck
from labkit.family.dora import DoRA
from labkit.family.full import Full
from labkit.family.lora import LoRA
from labkit.family.pissa import PiSSA
from labkit.family.prefix_tuning import PrefixTuning
from labkit.family.registry import METHODS
from labkit.family.spectrum import Spectrum
from labkit.family.vera import VeRA
from labkit.lora.wrapping import adapted_layers

pytestmark = pytest.mark.usefixtures("one_thread")


BIASED = {"attention_bias": True, "mlp_bias": True}
each_method = pytest.mark.parametrize("name", METHODS)
# the tiny Llama has 2 layers, hidden size 32, keys of 16, an MLP of 48
WIDE, KEYS, MLP, LAYERS = 32, 16, 48, 2
IN_OUT = [(WIDE, WIDE), (WIDE, KEYS), (WIDE, KEYS), (WIDE, WIDE), (WIDE, MLP), (WIDE, MLP), (MLP, WIDE)]
IN, OUT = (sum(sides) for sides in zip(*IN_OUT))
COUNTS = {
    "full": 96 * WIDE + LAYERS * (sum(i * o for i, o in IN_OUT) + 2 * WIDE) + WIDE,
    "spectrum": sum(i * o for i, o in IN_OUT),  # of each kind, one layer of two
    "lora": LAYERS * 8 * (IN + OUT),
    "rslora": LAYERS * 8 * (IN + OUT),
    "lora+": LAYERS * 8 * (IN + OUT),
    "lora-fa": LAYERS * 8 * OUT,
    "dora": LAYERS * (8 * (IN + OUT) + OUT),
    "pissa": LAYERS * 8 * (IN + OUT),
    "vera": LAYERS * (7 * 256 + OUT),
    "ia3": LAYERS * (2 * KEYS + MLP),
    "bitfit": LAYERS * OUT,
    "bottleneck": LAYERS * 2 * (2 * 64 * WIDE + WIDE + 64),
    "prefix": 20 * LAYERS * 2 * KEYS,
    "prompt": 20 * WIDE,
}


@each_method
def test_the_count_is_the_formulas_and_that_of_the_real_tensors(name):
    method = METHODS[name]()
    with torch.device("meta"):
        shapes_alone = LlamaForCausalLM(make_tiny_llama().config)
    assert method.count(shapes_alone) == method.count(make_tiny_llama()) == COUNTS[name]
    trained = method.apply(make_tiny_llama())
    assert trained.count == COUNTS[name] == labkit.trainable_parameters(trained.model)[0]
    shapes = method.shapes(make_tiny_llama())
    assert {name: tuple(p.shape) for name, p in trained.parameters.items()} == shapes
    assert all(p.dtype == torch.float32 for p in trained.parameters.values())


def test_an_mlp_before_a_prefix_counts_its_own_numbers():
    p, h, k = 3, 5, KEYS
    method = PrefixTuning(p, encoder_hidden_size=h)
    assert method.count(make_tiny_llama()) == p * k + k * h + h + (h + 1) * LAYERS * 2 * k
    assert method.apply(make_tiny_llama()).count == method.count(make_tiny_llama())


def test_counts_of_the_courses_base():
    """SmolLM2-135M, from its config alone; four of them are in every text about it."""
    shape = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "vocab_size": 49_152}
    config = LlamaConfig(**shape, num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    assert Full().count(model) == 134_515_008
    assert LoRA().count(model) == 2_442_240
    assert LoRA(target_modules=["q_proj", "v_proj"]).count(model) == 460_800
    assert LoRA(target_modules=["gate_proj", "up_proj", "down_proj"]).count(model) == 1_520_640
    assert DoRA().count(model) == 2_442_240 + BitFit().count(model)
    assert Spectrum().count(model) == 7 * 3_538_944
    counts = {name: method().count(model) for name, method in METHODS.items()}
    assert min(counts, key=counts.get) == "prompt" and counts["prompt"] == 20 * 576


STARTS_AS_BASE = sorted(METHODS.keys() - {"bottleneck", "prefix", "prompt"})


@pytest.mark.parametrize("shape", [{}, BIASED], ids=["no biases", "biases"])
@pytest.mark.parametrize("name", STARTS_AS_BASE)
def test_it_starts_as_its_base_to_the_bit(name, shape):
    model = make_tiny_llama(**shape)
    METHODS[name]().apply(model)
    assert torch.equal(logits(model), logits(make_tiny_llama(**shape)))


def test_a_bottleneck_starts_close_to_its_base():
    model = make_tiny_llama()
    Bottleneck().apply(model)
    apart = (logits(model) - logits(make_tiny_llama())).abs().max()
    assert 0 < apart < 0.01 * logits(model).abs().max()


def test_two_starts_called_kaiming_are_apart_by_the_root_of_six():
    """LoRA's A is uniform up to 1/√columns, with a = √5; VeRA's up to √(6/columns), for ReLU."""
    lora, vera = make_tiny_llama(), make_tiny_llama()
    LoRA(r=64, target_modules=["q_proj"]).apply(lora)
    VeRA(r=64, target_modules=["q_proj"]).apply(vera)
    widest = max(layer.lora_A.weight.abs().max() for _, layer in adapted_layers(lora))
    shared = next(layer.projections for _, layer in adapted_layers(vera))
    assert 0.95 < widest * WIDE**0.5 <= 1
    assert 0.95 < shared.vera_A.abs().max() * (WIDE / 6) ** 0.5 <= 1
    assert 0.95 < shared.vera_B.abs().max() * (64 / 6) ** 0.5 <= 1


@pytest.mark.parametrize("niter", [None, 8])
def test_pissa_begins_with_the_best_approximation_of_its_rank(niter):
    model = make_tiny_llama()
    PiSSA(r=3, niter=niter, target_modules=["q_proj"]).apply(model)
    for name, layer in adapted_layers(model):
        weight = make_tiny_llama().get_submodule(name).weight
        best = labkit.low_rank_approx(weight.detach(), 3)
        begun = layer.scaling * (layer.lora_B.weight @ layer.lora_A.weight)
        if niter is None:
            torch.testing.assert_close(begun, best, atol=ATOL, rtol=0)
        assert (weight - begun).norm() < 1.01 * (weight - best).norm()


ON_FOUR_BITS = ["lora", "dora", "pissa", "vera", "ia3", "bitfit", "bottleneck", "prefix", "prompt"]


@pytest.mark.parametrize("name", ON_FOUR_BITS)
def test_on_a_base_in_four_bits_it_learns(name):
    shape = {"hidden_size": 64, "intermediate_size": 64}
    model = labkit.quantize_model(make_tiny_llama(**shape))
    before = logits(model)
    trained = METHODS[name]().apply(model)
    if name in STARTS_AS_BASE:
        assert torch.equal(logits(model), before)
    moved(trained.parameters.values())
    model(TOKENS, labels=TOKENS).loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in trained.parameters.values())


@pytest.mark.parametrize("name", METHODS)
def test_on_a_base_of_16_bits_it_keeps_its_own_32(name):
    model = make_tiny_llama().to(torch.bfloat16)
    before = logits(model)
    trained = METHODS[name]().apply(model)
    assert (before.dtype == logits(model).dtype == torch.bfloat16) and (
        name not in STARTS_AS_BASE or torch.equal(logits(model), before)
    )
    own = name not in ("full", "spectrum")
    assert {p.dtype for p in trained.parameters.values()} == {torch.float32 if own else torch.bfloat16}
    moved(trained.parameters.values())
    model(TOKENS, labels=TOKENS).loss.backward()
    assert all(p.grad.isfinite().all() for p in trained.parameters.values())


def test_nothing_is_warned_about():
    with warnings.catch_warnings():
        warnings.simplefilter("error", labkit.LabkitWarning)
        for name in METHODS:
            METHODS[name]().apply(make_tiny_llama())
