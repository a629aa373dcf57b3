"""Exercises of notebook 08: the backward pass of a packed layer, what a base weighs, steps in 16 bits, paired runs."""

import torch

from labkit.lab.checking import Case, exercise, mistake

# --- 08.1 ---------------------------------------------------------------------------------------------------


def my_backward(grad, W):
    """y = x Wᵀ, so the gradient of x is the gradient of y times W."""
    return grad @ W


@mistake(
    "You transposed W.",
    "The forward pass has Wᵀ in it, and the backward pass goes the other way.",
    "Try a W that isn't square: which product has the right shape?",
)
def _transposed(grad, W):
    return grad @ W.T


@mistake(
    "You have one gradᵀ too many.",
    "gradᵀ times the input is the gradient of W, and W is frozen.",
    "Which gradient does x need here?",
)
def _of_the_weight(grad, W):
    return grad.T @ grad @ W


@mistake(
    "You return the gradient as it came in.",
    "Frozen means that W doesn't change. It's still there between x and y.",
    "What does a small change of x do to y?",
)
def _passes_through(grad, W):
    return grad.clone()


@mistake(
    "You summed the rows.",
    "Every token has a gradient of its own. Sums over rows belong to weights and biases.",
    "Which shape does x have?",
)
def _sums_the_rows(grad, W):
    return (grad @ W).sum(0)


@mistake(
    "You divided by the number of rows.",
    "Averaging over tokens is the loss's job, and it's done before the gradient gets here.",
    "Leave the division out.",
)
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
        _transposed,
        _of_the_weight,
        _passes_through,
        _sums_the_rows,
        _averages,
    ],
    shows="One line, and it needs no activations. That is the whole backward pass of notebook 08's by-hand layer.",
)

# --- 08.2 ---------------------------------------------------------------------------------------------------


def my_base_bytes(linear, rest):
    """4.127 bits for each number of a linear layer, 16 for each of the others, 8 bits a byte."""
    return linear * 4.127 / 8 + rest * 16 / 8


@mistake(
    "You put everything in four bits.",
    "Embeddings, norms and the output head stay as they are.",
    "How wide is a number of `rest`?",
)
def _all_in_four(linear, rest):
    return (linear + rest) * 4.127 / 8


@mistake(
    "You left the rest out.",
    "Embeddings, norms and the output head aren't quantized, but they have to be somewhere.",
    "Add `rest`, at 16 bits each.",
)
def _linears_only(linear, rest):
    return linear * 4.127 / 8


@mistake(
    "You counted bits, which is eight times too much.",
    "A size in bytes is asked for.",
    "How many bits does a byte have?",
)
def _in_bits(linear, rest):
    return linear * 4.127 + rest * 16


@mistake(
    "Your first term is in bits, and your second in bytes.",
    "4.127 is bits per number, and 2 is the bytes of one in bfloat16.",
    "Check the first term: a byte has 8 bits.",
)
def _linears_in_bits(linear, rest):
    return linear * 4.127 + rest * 16 / 8


@mistake(
    "Your first term is in bytes, and your second in bits.",
    "bfloat16 has 16 bits, and that's 2 bytes.",
    "Check the second term: a byte has 8 bits.",
)
def _rest_in_bits(linear, rest):
    return linear * 4.127 / 8 + rest * 16


@mistake(
    "You left the scales out.",
    "Every block of weights has a scale beside its codes.",
    "How many bits per weight does the exercise state?",
)
def _without_scales(linear, rest):
    return linear * 4 / 8 + rest * 16 / 8


@mistake(
    "You didn't quantize the scales.",
    "4.5 bits is NF4 without double quantization.",
    "How many bits per weight does the exercise state?",
)
def _single_scales(linear, rest):
    return linear * 4.5 / 8 + rest * 16 / 8


@mistake(
    "You put the rest in float32.",
    "That's how this notebook computes on a CPU, but the question is about bfloat16.",
    "How many bytes does bfloat16 take?",
)
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
        _all_in_four,
        _linears_only,
        _in_bits,
        _linears_in_bits,
        _rest_in_bits,
        _without_scales,
        _single_scales,
        _rest_in_float32,
    ],
    shows="The second case is an 8B Llama: about 5.7 GB instead of 16.",
)

# --- 08.3 ---------------------------------------------------------------------------------------------------


def my_moved(weights, step):
    """Which weights differ after the step, everything kept in bfloat16."""
    weights = weights.bfloat16()
    return weights - step != weights


@mistake(
    "You let nearly everything move: this is float32.",
    "The weights are kept in bfloat16, so they're rounded before the step and after it.",
    "Take the step off weights.bfloat16(), with no .float() in between, and compare with the same.",
)
def _in_float32(weights, step):
    return weights - step != weights


@mistake(
    "You swapped True and False.",
    "True here marks the weights that don't move.",
    "Which sign asks whether two numbers differ?",
)
def _the_others(weights, step):
    weights = weights.bfloat16()
    return weights - step == weights


@mistake(
    "You compare with the weights before they were rounded.",
    "Then rounding alone counts as moving.",
    "Round the weights first, and keep that for the comparison.",
)
def _against_the_exact(weights, step):
    return (weights - step).bfloat16() != weights


@mistake(
    "You take the step off in float32, and round afterwards.",
    "A weight that isn't rounded yet may be so close to a border that the smallest step takes it across.",
    "Start with weights.bfloat16(), and take the step off that.",
)
def _rounds_too_late(weights, step):
    return (weights - step).bfloat16() != weights.bfloat16()


@mistake(
    "You rounded to float16.",
    ".half() has 11 significant bits, and bfloat16 has 8. In bfloat16, more of the steps vanish.",
    "Use .bfloat16(), not .half().",
)
def _in_float16(weights, step):
    weights = weights.half()
    return weights - step != weights


@mistake(
    "You asked whether bfloat16 can hold the step itself.",
    "It can: small numbers are no trouble for bfloat16. Adding a small number to a large one is.",
    "Take it off the weights, and compare.",
)
def _is_the_step_zero(weights, step):
    return torch.full(weights.shape, bool(torch.tensor(step).bfloat16() != 0))


@mistake(
    "You returned the share that moved.",
    "The question is which ones, one answer for each weight.",
    "Leave the mean out.",
)
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
        _in_float32,
        _rounds_too_late,
        _in_float16,
        _the_others,
        _against_the_exact,
        _is_the_step_zero,
        _share,
    ],
    shows="Now you know why labkit and PEFT keep adapters in float32 unless they are told otherwise.",
)

# --- 08.4 ---------------------------------------------------------------------------------------------------


def my_differences(new, old, draws):
    """For each draw of row numbers, the mean of new − old over those rows."""
    return (new - old)[draws].mean(1)


@mistake(
    "You have the sign the other way.",
    "Better than `old` means that `new` has more right.",
    "Which of the two comes first in the difference?",
)
def _the_other_sign(new, old, draws):
    return (old - new)[draws].mean(1)


@mistake(
    "You get the same for every draw, because you don't use the draws.",
    "The interval comes from how much the draws differ.",
    "Index with draws.",
)
def _no_draws(new, old, draws):
    return (new - old).mean().expand(len(draws))


@mistake(
    "You give the two methods different rows.",
    "That's for two groups that have nothing to do with each other.",
    "Keep both answers of a row together.",
)
def _rows_of_two_kinds(new, old, draws):
    return new[draws].mean(1) - old[draws.flip(0)].mean(1)


@mistake(
    "You count losses as gains.",
    "Where `old` was right and `new` was wrong, the difference is negative.",
    "Leave the absolute value out.",
)
def _sizes(new, old, draws):
    return (new - old).abs()[draws].mean(1)


@mistake(
    "You averaged over the draws.",
    "Each draw needs a number of its own.",
    "Which dimension holds the rows of one draw?",
)
def _over_the_draws(new, old, draws):
    return (new - old)[draws].mean(0)


@mistake(
    "You count how many rows are better, not what share.", "A sum grows with the number of rows.", "Use mean, not sum."
)
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
        _the_other_sign,
        _no_draws,
        _rows_of_two_kinds,
        _sizes,
        _over_the_draws,
        _sums,
    ],
    shows="The 2.5th and the 97.5th percentile of these numbers are the interval of section 8.7.",
)
