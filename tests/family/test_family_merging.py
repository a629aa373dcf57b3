"""Merged, a method answers as it does apart; what can't be merged says why."""

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from families import ATOL, logits, moved, put_on
from transformers import AutoModelForCausalLM

import labkit
from labkit import ConfigError
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

pytestmark = pytest.mark.usefixtures("one_thread")


BIASED = {"attention_bias": True, "mlp_bias": True}
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


@pytest.mark.parametrize("name", ["dora", "pissa", "vera", "ia3", "bitfit", "bottleneck"])
def test_many_prompts_get_the_answers_that_each_gets_alone(name):
    """From sixteen prompts on, what can be merged is merged while answers are written."""
    model = put_on(METHODS[name](), max_position_embeddings=256, tie_word_embeddings=False)
    tokenizer, prompts = make_tiny_tokenizer(), [f"Add 1 to {number}." for number in range(16)]
    before = logits(model)
    together = labkit.generate(model, tokenizer, prompts, "Add.", max_new_tokens=4)
    assert together == [labkit.generate(model, tokenizer, [one], "Add.", max_new_tokens=4)[0] for one in prompts]
    assert all(together) and torch.equal(logits(model), before)


@pytest.mark.parametrize("name", ["dora", "pissa", "vera", "ia3"])
def test_the_merged_folder_is_a_plain_model_with_the_same_answers(name, tmp_path):
    model = put_on(METHODS[name]())
    labkit.save_merged(model, make_tiny_tokenizer(), tmp_path / "merged")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(logits(plain), logits(model), atol=ATOL, rtol=0)
