"""Right answers to notebook 16's exercises, each in its own way; and what they compute, by labkit's own means."""

import math

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from wrong_answers import Wrong, nb16

import labkit
from labkit.course.nb16.exercises import my_anonymized, my_auc, my_exposure, my_limit, my_shift
from labkit.evaluation.memorization import exposure
from labkit.forensics import traces
from labkit.forensics.membership import auc, roc
from labkit.lab.checking.judging import RIGHT
from labkit.lab.experiments.personal_probes import PROBES
from labkit.tasks.personal_data import anonymize


@pytest.mark.parametrize("answer", [Wrong(*each) for each in nb16.RIGHT], ids=str)
def test_a_right_answer_of_an_unusual_make_passes(answer):
    verdict = answer.verdict()
    assert verdict.mark == RIGHT, verdict.lines


def test_the_shift_is_labkits():
    model, tokenizer = make_tiny_llama(), make_tiny_tokenizer()
    labkit.inject_lora(model, labkit.LoraConfig(r=2, target_modules="all-linear"))
    with torch.no_grad():
        for _, layer in labkit.lora_layers(model):
            layer.lora_B.weight.normal_(0, 0.1)

        def states():
            ids = [tokenizer(text, add_special_tokens=False).input_ids for text in traces.UNRELATED]
            return [model.model(torch.tensor([each])).last_hidden_state[0] for each in ids]

        on = states()
        with labkit.disable_adapter(model):
            off = states()
        shift = my_shift(on, off, model.get_output_embeddings().weight)
    torch.testing.assert_close(shift, traces.logit_shift(model, tokenizer), rtol=1e-4, atol=1e-5)


def test_exposure_is_labkits_and_chance_on_average():
    torch.manual_seed(0)
    others = torch.randn(255).round(decimals=1)  # with ties
    for own in (-9.0, -0.5, 0.0, 9.0):
        assert my_exposure(own, others) == pytest.approx(exposure(own, others))
    drawn = [my_exposure(*torch.rand(256).tensor_split([1])) for _ in range(2000)]
    assert sum(drawn) / len(drawn) == pytest.approx(1 / math.log(2), abs=0.1)


def test_placeholders_are_those_of_labkits_sieve_on_every_address_that_is_written_as_one():
    for probe in PROBES:
        if probe.kind == "e-mail":
            assert my_anonymized(probe.text) == anonymize(probe.text)


def test_the_auc_is_labkits_and_the_area_under_its_curve():
    torch.manual_seed(0)
    seen, unseen = (torch.randn(30) + 0.5).round(decimals=1), torch.randn(20).round(decimals=1)
    wrong, right = roc(seen, unseen)
    assert my_auc(seen, unseen).item() == pytest.approx(auc(seen, unseen))
    assert my_auc(seen, unseen).item() == pytest.approx(torch.trapezoid(right, wrong).item())


@pytest.mark.parametrize("tries", [1, 20, 1000])
def test_at_the_limit_nothing_comes_out_in_one_of_twenty_cases(tries):
    assert (1 - my_limit(tries)) ** tries == pytest.approx(0.05)
    assert tries < 100 or my_limit(tries) == pytest.approx(3 / tries, rel=0.01)
