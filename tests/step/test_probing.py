import pytest
import torch
from conftest import TINY_SHAPE, make_tiny_llama
from kinds_of_base import make
from training_run import ROWS, TASK
from transformers import BertConfig, BertLMHeadModel, T5Config, T5ForConditionalGeneration

from labkit import ConfigError, LoraConfig, TrainConfig, inject_lora, train
from labkit.step.probing import draws_random_numbers, refuse_unless_causal


def bert(**changes):
    shape = {key: TINY_SHAPE[key] for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")}
    torch.manual_seed(0)
    return BertLMHeadModel(BertConfig(**shape, intermediate_size=48, max_position_embeddings=256, **changes))


def t5():
    return T5ForConditionalGeneration(T5Config(vocab_size=96, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4))


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
    modes, before = [module.training for module in model.modules()], torch.get_rng_state()
    assert draws_random_numbers(model)
    refuse_unless_causal(model)
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
    refuse_unless_causal(bert(is_decoder=True))
    for model, message in (
        (bert(), "BertLMHeadModel isn't causal: a token sees"),
        (t5(), "'t5' reads with an encoder"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(model, tiny_tokenizer, TASK, TrainConfig(steps=1, batch_size=2), rows=ROWS)
