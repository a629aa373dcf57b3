import pytest
import torch
from conftest import TINY_SHAPE, make_tiny_llama
from kinds_of_base import make
from training_run import ROWS, TASK
from transformers import BertConfig, BertLMHeadModel

from labkit import ConfigError, LoraConfig, TrainConfig, inject_lora, train
from labkit.step.gradient_checkpointing import checkpoint_layers
from labkit.step.probing import draws_random_numbers, refuse_unless_causal


def bert(**changes):
    shape = {key: TINY_SHAPE[key] for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")}
    torch.manual_seed(0)
    return BertLMHeadModel(BertConfig(**shape, intermediate_size=48, max_position_embeddings=256, **changes))


@pytest.mark.parametrize(
    ("kind", "rates"),
    [
        ("mixtral", {"router_jitter_noise": 0.1}),
        ("llama", {"attention_dropout": 0.1}),
        ("gpt2", {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.1}),
        ("gpt2", {"resid_pdrop": 0.0, "embd_pdrop": 0.1, "attn_pdrop": 0.0}),
        ("opt", {"dropout": 0.1}),
        ("opt", {"layerdrop": 0.1}),
        ("bloom", {"hidden_dropout": 0.1}),
        ("gpt_neo", {"resid_dropout": 0.1}),
    ],
)
def test_random_numbers_are_seen_under_any_name(kind, rates):
    assert draws_random_numbers(make(kind, **rates))
    assert not draws_random_numbers(make(kind, **dict.fromkeys(rates, 0.0)))


def test_the_model_and_the_random_numbers_are_as_before():
    model = make_tiny_llama(attention_dropout=0.1).eval()
    model.model.layers[1].train()
    checkpoint_layers(model).requires_grad_(False)
    modes, before = [module.training for module in model.modules()], torch.get_rng_state()
    assert draws_random_numbers(model)
    for surroundings in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with surroundings():
            refuse_unless_causal(model)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert [module.training for module in model.modules()] == modes and before.equal(torch.get_rng_state())


def test_a_router_that_draws_its_experts_counts_whatever_its_rates_are():
    assert draws_random_numbers(make("phimoe", router_jitter_noise=0.0, input_jitter_noise=0.0))


def test_an_adapters_own_dropout_counts():
    assert draws_random_numbers(inject_lora(make_tiny_llama(), LoraConfig(lora_dropout=0.1)))
    assert not draws_random_numbers(inject_lora(make_tiny_llama(), LoraConfig()))


@pytest.mark.parametrize(
    "kind", ["llama", "mamba", "gemma3_text", "llama4_text", "bloom", "gpt_neo", "jamba", "phimoe"]
)
def test_causal_models_pass_also_with_dropout(kind):
    refuse_unless_causal(make(kind))


def test_a_model_that_sees_to_the_right_is_refused_before_training(tiny_tokenizer):
    for dtype in (torch.float32, torch.bfloat16):
        refuse_unless_causal(bert(is_decoder=True).to(dtype))
        with pytest.raises(ConfigError, match="BertLMHeadModel isn't causal: a token sees"):
            train(bert().to(dtype), tiny_tokenizer, TASK, TrainConfig(steps=1, batch_size=2), rows=ROWS)
