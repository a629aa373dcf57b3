"""Answers to notebook 04's exercises as people type them, not as the module writes them: who gets which message."""

import math

import pytest
import torch
import torch.nn.functional as F
from wrong_answers import Wrong, nb04

from labkit.lab.checking import find
from labkit.lab.checking.judging import judge


def line(each, answer):
    return judge(find(each), answer).lines[0]


# 04.2: loops that are right, each in its own way


def with_the_models_own_loss(model, batches, rate_at):
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=rate_at(0), weight_decay=0)
    losses = []
    for i in range(len(batches)):
        optimizer.zero_grad()
        output = model(input_ids=batches[i].input_ids, labels=batches[i].labels)
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1)
        optimizer.param_groups[0]["lr"] = rate_at(i)
        optimizer.step()
        losses.append(float(output.loss))
    return losses


def all_parameters_and_a_scheduler(model, batches, rate_at):
    optimizer = torch.optim.Adam(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_at)
    losses = []
    for batch in batches:
        logits = model(batch.input_ids.to(model.device)).logits
        loss = F.cross_entropy(logits[:, :-1].transpose(1, 2), batch.labels[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        model.zero_grad()
        losses.append(loss.detach())
    return losses


def only_what_counts(model, batches, rate_at):
    learned = list(filter(lambda p: p.requires_grad, model.parameters()))
    adam, result = torch.optim.Adam(learned), []
    model.train()
    for t, batch in enumerate(batches):
        for group in adam.param_groups:
            group["lr"] = rate_at(t)
        logits, labels = model(batch.input_ids)[0][:, :-1], batch.labels[:, 1:]
        kept = labels.ne(-100)
        loss = F.cross_entropy(logits[kept], labels[kept], reduction="sum") / kept.sum()
        adam.zero_grad(set_to_none=False)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        adam.step()
        result += [loss.item()]
    return result


@pytest.mark.parametrize("answer", [with_the_models_own_loss, all_parameters_and_a_scheduler, only_what_counts])
def test_right_loops_in_other_forms(answer):
    assert judge(find("04.2"), answer).mark == "✔"


TEMPLATE = """
def my_train(model, batches, rate_at):
    trained = [p for p in model.parameters() if p.requires_grad]
    adam, losses = torch.optim.Adam(trained), []
    for step, batch in enumerate(batches):
        logits = model(batch.input_ids).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten())
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adam.param_groups[0]["lr"] = rate_at(step)
        adam.step()
        losses.append(loss.item())
    return losses
"""


def with_one_change(old, new):
    made = {"torch": torch, "F": F}
    assert old in TEMPLATE
    exec(TEMPLATE.replace(old, new), made)
    return made["my_train"]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("        adam.zero_grad()\n", "", "gradients pile up"),
        ("        loss.backward()\n", "", "no weight has moved"),
        ("        adam.step()\n", "        adam.zero_grad(); adam.step()\n", "no weight has moved"),
        ("batch.labels[:, 1:]", "batch.input_ids[:, 1:]", "counts the prompt and the padding"),
        ("logits[:, :-1].flatten(0, 1), batch.labels[:, 1:]", "logits.flatten(0, 1), batch.labels", "its own token"),
        ("logits[:, :-1]", "logits[:, 1:]", "its own token"),  # both cut at the front
        ("batch.labels[:, 1:]", "batch.labels[:, :-1]", "cut logits and labels at the same end"),
        ("[:, :-1].flatten(0, 1), batch.labels[:, 1:]", "[:, 1:].flatten(0, 1), batch.labels[:, :-1]", "wrong way"),
        ("1:].flatten())", "1:].flatten(), reduction='sum')", "is a sum"),
        ("        torch.nn.utils.clip_grad_norm_(trained, 1.0)\n", "", "aren't clipped"),
        ("rate_at(step)", "rate_at(step + 1)", "one step ahead"),
        ('        adam.param_groups[0]["lr"] = rate_at(step)\n', "", "never use rate_at"),
        ("Adam(trained)", "AdamW(trained)", "shrink a little"),
        ("Adam(trained)", "SGD(trained)", "plain gradient steps"),
        ("    return losses\n", "", "returns nothing"),
        ("losses.append(loss.item())", "losses = loss.item()", "don't return a list"),
        ("loss.item()", "loss", "hold on to the graph"),
    ],
)
def test_a_loop_with_one_line_wrong(old, new, message):
    verdict = judge(find("04.2"), with_one_change(old, new))
    assert verdict.mark == "✗" and message in verdict.lines[0]


RATE, STEP = '        adam.param_groups[0]["lr"] = rate_at(step)\n', "        adam.step()\n"


def test_a_rate_set_after_the_step_is_late():
    assert "Adam's own rate" in line("04.2", with_one_change(RATE + STEP, STEP + RATE))


def test_a_step_before_backward_is_late():
    early = "        adam.step()\n        adam.zero_grad()\n        loss.backward()\n"
    old = "        adam.zero_grad()\n        loss.backward()\n"
    before = with_one_change(old, early)
    assert judge(find("04.2"), before).mark == "✗"


# the others


def rate(climbs, peak_at=lambda step, warmup: step < warmup):
    def answer(step, steps, warmup, peak):
        if peak_at(step, warmup):
            return climbs(step, warmup) * peak
        return peak / 2 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))

    return answer


@pytest.mark.parametrize(
    "each, answer, message",
    [
        ("04.1", lambda logits, labels: F.cross_entropy(logits[:-1], labels[:-1]), "cut both at the same end"),
        ("04.1", lambda logits, labels: F.cross_entropy(logits[1:], labels[1:]), "with its own token"),
        ("04.1", lambda logits, labels: F.cross_entropy(logits[labels != -100], labels[labels != -100]), "own token"),
        ("04.3", rate(lambda s, w: (s + 1) / w, lambda s, w: s <= w), "one step too long"),
        ("04.3", rate(lambda s, w: s / w, lambda s, w: s <= w), "first step has rate 0"),
        ("04.4", lambda sums, counts: sum(s * c for s, c in zip(sums, counts)), "multiply each part's loss"),
        ("04.4", lambda sums, counts: sum(s * c for s, c in zip(sums, counts)) / sum(counts), "as if it were a mean"),
    ],
)
def test_likely_mistakes_are_named(each, answer, message):
    verdict = judge(find(each), answer)
    assert verdict.mark == "✗" and message in verdict.lines[0]


@pytest.mark.parametrize(
    "each, answer",
    [
        ("04.1", lambda logits, labels: F.cross_entropy(logits[:-1], labels[1:], ignore_index=-100)),
        ("04.1", lambda logits, labels: -logits.log_softmax(-1)[:-1][(t := labels[1:]) > -1, t[t > -1]].mean()),
        ("04.3", rate(lambda s, w: (s + 1) / w)),
        ("04.3", rate(lambda s, w: (s + 1) / w, lambda s, w: s + 1 <= w)),
        ("04.4", lambda sums, counts: torch.tensor(sums).sum().item() / sum(counts)),
    ],
)
def test_right_in_another_form(each, answer):
    assert judge(find(each), answer).mark == "✔"


@pytest.mark.parametrize("each", nb04.RIGHT, ids=lambda each: each[2])
def test_an_unusual_right_answer_is_right(each):
    assert Wrong(*each).verdict().mark == "✔"
