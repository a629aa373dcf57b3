import copy

import pytest
from conftest import make_tiny_llama, make_tiny_tokenizer

from labkit import AdapterBank, LoraConfig, inject_lora, load_base, merge_and_unload, quantize_model
from labkit.model_state import ModelState, note, state_of


def test_of_a_strange_model_nothing_is_known_and_asking_leaves_no_trace():
    model = make_tiny_llama()
    before = set(vars(model))
    assert state_of(model) == ModelState() and set(vars(model)) == before


def test_a_note_changes_what_it_names_and_nothing_else():
    model = make_tiny_llama()
    note(model, base_name="someone/model", fingerprint="f00d")
    earlier = state_of(model)
    note(model, quantization="nf4")
    assert state_of(model) == ModelState("someone/model", "f00d", "nf4")
    assert earlier.quantization is None, "who holds an older state keeps it"
    with pytest.raises(TypeError, match="unexpected keyword argument 'fingerprnt'"):
        note(model, fingerprnt="f00d")


def test_everything_known_of_a_model_is_in_one_object(tmp_path):
    """The round of a model: loaded, quantized, adapted, merged; served, and served no longer."""
    make_tiny_llama().save_pretrained(tmp_path / "base")
    make_tiny_tokenizer().save_pretrained(tmp_path / "base")
    model, _ = load_base(tmp_path / "base", device="cpu")
    loaded = state_of(model)
    assert loaded.base_name == "base" and len(loaded.fingerprint) == 64
    assert (loaded.quantization, loaded.adapter, loaded.bank) == (None, None, None)

    bank = AdapterBank(model)
    assert state_of(model).bank is bank
    bank.close()
    assert state_of(model) == loaded

    inject_lora(quantize_model(model), LoraConfig(r=2, target_modules="all-linear"))
    adapted = state_of(model)
    assert adapted.quantization == "nf4 by labkit, blocks of 64" and "q_proj" in adapted.adapter.target_modules
    assert state_of(copy.deepcopy(model)) == adapted
    merge_and_unload(model)
    assert state_of(model).adapter is None and state_of(model).fingerprint == f"{loaded.fingerprint}, merged"
