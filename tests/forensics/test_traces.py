"""The traces of an adapter are those that the model's own forward shows, and nothing of it is changed by looking."""

import pytest
import torch
from conftest import make_tiny_llama

from labkit.errors import ConfigError
from labkit.evaluation.weight_changes import changed_weights, relative_change
from labkit.forensics.traces import QUESTIONS, logit_shift, module_updates, promoted, traces_of, update_size
from labkit.lora.config import LoraConfig
from labkit.lora.inject import disable_adapter, inject_lora, lora_layers
from labkit.lora.merging import merge_and_unload

TEXTS = ("abc de", "The cat sat.", "no 12")


def with_adapter(targets="all-linear", seed: int = 0) -> torch.nn.Module:
    model = inject_lora(make_tiny_llama(max_position_embeddings=256), LoraConfig(r=2, target_modules=targets))
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, layer in lora_layers(model):
            layer.lora_B.weight.normal_(0, 0.2, generator=draw)
    return model


def test_the_shift_is_the_mean_difference_of_the_models_own_logits(tiny_tokenizer):
    """The head is linear, so it doesn't matter whether states or logits are subtracted; texts count alike."""
    model, means = with_adapter(), []
    for text in TEXTS:
        ids = torch.tensor([tiny_tokenizer(text, add_special_tokens=False).input_ids])
        with torch.no_grad():
            on = model(input_ids=ids).logits[0]
            with disable_adapter(model):
                off = model(input_ids=ids).logits[0]
        means.append((on - off)[1:].mean(0))
    shift = logit_shift(model, tiny_tokenizer, TEXTS)
    torch.testing.assert_close(shift, torch.stack(means).mean(0), atol=1e-5, rtol=0)
    assert shift.abs().max() > 0.01, "an adapter that does nothing would pass as well"


def test_the_promoted_tokens_are_the_highest_of_the_shift(tiny_tokenizer):
    shift = torch.zeros(len(tiny_tokenizer))
    first, second = tiny_tokenizer.convert_tokens_to_ids(["q", "Z"])
    shift[first], shift[second] = 3, 2
    assert promoted(shift, tiny_tokenizer, 2) == ["q", "Z"]


def test_the_sizes_are_those_of_the_merged_weights():
    model, base = with_adapter(["q_proj", "down_proj"]), make_tiny_llama(max_position_embeddings=256)
    updates, size = module_updates(model), update_size(model)
    changed = changed_weights(base, merge_and_unload(model))
    assert size == pytest.approx(relative_change(changed), rel=1e-4)
    assert {f"{each.name}.weight" for each in updates} == changed.keys()
    for each in updates:
        one = {each.name: changed[f"{each.name}.weight"]}
        assert each.relative == pytest.approx(relative_change(one), rel=1e-4)
    assert [each.relative for each in updates] == sorted((each.relative for each in updates), reverse=True)
    assert {each.kind for each in updates} == {"q_proj", "down_proj"}


def test_looking_changes_nothing_and_the_silenced_answers_are_the_bases(tiny_tokenizer):
    model = with_adapter().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = traces_of(model, tiny_tokenizer)
    assert model.training and all(layer.enabled for _, layer in lora_layers(model))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert len(found.answers) == len(found.silenced) == len(QUESTIONS)
    again = inject_lora(make_tiny_llama(max_position_embeddings=256), LoraConfig(r=2))  # B is zero
    untrained = traces_of(again, tiny_tokenizer)
    assert untrained.answers == untrained.silenced == found.silenced
    assert untrained.size == 0 and not untrained.shift.any()


@pytest.mark.parametrize("look", [module_updates, lambda model: logit_shift(model, None)])
def test_a_model_without_an_adapter_is_refused(tiny_llama, look):
    with pytest.raises(ConfigError, match="there is no adapter on this model: put one on with load_adapter"):
        look(tiny_llama)
