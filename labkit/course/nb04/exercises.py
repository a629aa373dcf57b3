"""Exercises of notebook 04: the loss, the training loop, its learning rate, and a batch in parts.

04.2 is the loop that notebook 04 trains with, once it has passed: ``my_train(model, batches, rate_at)``.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from labkit.lab.checking import Case, Mistake, exercise, mistake
from labkit.step.batch import Example, collate

# --- 04.1 ---------------------------------------------------------------------------------------------------


def my_loss(logits, labels):
    """Mean cross-entropy over the tokens that count."""
    predictions, targets = logits[:-1], labels[1:]
    counted = targets != -100
    return F.cross_entropy(predictions[counted], targets[counted])


def _observe_loss(args, loss):
    """The loss as it is; and if it's a single tensor, whether backward() gets from it to the logits."""
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        return loss
    return {"the loss": loss.detach(), "whether backward() can start from it": loss.requires_grad}


def _reduced(reduce):
    """The right loss, but for how the losses of all tokens, 0 where none counts, become one."""
    return lambda logits, labels: reduce(F.cross_entropy(logits[:-1], labels[1:], reduction="none"), labels)


def _kept_where(keep):
    """The mean loss over those of the shifted positions for which `keep` is true of (their own label, the next)."""

    def loss(logits, labels):
        kept = keep(labels[:-1], labels[1:])
        return F.cross_entropy(logits[:-1][kept], labels[1:][kept])

    return loss


@mistake(
    "You leave out the masked tokens first and shift afterwards, so the wrong ones meet.",
    "After masking, two rows side by side needn't belong to neighbors, and a token is lost at the front.",
    "Which comes first in your answer, the shift or the mask?",
)
def _masked_first(logits, labels):
    kept = labels != -100
    return F.cross_entropy(logits[kept][:-1], labels[kept][1:])


exercise(
    "04.1",
    title="The loss of one row",
    prompt="Write my_loss(logits, labels): the mean cross-entropy over the tokens that count, as a tensor. logits has "
    "shape (tokens, vocabulary), labels has shape (tokens,) with -100 where nothing counts.",
    minutes=5,
    difficulty=3,
    importance=5,
    solution=my_loss,
    explanation="The logits at position t are the guess for the token at t + 1, so the two are shifted against each "
    "other. F.cross_entropy(logits[:-1], labels[1:]) does it too: -100 is its default ignore_index.",
    cases=lambda: [
        Case(torch.randn(7, 11, requires_grad=True), torch.tensor([-100, -100, -100, 4, 5, 6, 2])),
        Case(torch.randn(5, 6, requires_grad=True), torch.tensor([-100, 3, 0, 1, 2])),
        Case(
            torch.randn(6, 5, requires_grad=True), torch.tensor([4, -100, 3, 0, -100, 1])
        ),  # the first one can't count
    ],
    observe=_observe_loss,
    hints=[
        "What do the logits at position t guess: the token at t, or the one after it?",
        "Cut the last row off the logits and the first entry off the labels. Now they're side by side.",
        "F.cross_entropy(logits[:-1], labels[1:]) ignores -100 by itself.",
    ],
    mistakes=[
        Mistake(
            lambda logits, labels: F.cross_entropy(logits, labels),
            "You compare each position with its own token.",
            "At position t the model has already seen token t. Its guess is about the one after.",
            "Shift by one: logits[:-1] against labels[1:].",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits[:-1], labels[:-1]),
            "You cut both at the same end, so each position is still compared with its own token.",
            "The logits lose their last position and the labels their first; that's what shifts them.",
            "Shift by one: logits[:-1] against labels[1:].",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits[1:], labels[:-1]),
            "Your shift goes the wrong way: you ask the logits for the token before.",
            "The logits at t are about t + 1, so it's the labels that lose their first entry.",
            "Swap the two cuts: logits[:-1] against labels[1:].",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits[:-1], labels[1:], reduction="sum"),
            "Your loss is a sum, so it grows with the length of the answer.",
            "With a mean, one learning rate suits long and short rows.",
            "What should you divide by?",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits[1:], labels[1:]),
            "You cut both at the front, so each position is still compared with its own token.",
            "The logits lose their last position and the labels their first; that's what shifts them.",
            "Shift by one: logits[:-1] against labels[1:].",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits, labels.roll(-1)),
            "At the last position you compare with the first token of the row.",
            "roll moves what falls off the front to the end. What comes after the last token isn't known.",
            "What does labels.roll(-1) end with, and what does labels[1:]?",
        ),
        _masked_first,
        Mistake(
            _kept_where(lambda own, next: own != -100),
            "Your mask isn't shifted along with the labels.",
            "A position counts if the token it guesses counts, and that's the next one.",
            "Which labels decide, labels[:-1] or labels[1:]?",
        ),
        Mistake(
            _kept_where(lambda own, next: next > 0),
            "You leave out token 0.",
            "0 is an id like any other. Only -100 says that a token doesn't count.",
            "Does your mask say > 0 or != -100?",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits[:-1], labels[1:].clamp(min=0)),
            "Your loss counts token 0 wherever nothing should count.",
            "-100 isn't an id to repair. It tells F.cross_entropy to leave the position out.",
            "What do you do to the labels before F.cross_entropy gets them?",
        ),
        Mistake(
            _reduced(lambda losses, labels: losses),
            "You give one loss for each position.",
            "backward() starts from one number.",
            "What does F.cross_entropy do if you don't say reduction=?",
        ),
        Mistake(
            _reduced(lambda losses, labels: losses.sum() / (labels != -100).sum()),
            "You divide by the number of labels that aren't -100, the first one included.",
            "No position guesses the first token of a row, so it can't count.",
            "Do you count before the shift or after it?",
        ),
        Mistake(
            lambda logits, labels: my_loss(logits, labels).exp(),
            "You give the perplexity.",
            "That's e to the power of the loss, and it's for reading. The loss itself is the mean.",
            "Is there an exp in your answer?",
        ),
        Mistake(
            lambda logits, labels: F.nll_loss(logits[:-1], labels[1:]),
            "Your loss has no softmax in it.",
            "F.nll_loss expects log-probabilities. F.cross_entropy takes raw logits and does the softmax itself.",
            "What does F.nll_loss do with a logit?",
        ),
        Mistake(
            lambda logits, labels: my_loss(logits, labels).detach(),
            "Your loss is the right number, but backward() can't start from it.",
            "A tensor made from a number, or detached, has forgotten what led to it.",
            "Is there an .item(), a .detach() or a torch.tensor(…) in your answer?",
        ),
        Mistake(
            _reduced(lambda losses, labels: losses.sum() / len(labels)),
            "You divide by the number of all labels.",
            "A row with a long prompt would look easier than one with a short prompt.",
            "How many of the labels that are left after the shift aren't -100?",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits[:-1], labels[1:], reduction="sum") / (len(labels) - 1),
            "You divide by all tokens, the masked ones too.",
            "A row with a long prompt would look easier than one with a short prompt.",
            "How many labels aren't -100?",
        ),
        Mistake(
            lambda logits, labels: my_loss(logits.softmax(-1), labels),
            "You put a softmax before the cross-entropy.",
            "F.cross_entropy takes raw logits and does the softmax itself.",
            "Try it without the softmax.",
        ),
        Mistake(
            lambda logits, labels: my_loss(logits, labels).item(),
            "Your loss is the right number, but a plain Python one.",
            "backward() needs the tensor, with everything that led to it, and .item() cuts that off.",
            "Try it without .item().",
        ),
        Mistake(
            lambda logits, labels: -my_loss(logits, labels),
            "Your sign is flipped.",
            "Cross-entropy is −log p already, and training makes it small.",
            "Where does your minus sign come from?",
        ),
    ],
    shows="The logits at t guess the token at t + 1. Everything else is bookkeeping.",
)

# --- 04.2 ---------------------------------------------------------------------------------------------------


def my_train(model, batches, rate_at):
    """One Adam step per batch; the loss of each."""
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained)
    losses = []
    for step, batch in enumerate(batches):
        logits = model(batch.input_ids).logits[:, :-1]  # at position t: what the model expects at t + 1
        loss = F.cross_entropy(logits.flatten(0, 1), batch.labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for group in adam.param_groups:
            group["lr"] = rate_at(step)
        adam.step()
        adam.zero_grad()
        losses.append(loss.item())
    return losses


class _TinyModel(nn.Module):
    """A language model of 11 tokens that looks at one token only: frozen, but for A and B. Called as a real one is."""

    def __init__(self, size: float):
        super().__init__()
        self.embedding, self.base = nn.Embedding(11, 6), nn.Linear(6, 11)
        self.requires_grad_(False)
        self.A, self.B = nn.Linear(6, 2, bias=False), nn.Linear(2, 11, bias=False)
        self.embedding.weight.mul_(size)

    @property
    def device(self) -> torch.device:
        return self.base.weight.device

    def forward(self, input_ids, labels=None, **others):
        from transformers.modeling_outputs import CausalLMOutput

        x = self.embedding(input_ids)
        logits = self.base(x) + self.B(self.A(x))
        loss = None if labels is None else F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits)


class _Batch:
    """What the notebook's batches have: ids and labels of the same shape, and a way to a device."""

    def __init__(self, rows):
        batch = collate(rows, pad_token_id=2)
        self.input_ids, self.labels = batch.input_ids, batch.labels

    def to(self, device):
        return self


def _few_rows(seed: int):
    """Four batches of three rows. Prompts and answers differ in length, so every way to average gives another loss."""
    draw = torch.Generator().manual_seed(seed)
    lengths = [(3, 2), (2, 7), (5, 1)], [(4, 4), (1, 1), (3, 6)], [(2, 3), (6, 1), (2, 8)], [(1, 2), (3, 3), (2, 2)]
    for rows in lengths:
        yield _Batch([Example(torch.randint(3, 11, (p + a,), generator=draw).tolist(), p) for p, a in rows])


def _warming_up(step):
    return (0.02, 0.05, 0.04, 0.01, 0.003)[min(step, 4)]


def _training_cases():
    # with the large embedding every gradient is longer than 1, so it's clipped; with the small one none is
    return [Case(_TinyModel(size), list(_few_rows(seed)), _warming_up) for seed, size in enumerate((6.0, 0.3))]


def _observe_training(args, losses):
    model = args[0]
    frozen = [p for name, p in model.named_parameters() if name[0] not in "AB"]
    seen = {
        "what you return": _kind_of_losses(losses),
        "the frozen weights": torch.cat([p.detach().flatten() for p in frozen]),
        "A after training": model.A.weight.detach(),
        "B after training": model.B.weight.detach(),
    }
    if seen["what you return"] == "a list of numbers":
        seen["the losses"] = [float(loss) for loss in losses]
    return seen


def _kind_of_losses(losses) -> str:
    if losses is None:
        return "nothing"
    if not isinstance(losses, (list, tuple)):
        return "no list"
    if any(isinstance(loss, torch.Tensor) and loss.requires_grad for loss in losses):
        return "a list of tensors that still hold on to the graph behind them"
    one_each = all(isinstance(loss, (int, float)) or getattr(loss, "numel", int)() == 1 for loss in losses)
    return "a list of numbers" if one_each else "a list of something else"


def _mean_loss(model, batch):
    return F.cross_entropy(model(batch.input_ids).logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten())


def _loss_between(first, last, second, final, labels="labels"):
    """A loss that pairs logits[:, first:last] with labels[:, second:final]."""

    def loss(model, batch):
        logits, targets = model(batch.input_ids).logits[:, first:last], getattr(batch, labels)[:, second:final]
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return loss


def _loss_over_all(model, batch):
    return _summed_loss(model, batch) / batch.labels[:, 1:].numel()


def _summed_loss(model, batch):
    logits, targets = model(batch.input_ids).logits[:, :-1], batch.labels[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


def _mean_of_rows(model, batch):
    logits, targets = model(batch.input_ids).logits[:, :-1], batch.labels[:, 1:]
    return torch.stack([F.cross_entropy(row, wanted) for row, wanted in zip(logits, targets)]).mean()


def _loss_of_rows_shifted(model, batch):
    return F.cross_entropy(model(batch.input_ids).logits[:-1].flatten(0, 1), batch.labels[1:].flatten())


def _loss_of(change_logits=lambda logits: logits, change_targets=lambda targets: targets, loss=F.cross_entropy):
    """The right loss, but for what's done to the logits or to the targets first."""

    def changed(model, batch):
        logits, targets = model(batch.input_ids).logits[:, :-1], batch.labels[:, 1:]
        return loss(change_logits(logits).flatten(0, 1), change_targets(targets).flatten())

    return changed


def _clip_each_number(trained, limit):
    torch.nn.utils.clip_grad_value_(trained, limit)


def _clip_each_matrix(trained, limit):
    for parameter in trained:
        torch.nn.utils.clip_grad_norm_(parameter, limit)


def _always_to_norm_1(trained, limit):
    norm = torch.stack([parameter.grad.norm() for parameter in trained]).norm()
    for parameter in trained:
        parameter.grad /= norm


def _trained_by(model):
    return [p for p in model.parameters() if p.requires_grad]


def _adamw_as_it_comes(trained, lr):
    return torch.optim.AdamW(trained, lr=lr)


def _set_rate(adam, rate):
    for group in adam.param_groups:
        group["lr"] = rate


def _loop(
    loss=_mean_loss,
    order="rate backward clip step zero",
    optimizer=torch.optim.Adam,
    clip=torch.nn.utils.clip_grad_norm_,
    rate=lambda rate_at, step: rate_at(step),
    first_rate=lambda rate_at: rate_at(0),
    trained_by=_trained_by,
    fresh=False,
    used=slice(None),
    result=lambda losses: [loss.item() for loss in losses],
):
    """A training loop with one thing done otherwise."""

    def train(model, batches, rate_at):
        trained, losses = trained_by(model), []
        adam = optimizer(trained, lr=first_rate(rate_at))
        for step, batch in enumerate(batches[used]):
            adam = optimizer(trained, lr=rate_at(step)) if fresh else adam
            now = loss(model, batch)
            parts = {
                "backward": now.backward,
                "clip": lambda: clip(trained, 1.0),
                "rate": partial(_set_rate, adam, rate(rate_at, step)),
                "step": adam.step,
                "zero": adam.zero_grad,
                "again": lambda: None,
            }
            for part in order.split():
                parts[part]()
            losses.append(loss(model, batch) if "again" in order else now)
        return result(losses)

    return train


def _unfreezes(model):
    model.requires_grad_(True)
    return list(model.parameters())


exercise(
    "04.2",
    title="The training loop",
    prompt="Write my_train(model, batches, rate_at). For each batch: the mean loss over the tokens that count, a "
    "backward pass, the gradients clipped to norm 1, and one Adam step at the rate rate_at(step), where steps count "
    "from 0. Train only the parameters with requires_grad. Return the list of losses, as plain numbers.",
    minutes=12,
    difficulty=4,
    importance=5,
    solution=my_train,
    explanation="Forward, backward, clip, set the rate, step, zero. The shift by one lies between logits[:, :-1] and "
    "labels[:, 1:], and F.cross_entropy leaves out labels of -100 by itself.",
    cases=_training_cases,
    observe=_observe_training,
    hints=[
        "It's the walk through the valley again. What takes the place of w, and what of height(w)?",
        "Collect the parameters with requires_grad and give them to torch.optim.Adam. The loss of a batch compares "
        "model(batch.input_ids).logits[:, :-1] with batch.labels[:, 1:].",
        "F.cross_entropy(logits.flatten(0, 1), targets.flatten()), backward(), clip_grad_norm_(trained, 1.0), the rate "
        'into each group["lr"], step(), zero_grad(), and losses.append(loss.item()).',
    ],
    mistakes=[
        Mistake(
            _loop(order="rate backward clip step"),
            "Your gradients pile up: each step still carries those of all steps before.",
            "backward() adds to the gradients that are there. It never starts over by itself.",
            "Which line of the walk through the valley is missing here?",
        ),
        Mistake(
            _loop(order="rate step zero backward clip"),
            "PyTorch can't go backward, because step() has changed the weights since the loss was worked out.",
            "backward() needs the weights as they were then.",
            "Does step() come before backward()? Or does your loss still have the losses of earlier steps in it?",
        ),
        Mistake(
            _loop(order="rate backward clip zero step"),
            "Your losses are right, but no weight has moved.",
            "Either the gradients were zeroed before step() could use them, or backward() or step() never ran.",
            "Read your loop aloud: backward, step, zero. Is that the order?",
        ),
        Mistake(
            _loop(loss=_loss_between(None, -1, 1, None, "input_ids")),
            "Your loss counts the prompt and the padding.",
            "You compare with all the ids. batch.labels has the same ids, but -100 where nothing should count.",
            "What does your loss compare the logits with?",
        ),
        Mistake(
            _loop(loss=_loss_between(None, None, None, None)),
            "You compare each position with its own token.",
            "The logits at position t are the model's guess for the token at t + 1.",
            "Line them up: logits[:, :-1] against labels[:, 1:].",
        ),
        Mistake(
            _loop(loss=_loss_between(None, -1, None, -1)),
            "You cut logits and labels at the same end, so each position is compared with its own token.",
            "One loses its last position and the other its first; that's what moves them against each other.",
            "Line them up: logits[:, :-1] against labels[:, 1:].",
        ),
        Mistake(
            _loop(loss=_loss_between(1, None, None, -1)),
            "Your shift goes the wrong way: each position is compared with the token before it.",
            "The logits at position t are the model's guess for the token at t + 1.",
            "It's the labels that lose their first position.",
        ),
        Mistake(
            _loop(loss=_loss_of_rows_shifted),
            "You shift the rows against each other, not the tokens.",
            "The first axis of logits and labels is the row, the second the token.",
            "What does logits[:, :-1] cut off, and what logits[:-1]?",
        ),
        Mistake(
            _loop(loss=_loss_of(change_targets=lambda targets: targets.clamp(min=0))),
            "Your loss counts token 0 wherever nothing should count.",
            "-100 isn't an id to repair. It tells F.cross_entropy to leave the position out.",
            "What do you do to the labels before F.cross_entropy gets them?",
        ),
        Mistake(
            _loop(loss=_loss_of(change_logits=lambda logits: logits.softmax(-1))),
            "You put a softmax before the cross-entropy.",
            "F.cross_entropy takes raw logits and does the softmax itself.",
            "Try it without the softmax.",
        ),
        Mistake(
            _loop(loss=_loss_of(loss=F.nll_loss)),
            "Your loss has no softmax in it.",
            "F.nll_loss expects log-probabilities. F.cross_entropy takes raw logits and does the softmax itself.",
            "What does F.nll_loss do with a logit?",
        ),
        Mistake(
            _loop(loss=lambda model, batch: -_mean_loss(model, batch)),
            "Your sign is flipped, so each step makes the model worse.",
            "Cross-entropy is −log p already, and Adam makes it small.",
            "Where does your minus sign come from?",
        ),
        Mistake(
            _loop(loss=lambda model, batch: _mean_loss(model, batch).detach()),
            "Nothing leads back from your loss to A and B.",
            "detach(), item() and torch.no_grad() cut the thread that backward() follows.",
            "Does one of the three stand somewhere between the model and loss.backward()?",
        ),
        Mistake(
            _loop(used=slice(1)),
            "You stop after the first batch.",
            "A return or break inside the loop ends it.",
            "How far is return losses indented?",
        ),
        Mistake(
            _loop(order="rate backward clip step zero again"),
            "You measure each loss again after the step.",
            "The exercise asks for the loss that the step was made from, and that's worked out already.",
            "Which loss do you append, the one that went backward?",
        ),
        Mistake(
            _loop(clip=_clip_each_matrix),
            "You clip each matrix by itself.",
            "That bends the direction: a large part is shortened and a small one isn't. Norm 1 is for all together.",
            "What does clip_grad_norm_ do with a list of parameters?",
        ),
        Mistake(
            _loop(clip=_always_to_norm_1),
            "Your gradients always have norm 1, also where they were shorter.",
            "Clipping only ever shortens. A small gradient stays as it is.",
            "What should happen to a gradient of norm 0.3?",
        ),
        Mistake(
            _loop(result=lambda losses: []),
            "Your loop trains, and the list you return is empty.",
            "print shows a loss, and append keeps it.",
            "Where does each loss go?",
        ),
        Mistake(
            _loop(loss=_summed_loss),
            "Your loss is a sum, so it grows with the length of the answers.",
            "With a mean, one learning rate suits long and short batches.",
            "What does F.cross_entropy do if you don't say reduction=?",
        ),
        Mistake(
            _loop(loss=_loss_over_all),
            "You divide by all positions, also by those that don't count.",
            "A batch with long prompts would then look easier than it is.",
            "How many labels aren't -100?",
        ),
        Mistake(
            _loop(loss=_mean_of_rows),
            "You average over the rows, and in each row over its tokens.",
            "A token in a short answer then weighs more than one in a long answer.",
            "Can you hand all tokens of the batch to F.cross_entropy at once?",
        ),
        Mistake(
            _loop(order="rate backward step zero"),
            "Your gradients aren't clipped when the step is taken.",
            "Clipping changes the gradients in place, so it belongs between backward() and step().",
            "Where does torch.nn.utils.clip_grad_norm_(trained, 1.0) stand in your loop?",
        ),
        Mistake(
            _loop(clip=_clip_each_number),
            "You clip each number of the gradient by itself.",
            "That bends the direction. Clipping to norm 1 only shortens the whole gradient.",
            "Try torch.nn.utils.clip_grad_norm_ in place of clip_grad_value_.",
        ),
        Mistake(
            _loop(order="backward clip step zero rate"),
            "Your learning rate comes one step late.",
            "The rate is set after step(), so the step still uses the one before.",
            "Which comes first in your loop, the rate or adam.step()?",
        ),
        Mistake(
            _loop(order="backward clip step zero rate", first_rate=lambda rate_at: 1e-3),
            "Your first step is taken at Adam's own rate, and each one after it at the rate before.",
            "The rate is set after step(), so it only counts from the next step on.",
            "Which comes first in your loop, the rate or adam.step()?",
        ),
        Mistake(
            _loop(rate=lambda rate_at, step: rate_at(step + 1)),
            "Your learning rate is one step ahead.",
            "Steps are counted from 0, as enumerate does.",
            "Which number do you hand to rate_at in the first step?",
        ),
        Mistake(
            _loop(order="backward clip step zero"),
            "Your learning rate stays at its first value.",
            "The optimizer keeps the rate it was made with, until you change it.",
            'The rate is in adam.param_groups. Set group["lr"] = rate_at(step) before each step.',
        ),
        Mistake(
            _loop(order="backward clip step zero", first_rate=lambda rate_at: 1e-3),
            "You never use rate_at: Adam runs at its own default rate.",
            "torch.optim.Adam takes 0.001 if you don't say otherwise.",
            'The rate is in adam.param_groups. Set group["lr"] = rate_at(step) before each step.',
        ),
        Mistake(
            _loop(optimizer=_adamw_as_it_comes),
            "Your weights shrink a little in every step.",
            "torch.optim.AdamW pulls weights toward zero by itself: its default is weight_decay=0.01.",
            "Use torch.optim.Adam, or say weight_decay=0.",
        ),
        Mistake(
            _loop(optimizer=torch.optim.SGD),
            "You take plain gradient steps, without Adam's averages.",
            "torch.optim.SGD moves each number by rate · gradient.",
            "The exercise asks for torch.optim.Adam.",
        ),
        Mistake(
            _loop(fresh=True),
            "You make a new optimizer for every batch, so Adam forgets its averages.",
            "What Adam knows about earlier steps lives in the optimizer.",
            "Which lines belong before the loop?",
        ),
        Mistake(
            _loop(trained_by=_unfreezes),
            "You train the frozen weights as well.",
            "Freezing is requires_grad=False. It was set on purpose, before the loop.",
            "Which parameters do you hand to the optimizer, and what did you do to their requires_grad?",
        ),
        Mistake(
            _loop(result=lambda losses: None),
            "Your loop trains, and then returns nothing.",
            "The losses are gone when the function ends, unless you return them.",
            "Does your function end in return losses?",
        ),
        Mistake(
            _loop(result=lambda losses: losses[-1].item()),
            "You don't return a list.",
            "The exercise asks for the loss of every step.",
            "Start with losses = [], and append in each step.",
        ),
        Mistake(
            _loop(result=lambda losses: losses),
            "Your losses are tensors that still hold on to the graph behind them.",
            "loss.backward() needs the tensor; what you keep should be the plain number.",
            "What does .item() do?",
        ),
    ],
    shows="That's a training loop, and section 4.5 will run yours.",
)

# --- 04.3 ---------------------------------------------------------------------------------------------------


def my_rate(step, steps, warmup, peak):
    """A line up to the peak, then half a cosine down to 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / (steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * done))


def _warmed_up(after):
    """A rate that climbs as it should, and then goes on as `after(done, peak)` says."""

    def rate(step, steps, warmup, peak):
        return peak * (step + 1) / warmup if step < warmup else after((step - warmup) / (steps - warmup), peak)

    return rate


def _climbing(line):
    """A rate whose warm-up is `line(step, steps, warmup, peak)`, and which then falls as it should."""
    return lambda step, *given: line(step, *given) if step < given[1] else my_rate(step, *given)


def _with_angle(angle):
    """A rate that falls by ``angle(step, steps, warmup)`` in place of π times the share that's done."""

    def rate(step, steps, warmup, peak):
        if step < warmup:
            return my_rate(step, steps, warmup, peak)
        return peak * 0.5 * (1 + math.cos(angle(step, steps, warmup)))

    return rate


_LINES = [
    lambda step, steps, warmup, peak: peak * (step + 1) / (warmup + 1),
    lambda step, steps, warmup, peak: peak * (step + 1) / steps,
    lambda step, steps, warmup, peak: peak * ((step + 1) // warmup),
    lambda step, steps, warmup, peak: peak * (step + 1) // warmup,
    lambda step, steps, warmup, peak: (step + 1) / warmup,
    lambda step, steps, warmup, peak: peak,
]
_ANGLES = [
    lambda step, steps, warmup: math.pi * (step - warmup) / steps,
    lambda step, steps, warmup: math.pi * step / (steps - warmup),
    lambda step, steps, warmup: math.pi * (step - warmup + 1) / (steps - warmup),
    lambda step, steps, warmup: (step - warmup) / (steps - warmup),
    lambda step, steps, warmup: 180 * (step - warmup) / (steps - warmup),
    lambda step, steps, warmup: 2 * math.pi * (step - warmup) / (steps - warmup),
]
_WAVES = [
    lambda done, peak: peak * math.cos(math.pi * done),
    lambda done, peak: peak * (1 + math.cos(math.pi * done)),
    lambda done, peak: 0.5 * (1 + math.cos(math.pi * done)),
    lambda done, peak: peak * 0.5 * (1 - math.cos(math.pi * done)),
    lambda done, peak: peak * 0.5 * (1 + math.sin(math.pi * done)),
]

exercise(
    "04.3",
    title="Warm up, then cool down",
    prompt="Write my_rate(step, steps, warmup, peak) for step = 0, 1, …: a line from peak / warmup at step 0 to peak "
    "at step warmup − 1. From step warmup on, half a cosine: peak once more, then down, and it would reach 0 at step "
    "steps.",
    minutes=6,
    difficulty=3,
    importance=3,
    solution=my_rate,
    explanation="In the first steps Adam's averages know next to nothing, so its steps are kept small. The cosine "
    "starts where the warm-up ends, at the peak, so the curve has no jump.",
    cases=lambda: [Case(step, 20, 4, 2e-3) for step in (0, 1, 3, 4, 5, 11, 19)],
    hints=[
        "Two pieces: one for step < warmup, one for the rest.",
        "In the second piece, let done go from 0 (warm-up just over) to 1 (all steps done).",
        "peak * 0.5 * (1 + math.cos(math.pi * done)) falls from peak to 0.",
    ],
    mistakes=[
        Mistake(
            lambda step, steps, warmup, peak: (
                peak * step / warmup if step < warmup else my_rate(step, steps, warmup, peak)
            ),
            "Your first step has rate 0, so it's wasted.",
            "Steps count from 0, and the first of them is already one part of the way up.",
            "What should your line give at step 0 and at step warmup − 1?",
        ),
        Mistake(
            _climbing(lambda step, steps, warmup, peak: peak * step / (warmup - 1)),
            "Your line starts at 0, so the first step is wasted.",
            "There are warmup steps to climb in, and each of them is one part of the way.",
            "What should your line give at step 0, if it's peak at step warmup − 1?",
        ),
        *[
            Mistake(
                _climbing(line),
                "Your warm-up isn't a line that climbs to peak in equal parts.",
                "Steps count from 0: step 0 is at 1/warmup of peak, and step warmup − 1 at all of it.",
                "What does your line give for warmup = 4, at steps 0, 1, 2 and 3?",
            )
            for line in _LINES
        ],
        *[
            Mistake(
                _with_angle(angle),
                "The angle in your cosine starts or ends in the wrong place.",
                "Half a cosine takes an angle from 0, where the warm-up ends, to π, at step = steps.",
                "Which angle does your cosine get at step = warmup, and which at step = steps?",
            )
            for angle in _ANGLES
        ],
        *[
            Mistake(
                _warmed_up(wave),
                "After the warm-up your rate doesn't go from peak to 0.",
                "A cosine goes from 1 to −1. Plus 1 and halved it goes from 1 to 0, and times peak from peak to 0.",
                "What do you get where the cosine is 1, and what where it's −1?",
            )
            for wave in _WAVES
        ],
        Mistake(
            lambda step, steps, warmup, peak: peak * (step + 1) / warmup,
            "Your rate climbs and climbs, past the peak.",
            "warmup is a number of steps. After that many, the second piece takes over.",
            "For which steps is your condition true?",
        ),
        Mistake(
            lambda step, steps, warmup, peak: (
                peak * (step + 1) / warmup if step <= warmup else my_rate(step, steps, warmup, peak)
            ),
            "Your warm-up lasts one step too long and climbs past the peak.",
            "Steps count from 0, so the last of the warmup steps is number warmup − 1.",
            "Should it be < or <= where your two pieces meet?",
        ),
        Mistake(
            lambda step, steps, warmup, peak: peak * 0.5 * (1 + math.cos(math.pi * step / steps)),
            "You have no warm-up: your first step is the largest.",
            "Adam's averages are mostly noise in the first steps.",
            "What should happen while step < warmup?",
        ),
        Mistake(
            lambda step, steps, warmup, peak: (
                peak * (step + 1) / warmup if step < warmup else peak * 0.5 * (1 + math.cos(math.pi * step / steps))
            ),
            "Your rate jumps down where the warm-up ends.",
            "Your cosine starts at step 0, not at the end of the warm-up.",
            "Let done be 0 when step is warmup.",
        ),
        Mistake(
            _warmed_up(lambda done, peak: peak * (1 - done)),
            "Your rate falls in a straight line.",
            "That's a fine schedule too, but half a cosine stays high for longer and lands softly.",
            "Which values does 0.5 * (1 + math.cos(math.pi * done)) take for done = 0, ½ and 1?",
        ),
        Mistake(
            lambda step, steps, warmup, peak: (
                peak * (step + 1) / warmup
                if step < warmup
                else peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup - 1)))
            ),
            "Your rate reaches 0 with the last step, so that step is wasted.",
            "The cosine is 0 at step = steps, which never comes.",
            "What do you divide step − warmup by?",
        ),
        Mistake(
            _warmed_up(lambda done, peak: peak * 0.5 * math.cos(math.pi * done)),
            "Your rate jumps to half the peak after the warm-up, and ends below zero.",
            "A cosine runs from 1 to −1. Lift it by 1 before you halve it.",
            "Where's the 1 + in your cosine?",
        ),
        Mistake(
            _warmed_up(lambda done, peak: peak * math.cos(math.pi / 2 * done)),
            "You take a quarter of a cosine, which stays high and drops off at the end.",
            "Half a cosine goes all the way through π, and is lifted so that it ends at 0.",
            "Which angle does your cosine reach when done is 1?",
        ),
        Mistake(
            lambda step, steps, warmup, peak: peak * min(1, (step + 1) / warmup),
            "Your rate stays at its peak.",
            "At full rate the last steps keep jumping about; with a falling one they settle.",
            "What should happen after the warm-up?",
        ),
    ],
    shows="No jump where the two pieces meet: at that step the rate is the peak.",
)

# --- 04.4 ---------------------------------------------------------------------------------------------------


def my_mean_loss(sums, counts):
    """All the loss there is, over all the tokens there are."""
    return sum(sums) / sum(counts)


exercise(
    "04.4",
    title="One batch in several parts",
    prompt="A batch too large for memory goes through the model in parts. Write my_mean_loss(sums, counts): the loss "
    "per token of the whole batch, from each part's summed loss and number of counted tokens.",
    minutes=4,
    difficulty=2,
    importance=3,
    solution=my_mean_loss,
    explanation="With a mean of means, a token in a short part weighs more than one in a long part. The loss, and "
    "every step, would depend on how the batch happened to be split.",
    cases=lambda: [Case([12.0, 2.0], [6, 4]), Case([3.0, 8.0, 1.0], [10, 2, 4])],
    hints=[
        "Should a token count for less because it came in a part with many others?",
        "All the loss there is, over all the tokens there are.",
        "sum(sums) / sum(counts)",
    ],
    mistakes=[
        Mistake(
            lambda sums, counts: sum(s / c for s, c in zip(sums, counts)) / len(sums),
            "You average the parts' averages.",
            "A part with few tokens then weighs as much as one with many.",
            "How many tokens are there in all?",
        ),
        Mistake(
            lambda sums, counts: sum(s / c for s, c in zip(sums, counts)),
            "You add up the parts' averages.",
            "That grows with the number of parts, and short parts weigh too much.",
            "How much loss is there in all, and how many tokens?",
        ),
        Mistake(
            lambda sums, counts: sum(s * c for s, c in zip(sums, counts)),
            "You multiply each part's loss by its tokens.",
            "That would make sums out of means, but sums is what you're given.",
            "What does the exercise say is in sums?",
        ),
        Mistake(
            lambda sums, counts: sum(s * c for s, c in zip(sums, counts)) / sum(counts),
            "You weigh each part's loss by its tokens, as if it were a mean.",
            "A longer part has a larger sum already, so its length counts twice.",
            "What does the exercise say is in sums?",
        ),
        Mistake(
            lambda sums, counts: sum(sums),
            "You give the sum over the batch.",
            "It grows with the batch, and so would every step.",
            "What should you divide by?",
        ),
        Mistake(
            lambda sums, counts: sum(sums) / len(sums),
            "You divide by the number of parts.",
            "That's the loss per part; the exercise asks for the loss per token.",
            "What does counts say?",
        ),
        Mistake(
            lambda sums, counts: sum(sums) / (counts[0] * len(counts)),
            "You take every part to be as long as the first.",
            "Rows differ in length, so parts do too.",
            "How many tokens are there in all?",
        ),
        Mistake(
            lambda sums, counts: sum(counts) / sum(sums),
            "Your division is upside down.",
            "Loss per token is loss divided by tokens.",
            "Which of sums and counts is the loss?",
        ),
        Mistake(
            lambda sums, counts: sum(sums) // sum(counts),
            "Your loss is rounded down to a whole number.",
            "// divides and drops what's behind the point.",
            "Which of / and // gives 1.4 for 14 and 10?",
        ),
        Mistake(
            lambda sums, counts: sum(sums) / max(counts),
            "You divide by the tokens of one part only.",
            "sums has the loss of all parts, so all their tokens belong below it.",
            "How many tokens are there in all?",
        ),
        Mistake(
            lambda sums, counts: (sums[0] + sums[1]) / (counts[0] + counts[1]),
            "You use the first two parts, however many there are.",
            "A batch can be split into any number of parts.",
            "What adds up a whole list?",
        ),
        Mistake(
            lambda sums, counts: [s / c for s, c in zip(sums, counts)],
            "You give one average for each part.",
            "The exercise asks for a single number, for the whole batch.",
            "How much loss is there in all, and how many tokens?",
        ),
        *[
            Mistake(
                lambda sums, counts, pick=pick: pick([s / c for s, c in zip(sums, counts)]),
                "You give the average of one part.",
                "The loss of the whole batch has the tokens of all parts in it.",
                "How much loss is there in all, and how many tokens?",
            )
            for pick in (lambda means: means[0], lambda means: means[-1], max, min)
        ],
        *[
            Mistake(
                lambda sums, counts, power=power: sum(sums) / sum(counts) * len(sums) ** power,
                "Your answer depends on how many parts there are.",
                "The loss per token is the same however a batch is split.",
                "What does len do in your answer?",
            )
            for power in (-1, 1)
        ],
    ],
    shows="The loss no longer depends on how the batch was split.",
)
