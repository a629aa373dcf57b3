"""Right answers to notebook 05's exercises, each in its own way; and what they compute, by other means."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig
from wrong_answers import Wrong, nb05

import labkit
from labkit.course.nb05.exercises import my_alpha, my_bits, my_choice, my_overlap, my_rank
from labkit.lab.checking.judging import RIGHT
from labkit.linear import linear_layers
from labkit.lora.config import scaling
from studies.court import grids


@pytest.mark.parametrize("answer", [Wrong(*each) for each in nb05.RIGHT], ids=str)
def test_a_right_answer_of_an_unusual_make_passes(answer):
    verdict = answer.verdict()
    assert verdict.mark == RIGHT, verdict.lines


@pytest.mark.parametrize(("i", "j"), [(3, 6), (6, 3), (4, 4)])
def test_the_overlap_of_two_bs_is_that_of_their_updates(i, j):
    torch.manual_seed(0)
    first, second = torch.randn(40, i), torch.randn(40, j)
    updates = first @ torch.randn(i, 20), second @ torch.randn(j, 20)
    assert my_overlap(first, second).item() == pytest.approx(labkit.subspace_overlap(*updates, i, j), abs=1e-5)


def test_random_directions_overlap_by_the_larger_number_of_them_divided_by_the_rows():
    torch.manual_seed(0)
    chance = torch.stack([my_overlap(torch.randn(64, 8), torch.randn(64, 16)) for _ in range(200)]).mean()
    assert chance.item() == pytest.approx(16 / 64, abs=0.01)


@pytest.mark.parametrize("use_rslora", [False, True])
@pytest.mark.parametrize(("alpha", "r", "new_r"), [(16, 8, 64), (5, 64, 1)])
def test_the_new_alpha_gives_the_same_scaling_in_labkit(alpha, r, new_r, use_rslora):
    new = my_alpha(alpha, r, new_r, use_rslora)
    assert scaling(new, new_r, use_rslora) == pytest.approx(scaling(alpha, r, use_rslora))


def test_the_court_chooses_the_same_rates():
    for losses in ({1e-3: 2.0, 3e-3: 1.0, 1e-2: None}, {1e-3: 0.5, 3e-4: None}, {1e-2: 3.0, 1e-3: 1.0, 3e-3: 2.0}):
        assert my_choice(losses)[0] == grids.best(losses)


def test_at_the_rank_for_a_budget_labkit_trains_no_more_and_at_the_next_one_it_would():
    model, budget = _shapes_only(), 1_000_000
    shapes = [tuple(layer.weight.shape) for layer in linear_layers(model.model.layers[0]).values()]
    r = my_rank(budget, shapes, len(model.model.layers))

    def trained(r):
        model = _shapes_only()
        labkit.inject_lora(model, labkit.LoraConfig(r=r, target_modules="all-linear"))
        return labkit.trainable_parameters(model)[0]

    assert trained(r) <= budget < trained(r + 1)


def _shapes_only():
    sizes = {"hidden_size": 96, "intermediate_size": 256, "num_attention_heads": 6, "num_key_value_heads": 2}
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(LlamaConfig(num_hidden_layers=3, vocab_size=100, **sizes))


def test_a_model_that_guesses_holds_nothing_and_one_that_knows_holds_all():
    assert my_bits(math.log(16), 16, 1000) == pytest.approx(0, abs=1e-9)
    assert my_bits(0.0, 16, 1000) == 4000
