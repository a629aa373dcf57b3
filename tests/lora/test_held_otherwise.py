"""An adapter on the base as it wasn't trained: it works, with other numbers, and every way in says so once."""

import warnings
from contextlib import contextmanager

import peft
import pytest
import torch
from adapted import adapted, randomise
from conftest import make_tiny_llama

from labkit import (
    AdapterBank,
    LabkitWarning,
    LoraConfig,
    inject_lora,
    load_adapter,
    load_base,
    merge,
    merge_and_unload,
    merge_aware,
    merge_into_dense,
    quantize_model,
    save_adapter,
    unmerge,
)
from labkit.linear import dense_weight
from labkit.lora.base_form import form_needed, form_of
from labkit.lora.files import read_about
from labkit.model_facts import facts_of

FORMS = {
    "dense": lambda: make_tiny_llama(),
    "nf4": lambda: quantize_model(make_tiny_llama()),
    "double": lambda: quantize_model(make_tiny_llama(), double=True),
}
FOUR_BITS = r"in four bits \(nf4 by labkit, blocks of 64"
WAY = {
    "dense": 'without quantize="nf4"',
    "nf4": 'with quantize="nf4"',
    "double": 'with quantize="nf4" and double=True',
}
SAID = {"dense": "dense", "nf4": FOUR_BITS + r"\)", "double": FOUR_BITS + r", double\)"}


def ways(model, path, source):
    return {
        "load_adapter": lambda: load_adapter(model, path),
        "bank": lambda: AdapterBank(model).add("a", path),
        "bank of models": lambda: AdapterBank(model).add("a", source),
    }


@contextmanager
def silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error", LabkitWarning)
        yield


@pytest.mark.parametrize("way", ["load_adapter", "bank", "bank of models"])
@pytest.mark.parametrize("trained", FORMS)
@pytest.mark.parametrize("used", FORMS)
def test_every_way_in_says_it(way, trained, used, tmp_path):
    source = inject_lora(FORMS[trained](), LoraConfig(target_modules=["q_proj"]))
    enter = ways(FORMS[used](), save_adapter(source, tmp_path / "adapter"), source)[way]
    if trained == used:
        with silent():
            enter()
    else:
        said = f"trained on the base {SAID[trained]}, and here the base is {SAID[used]}, so "
        said += "more answers may be wrong" if trained == "dense" else "answers may change a little"
        said += f". Load the base {WAY[trained]} to get those that it learned$"
        with pytest.warns(LabkitWarning, match=said) as caught:
            enter()
        assert len(caught) == 1 and caught[0].filename == __file__


def test_another_packer_of_the_same_form_is_no_other_form(tmp_path):
    pytest.importorskip("bitsandbytes")
    source = inject_lora(FORMS["nf4"](), LoraConfig(target_modules=["q_proj"]))
    model = quantize_model(make_tiny_llama(), "bitsandbytes")
    with silent():
        load_adapter(model, save_adapter(source, tmp_path / "adapter"))


def test_what_is_not_known_is_not_said(tmp_path):
    twin = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(target_modules=["q_proj"]))
    twin.save_pretrained(tmp_path / "adapter")
    with silent():
        load_adapter(FORMS["nf4"](), tmp_path / "adapter")


def test_merging_into_four_bits_warns_and_into_anything_else_does_not():
    model = inject_lora(FORMS["nf4"](), LoraConfig(target_modules=["q_proj"]))
    randomise(model)
    for merging in (merge, merge_and_unload):
        with pytest.warns(LabkitWarning, match="to four bits again.*merge_into_dense") as caught:
            merging(unmerge(model))
        assert len(caught) == 1
    with silent():
        merge(adapted())
        again = inject_lora(FORMS["nf4"](), LoraConfig(target_modules=["q_proj"]))
        merge_into_dense(again)


@pytest.mark.parametrize("merging", [merge, merge_and_unload])
def test_where_training_met_the_rounding_a_merge_changes_no_answer_and_says_nothing(merging):
    model = inject_lora(FORMS["nf4"](), LoraConfig(target_modules=["q_proj"]))
    randomise(model)
    ids = torch.arange(8)[None]
    with silent(), torch.no_grad(), merge_aware(model):
        seen = model(ids).logits
        merging(model)
        assert torch.equal(model(ids).logits, seen)
    with torch.no_grad():
        assert torch.equal(model(ids).logits, seen) and facts_of(model).merge_aware is None


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_form_is_written_down_and_leads_back_to_the_base(form, dtype, tmp_path, tiny_tokenizer):
    """What ``labkit.json`` says of the base is all that it takes to load it again, bit for bit."""
    make_tiny_llama(vocab_size=128).save_pretrained(tmp_path / "base")
    tiny_tokenizer.save_pretrained(tmp_path / "base")
    held = {"nf4": {"quantize": "nf4"}, "double": {"quantize": "nf4", "double": True}}.get(form, {})
    model, _ = load_base(tmp_path / "base", device="cpu", dtype=dtype, **held)
    weight = dense_weight(model.model.layers[0].self_attn.q_proj)
    inject_lora(model, LoraConfig(target_modules=["q_proj"]))
    needed = form_needed(read_about(save_adapter(model, tmp_path / "adapter")))
    assert needed == form_of(model) and needed.settings == held
    again, _ = load_base(tmp_path / "base", device="cpu", dtype=needed.dtype, **needed.settings)
    assert torch.equal(dense_weight(again.model.layers[0].self_attn.q_proj), weight) and weight.dtype == dtype


@pytest.mark.parametrize(
    "base, dtype, settings",
    [
        ({}, None, {}),
        ({"quantization": "nf4 by labkit, blocks of 64"}, None, {"quantize": "nf4"}),
        ({"quantization": "nf4 by labkit, blocks of 128, double", "dtype": "bfloat16"}, "bfloat16", {}),
        ({"quantization": "rm -rf, double", "dtype": "__dict__"}, None, {}),
    ],
    ids=["nothing", "an older folder", "blocks that load_base doesn't make", "a stranger's"],
)
def test_what_a_folder_says_is_taken_as_far_as_it_is_understood(base, dtype, settings):
    needed = form_needed({"base": base})
    assert (needed.dtype, needed.settings) == (dtype, settings)
    assert form_needed({}) is None


def test_a_layer_of_other_blocks_has_no_option_to_name(tmp_path):
    source = inject_lora(quantize_model(make_tiny_llama(), block_size=32), LoraConfig(target_modules=["q_proj"]))
    save_adapter(source, tmp_path / "adapter")
    with pytest.warns(LabkitWarning, match="blocks of 32.*Load the base as it was in training to get those"):
        load_adapter(FORMS["nf4"](), tmp_path / "adapter")
