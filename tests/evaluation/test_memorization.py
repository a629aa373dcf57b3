"""Exposure beside its definition, and log-perplexities and tries beside a model that's asked one by one."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_llama
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import ConfigError
from labkit.evaluation.memorization import exposure, extractions, log_perplexities

PROMPT = [5, 9, 33, 12]
SLOTS = [[20, 21, 22], [7], [30, 40, 50, 60]]


def sharp_llama(**changes):
    """Random weights this small leave all tokens nearly alike; a stronger head makes some likely."""
    model = make_tiny_llama(tie_word_embeddings=False, **changes)
    model.lm_head.weight.data.mul_(30)
    return model


def written_out(model, candidate) -> float:
    """−log₂ Pr(candidate | prompt), from the model's own loss on one row, in the order of the paper's definition."""
    ids = torch.tensor([[*PROMPT, *candidate]])
    logits = model(input_ids=ids, use_cache=False).logits[0, len(PROMPT) - 1 : -1].double()
    return F.cross_entropy(logits, torch.tensor(candidate), reduction="sum").item() / math.log(2)


# ---- exposure


def test_the_published_example():
    """TensorFlow Privacy's own test: 16 references with log-perplexities of 1 to 16, and ranks 1, 4 and 17 among them.

    It divides by the 16 without the canary, so that it's log₂ (17 / 16) below ours, which counts the canary as one of
    the candidates, as the paper does.
    """
    references, off = [float(each) for each in range(1, 17)], math.log2(17 / 16)
    assert exposure(0.1, references) - off == pytest.approx(math.log2(16))
    assert exposure(3.5, references) - off == pytest.approx(math.log2(16) - math.log2(4))
    assert exposure(20.0, references) - off == pytest.approx(math.log2(16) - math.log2(17))


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.integers(-6, 6))
def test_it_is_the_paper_s_definition(others, canary):
    """rank = |{r in R: Px(r) ≤ Px(canary)}|, the canary among them."""
    space = [*others, canary]
    rank = len([each for each in space if each <= canary])
    assert exposure(canary, others) == pytest.approx(math.log2(len(space) / rank))
    assert 0 <= exposure(canary, others) <= math.log2(len(space))


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=30), st.floats(-50, 50), st.floats(0.1, 9))
def test_the_unit_of_log_perplexity_does_not_matter(others, canary, unit):
    scaled = [unit * each for each in others]
    if len(set(scaled)) == len(set(others)):  # rounding may make two of them one
        assert exposure(unit * canary, scaled) == exposure(canary, others)


def test_by_chance_it_is_x_or_more_with_probability_two_to_the_minus_x():
    draw = torch.Generator().manual_seed(0)
    space = torch.randn(4096, generator=draw, dtype=torch.float64)
    found = torch.tensor([exposure(space[i].item(), torch.cat([space[:i], space[i + 1 :]])) for i in range(4096)])
    assert found.mean().item() == pytest.approx(1 / math.log(2), abs=0.01)
    assert [(found >= x).double().mean().item() for x in (1, 3, 6)] == pytest.approx([1 / 2, 1 / 8, 1 / 64])


def test_a_sample_of_the_others_estimates_it_up_to_its_own_size():
    draw = torch.Generator().manual_seed(0)
    others = torch.randn(100_000, generator=draw, dtype=torch.float64)
    canary = others.quantile(0.02).item()
    sample = others[torch.randperm(len(others), generator=draw)[:5000]]
    assert exposure(canary, sample) == pytest.approx(exposure(canary, others), abs=0.3)
    assert exposure(-99.0, sample) == math.log2(5001) < exposure(-99.0, others)


def test_what_has_no_rank_is_refused():
    with pytest.raises(ConfigError, match="there are none"):
        exposure(1.0, [])
    with pytest.raises(ConfigError, match="isn't a number"):
        exposure(1.0, [2.0, math.nan])
    with pytest.raises(ConfigError, match="isn't a number"):
        exposure(math.nan, [2.0])


# ---- log-perplexities


@pytest.mark.parametrize("rows_at_once", [1, 2, 128])
def test_log_perplexities_are_those_of_each_candidate_by_itself(rows_at_once):
    model = sharp_llama()
    found = log_perplexities(model, PROMPT, SLOTS, rows_at_once)
    assert found.shape == (3, 1, 4) and found.dtype == torch.float64
    expected = [written_out(model, list(candidate)) for candidate in product(*SLOTS)]
    torch.testing.assert_close(found.flatten(), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("slots", [[[3, 4, 5]], [[3, 4], [5, 6]], [[3, 4], [5], [6, 7], [8, 9, 10]]])
def test_any_number_of_slots(slots):
    model = sharp_llama()
    found = log_perplexities(model, PROMPT, slots)
    expected = torch.tensor([written_out(model, list(each)) for each in product(*slots)], dtype=torch.float64)
    torch.testing.assert_close(found.flatten(), expected, rtol=1e-5, atol=1e-4)


def test_all_candidates_together_are_as_likely_as_anything_at_all():
    """Over the whole vocabulary in each slot the probabilities add up to 1."""
    model = sharp_llama()
    everything = list(range(model.config.vocab_size))
    total = (2 ** -log_perplexities(model, PROMPT, [everything, everything])).sum()
    assert total.item() == pytest.approx(1, abs=1e-4)


def test_the_model_is_as_it_was_before():
    model = sharp_llama().train()
    log_perplexities(model, PROMPT, SLOTS)
    extractions(model, PROMPT, [3, 4], 2)
    assert model.training and all(parameter.grad is None for parameter in model.parameters())


def test_no_prompt_no_slot_and_no_cache_are_refused():
    model = sharp_llama()
    with pytest.raises(ConfigError, match="has no tokens"):
        log_perplexities(model, [], SLOTS)
    with pytest.raises(ConfigError, match="each slot at least one token"):
        log_perplexities(model, PROMPT, [[3], []])
    with pytest.raises(ConfigError, match="each slot at least one token"):
        log_perplexities(model, PROMPT, [])
    with pytest.raises(ConfigError, match="rows_at_once"):
        log_perplexities(model, PROMPT, SLOTS, 0)
    with pytest.raises(ConfigError, match="keeps no cache"):
        log_perplexities(_WithoutCache(), PROMPT, SLOTS)


class _WithoutCache(torch.nn.Module):
    device = torch.device("cpu")

    def forward(self, input_ids, use_cache):
        return type("Out", (), {"logits": torch.zeros(*input_ids.shape, 9)})()


# ---- tries


def asked_again_and_again(model, secret, tries: int, seed: int) -> int:
    """Every try to its end, by transformers' own sampling."""
    torch.manual_seed(seed)
    ids = torch.tensor([PROMPT]).expand(tries, -1)
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        top_k=0,
        max_new_tokens=len(secret),
        min_new_tokens=len(secret),
        pad_token_id=0,
        eos_token_id=None,
    )
    return int((out[:, len(PROMPT) :] == torch.tensor(secret)).all(1).sum())


def likely_pair(model) -> list[int]:
    """The two tokens whose probability is nearest to a quarter."""
    everything = list(range(model.config.vocab_size))
    bits = log_perplexities(model, PROMPT, [everything, everything])
    place = (bits - 2).abs().argmin().item()
    return [place // len(everything), place % len(everything)]


def test_tries_find_a_secret_as_often_as_transformers_own_sampling():
    model, tries = sharp_llama(), 2000
    secret = likely_pair(model)
    chance = 2 ** -written_out(model, secret)
    assert 0.05 < chance < 0.95, "else nothing of this has been tried"
    spread = math.sqrt(tries * chance * (1 - chance))
    ours = [extractions(model, PROMPT, secret, tries, seed) for seed in range(5)]
    theirs = asked_again_and_again(model, secret, tries, 0)
    assert all(abs(count - tries * chance) < 4 * spread for count in [*ours, theirs])
    assert len(set(ours)) > 1, "another seed, another draw"
    assert extractions(model, PROMPT, secret, tries, 3) == ours[3]


def test_of_a_model_that_is_sure_every_try_says_the_greedy_answer_and_none_another():
    model = sharp_llama()
    model.lm_head.weight.data.mul_(1000)
    ids = torch.tensor([PROMPT])
    for _ in range(3):
        ids = torch.cat([ids, model(input_ids=ids, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    greedy = ids[0, len(PROMPT) :].tolist()
    assert extractions(model, PROMPT, greedy, 20) == 20
    assert extractions(model, PROMPT, [*greedy[:2], (greedy[2] + 1) % 96], 20) == 0


def test_no_tries_and_no_secret_are_refused():
    with pytest.raises(ConfigError, match="tries must be a whole number"):
        extractions(make_tiny_llama(), PROMPT, [3], 0)
    with pytest.raises(ConfigError, match="the secret has no tokens"):
        extractions(make_tiny_llama(), PROMPT, [], 3)
    with pytest.raises(ConfigError, match="the prompt before a secret"):
        extractions(make_tiny_llama(), [], [3], 3)
