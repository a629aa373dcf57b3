"""Right or wrong in one pass: as generation says, with the loss of training's own module, and nothing left changed."""

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit
from labkit.evaluation.generation import answers_and_cuts
from labkit.step.batch import collate, encode
from labkit.step.loss import CompletionLoss
from studies import one_pass
from studies.one_pass import answered_right

SYSTEM = "Say it."
PROMPTS = [f"say {number} {'again ' * (number % 4)}" for number in range(24)]
TASK = labkit.Task("t", SYSTEM, lambda answer, row: {"exact": float(answer == row["completion"])}, {}, max_new_tokens=5)


@pytest.fixture
def asked(one_thread):
    """A tiny model that has learned to answer "ab" or "b", not always rightly, and what it answers to the prompts."""
    model, tokenizer = make_tiny_llama(max_position_embeddings=512), make_tiny_tokenizer()
    rows = rows_with(["ab", "b"] * 12)
    model.requires_grad_(True)
    labkit.train(model, tokenizer, TASK, labkit.TrainConfig(steps=80, batch_size=8, learning_rate=1e-2), rows=rows)
    labkit.inject_lora(model, labkit.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # so that merging changes something
            torch.nn.init.normal_(parameter, std=0.01)
    answers, cut = answers_and_cuts(model, tokenizer, PROMPTS, SYSTEM, 5)
    assert not any(cut) and set(answers) <= {"ab", "b"}
    return model, tokenizer, answers


def rows_with(answers) -> list[dict]:
    return [{"prompt": prompt, "completion": answer} for prompt, answer in zip(PROMPTS, answers)]


def test_what_the_model_would_say_is_right_and_anything_else_is_wrong(asked):
    model, tokenizer, answers = asked
    assert answered_right(model, tokenizer, rows_with(answers), SYSTEM)[0] == [True] * 24
    for change in (lambda said: said + "x", lambda said: "x" + said[1:], lambda said: said[:-1] or "xx"):
        assert answered_right(model, tokenizer, rows_with(map(change, answers)), SYSTEM)[0] == [False] * 24


def test_it_says_what_evaluate_says(asked):
    model, tokenizer, answers = asked
    rows = rows_with(said if row % 3 else {"ab": "b", "b": "ab"}[said] for row, said in enumerate(answers))
    found = [bool(each["exact"]) for each in labkit.evaluate(model, tokenizer, TASK, rows=rows).row_scores]
    assert answered_right(model, tokenizer, rows, SYSTEM)[0] == found and sum(found) == 16


def test_an_answer_that_another_token_ends_is_ended(asked, monkeypatch):
    model, tokenizer, answers = asked
    end = one_pass.ends_of_answer(model, tokenizer)[0]
    monkeypatch.setattr(one_pass, "ends_of_answer", lambda *_: [end - 1])
    assert not any(answered_right(model, tokenizer, rows_with(answers), SYSTEM)[0])
    monkeypatch.setattr(one_pass, "ends_of_answer", lambda *_: [end - 1, end])
    assert all(answered_right(model, tokenizer, rows_with(answers), SYSTEM)[0])


def test_the_loss_is_that_of_training_whatever_the_batch(asked, monkeypatch):
    model, tokenizer, answers = asked
    rows = rows_with(answers)
    with torch.no_grad():
        batch = collate([encode(tokenizer, row, SYSTEM) for row in rows], tokenizer.pad_token_id)
        summed, counted = CompletionLoss(model)(batch)
    for size in (5, 32):
        monkeypatch.setattr(one_pass, "BATCH", size)
        assert answered_right(model, tokenizer, rows, SYSTEM)[1] == pytest.approx(summed.item() / counted, rel=1e-5)


def test_weights_and_mode_are_as_before(asked):
    model, tokenizer, answers = asked
    before = {name: each.clone() for name, each in model.state_dict().items()}
    model.train()
    answered_right(model, tokenizer, rows_with(answers), SYSTEM)
    assert model.training
    assert all(each.equal(before[name]) for name, each in model.state_dict().items())
