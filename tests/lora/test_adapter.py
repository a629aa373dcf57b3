"""One adapter by three ways: off a model, out of a folder, as tensors."""

import pytest
import torch
from adapted import adapted, logits, randomise
from conftest import make_tiny_llama

from labkit import LoraConfig, save_adapter
from labkit.errors import AdapterError
from labkit.lora.adapter import adapter_of, adapter_state, fitted, keys_of, refuse_other_base
from labkit.lora.config import scaling
from labkit.lora.files import read_adapter
from labkit.model_state import note

CONFIG = LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"], rank_pattern={"down_proj": 2})


@pytest.fixture
def model():
    return adapted(CONFIG)


def test_the_shapes_are_those_of_the_paper(model):
    for name, (A, B) in adapter_of(model, "here").weights.items():
        layer, r = model.get_submodule(name), 2 if name.endswith("down_proj") else 3
        assert A.shape == (r, layer.in_features) and B.shape == (layer.out_features, r)


def test_all_ways_lead_to_the_same_adapter(model, tmp_path):
    base = make_tiny_llama()
    off_the_model = adapter_of(model, "here")
    out_of_the_folder = read_adapter(base, save_adapter(model, tmp_path / "adapter"))
    as_tensors = fitted(base, CONFIG, adapter_state(model), where="here")
    for other in (out_of_the_folder, as_tensors):
        assert other.config == CONFIG and list(other.weights) == list(off_the_model.weights)
        for pair, theirs in zip(off_the_model.weights.values(), other.weights.values()):
            assert all(ours.equal(their) for ours, their in zip(pair, theirs))
        assert torch.equal(logits(other.put_on(make_tiny_llama())), logits(model))


def test_it_is_a_copy(model):
    kept = adapter_of(model, "here").state()
    before = {key: tensor.clone() for key, tensor in kept.items()}
    randomise(model, seed=9)
    assert all(kept[key].equal(tensor) for key, tensor in before.items())


def test_what_does_not_fit_is_refused_by_name(model):
    base, state = make_tiny_llama(), adapter_state(model)
    first, _ = keys_of("model.layers.0.self_attn.q_proj")
    for change, problem in {
        first: state[first][:1],
        "stray": state[first],
    }.items():
        with pytest.raises(AdapterError, match=f"here: .*{change.split('.')[-1]}"):
            fitted(base, CONFIG, state | {change: problem}, where="here")
    with pytest.raises(AdapterError, match="there: does not fit this model: target 'nothing'"):
        fitted(base, LoraConfig(target_modules=["nothing"]), state, where="here", config_where="there")
    with pytest.raises(AdapterError, match="here: there is no adapter"):
        adapter_of(base, "here")


def test_an_adapter_knows_its_base(model):
    note(model, base_name="someone/model", fingerprint="f00d")
    about = adapter_of(model, "here").about
    other = make_tiny_llama()
    refuse_other_base(other, about, "here")  # of a model that labkit did not load nothing is known
    note(other, base_name="another", fingerprint="beef")
    with pytest.raises(AdapterError, match="here: trained on another base: someone/model .* is another with"):
        refuse_other_base(other, about, "here")


@pytest.mark.parametrize("alpha, r, rslora, factor", [(16, 8, False, 2.0), (16, 64, False, 0.25), (16, 64, True, 2.0)])
def test_the_factor_is_the_same_wherever_it_is_asked_for(alpha, r, rslora, factor):
    config = LoraConfig(r=r, lora_alpha=alpha, use_rslora=rslora, target_modules=["q_proj"])
    layer = adapted(config).model.layers[0].self_attn.q_proj
    assert scaling(alpha, r, rslora) == config.scaling_of("x.q_proj") == layer.scaling == factor
