"""What each method refuses, in one sentence and before anything is changed."""

import math

import pytest
import torch
from conftest import make_tiny_llama
from families import put_on
from torch import nn

import labkit
from labkit import AdapterError, ConfigError
from labkit.family.bitfit import BitFit
from labkit.family.dora import DoRA
from labkit.family.ia3 import IA3
from labkit.family.lora import LoRA
from labkit.family.prefix_tuning import PrefixTuning
from labkit.family.prompt_tuning import PromptTuning
from labkit.family.registry import METHODS
from labkit.family.vera import VeRA
from labkit.lora.files import CONFIG_FILE
from labkit.lora.wrapping import adapted_layers

pytestmark = pytest.mark.usefixtures("one_thread")


BIASED = {"attention_bias": True, "mlp_bias": True}
each_method = pytest.mark.parametrize("name", METHODS)


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
        ("pissa", {"niter": -1}, "niter must be None or a whole number from 0 on, got -1"),
        ("pissa", {"niter": "fast"}, "niter must be None or a whole number from 0 on, got 'fast'"),
        ("lora", {"r": 0}, "r must be a whole number of at least 1, got 0"),
        ("dora", {"r": -1}, "r must be a whole number of at least 1"),
        ("vera", {"r": 2.5}, r"r must be a whole number of at least 1, got 2\.5"),
        ("vera", {"d_initial": math.inf}, "d_initial must be a finite number, got inf"),
        ("vera", {"projection_prng_key": -1}, "projection_prng_key must be a whole number from 0 on"),
        ("lora+", {"loraplus_lr_ratio": 0.5}, r"loraplus_lr_ratio must be a number of at least 1, got 0\.5"),
        ("lora+", {"loraplus_lr_ratio": math.inf}, "loraplus_lr_ratio must be a number of at least 1, got inf"),
        ("lora+", {"loraplus_lr_ratio": "16"}, "loraplus_lr_ratio must be a number of at least 1, got '16'"),
        ("dora", {"lora_dropout": 1.0}, r"lora_dropout must be in \[0, 1\), got 1\.0"),
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
