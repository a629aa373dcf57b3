import pytest
import torch
from adapted import TOKENS, adapted, bits, logits, randomise, untouched
from conftest import make_tiny_llama
from torch import nn
from transformers import LlamaForCausalLM

from labkit import quantize_model
from labkit.errors import AdapterError, ConfigError
from labkit.linear import dense_weight
from labkit.lora.config import LoraConfig
from labkit.lora.files import load_adapter, save_adapter
from labkit.lora.inject import inject_lora, lora_layers
from labkit.lora.layer import LoraLinear
from labkit.lora.merging import merge, merge_and_unload, unmerge
from labkit.model_state import note, state_of

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def adapted_in(dtype: torch.dtype) -> nn.Module:
    model = inject_lora(make_tiny_llama().to(dtype), LoraConfig(target_modules="all-linear"))
    randomise(model)
    return model


@pytest.mark.parametrize("dtype", DTYPES)
def test_merged_three_times_and_unmerged_to_the_very_bits(dtype):
    model = adapted_in(dtype)
    before, answer = bits(model.state_dict()), logits(model)
    merge(model)
    merged = bits(model.state_dict())
    assert merged != before
    for _ in range(2):
        merge(model)
        assert bits(model.state_dict()) == merged
    unmerge(model)
    assert bits(model.state_dict()) == before
    assert torch.equal(logits(model), answer)
    with untouched(model):
        unmerge(model)


def test_the_merged_model_answers_alike_in_float32():
    model = adapted()
    answer = logits(model)
    assert (answer - logits(make_tiny_llama())).abs().max() > 1e-2
    torch.testing.assert_close(logits(merge(model)), answer, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_merging_costs_one_rounding_of_each_weight(dtype):
    model = adapted_in(dtype)
    layers = dict(lora_layers(model))
    wide = {
        name: dense_weight(layer.base_layer).double() + layer.delta_weight().double() for name, layer in layers.items()
    }
    merge(model)
    for name, layer in layers.items():
        # rounding to nearest is off by at most half a unit in the last place; subnormals apart
        bound = wide[name].abs() * torch.finfo(dtype).eps / 2 * 1.001 + torch.finfo(dtype).smallest_normal
        assert ((dense_weight(layer.base_layer).double() - wide[name]).abs() <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_a_merged_layer_answers_alike_within_16_bit_rounding(dtype):
    """|difference| ≤ ε (‖x‖·‖W+Δ‖ per output + |y|): a rounded weight on one side, a rounded sum on the other."""
    model = adapted_in(dtype)
    for _, layer in lora_layers(model):
        x = torch.randn(20, layer.in_features).to(dtype)
        with torch.no_grad():
            apart = layer(x).float()
            layer.merge()
            together = layer(x).float()
            size = x.float().norm(dim=-1, keepdim=True) * dense_weight(layer.base_layer).float().norm(dim=-1)
        assert ((apart - together).abs() <= torch.finfo(dtype).eps * (size + 2 * apart.abs())).all()


def test_a_bfloat16_weight_is_the_float32_sum_cast_once():
    torch.manual_seed(0)
    layer = LoraLinear(nn.Linear(64, 48, bias=False, dtype=torch.bfloat16), r=1, lora_alpha=1)
    # with whole numbers B·A is exact in any order, so the oracle is exact too
    layer.lora_A.weight.data = torch.randint(-9, 10, (1, 64)).float()
    layer.lora_B.weight.data = torch.randint(-9, 10, (48, 1)).float() / 512
    delta = layer.lora_B.weight.detach().numpy() * layer.lora_A.weight.detach().numpy()
    total = layer.base_layer.weight.detach().float().numpy() + delta
    assert total.dtype == "float32"
    layer.merge()
    assert torch.equal(layer.base_layer.weight, torch.from_numpy(total).bfloat16())


def test_neither_mode_merges():
    model = adapted()
    before = bits(model.state_dict())
    for training in (True, False, True):
        model.train(training)
        assert bits(model.state_dict()) == before
        assert not any(layer.merged for _, layer in lora_layers(model))
    merged = bits(merge(model).state_dict())
    assert bits(model.eval().train().state_dict()) == merged


def test_training_goes_on_after_a_merge_was_undone():
    model = adapted()
    expected = adapted()
    for each in (model, expected):
        if each is model:
            unmerge(merge(each))
        each(TOKENS, labels=TOKENS).loss.backward()
    ours = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    theirs = {name: p.grad for name, p in expected.named_parameters() if p.requires_grad}
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("action", [merge, merge_and_unload])
def test_a_tied_head_is_refused_and_nothing_changed(action):
    model = adapted(LoraConfig(target_modules=["q_proj", "lm_head"]))
    with untouched(model), pytest.raises(ConfigError, match="lm_head shares its weight with model.embed_tokens.weight"):
        action(model)


def test_an_untied_head_is_merged():
    model = adapted(LoraConfig(target_modules=["lm_head"]), tie_word_embeddings=False)
    embedding, answer = model.get_input_embeddings().weight.clone(), logits(model)
    torch.testing.assert_close(logits(merge(model)), answer, atol=1e-5, rtol=0)
    assert torch.equal(model.get_input_embeddings().weight, embedding)


@pytest.mark.parametrize("action", [merge, merge_and_unload])
def test_there_must_be_something_to_merge(action, tiny_llama):
    with untouched(tiny_llama), pytest.raises(ConfigError, match="nothing to merge"):
        action(tiny_llama)


@pytest.mark.parametrize("merged_before", [False, True])
def test_unloaded_it_is_an_ordinary_model(tmp_path, merged_before):
    model, fresh = adapted(), make_tiny_llama()
    answer = logits(merge(model) if merged_before else model)
    assert merge_and_unload(model) is model
    assert [(name, type(module)) for name, module in model.named_modules()] == [
        (name, type(module)) for name, module in fresh.named_modules()
    ]
    assert model.state_dict().keys() == fresh.state_dict().keys()
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert state_of(model).adapter is None
    torch.testing.assert_close(logits(model), answer, atol=1e-5, rtol=0)

    model.save_pretrained(tmp_path)
    assert torch.equal(logits(LlamaForCausalLM.from_pretrained(tmp_path)), logits(model))
    inject_lora(model, LoraConfig())  # it can be adapted anew


def test_layers_put_in_by_hand_can_be_unloaded():
    model = nn.Sequential(LoraLinear(nn.Linear(4, 4)))
    nn.init.normal_(model[0].lora_B.weight)
    x = torch.randn(2, 4)
    expected = model(x)
    torch.testing.assert_close(merge_and_unload(model)(x), expected, atol=1e-5, rtol=0)
    assert type(model[0]) is nn.Linear


@pytest.mark.parametrize("quantize", [False, True])
def test_an_adapter_that_is_too_large_is_refused_and_nothing_is_merged(quantize):
    model = adapted()
    if quantize:
        model = inject_lora(
            quantize_model(make_tiny_llama(hidden_size=64, intermediate_size=128)), model.labkit.adapter
        )
    *_, (_, last) = lora_layers(model)
    with torch.no_grad():
        last.lora_A.weight.fill_(1e30)
        last.lora_B.weight.fill_(1e30)
    with untouched(model), pytest.raises(ConfigError, match="too large|finite"):
        merge(model)
    assert not any(layer.merged for _, layer in lora_layers(model))


def test_a_merged_model_is_another_base(tmp_path):
    model = adapted()
    note(model, base_name="tiny", fingerprint="abc")
    save_adapter(model, tmp_path / "adapter")
    merge_and_unload(model)
    with pytest.raises(AdapterError, match="trained on another base.*abc, merged"):
        load_adapter(model, tmp_path / "adapter")
