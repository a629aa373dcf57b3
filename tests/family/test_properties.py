"""What each method promises of itself: how much trains, where it starts, what merging keeps, what it refuses."""

import math
import warnings

import pytest
import torch
from conftest import make_tiny_llama
from families import ATOL, TOKENS, logits, moved, put_on
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

import labkit
from labkit import AdapterError, ConfigError
from labkit.family.bitfit import BitFit
from labkit.family.bottleneck import Bottleneck
from labkit.family.dora import DoRA
from labkit.family.full import Full
from labkit.family.ia3 import IA3
from labkit.family.lora import LoRA, RsLoRA
from labkit.family.lora_fa import LoRAFA
from labkit.family.lora_plus import LoRAPlus
from labkit.family.pissa import PiSSA
from labkit.family.prefix_tuning import PrefixTuning
from labkit.family.prompt_tuning import PromptTuning
from labkit.family.registry import METHODS
from labkit.family.spectrum import Spectrum
from labkit.family.vera import VeRA
from labkit.lora.files import CONFIG_FILE
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


MERGING = [
    LoRA(r=4),
    RsLoRA(r=4),
    LoRAPlus(r=4),
    LoRAFA(r=4),
    DoRA(r=4),
    DoRA(r=2, use_rslora=True, target_modules=["k_proj", "down_proj"]),
    PiSSA(r=4),
    VeRA(r=8),
    IA3(),
]
each_merging = pytest.mark.parametrize("method", MERGING, ids=lambda method: type(method).__name__)


@each_merging
def test_merged_it_answers_as_apart(method):
    shape = {} if isinstance(method, IA3) else BIASED
    model, before = put_on(method, **shape), make_tiny_llama(**shape)
    apart = logits(model)
    assert (apart - logits(before)).abs().max() > 1e-3
    labkit.merge(model)
    torch.testing.assert_close(logits(model), apart, atol=ATOL, rtol=0)
    labkit.unmerge(model)
    assert torch.equal(logits(model), apart)
    with labkit.disable_adapter(model):
        assert torch.equal(logits(model), logits(before))
    ordinary = labkit.merge_and_unload(put_on(method, **shape))
    assert {type(module) for module in ordinary.modules()} == {type(module) for module in before.modules()}
    torch.testing.assert_close(logits(ordinary), apart, atol=ATOL, rtol=0)
    assert method.apply(ordinary).count == method.count(before)  # it's a base again


@pytest.mark.parametrize("method", [Full(), Spectrum(), BitFit()], ids=["full", "spectrum", "bitfit"])
def test_what_trains_the_weights_themselves_is_an_ordinary_model_already(method):
    model = make_tiny_llama(**BIASED)
    trained = method.apply(model)
    moved(trained.parameters.values())
    after = logits(model)
    assert trained.merge() is model and torch.equal(logits(model), after)
    method.apply(model)  # it's a base again


@pytest.mark.parametrize(
    "method, why",
    [
        (Bottleneck(), "a nonlinear function stands between"),
        (PrefixTuning(2), "its keys and values belong to no weight"),
        (PromptTuning(2), "its embeddings belong to no weight"),
        (BitFit(), "the base has no bias to merge it into"),
    ],
    ids=["bottleneck", "prefix", "prompt", "bitfit"],
)
def test_what_cannot_be_merged_says_why_and_still_answers(method, why, tmp_path):
    model = put_on(method)
    before = logits(model)
    for way in (labkit.merge, labkit.merge_and_unload, labkit.merge_into_dense):
        with pytest.raises(ConfigError, match=f"can't be merged: .*{why}"):
            way(model)
    with pytest.raises(ConfigError, match=why):
        labkit.save_merged(model, None, tmp_path / "merged")
    assert torch.equal(logits(model), before)


def test_a_scaled_bias_is_not_merged():
    model = put_on(IA3(), **BIASED)
    with pytest.raises(ConfigError, match="k_proj can't be merged: it scales the bias as well"):
        labkit.merge(model)


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


@pytest.mark.parametrize("name", ["full", "spectrum"])
def test_packed_weights_cannot_be_trained(name):
    model = labkit.quantize_model(make_tiny_llama(hidden_size=64, intermediate_size=64))
    with pytest.raises(ConfigError, match="is packed, and a packed weight can't be trained: load the base unquantized"):
        METHODS[name]().apply(model)
    assert labkit.model_facts.facts_of(model).method is None


@pytest.mark.parametrize("name", ["vera", "ia3", "dora", "bottleneck", "bitfit", "pissa", "spectrum", "lora"])
def test_an_unknown_target_is_refused_and_nothing_is_changed(name):
    model = make_tiny_llama()
    settings = {"feedforward_modules": []} if name == "ia3" else {}
    with pytest.raises(ConfigError, match="target 'w_proj' matches no layer to adapt; linear layers here: down_proj"):
        labkit.adapt(model, name, target_modules=["w_proj"], **settings)
    assert not any(True for _ in adapted_layers(model)) and all(p.requires_grad for p in model.parameters())


@each_method
def test_one_method_is_all_a_model_takes(name):
    model = make_tiny_llama()
    METHODS[name]().apply(model)
    for again in ("full", "vera", "prompt"):
        with pytest.raises(ConfigError, match="has been adapted already: start from a fresh base"):
            METHODS[again]().apply(model)


@pytest.mark.parametrize(
    "name, settings, message",
    [
        (
            "pissa",
            {"r": 17, "target_modules": ["v_proj"]},
            "r=17 is more than the 16 singular values of model.layers.0",
        ),
        ("pissa", {"lora_alpha": 0}, "lora_alpha must be more than 0"),
        ("lora", {"r": 0}, "r must be a whole number of at least 1, got 0"),
        ("dora", {"r": -1}, "r must be a whole number of at least 1"),
        ("vera", {"r": 2.5}, r"r must be a whole number of at least 1, got 2\.5"),
        ("vera", {"d_initial": math.inf}, "d_initial must be a finite number, got inf"),
        ("vera", {"projection_prng_key": -1}, "projection_prng_key must be a whole number from 0 on"),
        ("lora+", {"loraplus_lr_ratio": 0.5}, r"loraplus_lr_ratio must be a number of at least 1, got 0\.5"),
        ("lora-fa", {"lora_alpha": 0}, "lora_alpha=0 leaves no gradient to correct"),
        ("ia3", {"feedforward_modules": ["up_proj"]}, "feedforward_modules: 'up_proj' isn't one of target_modules"),
        ("bottleneck", {"bottleneck": 0}, "bottleneck must be a whole number of at least 1"),
        ("prefix", {"num_virtual_tokens": 0}, "num_virtual_tokens must be a whole number of at least 1"),
        ("prefix", {"encoder_hidden_size": 0}, "encoder_hidden_size must be a whole number of at least 1"),
        ("prefix", {"start": "words"}, 'start must be "normal", "zero" or ids of tokens'),
        ("prefix", {"start": (1,), "encoder_hidden_size": 4}, "with an MLP, keys and values can't start as those of"),
        ("prompt", {"start": "zero"}, 'start must be "normal", "vocabulary" or ids of tokens'),
        ("prompt", {"start": (5, 96)}, r"start must name tokens of the model's 96, got \(5, 96\)"),
        ("spectrum", {"top_percent": 0}, "top_percent must be more than 0 and at most 100"),
        ("spectrum", {"layers": ("lm_head",)}, "layers: 'lm_head' is none of the layers that target_modules names"),
        ("full", {"r": 8}, "full has no such setting as r; it has none"),
        ("ia3", {"rank": 8}, "ia3 has no such setting as rank; it has target_modules, feedforward_modules"),
        ("lora3", {}, r"method must be one of full, spectrum, lora, .*, got 'lora3'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name, settings, message):
    model = make_tiny_llama()
    with pytest.raises(ConfigError, match=message):
        labkit.adapt(model, name, **settings)
    assert labkit.model_facts.facts_of(model).method is None and not any(True for _ in adapted_layers(model))


@pytest.mark.parametrize("name", ["full", "spectrum", "bottleneck"])
def test_where_there_is_no_file_that_is_said(name, tmp_path):
    trained = METHODS[name]().apply(make_tiny_llama())
    with pytest.raises(AdapterError, match="save that|save the model|no file format for this method"):
        trained.save(tmp_path / "adapter")
    with pytest.raises(AdapterError, match="save that|save the model|no file format for this method"):
        METHODS[name].load(make_tiny_llama(), tmp_path)
    assert not (tmp_path / "adapter").exists()


def test_biases_of_the_base_have_no_file(tmp_path):
    trained = BitFit().apply(make_tiny_llama(**BIASED))
    with pytest.raises(AdapterError, match="the base's own biases were trained, and there's no file format"):
        trained.save(tmp_path / "adapter")


IN_FILES = [DoRA(r=2), VeRA(r=4), IA3(), BitFit(), PrefixTuning(2), PromptTuning(2)]
each_in_files = pytest.mark.parametrize("method", IN_FILES, ids=lambda method: type(method).__name__)


@each_in_files
def test_a_stray_field_and_a_damaged_tensor_are_refused_before_the_model_is_touched(method, tmp_path):
    method.save(put_on(method), tmp_path)
    config, model = (tmp_path / CONFIG_FILE).read_text(), make_tiny_llama()
    for line, why in (
        ('"modules_to_save": ["lm_head"]', r"modules_to_save=\['lm_head'\] is not supported; loading without it"),
        ('"peft_type": "OTHER"', "peft_type='OTHER' is not"),
        ('"task_type": "SEQ_CLS"', "task_type='SEQ_CLS' is not supported"),
    ):
        name = line.split('"')[1]
        kept = [each for each in config.splitlines() if f'"{name}"' not in each]
        (tmp_path / CONFIG_FILE).write_text("\n".join([kept[0], f"{line},", *kept[1:]]))
        with pytest.raises(AdapterError, match=f"{CONFIG_FILE}: {why}"):
            type(method).load(model, tmp_path)
    (tmp_path / CONFIG_FILE).write_text(config.replace("model.layers", "model.blocks") + " ")
    with pytest.raises(AdapterError):
        type(method).load(model, tmp_path)
    assert not any(True for _ in adapted_layers(model)) and labkit.model_facts.facts_of(model).method is None
    other = make_tiny_llama(hidden_size=64, num_hidden_layers=3)
    (tmp_path / CONFIG_FILE).write_text(config)
    with pytest.raises(AdapterError, match=r"has shape|keys are not those"):
        type(method).load(other, tmp_path)
    model = put_on(method)
    with torch.no_grad():
        next(p for p in model.parameters() if p.requires_grad).fill_(math.nan)
    with pytest.raises(AdapterError, match="holds NaN or infinite values"):
        method.save(model, tmp_path / "nan")


def test_dora_that_changed_its_base_is_refused(tmp_path):
    DoRA(r=2).save(put_on(DoRA(r=2)), tmp_path)
    text = (tmp_path / CONFIG_FILE).read_text()
    (tmp_path / CONFIG_FILE).write_text(text.replace("{", '{"init_lora_weights": "pissa",', 1))
    with pytest.raises(AdapterError, match="init_lora_weights='pissa' changed the base's weights before training"):
        DoRA.load(make_tiny_llama(), tmp_path)


def test_plain_lora_with_settings_of_its_own_is_left_to_load_adapter(tmp_path):
    config = labkit.LoraConfig(r=4, target_modules="all-linear", rank_pattern={"q_proj": 2})
    labkit.save_adapter(labkit.inject_lora(make_tiny_llama(), config), tmp_path)
    with pytest.raises(AdapterError, match="its settings go beyond this method's. Load it with labkit.load_adapter"):
        LoRA.load(make_tiny_llama(), tmp_path)


@pytest.mark.parametrize("name", METHODS)
def test_no_other_adapter_of_labkit_takes_it_for_lora(name, tmp_path):
    model = make_tiny_llama()
    METHODS[name]().apply(model)
    plain = name in ("lora", "rslora", "lora+", "lora-fa")
    if plain:
        labkit.save_adapter(model, tmp_path)
    else:
        with pytest.raises(AdapterError, match="has a file of its own kind, if any: use its save"):
            labkit.save_adapter(model, tmp_path)


def test_a_model_that_takes_the_weight_is_told():
    layer = next(layer for _, layer in adapted_layers(put_on(DoRA())))
    with pytest.raises(ConfigError, match="takes the weight of a layer instead of calling it, which DoraLinear can't"):
        nn.functional.linear(torch.zeros(1, 32), layer.weight)


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


@each_method
def test_what_has_a_method_takes_no_other_adapter(name, tmp_path):
    model = make_tiny_llama()
    METHODS[name]().apply(model)
    with pytest.raises(ConfigError, match="start from a fresh base"):
        labkit.inject_lora(model, labkit.LoraConfig())
    with pytest.raises(ConfigError, match="make the bank on a fresh base"):
        labkit.AdapterBank(model)
    with pytest.raises(AdapterError, match="the model already has an adapter"):
        labkit.load_adapter(model, tmp_path)


def test_nothing_is_warned_about():
    with warnings.catch_warnings():
        warnings.simplefilter("error", labkit.LabkitWarning)
        for name in METHODS:
            METHODS[name]().apply(make_tiny_llama())
