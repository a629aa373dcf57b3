"""Exposure beside its definition, and log-perplexities and sampled tries beside a model that's asked one by one."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_llama
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import ConfigError
from labkit.evaluation.memorization import exposure, log_perplexities, sampled_continuations

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
    sampled_continuations(model, PROMPT, 3, 2)
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


def test_tries_come_as_often_as_the_model_finds_them_likely():
    model, tries = sharp_llama(), 4000
    said = sampled_continuations(model, PROMPT, tries, 2, seed=1)
    assert said.shape == (tries, 2) and said.dtype == torch.int64
    likely = 0
    for pair in {tuple(each) for each in said.tolist()}:
        chance = 2 ** -written_out(model, list(pair))
        count = (said == torch.tensor(pair)).all(1).sum().item()
        spread = math.sqrt(tries * chance * (1 - chance))
        assert abs(count - tries * chance) < 5 * spread + 1
        likely += chance > 0.01
    assert likely >= 5  # else nothing of this has been tried


def test_of_a_model_that_is_sure_every_try_is_the_greedy_answer():
    model = sharp_llama()
    model.lm_head.weight.data.mul_(1000)
    ids = torch.tensor([PROMPT])
    for _ in range(3):
        ids = torch.cat([ids, model(input_ids=ids, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    said = sampled_continuations(model, PROMPT, 20, 3)
    assert said.tolist() == [ids[0, len(PROMPT) :].tolist()] * 20


def test_a_seed_decides_the_tries_and_the_size_of_a_part_does_not():
    model = sharp_llama()
    first = sampled_continuations(model, PROMPT, 50, 3, seed=4)
    assert torch.equal(first, sampled_continuations(model, PROMPT, 50, 3, seed=4, rows_at_once=7))
    assert not torch.equal(first, sampled_continuations(model, PROMPT, 50, 3, seed=5))


def test_no_tries_are_refused():
    with pytest.raises(ConfigError, match="tries must be a whole number"):
        sampled_continuations(make_tiny_llama(), PROMPT, 0, 3)
    with pytest.raises(ConfigError, match="tokens must be a whole number"):
        sampled_continuations(make_tiny_llama(), PROMPT, 3, 0)
