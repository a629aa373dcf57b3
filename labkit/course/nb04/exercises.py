"""Exercises of notebook 04: what the loss counts, how a step is made, what an adapter weighs."""

import math

import torch
import torch.nn.functional as F

from labkit.lab.checking import Case, Mistake, exercise

# --- 04.1 ---------------------------------------------------------------------------------------------------


def my_labels(input_ids, prompt_length):
    """The ids, with -100 in place of the prompt."""
    labels = input_ids.clone()
    labels[:prompt_length] = -100
    return labels


def _counts_the_prompt(input_ids, prompt_length):
    return input_ids.clone()


def _masks_the_answer(input_ids, prompt_length):
    labels = input_ids.clone()
    labels[prompt_length:] = -100
    return labels


def _one_too_few(input_ids, prompt_length):
    labels = input_ids.clone()
    labels[: prompt_length - 1] = -100
    return labels


def _one_too_many(input_ids, prompt_length):
    labels = input_ids.clone()
    labels[: prompt_length + 1] = -100
    return labels


def _masks_padding_by_id(input_ids, prompt_length):
    labels = my_labels(input_ids, prompt_length)
    labels[input_ids == 2] = -100
    return labels


def _masks_with_padding(input_ids, prompt_length):
    labels = input_ids.clone()
    labels[:prompt_length] = 2
    return labels


exercise(
    "04.1",
    title="What the loss counts",
    prompt="Write my_labels(input_ids, prompt_length): a copy of the ids with -100 wherever the loss must not look.",
    minutes=4,
    difficulty=1,
    importance=5,
    solution=my_labels,
    explanation="The prompt is given, so there is nothing to learn from it. Everything after it counts, the "
    "end-of-turn token too: a model that never learned to stop rambles on.",
    cases=lambda: [
        Case(torch.tensor([1, 9, 2, 7, 5, 6, 2]), 4),
        Case(torch.tensor([1, 8, 2, 30, 31, 32, 33, 2]), 3),
    ],
    hints=[
        "Which part did the customer write, and which part is the model to write?",
        "Copy the ids first (input_ids.clone()), then overwrite the first prompt_length of them.",
        "labels = input_ids.clone(); labels[:prompt_length] = -100",
    ],
    mistakes=[
        Mistake(
            _counts_the_prompt,
            "Nothing is masked: the loss counts the prompt as well.",
            "The model would spend most of its effort learning to write customers' messages.",
            "Which of the ids are the prompt? prompt_length says how many.",
        ),
        Mistake(
            _masks_the_answer,
            "The answer is masked, and the prompt counts.",
            "-100 marks what the loss ignores, not what it looks at.",
            "Turn the slice round.",
        ),
        Mistake(
            _one_too_few,
            "The last token of the prompt still counts.",
            "The shift by one between a token and its prediction happens inside the loss, not here.",
            "How many ids does labels[:n] cover?",
        ),
        Mistake(
            _one_too_many,
            "The first token of the answer is masked.",
            "The shift by one between a token and its prediction happens inside the loss, not here.",
            "How many ids does labels[:n] cover?",
        ),
        Mistake(
            _masks_padding_by_id,
            "The end-of-turn token is masked wherever it stands.",
            "In this model padding and end-of-turn are the same id, 2, so masking by id loses the token that "
            "teaches the model to stop.",
            "Mask by position, never by id.",
        ),
        Mistake(
            _masks_with_padding,
            "The prompt is overwritten with 2, and the loss counts every 2.",
            "Only -100 is ignored by PyTorch's cross-entropy; 2 is an ordinary token to it.",
            "Write -100 instead.",
        ),
    ],
    shows="Mask by position: in this model padding and end-of-turn are the same id.",
)

# --- 04.2 ---------------------------------------------------------------------------------------------------


def my_loss(logits, labels):
    """Mean cross-entropy over the tokens that count."""
    predictions, targets = logits[:-1], labels[1:]
    counted = targets != -100
    return F.cross_entropy(predictions[counted], targets[counted])


def _no_shift(logits, labels):
    counted = labels != -100
    return F.cross_entropy(logits[counted], labels[counted])


def _shifted_backwards(logits, labels):
    predictions, targets = logits[1:], labels[:-1]
    counted = targets != -100
    return F.cross_entropy(predictions[counted], targets[counted])


def _summed(logits, labels):
    return F.cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum")


def _averaged_over_all(logits, labels):
    return _summed(logits, labels) / (len(labels) - 1)


def _negative(logits, labels):
    return -my_loss(logits, labels)


def _softmax_first(logits, labels):
    return my_loss(logits.softmax(-1), labels)


def _as_a_number(logits, labels):
    return my_loss(logits, labels).item()


exercise(
    "04.2",
    title="The loss of one row",
    prompt="Write my_loss(logits, labels): the mean cross-entropy over the tokens that count, as a tensor. logits has "
    "shape (tokens, vocabulary), labels has shape (tokens,) with -100 where nothing counts.",
    minutes=6,
    difficulty=3,
    importance=5,
    solution=my_loss,
    explanation="The logits at position t predict the token at t + 1, so the two are shifted against each other. "
    "F.cross_entropy(logits[:-1], labels[1:]) does it too: -100 is its default ignore_index.",
    cases=lambda: [
        Case(torch.randn(7, 11), torch.tensor([-100, -100, -100, 4, 5, 6, 2])),
        Case(torch.randn(5, 6), torch.tensor([-100, 3, 0, 1, 2])),
    ],
    hints=[
        "What do the logits at position t predict: the token at t, or the one after it?",
        "Cut the last row off the logits and the first entry off the labels; now they stand side by side.",
        "F.cross_entropy(logits[:-1], labels[1:]) ignores -100 by itself.",
    ],
    mistakes=[
        Mistake(
            _no_shift,
            "Each position is compared with its own token.",
            "A language model at position t has seen token t already; it predicts the one after.",
            "Shift by one: logits[:-1] against labels[1:].",
        ),
        Mistake(
            _shifted_backwards,
            "The shift goes the wrong way: the logits are asked for the token before.",
            "The logits at t predict t + 1, so it is the labels that lose their first entry.",
            "logits[:-1] against labels[1:], not the other way round.",
        ),
        Mistake(
            _summed,
            "Your loss is a sum: it grows with the length of the answer.",
            "A mean makes long and short rows comparable, and one learning rate fit for both.",
            "Divide by the number of tokens that count.",
        ),
        Mistake(
            _averaged_over_all,
            "You divide by all tokens, the masked ones too.",
            "A row with a long prompt would seem easier than one with a short prompt.",
            "Divide by the number of labels that are not -100.",
        ),
        Mistake(
            _softmax_first,
            "The logits went through a softmax before they came to the cross-entropy.",
            "F.cross_entropy takes raw logits and does the softmax itself.",
            "Leave the softmax out.",
        ),
        Mistake(
            _as_a_number,
            "It is the right number, but a plain Python one.",
            "backward() needs the tensor, with everything that led to it; .item() cuts that off.",
            "Leave .item() out.",
        ),
        Mistake(
            _negative,
            "The sign is turned round.",
            "Cross-entropy is already −log p; gradient descent makes it small.",
            "Leave the minus sign out.",
        ),
    ],
    shows="The logits at t predict the token at t + 1; everything else is bookkeeping.",
)

# --- 04.3 ---------------------------------------------------------------------------------------------------


def my_rate(step, steps, warmup, peak):
    """A line up to the peak, then half a cosine down to 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / (steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * done))


def _starts_at_zero(step, steps, warmup, peak):
    return peak * step / warmup if step < warmup else my_rate(step, steps, warmup, peak)


def _no_warmup(step, steps, warmup, peak):
    return peak * 0.5 * (1 + math.cos(math.pi * step / steps))


def _cosine_from_the_start(step, steps, warmup, peak):
    return peak * (step + 1) / warmup if step < warmup else _no_warmup(step, steps, warmup, peak)


def _falls_in_a_line(step, steps, warmup, peak):
    return peak * (step + 1) / warmup if step < warmup else peak * (1 - (step - warmup) / (steps - warmup))


def _one_step_short(step, steps, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup - 1)))


def _forgets_the_one(step, steps, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * math.cos(math.pi * (step - warmup) / (steps - warmup))


def _quarter_cosine(step, steps, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * math.cos(math.pi / 2 * (step - warmup) / (steps - warmup))


def _never_falls(step, steps, warmup, peak):
    return peak * min(1, (step + 1) / warmup)


exercise(
    "04.3",
    title="Warm up, then cool down",
    prompt="Write my_rate(step, steps, warmup, peak) for step = 0, 1, …: a line that reaches peak with the last of the "
    "warmup steps, then half a cosine from peak towards 0 at step = steps.",
    minutes=6,
    difficulty=3,
    importance=3,
    solution=my_rate,
    explanation="In the first steps Adam's averages know next to nothing, so its steps are held small. The cosine "
    "starts where the warm-up ends: at its beginning the rate is the peak, so the curve has no jump.",
    cases=lambda: [Case(step, 20, 4, 2e-3) for step in (0, 1, 3, 4, 5, 11, 19)],
    hints=[
        "Two pieces: one for step < warmup, one for the rest.",
        "In the second piece, let done go from 0 (warm-up just over) to 1 (all steps done).",
        "peak * 0.5 * (1 + math.cos(math.pi * done)) falls from peak to 0.",
    ],
    mistakes=[
        Mistake(
            _starts_at_zero,
            "The first step has rate 0, so it is wasted.",
            "Steps are counted from 0; the first of them is the first part of the way up, not the foot.",
            "(step + 1) / warmup",
        ),
        Mistake(
            _no_warmup,
            "There is no warm-up: the very first step is the largest.",
            "Adam's averages are noise in the first steps.",
            "What is to happen while step < warmup?",
        ),
        Mistake(
            _cosine_from_the_start,
            "The rate jumps down where the warm-up ends.",
            "The cosine must begin there, not at step 0.",
            "done = (step - warmup) / (steps - warmup)",
        ),
        Mistake(
            _falls_in_a_line,
            "The rate falls in a straight line.",
            "That is a good schedule too, but half a cosine stays high for longer and lands softly.",
            "0.5 * (1 + math.cos(math.pi * done))",
        ),
        Mistake(
            _one_step_short,
            "The rate reaches 0 with the last step, so that step is wasted.",
            "0 is where the cosine would be at step = steps, which is never taken.",
            "done = (step - warmup) / (steps - warmup), without a further − 1.",
        ),
        Mistake(
            _forgets_the_one,
            "The rate jumps to half the peak after the warm-up, and ends below zero.",
            "A cosine runs from 1 to −1; it must be lifted by 1 before it is halved.",
            "0.5 * (1 + math.cos(…))",
        ),
        Mistake(
            _quarter_cosine,
            "You took a quarter of a cosine: it stays high and falls off steeply at the end.",
            "Half a cosine goes through π, and is lifted so that it ends at 0.",
            "0.5 * (1 + math.cos(math.pi * done))",
        ),
        Mistake(
            _never_falls,
            "The rate stays at its peak.",
            "At full rate the last steps still jump about; with a falling one they settle.",
            "What is to happen after the warm-up?",
        ),
    ],
    shows="No jump where the two pieces meet: at that step the rate is the peak.",
)

# --- 04.4 ---------------------------------------------------------------------------------------------------


def my_bytes():
    """Layers · Σ r · (in + out) numbers, four bytes each."""
    layers, r, bytes_each = 30, 16, 4
    hidden, key_value = 576, 3 * 64
    q_and_o = 2 * r * (hidden + hidden)
    k_and_v = 2 * r * (hidden + key_value)
    return layers * (q_and_o + k_and_v) * bytes_each


exercise(
    "04.4",
    title="What an adapter weighs",
    prompt="How many bytes do A and B take for r = 16 on q_proj, k_proj, v_proj and o_proj of SmolLM2-135M, in "
    "float32? Give the number as my_bytes.",
    minutes=6,
    difficulty=2,
    importance=4,
    solution=my_bytes,
    explanation="Each layer has r · (in + out) numbers: A is r × in, B is out × r. The keys and values of SmolLM2 are "
    "3 heads of 64, so k and v give out 192 numbers, not 576.",
    hints=[
        "One adapted layer has r · in numbers in A and out · r in B.",
        "SmolLM2 has 30 layers, hidden size 576, and 3 key/value heads of 64: k_proj and v_proj are 576 → 192.",
        "16 · ((576 + 576) + (576 + 192) + (576 + 192) + (576 + 576)) numbers a layer, 30 layers, 4 bytes each.",
    ],
    mistakes=[
        Mistake(
            my_bytes() // 2,
            "That is half of it.",
            "Either B was left out, or each number was taken to have two bytes; in float32 it has four.",
            "Count A and B, then multiply by 4.",
        ),
        Mistake(
            my_bytes() // 4,
            "That is how many numbers there are, not how many bytes.",
            "A float32 number takes four bytes.",
            "Multiply by 4.",
        ),
        Mistake(
            30 * 4 * 16 * (576 + 576) * 4,
            "That takes k and v to be as wide as q.",
            "With grouped queries, several query heads share one key and value head: 3 heads of 64 numbers here.",
            "k_proj and v_proj give out 192 numbers.",
        ),
        Mistake(
            my_bytes() // 30,
            "That is one layer.",
            "Every one of the 30 layers has its own A and B.",
            "Multiply by 30.",
        ),
        Mistake(
            my_bytes() / 1e6,
            "That looks like megabytes.",
            "The question is about bytes, and a megabyte is a million of them.",
            "Leave out the division by 1,000,000.",
        ),
        Mistake(
            30 * 4 * 4 * 16 * 576,
            "That is A alone, for all four targets.",
            "B has r numbers for each output.",
            "r · (in + out) a layer.",
        ),
    ],
    shows="A file you could send by e-mail, for a model of 538 MB.",
)

# --- 04.5 ---------------------------------------------------------------------------------------------------


def my_mean_loss(sums, counts):
    """All the loss there is, over all the tokens there are."""
    return sum(sums) / sum(counts)


def _mean_of_means(sums, counts):
    return sum(s / c for s, c in zip(sums, counts)) / len(sums)


def _sum_of_means(sums, counts):
    return sum(s / c for s, c in zip(sums, counts))


def _forgot_to_divide(sums, counts):
    return sum(sums)


def _per_part(sums, counts):
    return sum(sums) / len(sums)


def _first_count(sums, counts):
    return sum(sums) / (counts[0] * len(counts))


exercise(
    "04.5",
    title="One batch in several parts",
    prompt="A batch was split to save memory. Write my_mean_loss(sums, counts): the loss a token of the whole batch, "
    "from each part's summed loss and number of counted tokens.",
    minutes=4,
    difficulty=2,
    importance=3,
    solution=my_mean_loss,
    explanation="A mean of means weighs a token in a short part more than one in a long part; the loss, and every "
    "step, would then depend on how the batch happened to be split.",
    cases=lambda: [Case([12.0, 2.0], [6, 4]), Case([3.0, 8.0, 1.0], [10, 2, 1])],
    hints=[
        "Should a token count for less because it came in a part with many others?",
        "All the loss there is, over all the tokens there are.",
        "sum(sums) / sum(counts)",
    ],
    mistakes=[
        Mistake(
            _mean_of_means,
            "You averaged the averages.",
            "A part with few tokens then weighs as much as one with many.",
            "All the loss there is, over all the tokens there are.",
        ),
        Mistake(
            _sum_of_means,
            "You added up the parts' averages.",
            "That grows with the number of parts, and weighs short parts too much.",
            "All the loss there is, over all the tokens there are.",
        ),
        Mistake(
            _forgot_to_divide,
            "That is the sum over the batch.",
            "It grows with the batch, and so would every step.",
            "Divide by the number of tokens.",
        ),
        Mistake(
            _per_part,
            "You divided by the number of parts.",
            "That is the loss a part; the loss a token is wanted.",
            "What does counts say?",
        ),
        Mistake(
            _first_count,
            "You took every part to be as long as the first.",
            "Rows differ in length, so parts do too.",
            "Add the counts up.",
        ),
    ],
    shows="The loss no longer depends on how the batch was split.",
)
