"""Right or wrong in one pass: as generation says, with the loss of training's own module, and nothing left changed."""

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit
from labkit.step.batch import collate, encode
from labkit.step.loss import CompletionLoss
from studies import one_pass
from studies.one_pass import answered_right

SYSTEM = "Say it."
PROMPTS = [f"say {number} {'again ' * (number % 4)}" for number in range(24)]


@pytest.fixture
def asked(one_thread):
    """A model with LoRA that changes its answers, and what it answers to the prompts; of some, nothing ends."""
    model, tokenizer = make_tiny_llama(max_position_embeddings=512), make_tiny_tokenizer()
    labkit.inject_lora(model, labkit.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    # the base is random, so an end is as likely as any of 96 tokens: what's short enough ends here
    answers, cut = labkit.evaluation.generation.answers_and_cuts(model, tokenizer, PROMPTS, SYSTEM, 40)
    return model, tokenizer, answers, cut


def rows_with(answers) -> list[dict]:
    return [{"prompt": prompt, "completion": answer} for prompt, answer in zip(PROMPTS, answers)]


def test_what_the_model_would_say_is_right_and_anything_else_is_wrong(asked):
    model, tokenizer, answers, cut = asked
    assert any(cut) or all(answers)
    wanted = [not each for each in cut]
    right, _ = answered_right(model, tokenizer, rows_with(answers), SYSTEM)
    assert right == wanted
    longer, _ = answered_right(model, tokenizer, rows_with(f"{each}x" for each in answers), SYSTEM)
    assert not any(longer)


def test_it_says_what_evaluate_says(asked):
    model, tokenizer, answers, cut = asked
    rows = rows_with(each if row % 3 else "no" for row, each in enumerate(answers))
    task = labkit.Task("t", SYSTEM, lambda answer, row: {"exact": float(answer == row["completion"])}, {},
                       max_new_tokens=40)  # fmt: skip
    found = [bool(each["exact"]) for each in labkit.evaluate(model, tokenizer, task, rows=rows).row_scores]
    right, _ = answered_right(model, tokenizer, rows, SYSTEM)
    # an answer that was cut off is the same text without an end
    assert right == [each and not without_end for each, without_end in zip(found, cut)]


def test_the_loss_is_that_of_training_whatever_the_batch(asked, monkeypatch):
    model, tokenizer, answers, _ = asked
    rows = rows_with(answers)
    with torch.no_grad():
        batch = collate([encode(tokenizer, row, SYSTEM) for row in rows], tokenizer.pad_token_id)
        summed, counted = CompletionLoss(model)(batch)
    for size in (5, 32):
        monkeypatch.setattr(one_pass, "BATCH", size)
        assert answered_right(model, tokenizer, rows, SYSTEM)[1] == pytest.approx(summed.item() / counted, rel=1e-5)


def test_weights_and_mode_are_as_before(asked):
    model, tokenizer, answers, _ = asked
    before = {name: each.clone() for name, each in model.state_dict().items()}
    model.train()
    answered_right(model, tokenizer, rows_with(answers), SYSTEM)
    assert model.training
    assert all(each.equal(before[name]) for name, each in model.state_dict().items())
