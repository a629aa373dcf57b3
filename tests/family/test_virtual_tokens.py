"""Virtual tokens: positions, padding, caches and answers, with the base itself as the oracle."""

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from families import ATOL, TOKENS, logits, put_on

import labkit
from labkit import ConfigError
from labkit.family.prefix_tuning import PrefixTuning
from labkit.family.prompt_tuning import PromptTuning
from labkit.step.batch import Example, collate
from labkit.step.loss import CompletionLoss

pytestmark = pytest.mark.usefixtures("one_thread")

WORDS = (17, 40, 23)  # real tokens, which virtual ones can be
BOTH = {"prefix": PrefixTuning(3, start=WORDS), "prompt": PromptTuning(3, start=WORDS)}
each = pytest.mark.parametrize("method", BOTH.values(), ids=BOTH.keys())


def as_words(tokens: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.tensor([WORDS] * len(tokens)), tokens], dim=1)


@each
def test_virtual_tokens_that_start_as_words_are_those_words(method):
    model = make_tiny_llama()
    method.apply(model)
    base = make_tiny_llama()
    expected = base(as_words(TOKENS)).logits[:, 3:]
    torch.testing.assert_close(logits(model), expected, atol=ATOL, rtol=0)
    told = model(TOKENS, position_ids=torch.arange(5)[None], attention_mask=torch.ones_like(TOKENS)).logits
    torch.testing.assert_close(told, expected, atol=ATOL, rtol=0)


@each
def test_with_a_cache_each_token_sees_them_once(method):
    model = put_on(method)
    whole = logits(model)
    first = model(TOKENS[:, :3], use_cache=True)
    cache, found = first.past_key_values, [first.logits]
    assert cache.get_seq_length() == 6
    for at in (3, 4):
        found.append(model(TOKENS[:, at : at + 1], past_key_values=cache, use_cache=True).logits)
    torch.testing.assert_close(torch.cat(found, dim=1), whole, atol=ATOL, rtol=0)


@each
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(method, side):
    model = put_on(method)
    alone = logits(model, TOKENS[:1, :3])
    padding = torch.full((1, 2), 2)
    short = torch.cat([padding, TOKENS[:1, :3]] if side == "left" else [TOKENS[:1, :3], padding], dim=1)
    kept = torch.tensor([[0, 0, 1, 1, 1] if side == "left" else [1, 1, 1, 0, 0], [1] * 5])
    positions = (kept.cumsum(1) - 1).clamp(min=0)
    both = model(torch.cat([short, TOKENS[1:]]), attention_mask=kept, position_ids=positions).logits
    torch.testing.assert_close(both[:1, 2:] if side == "left" else both[:1, :3], alone, atol=ATOL, rtol=0)
    torch.testing.assert_close(both[1:], logits(model, TOKENS[1:]), atol=ATOL, rtol=0)


@each
def test_prompts_of_different_lengths_are_answered_together_as_alone(method):
    shape = {"max_position_embeddings": 256, "tie_word_embeddings": False}
    tokenizer, model = make_tiny_tokenizer(), put_on(method, **shape)
    prompts = ["Add 1 to 7.", "Go", "What is it that you would say to a fox?"]
    together = labkit.generate(model, tokenizer, prompts, "Add.", max_new_tokens=8)
    alone = [labkit.generate(model, tokenizer, [prompt], "Add.", max_new_tokens=8)[0] for prompt in prompts]
    assert together == alone
    base = make_tiny_llama(**shape)
    assert together != labkit.generate(base, tokenizer, prompts, "Add.", max_new_tokens=8)


@each
def test_the_loss_of_a_batch_is_that_of_its_rows_behind_the_words(method):
    model = make_tiny_llama()
    method.apply(model)
    examples = [Example([5, 9, 33, 60, 2], 2), Example([7, 8, 2], 1)]
    loss = CompletionLoss(model, "auto")
    assert not loss.share_prefix and loss.about_prefix.startswith("share_prefix is off")
    behind = [Example([*WORDS, *example.input_ids], example.prompt_length + 3) for example in examples]
    expected, count = CompletionLoss(make_tiny_llama())(collate(behind, 2))
    found, counted = loss(collate(examples, 2))
    assert counted == count
    torch.testing.assert_close(found, expected, atol=ATOL, rtol=1e-5)


@each
def test_scores_and_perplexity_count_the_rows_own_tokens(method):
    tokenizer = make_tiny_tokenizer()
    model, base = make_tiny_llama(max_position_embeddings=256), make_tiny_llama(max_position_embeddings=256)
    method.apply(model)
    text = "The quick brown fox jumps over the lazy dog. " * 3
    named = {"windows": 2, "window": 40}
    assert labkit.perplexity(model, tokenizer, text, **named) != labkit.perplexity(base, tokenizer, text, **named)


@each
def test_more_tokens_than_the_context_are_refused(method):
    model = put_on(method)
    ids = torch.zeros(1, 61, dtype=torch.long)
    model(ids[:, :60]), model(ids)
    with pytest.raises(
        ConfigError, match="with 3 virtual tokens there would be 65, and the model's context ends at 64"
    ):
        model(torch.zeros(1, 62, dtype=torch.long))


@each
def test_a_mask_of_another_kind_is_refused(method):
    with pytest.raises(ConfigError, match=r"need an attention mask of shape \(rows, tokens\), or none"):
        put_on(method)(TOKENS, attention_mask=torch.zeros(2, 1, 5, 5))


def test_gradient_checkpointing_would_drop_a_prefix():
    model = put_on(PrefixTuning(2), max_position_embeddings=256)
    config = labkit.TrainConfig(steps=1, batch_size=2, gradient_checkpointing=True)
    task = labkit.Task("adding", "Add.", lambda *_: {}, {}, max_new_tokens=3)
    rows = [{"prompt": "1", "completion": "2"}, {"prompt": "2", "completion": "3"}]
    with pytest.raises(ConfigError, match="prefix tuning can't be trained with gradient checkpointing, which drops"):
        labkit.train(model, make_tiny_tokenizer(), task, config, rows=rows)


def test_a_copy_has_its_own_virtual_tokens():
    import copy

    for method in BOTH.values():
        model = put_on(method)
        twin, before = copy.deepcopy(model), logits(model)
        with torch.no_grad():
            for parameter in twin.parameters():
                if parameter.requires_grad:
                    parameter.zero_()
        assert torch.equal(logits(model), before) and not torch.equal(logits(twin), before)


def test_words_are_repeated_or_cut():
    embedding = make_tiny_llama().get_input_embeddings().weight
    for ids, expected in (((5, 6), [5, 6, 5]), ((5, 6, 7, 8), [5, 6, 7])):
        model = make_tiny_llama()
        trained = PromptTuning(3, start=ids).apply(model)
        assert torch.equal(trained.parameters["prompt_encoder.embedding"], embedding[expected])


def test_windows_of_attention_are_refused():
    from transformers import Gemma2Config, Gemma2ForCausalLM

    shape = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8}
    model = Gemma2ForCausalLM(Gemma2Config(**shape, num_attention_heads=4, num_key_value_heads=2))
    with pytest.raises(ConfigError, match="keeps keys and values in more than one way: use prompt tuning"):
        PrefixTuning(2).apply(model)
    PromptTuning(2).apply(model)
