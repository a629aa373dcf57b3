"""Exercises of notebook 08: the backward pass of a packed layer, what a base weighs, steps in 16 bits, paired runs."""

import torch

from labkit.lab.checking import Case, Mistake, exercise

# --- 08.1 ---------------------------------------------------------------------------------------------------


def my_backward(grad, W):
    """y = x Wᵀ, so the gradient of x is the gradient of y times W."""
    return grad @ W


def _transposed(grad, W):
    return grad @ W.T


def _of_the_weight(grad, W):
    return grad.T @ grad @ W


def _passes_through(grad, W):
    return grad.clone()


def _sums_the_rows(grad, W):
    return (grad @ W).sum(0)


def _averages(grad, W):
    return grad @ W / grad.shape[0]


def _square_cases():
    # square, so that a transposed product runs, and is caught by its numbers
    return [Case(torch.randn(5, 4), torch.randn(4, 4)), Case(torch.randn(3, 6), torch.randn(6, 6))]


exercise(
    "08.1",
    title="The backward pass of a frozen layer",
    prompt="The layer computed y = x Wᵀ. Write my_backward(grad, W): the gradient with respect to x, from the gradient "
    "with respect to y (rows × out) and the dequantized W (out × in).",
    minutes=5,
    difficulty=2,
    importance=5,
    solution=my_backward,
    explanation="Each x_j reaches y_i through W_ij, so its gradient collects grad_i · W_ij over all i. x itself is not "
    "needed, because no gradient of W is wanted: that is why a frozen layer has to remember nothing but its own bytes.",
    cases=_square_cases,
    hints=[
        "Look at the shapes: (rows, out) comes in, (rows, in) must go out, and W is (out, in).",
        "Through which numbers of W does one x_j reach the outputs?",
        "grad @ W",
    ],
    mistakes=[
        Mistake(
            _transposed,
            "W is transposed.",
            "The forward pass has Wᵀ in it; the backward pass goes the other way round.",
            "Try it with a W that is not square: which product has the right shape?",
        ),
        Mistake(
            _of_the_weight,
            "There is a gradᵀ too much in it.",
            "gradᵀ times the input is the gradient of W, and W is frozen.",
            "Only x needs a gradient here.",
        ),
        Mistake(
            _passes_through,
            "The gradient comes out as it went in.",
            "Frozen means that W does not change. It still stands between x and y.",
            "What does a small change of x do to y?",
        ),
        Mistake(
            _sums_the_rows,
            "The rows are summed up.",
            "Every token has a gradient of its own; sums over rows belong to weights and biases.",
            "The answer has the shape of x.",
        ),
        Mistake(
            _averages,
            "It is divided by the number of rows.",
            "An average over tokens is the loss's business; it has been taken before the gradient comes here.",
            "Leave out the division.",
        ),
    ],
    shows="One line, and it needs no activations. That is the whole backward pass of notebook 08's by-hand layer.",
)

# --- 08.2 ---------------------------------------------------------------------------------------------------


def my_base_bytes(linear, rest):
    """4.127 bits for each number of a linear layer, 16 for each of the others, 8 bits a byte."""
    return linear * 4.127 / 8 + rest * 16 / 8


def _all_in_four(linear, rest):
    return (linear + rest) * 4.127 / 8


def _linears_only(linear, rest):
    return linear * 4.127 / 8


def _in_bits(linear, rest):
    return linear * 4.127 + rest * 16


def _linears_in_bits(linear, rest):
    return linear * 4.127 + rest * 16 / 8


def _rest_in_bits(linear, rest):
    return linear * 4.127 / 8 + rest * 16


def _without_scales(linear, rest):
    return linear * 4 / 8 + rest * 16 / 8


def _single_scales(linear, rest):
    return linear * 4.5 / 8 + rest * 16 / 8


def _rest_in_float32(linear, rest):
    return linear * 4.127 / 8 + rest * 32 / 8


exercise(
    "08.2",
    title="What a 4-bit base weighs",
    prompt="A model has `linear` numbers in its linear layers and `rest` others (embeddings, norms, output head). The "
    "first are kept in NF4 with double quantization, 4.127 bits each; the others in bfloat16. Write "
    "my_base_bytes(linear, rest).",
    minutes=4,
    difficulty=1,
    importance=4,
    solution=my_base_bytes,
    explanation="A 4-bit model is not four bits throughout. The smaller the model, the larger the share of its "
    "embeddings, and the less is saved.",
    cases=lambda: [Case(106_168_320, 28_346_688), Case(6_979_321_856, 1_050_939_392)],
    hints=[
        "Two kinds of numbers, two widths, one sum.",
        "bfloat16 takes 16 bits; a byte has 8.",
        "linear * 4.127 / 8 + rest * 2",
    ],
    mistakes=[
        Mistake(
            _all_in_four,
            "Everything is in four bits.",
            "Embeddings, norms and the output head stay as they are.",
            "How wide is a number of `rest`?",
        ),
        Mistake(
            _linears_only,
            "The rest is missing.",
            "Embeddings, norms and the output head are not quantized, but they have to be somewhere.",
            "Add `rest` in 16 bits each.",
        ),
        Mistake(_in_bits, "That is eight times too much.", "It is counted in bits.", "A byte has 8 bits."),
        Mistake(
            _linears_in_bits,
            "Your first term is in bits, and your second in bytes.",
            "4.127 is the bits of a number; 2 is the bytes of one in bfloat16.",
            "The first term: a byte has 8 bits.",
        ),
        Mistake(
            _rest_in_bits,
            "Your first term is in bytes, and your second in bits.",
            "bfloat16 has 16 bits, and these are 2 bytes.",
            "The second term: a byte has 8 bits.",
        ),
        Mistake(
            _without_scales,
            "The scales are missing.",
            "Every block of weights has a scale beside its codes.",
            "How many bits a weight does the exercise state?",
        ),
        Mistake(
            _single_scales,
            "The scales are not quantized.",
            "4.5 bits is NF4 without double quantization.",
            "How many bits a weight does the exercise state?",
        ),
        Mistake(
            _rest_in_float32,
            "The rest is in float32.",
            "That is how this notebook computes on a processor; the question is about bfloat16.",
            "bfloat16 takes two bytes.",
        ),
    ],
    shows="The second case is an 8B Llama: about 5.7 GB instead of 16.",
)

# --- 08.3 ---------------------------------------------------------------------------------------------------


def my_moved(weights, step):
    """Which weights differ after the step, everything kept in bfloat16."""
    weights = weights.bfloat16()
    return weights - step != weights


def _in_float32(weights, step):
    return weights - step != weights


def _the_others(weights, step):
    weights = weights.bfloat16()
    return weights - step == weights


def _against_the_exact(weights, step):
    return (weights - step).bfloat16() != weights


def _rounds_too_late(weights, step):
    return (weights - step).bfloat16() != weights.bfloat16()


def _in_float16(weights, step):
    return _in_float32(weights.half(), step)


def _is_the_step_zero(weights, step):
    return torch.full(weights.shape, bool(torch.tensor(step).bfloat16() != 0))


def _share(weights, step):
    return my_moved(weights, step).float().mean()


exercise(
    "08.3",
    title="Steps that vanish",
    prompt="`weights` is a float32 tensor that is to be kept in bfloat16. Write my_moved(weights, step): a tensor of "
    "True and False, which of the bfloat16 weights are another number after `step` is taken off.",
    minutes=6,
    difficulty=3,
    importance=3,
    solution=my_moved,
    explanation="bfloat16 has 8 significant bits, so between 1/32 and 1/16 its numbers are 1/4096 apart. A step of "
    "less than half of that is rounded away, and so is the next one, and the one after it.",
    cases=lambda: [
        Case(torch.empty(200).uniform_(-0.04, 0.04), 2e-5),
        Case(torch.empty(200).uniform_(-0.4, 0.4), 1e-4),  # in float16, too, some of these vanish
        Case(torch.tensor([0.0, 0.5, -0.125, 1e-3, 1000.0]), 1e-5),  # the last stands still in float32, too
    ],
    hints=[
        "Round first, then step, then compare; what you compare with must be rounded, too.",
        "weights.bfloat16() - step is rounded to bfloat16 again by itself.",
        "weights = weights.bfloat16(); return weights - step != weights",
    ],
    mistakes=[
        Mistake(
            _in_float32,
            "Nearly everything moves: this is float32.",
            "The weights are to be kept in bfloat16, so they are rounded before the step and after it.",
            "Take the step off weights.bfloat16(), with no .float() in between, and compare with the same.",
        ),
        Mistake(
            _rounds_too_late,
            "You take the step off in float32, and round afterwards.",
            "A weight that is not rounded yet may lie so close to a border that the smallest step takes it across.",
            "weights.bfloat16() first, and the step off that.",
        ),
        Mistake(
            _in_float16,
            "You rounded to float16.",
            ".half() has 11 significant bits, and bfloat16 has 8: there, more of the steps vanish.",
            ".bfloat16(), in place of .half().",
        ),
        Mistake(
            _the_others,
            "True and False are the wrong way round.",
            "These are the weights that stand still.",
            "Which sign compares for being different?",
        ),
        Mistake(
            _against_the_exact,
            "You compare with the weights before they were rounded.",
            "Rounding alone then counts as moving.",
            "Round the weights first, and keep that for the comparison.",
        ),
        Mistake(
            _is_the_step_zero,
            "You asked whether the step itself can be written in bfloat16.",
            "It can: small numbers are no trouble for bfloat16. Adding a small number to a large one is.",
            "Take it off the weights, and compare.",
        ),
        Mistake(
            _share,
            "That is the share that moved.",
            "The question is which ones, one answer for each weight.",
            "Leave out the mean.",
        ),
    ],
    shows="Now you know why labkit and PEFT keep adapters in float32 unless they are told otherwise.",
)

# --- 08.4 ---------------------------------------------------------------------------------------------------


def my_differences(new, old, draws):
    """For each draw of row numbers, the mean of new − old over those rows."""
    return (new - old)[draws].mean(1)


def _the_other_sign(new, old, draws):
    return (old - new)[draws].mean(1)


def _no_draws(new, old, draws):
    return (new - old).mean().expand(len(draws))


def _rows_of_two_kinds(new, old, draws):
    return new[draws].mean(1) - old[draws.flip(0)].mean(1)


def _sizes(new, old, draws):
    return (new - old).abs()[draws].mean(1)


def _over_the_draws(new, old, draws):
    return (new - old)[draws].mean(0)


def _sums(new, old, draws):
    return (new - old)[draws].sum(1)


exercise(
    "08.4",
    title="The same rows for both",
    prompt="Three tensors: `new` and `old` hold 1 for each test row a method got right, else 0. Each row of `draws` "
    "holds row numbers, drawn with repetition. Write my_differences(new, old, draws): a tensor with, for each draw, "
    "how much better `new` is than `old` on the rows drawn, as a mean.",
    minutes=5,
    difficulty=2,
    importance=4,
    solution=my_differences,
    explanation="Both methods met the same rows, and a hard row is hard for both. Drawing rows, and taking both "
    "answers with them, keeps that, and the interval of the difference becomes narrower than from two separate draws.",
    cases=lambda: [
        Case(torch.tensor([1.0, 1, 0, 1, 0]), torch.tensor([1.0, 0, 1, 1, 1]), torch.randint(5, (6, 5))),
        Case((torch.rand(40) < 0.9).float(), (torch.rand(40) < 0.7).float(), torch.randint(40, (7, 40))),
    ],
    hints=[
        "What is there to resample: answers, or rows with both their answers?",
        "First the difference in each row; then pick the drawn rows: difference[draws] has a row for each draw.",
        "(new - old)[draws].mean(1)",
    ],
    mistakes=[
        Mistake(
            _the_other_sign,
            "The sign is the other way round.",
            "Better than `old` means that `new` has more right.",
            "new − old.",
        ),
        Mistake(
            _no_draws,
            "Every draw gives the same: the draws are not used.",
            "It is the spread over the draws that makes the interval.",
            "Index with draws.",
        ),
        Mistake(
            _rows_of_two_kinds,
            "The two methods are given different rows.",
            "That is for two groups that have nothing to do with each other.",
            "Both answers of a row stay together.",
        ),
        Mistake(
            _sizes,
            "Losses count as gains.",
            "Where `old` was right and `new` was wrong, the difference is negative.",
            "Leave out the absolute value.",
        ),
        Mistake(
            _over_the_draws,
            "You averaged over the draws.",
            "There is to be one number for each draw.",
            "Which dimension holds the rows of one draw?",
        ),
        Mistake(
            _sums,
            "That is how many rows better, not what share.",
            "A sum grows with the number of rows.",
            "mean in place of sum.",
        ),
    ],
    shows="The 2.5th and the 97.5th percentile of these numbers are the interval of section 8.7.",
)
