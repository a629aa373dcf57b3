"""Exercises of notebook 08: a frozen 4-bit layer, what a base weighs, steps in 16 bits, paired runs.

08.1 is the layer that notebook 08 goes on with, once it has passed: ``my_frozen_linear(x, packed, dequantize)``.
"""

import weakref

import torch
import torch.nn.functional as F

from labkit.lab.checking import Case, Mistake, Tolerance, exercise, mistake
from labkit.lab.checking.comparing import difference
from labkit.quant.nf4 import dequantize_nf4, quantize_nf4

CLOSE = Tolerance(rtol=1e-4, atol=1e-4)  # sums in another order

# --- 08.1 ---------------------------------------------------------------------------------------------------


def my_frozen_linear(x, packed, dequantize):
    """y = x Ŵᵀ, with nothing kept for the backward pass but the packed bytes."""

    class Frozen(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, packed):
            ctx.packed = packed
            return F.linear(x, dequantize(packed))

        @staticmethod
        def backward(ctx, grad):
            return grad @ dequantize(ctx.packed), None  # packed has no gradient

    return Frozen.apply(x, packed)


class _Dequantizer:
    """Makes Ŵ of packed weights, and knows which of those it made are still there."""

    def __init__(self):
        self._made = []

    def __call__(self, packed):
        dense = dequantize_nf4(packed)
        self._made.append(weakref.ref(dense.untyped_storage()))
        return dense

    def __repr__(self) -> str:
        return "a function"

    def any_left(self) -> bool:
        return any(made() is not None for made in self._made)


def _observe_frozen(args, y):
    """What the layer answers, what comes back through it, and what waits in between: up to the first that's wrong."""
    x, packed, dequantize = args
    kept, W = dequantize.any_left(), dequantize_nf4(packed)
    seen = dict.fromkeys(["the answer", "the gradient of x", "what waits for the backward pass"])
    seen["the answer"] = y.detach() if isinstance(y, torch.Tensor) else y
    if difference(seen["the answer"], F.linear(x, W).detach(), CLOSE) is not None:
        return seen
    G = torch.linspace(-1, 2, y.numel()).view_as(y)
    if y.requires_grad:
        y.backward(G)
    seen["the gradient of x"] = torch.zeros_like(x) if x.grad is None else x.grad.clone()
    if difference(seen["the gradient of x"], G @ W, CLOSE) is not None:
        return seen
    seen["what waits for the backward pass"] = "a dense matrix" if kept else "nothing dense"
    return seen


def _through(forward=F.linear, backward=torch.matmul):
    """A frozen layer with another product on the way there, or on the way back."""

    class Frozen(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, packed, dequantize):
            ctx.packed, ctx.dequantize = packed, dequantize
            return forward(x, dequantize(packed))

        @staticmethod
        def backward(ctx, grad):
            return backward(grad, ctx.dequantize(ctx.packed)), None, None

    return Frozen.apply


def _frozen_cases():
    # square, so that a transposed product runs, and is caught by its numbers
    shapes = ((5,), 64), ((2, 3), 128)
    return [
        Case(torch.randn(*rows, size, requires_grad=True), quantize_nf4(torch.randn(size, size)), _Dequantizer())
        for rows, size in shapes
    ]


@mistake(
    "Your layer is right, but a dense Ŵ waits for its backward pass.",
    "Autograd keeps what it multiplied with, and so does ctx if you hand it the matrix. With every layer doing that, "
    "the dense model is back in memory.",
    "What could backward make a second time, so that nothing has to be kept?",
)
def _plain(x, packed, dequantize):
    return F.linear(x, dequantize(packed))


@mistake(
    "Nothing comes back to x.",
    "Frozen means that W doesn't change. The gradient of x still has to get past it, to the layers below.",
    "Is there a no_grad, a detach or a return of zeros or None in the way?",
)
def _detached(x, packed, dequantize):
    with torch.no_grad():
        return F.linear(x, dequantize(packed))


exercise(
    "08.1",
    title="A frozen 4-bit layer",
    prompt="Write my_frozen_linear(x, packed, dequantize): y = x Ŵᵀ, where Ŵ = dequantize(packed) has shape (out, in). "
    "A gradient comes back to x, and between forward and backward no dense Ŵ is kept.",
    minutes=20,
    difficulty=3,
    importance=5,
    solution=my_frozen_linear,
    explanation="Each x_j reaches y_i through Ŵ_ij, so x's gradient is grad @ Ŵ. It needs Ŵ once more, and not x, "
    "because nobody asks for W's gradient. So the bytes are all the layer keeps, and Ŵ is made twice.",
    cases=_frozen_cases,
    observe=_observe_frozen,
    close=CLOSE,
    seconds=20.0,  # torch.utils.checkpoint, which is another right way, takes its time to load
    hints=[
        "Define a class like Square inside your function. Which of forward's inputs does backward need?",
        "forward: ctx.packed = packed, and return F.linear(x, dequantize(packed)). What shapes do grad and "
        "x's gradient have?",
        "backward: return grad @ dequantize(ctx.packed), None. And my_frozen_linear ends with "
        "return Frozen.apply(x, packed).",
    ],
    mistakes=[
        _plain,
        _detached,
        Mistake(
            _through(backward=lambda grad, W: grad @ W.T),
            "Your gradient went through Ŵᵀ.",
            "There's a Ŵᵀ in the forward pass, and the backward pass goes the other way.",
            "If Ŵ weren't square, which product would have the shape of x?",
        ),
        Mistake(
            _through(backward=lambda grad, W: grad.clone()),
            "Your backward returns the gradient as it came in.",
            "W stands between x and y, frozen or not, so it changes the gradient on its way down.",
            "If one number of x grows a little, what happens to y?",
        ),
        Mistake(
            _through(forward=torch.matmul),
            "Your answer is x Ŵ, and should be x Ŵᵀ.",
            "Ŵ has a row for each output, as the weight of nn.Linear has.",
            "What does F.linear(x, W) do with W?",
        ),
        Mistake(
            _through(backward=lambda grad, W: grad @ W / grad.shape[0]),
            "Your gradient is divided by the number of rows.",
            "Averaging over tokens is the loss's job, and it's done before the gradient gets here.",
            "Where does your division come from?",
        ),
        Mistake(
            _through(backward=lambda grad, W: torch.ones_like(grad) @ W),
            "Your gradient doesn't depend on the one that came in.",
            "backward gets the gradient of y and passes it on to x. It doesn't start from ones.",
            "Where does grad appear in your backward?",
        ),
    ],
    shows="The bytes are all it keeps. That's the trick behind QLoRA.",
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
    "You leave the rest out.",
    "Embeddings, norms and the output head aren't quantized, but they have to be somewhere.",
    "Add `rest`, at 16 bits each.",
)
def _linears_only(linear, rest):
    return linear * 4.127 / 8


@mistake(
    "You count bits, which is eight times too much.",
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
    "You leave the scales out.",
    "Every block of weights has a scale beside its codes.",
    "How many bits per weight does the exercise state?",
)
def _without_scales(linear, rest):
    return linear * 4 / 8 + rest * 16 / 8


@mistake(
    "You don't quantize the scales.",
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


@mistake(
    "You gave each number of the rest one byte.",
    "bfloat16 has 16 bits, and a byte has 8.",
    "How many bytes does bfloat16 take?",
)
def _rest_in_bytes(linear, rest):
    return linear * 4.127 / 8 + rest


@mistake(
    "Your result is half of the right one.",
    "Section 8.1 started from bytes in bfloat16, so it divided by 16. `linear` and `rest` are numbers, not bytes.",
    "How many bytes does one number of each kind take?",
)
def _from_bytes_in_bfloat16(linear, rest):
    return linear * 4.127 / 16 + rest


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
    explanation="A 4-bit model isn't four bits throughout. The smaller the model, the larger the share of its "
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
        _rest_in_bytes,
        _from_bytes_in_bfloat16,
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
    "You swap True and False.",
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
    "You round to float16.",
    ".half() has 11 significant bits, and bfloat16 has 8. In bfloat16, more of the steps vanish.",
    "Use .bfloat16(), not .half().",
)
def _in_float16(weights, step):
    weights = weights.half()
    return weights - step != weights


@mistake(
    "You ask whether bfloat16 can hold the step itself.",
    "It can: small numbers are no trouble for bfloat16. Adding a small number to a large one is.",
    "Take it off the weights, and compare.",
)
def _is_the_step_zero(weights, step):
    return torch.full(weights.shape, bool(torch.tensor(step).bfloat16() != 0))


@mistake(
    "You ask for a step as large as the distance to the next number, and you take that as a fixed share of the weight.",
    "A result is rounded to the nearest number, so half the distance is enough. And the distance only changes at "
    "powers of two.",
    "Let bfloat16 do the rounding: subtract, and compare.",
)
def _whole_spacing(weights, step):
    return weights.abs() * torch.finfo(torch.bfloat16).eps <= step


@mistake(
    "You return how many moved.",
    "The question is which ones, one answer for each weight.",
    "What is your sum over?",
)
def _how_many(weights, step):
    return my_moved(weights, step).sum()


@mistake(
    "You return the weights that move, and not which ones they are.",
    "A mask says True or False for each weight, and keeps their shape.",
    "What do you index with, and do you need to?",
)
def _the_weights(weights, step):
    return weights[my_moved(weights, step)]


@mistake(
    "You return the share that moved.",
    "The question is which ones, one answer for each weight.",
    "Leave the mean out.",
)
def _share(weights, step):
    return my_moved(weights, step).float().mean()


exercise(
    "08.3",
    title="Steps that vanish",
    prompt="`weights` is a float32 tensor, and we'll keep it in bfloat16. Write my_moved(weights, step): a tensor of "
    "True and False, which of the bfloat16 weights change when you subtract `step`.",
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
        _whole_spacing,
        _share,
        _how_many,
        _the_weights,
    ],
    shows="Now you know why labkit and PEFT keep adapters in float32 unless you tell them otherwise.",
)

# --- 08.4 ---------------------------------------------------------------------------------------------------


def my_differences(new, old, draws):
    """For each draw of messages, the mean of new − old over them."""
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
    "You give the two methods different messages.",
    "That's for two groups that have nothing to do with each other.",
    "Keep both answers to a message together.",
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
    "You average over the draws.",
    "Each draw needs a number of its own.",
    "Which dimension holds the messages of one draw?",
)
def _over_the_draws(new, old, draws):
    return (new - old)[draws].mean(0)


@mistake(
    "You count how many messages are better, not what share.",
    "A sum grows with the number of messages.",
    "Use mean, not sum.",
)
def _sums(new, old, draws):
    return (new - old)[draws].sum(1)


@mistake(
    "You count the messages where `new` is better, and none where it's worse.",
    "A message that `old` got right and `new` didn't counts against `new`.",
    "What's new − old on such a message?",
)
def _only_gains(new, old, draws):
    return (new - old).clamp(min=0)[draws].mean(1)


@mistake(
    "You give one number for all draws.",
    "The interval is made of many numbers, one per draw.",
    "Which dimension does your mean run over?",
)
def _one_number(new, old, draws):
    return (new - old)[draws].mean()


@mistake(
    "You give the difference of each drawn message, without a mean.",
    "A draw is summed up by one number, the mean over its messages.",
    "Which dimension holds the messages of one draw?",
)
def _no_mean(new, old, draws):
    return (new - old)[draws]


@mistake(
    "You divide the two scores.",
    "How much better is asked as a difference: 2 points more, and not 1.02 times as many.",
    "What do you do with new and old?",
)
def _ratio(new, old, draws):
    return new[draws].mean(1) / old[draws].mean(1)


@mistake(
    "You draw messages for `new`, and take all messages for `old`.",
    "A draw with many hard messages would make `new` look bad.",
    "Do both methods see the same messages in your answer?",
)
def _old_is_fixed(new, old, draws):
    return new[draws].mean(1) - old.mean()


@mistake(
    "You take the numbers in draws for weights, or for counts.",
    "They're indices: 3, 3, 0 means message 3 twice and message 0 once.",
    "What do you get from new[draws]?",
)
def _as_counts(new, old, draws):
    return (draws * (new - old)).sum(1) / draws.sum(1)


exercise(
    "08.4",
    title="The same messages for both",
    prompt="Two float tensors, `new` and `old`, hold 1 for each test message that a method got right, else 0. Each row "
    "of `draws` is one draw: the indices of its messages, some more than once. Write my_differences(new, old, draws): "
    "a number per row, how much better `new` is than `old` on those messages, as a mean.",
    minutes=5,
    difficulty=2,
    importance=4,
    solution=my_differences,
    explanation="Both methods met the same messages, and a hard one is hard for both. Drawing messages, and taking "
    "both answers with them, keeps that, and the interval of the difference is narrower than from two separate draws.",
    cases=lambda: [
        Case(torch.tensor([1.0, 1, 0, 1, 0]), torch.tensor([1.0, 0, 1, 1, 1]), torch.randint(5, (6, 5))),
        Case((torch.rand(40) < 0.9).float(), (torch.rand(40) < 0.7).float(), torch.randint(40, (7, 40))),
    ],
    hints=[
        "Pick from `new` and from `old` with the same row of draws.",
        "First the difference for each message; then pick the drawn ones: difference[draws] has the shape of draws.",
        "(new - old)[draws].mean(1)",
    ],
    mistakes=[
        _the_other_sign,
        _no_draws,
        _rows_of_two_kinds,
        _sizes,
        _over_the_draws,
        _sums,
        _only_gains,
        _one_number,
        _no_mean,
        _ratio,
        _old_is_fixed,
        _as_counts,
    ],
    shows="The 2.5th and the 97.5th percentile of these numbers are the interval of section 8.9.",
)
