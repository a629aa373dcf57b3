"""Exercises of notebook 09: merging into 16 bits, the grid of bfloat16, changing adapters, a merge to train through.

09.4 is the weight that the notebook's five live steps train with, once it has passed.
"""

import torch

from labkit.lab.checking import Case, Mistake, exercise, mistake

# --- 09.1 ---------------------------------------------------------------------------------------------------


def my_merge(W, A, B, scaling):
    """Add in float32, then round once."""
    return (W.float() + scaling * (B @ A)).bfloat16()


@mistake(
    "You round the sum again and again, once for each rank-1 piece.",
    "Adding the pieces one by one is exact on paper, but here every sum is rounded.",
    "Can you form the whole update first?",
)
def _piece_by_piece(W, A, B, scaling):
    for i in range(A.shape[0]):
        W = W + (scaling * B[:, i : i + 1] @ A[i : i + 1]).bfloat16()
    return W


exercise(
    "09.1",
    title="Round once",
    prompt="Write my_merge(W, A, B, scaling): the merged weight in bfloat16. W is bfloat16; A (r × in) and B (out × r) "
    "are float32. Only the finished sum may be rounded, as in labkit.",
    minutes=3,
    difficulty=2,
    importance=5,
    solution=my_merge,
    explanation="A bfloat16 number has 8 significant bits. Each time a number is rounded to that grid, it moves by up "
    "to half a step, and the errors add up. Adding in float32 takes memory for one layer at a time, and leaves a "
    "single rounding.",
    cases=lambda: [
        Case(torch.randn(48, 64).bfloat16(), torch.randn(8, 64), torch.randn(48, 8), scaling) for scaling in (0.05, 2.0)
    ],
    hints=[
        "Which numbers are already rounded to bfloat16, and which aren't yet?",
        "Make W float32 before you add. What comes last?",
        "(W.float() + scaling * (B @ A)).bfloat16()",
    ],
    mistakes=[
        *[
            Mistake(
                answer,
                "You round twice: the update first, and then the sum.",
                "bfloat16 plus bfloat16 is bfloat16, so PyTorch rounds the sum as well.",
                "Which cast comes too early?",
            )
            for answer in (
                lambda W, A, B, scaling: W + (scaling * (B @ A)).bfloat16(),
                lambda W, A, B, scaling: W + scaling * (B @ A).bfloat16(),
            )
        ],
        *[
            Mistake(
                answer,
                "You round A and B before you multiply them.",
                "An adapter's numbers are float32, and so is their product, as long as you let them be.",
                "Which casts can you leave out?",
            )
            for answer in (
                lambda W, A, B, scaling: W + scaling * (B.bfloat16() @ A.bfloat16()),
                lambda W, A, B, scaling: W + scaling * B.bfloat16() @ A.bfloat16(),
                lambda W, A, B, scaling: (W.float() + scaling * (B.bfloat16() @ A.bfloat16())).bfloat16(),
                lambda W, A, B, scaling: (W.float() + scaling * (B.bfloat16() @ A.bfloat16()).float()).bfloat16(),
                lambda W, A, B, scaling: (
                    W.float() + scaling * (B.bfloat16().float() @ A.bfloat16().float())
                ).bfloat16(),
            )
        ],
        _piece_by_piece,
        Mistake(
            lambda W, A, B, scaling: W.float() + scaling * (B @ A),
            "You return the float32 sum, which isn't rounded at all.",
            "bfloat16 plus float32 is float32 in PyTorch, and a merged layer has its base's dtype.",
            "Which cast is missing at the end?",
        ),
        Mistake(
            lambda W, A, B, scaling: (W.float() + B @ A).bfloat16(),
            "You leave out the scaling.",
            "The update is scaling · B A, and a merged layer can't multiply by it later.",
            "Where does `scaling` go?",
        ),
        Mistake(
            lambda W, A, B, scaling: W.bfloat16(),
            "You return W, with no adapter in it.",
            "A merged weight is W plus the update.",
            "What do you do with A and B?",
        ),
        Mistake(
            lambda W, A, B, scaling: (scaling * (B @ A)).bfloat16(),
            "You return the update alone.",
            "A merged layer has only one weight, so W has to be in it.",
            "What's the update added to?",
        ),
        Mistake(
            lambda W, A, B, scaling: (scaling * (W.float() + B @ A)).bfloat16(),
            "You scale W as well.",
            "The scaling belongs to the update; the base is taken as it is.",
            "What stands inside your parentheses?",
        ),
        Mistake(
            lambda W, A, B, scaling: (W.float() - scaling * (B @ A)).bfloat16(),
            "You subtract the update.",
            "Subtracting is how people try to undo a merge.",
            "Is there a minus in your answer?",
        ),
        Mistake(
            lambda W, A, B, scaling: (W.float() + scaling * (B @ A)).half(),
            "You round to float16, which is another format with 16 bits.",
            "float16 has more digits and a smaller range; half() and torch.float16 mean that one.",
            "Which dtype does W have?",
        ),
    ],
    shows="That's LoraLinear.merged_weight of labkit, in one line.",
)

# --- 09.2 ---------------------------------------------------------------------------------------------------


def my_step(w):
    """2^(exponent − 7), for 7 bits after the leading one. frexp counts exponents from 1/2, so it's 8 there."""
    return 2.0 ** (torch.frexp(w).exponent - 8)


_UP, _DOWN = torch.tensor(float("inf")).bfloat16(), torch.tensor(-float("inf")).bfloat16()


@mistake(
    "You measure the step toward plus infinity, and at a negative power of two that's toward zero.",
    "The grid has the same steps for −w as for w, and at a power of two they differ on its two sides.",
    "What do you get for w = −1, and what for w = 1?",
)
def _toward_plus_infinity(w):
    near = w.bfloat16()
    return torch.nextafter(near, _UP).float() - near.float()


@mistake(
    "You round w to bfloat16 first, and 0.9999 becomes 1, where the steps are larger.",
    "Casting picks the nearest number, which may be the power of two above.",
    "Which power of two is just below 0.9999?",
)
def _rounded_first(w):
    near = w.abs().bfloat16()
    return torch.nextafter(near, _UP).float() - near.float()


@mistake(
    "You measure the step toward zero, and at a power of two that's the smaller one.",
    "The grid gets finer below a power of two and coarser from it on.",
    "What do you get for w = 1?",
)
def _toward_zero(w):
    near = w.abs().bfloat16()
    return near.float() - torch.nextafter(near, _DOWN).float()


@mistake(
    "You measure the step toward minus infinity, and at a positive power of two that's toward zero.",
    "The grid gets finer below a power of two and coarser from it on.",
    "What do you get for w = 1, and what for w = −1?",
)
def _toward_minus_infinity(w):
    near = w.bfloat16()
    return near.float() - torch.nextafter(near, _DOWN).float()


exercise(
    "09.2",
    title="The grid under a weight",
    prompt="Write my_step(w): for each number of w (float32, no zeros), how far apart the bfloat16 numbers are there. "
    "bfloat16 keeps 7 binary digits after the leading one: from 1 up to 2 its numbers are 1/128 apart, and around 0.05 "
    "they're 1/4096 apart. At a power of two, give the step away from zero: 1/128 at 1 and at −1.",
    minutes=6,
    difficulty=3,
    importance=4,
    solution=my_step,
    explanation="From one power of two to the next there are always 128 numbers, evenly spaced, and each doubling "
    "doubles the spacing. A change of less than half a step is rounded away. (log2 and floor do it, too. But log2 is "
    "rounded itself, and just below a power of two far from 1 it may say that power. frexp reads the bits.)",
    # Powers of two of both signs, where the two sides differ; and numbers that a cast rounds up or down to one
    cases=lambda: [
        Case(torch.tensor([1.5, 1.0, 0.05, -0.05, 3.0, 1e-3, -1.0, -0.5, 0.9999, -3.999, 1.001, -2.001])),
        Case(torch.randn(50).mul(0.1).add(1e-4)),
    ],
    hints=[
        "How far apart are they between 2 and 4? And between 1/2 and 1?",
        "Which power of two is just below |w|? torch has log2 and floor.",
        "2.0 ** (w.abs().log2().floor() - 7)",
    ],
    mistakes=[
        Mistake(
            lambda w: 2.0 ** (w.abs().log2().floor() - 8),
            "Your steps are half as large as they should be.",
            "bfloat16 has 8 significant bits, but the leading one is among them.",
            "How far apart are the numbers from 1 to 2, says the exercise?",
        ),
        Mistake(
            lambda w: 2.0 ** (w.abs().log2().floor() - 6),
            "Your steps are twice as large as they should be.",
            "With 7 digits after the leading one, there are 128 numbers from 1 up to 2.",
            "How far apart are the numbers from 1 to 2, says the exercise?",
        ),
        Mistake(
            lambda w: 2.0 ** (w.abs().log2().floor() - 23),
            "Your steps are those of float32.",
            "float32 has 23 bits after the leading one.",
            "How many has bfloat16?",
        ),
        Mistake(
            lambda w: 2.0 ** (w.abs().log2().floor() - 10),
            "Your steps are those of float16.",
            "float16 has 10 bits after the leading one.",
            "How many has bfloat16?",
        ),
        Mistake(
            lambda w: w.abs() * 2.0**-7,
            "Your steps grow smoothly with the number.",
            "They stay the same from one power of two to the next, and double there.",
            "What do you get for w = 1.5, and what does the exercise say?",
        ),
        Mistake(
            lambda w: w * 2.0**-7,
            "Your steps grow smoothly with the number, and they're negative where it is.",
            "They stay the same from one power of two to the next, double there, and ignore the sign.",
            "Which power of two is just below |w|?",
        ),
        *[
            Mistake(
                lambda w, step=step: torch.full_like(w, step),
                "Your step is the same everywhere.",
                "Floating-point numbers lie closer together toward zero.",
                f"What do you get for w = {at}, and what does the exercise say?",
            )
            for step, at in ((2.0**-7, 0.05), (2.0**-12, 1.5))
        ],
        Mistake(
            lambda w: 2.0 ** (w.abs().log2().ceil() - 7),
            "You take the power of two above the number.",
            "The leading bit stands for the power of two just below, or for the number itself if it is one.",
            "Does your answer round the logarithm up or down?",
        ),
        Mistake(
            lambda w: 2.0 ** (w.abs().log2().round() - 7),
            "You take the nearest power of two, and sometimes that's the one above.",
            "The leading bit stands for the power of two just below the number.",
            "What do you get for w = 1.5?",
        ),
        Mistake(
            lambda w: 2.0 ** (w.abs().log2().trunc() - 7),
            "Below 1, you take the power of two above the number.",
            "int() and trunc() round toward zero, and there the logarithm is negative.",
            "Which function rounds down, whatever the sign?",
        ),
        Mistake(
            lambda w: 2.0 ** (w.log2().floor() - 7),
            "Your negative weights get NaN.",
            "A negative number has no logarithm.",
            "Does the grid care about the sign of w?",
        ),
        Mistake(
            lambda w: w.abs().log2().floor() - 7,
            "You return the exponent of the step.",
            "The step itself is 2 to that power.",
            "What's 2 to the power of your answer?",
        ),
        Mistake(
            lambda w: 2.0 ** w.abs().log2().floor(),
            "You return the power of two below the number.",
            "From there to the next power of two there are 128 steps.",
            "How far apart are the numbers from 1 to 2, says the exercise?",
        ),
        Mistake(
            lambda w: 2.0 ** (w.abs().log2().ceil() - 8),
            "At a power of two, your step is the one toward zero.",
            "From a power of two on, the steps are twice as large as just below it.",
            "What do you get for w = 1, and what does the exercise say?",
        ),
        _toward_plus_infinity,
        _rounded_first,
        _toward_zero,
        _toward_minus_infinity,
    ],
    shows="Half of this, and you know which updates a bfloat16 weight doesn't notice.",
)

# --- 09.3 ---------------------------------------------------------------------------------------------------


def my_swap(merged, kept, old, new):
    """From the weight that was kept; what's merged at the moment doesn't matter."""
    return (kept.float() + new).to(kept.dtype)


def _swap_cases():
    cases = []
    for _ in range(2):
        kept, old, new = torch.randn(40, 30).bfloat16(), 0.1 * torch.randn(40, 30), 0.1 * torch.randn(40, 30)
        cases.append(Case((kept.float() + old).bfloat16(), kept, old, new))
    return cases


exercise(
    "09.3",
    title="Change adapters",
    prompt="A server holds `merged`, the bfloat16 weight W + old, and has kept W as `kept`, in bfloat16 too. Write "
    "my_swap(merged, kept, old, new): the merged weight for the update `new`, bit for bit what a fresh merge would "
    "give. (`old` and `new` are float32.)",
    minutes=3,
    difficulty=2,
    importance=4,
    solution=my_swap,
    explanation="`merged` was rounded when it was made, and no subtraction takes that out. The kept weight is what it "
    "always was. It's all you need to unmerge, or to change adapters.",
    cases=_swap_cases,
    hints=[
        "What happened to `merged` when it was made? Can you undo that?",
        "Which of the two weights has never had anything added to it?",
        "(kept.float() + new).to(kept.dtype)",
    ],
    mistakes=[
        Mistake(
            lambda merged, kept, old, new: merged - old.to(merged.dtype) + new.to(merged.dtype),
            "You subtract `old` in bfloat16, and some of your weights come out wrong.",
            "Subtracting gives W back only in exact arithmetic, and here every sum is rounded.",
            "Is there a W that nothing was ever added to?",
        ),
        Mistake(
            lambda merged, kept, old, new: (merged.float() - old + new).to(merged.dtype),
            "You start from `merged`, and some of your weights come out wrong, even though you went through float32.",
            "`merged` was rounded when it was made, and rounding can't be undone.",
            "Can you start from a weight that hasn't been through a merge?",
        ),
        Mistake(
            lambda merged, kept, old, new: ((merged.float() - old).to(merged.dtype).float() + new).to(merged.dtype),
            "You subtract `old`, and what you get isn't quite W.",
            "`merged` was rounded when it was made, and you round the difference once more.",
            "Which argument is W itself?",
        ),
        Mistake(
            lambda merged, kept, old, new: merged + (new - old).to(merged.dtype),
            "You add the difference of the two updates to `merged`, and some of your weights come out wrong.",
            "`merged` was rounded when it was made, and that error stays in it.",
            "Can you start from a weight that hasn't been through a merge?",
        ),
        Mistake(
            lambda merged, kept, old, new: kept + new.to(kept.dtype),
            "You start from the right weight, but you round twice: `new` first, and then the sum.",
            "bfloat16 plus bfloat16 is bfloat16, so PyTorch rounds the sum as well.",
            "Which cast comes too early?",
        ),
        Mistake(
            lambda merged, kept, old, new: (kept.float() - old + new).to(kept.dtype),
            "You take `old` out of a weight that it was never in.",
            "`kept` is W from before the merge.",
            "Which of the two updates do you need?",
        ),
        Mistake(
            lambda merged, kept, old, new: (merged.float() + new).to(merged.dtype),
            "You have both adapters in it now.",
            "`merged` is W + old already.",
            "Which argument is W alone?",
        ),
        Mistake(
            lambda merged, kept, old, new: (kept.float() + old + new).to(kept.dtype),
            "You have both adapters in it now.",
            "After a swap, only the new one should answer.",
            "Which of the two updates do you need?",
        ),
        Mistake(
            lambda merged, kept, old, new: (kept.float() + old).to(kept.dtype),
            "You merge the old adapter again.",
            "The server wants to answer with the new one.",
            "Which update do you add?",
        ),
        Mistake(
            lambda merged, kept, old, new: kept.clone(),
            "You return W, with no adapter at all.",
            "Unmerging is only half the way.",
            "How does `new` get in?",
        ),
        Mistake(
            lambda merged, kept, old, new: kept.float() + new,
            "You return float32.",
            "A merged layer has its base's dtype.",
            "Which cast is missing at the end?",
        ),
    ],
    shows="labkit's unmerge and merge do exactly this, with the W they keep.",
)

# --- 09.4 ---------------------------------------------------------------------------------------------------


def my_merge_aware(W, A, B, scaling, quantize):
    """The numbers of the rounded sum, with the gradient of the sum itself."""
    whole = W + scaling * (B @ A)
    return whole + (quantize(whole) - whole).detach()


def _onto_quarters(w):
    """A grid that anybody can check by eye; its gradient is zero, as that of every rounding."""
    return torch.round(4 * w) / 4


def _onto_few(w):
    """Five levels that lie wider apart on the outside, as NF4's do."""
    levels = torch.tensor([-1.5, -0.5, 0.0, 0.5, 1.5])
    return levels[(w.detach().unsqueeze(-1) - levels).abs().argmin(-1)]


def _aware_cases():
    def factors(out, rank, into):
        return torch.randn(rank, into, requires_grad=True), (0.3 * torch.randn(out, rank)).requires_grad_()

    return [
        Case(_onto_quarters(torch.randn(6, 10)), *factors(6, 2, 10), 0.5, _onto_quarters),
        Case(torch.randn(5, 7), *factors(5, 3, 7), 2.0, _onto_few),
    ]


def _observe_aware(args, weight):
    """The numbers, and the gradients that A and B get when each number of the weight pulls in a direction of its own"""
    W, A, B = args[:3]
    if not isinstance(weight, torch.Tensor) or weight.shape != W.shape:
        return weight
    pull = torch.linspace(-1, 1, weight.numel()).view(weight.shape).sin()
    gradients = [None, None]
    if weight.requires_grad:
        gradients = torch.autograd.grad(weight, [A, B], pull, allow_unused=True)
    to_A, to_B = (torch.zeros_like(of) if found is None else found for found, of in zip(gradients, (A, B)))
    return {"the weight's numbers": weight.detach(), "A's gradient": to_A, "B's gradient": to_B}


def _aware(combine):
    """A wrong answer: how `combine` puts together the sum, a rounding, and what there is."""
    return lambda W, A, B, scaling, quantize: combine(W, scaling * (B @ A), quantize)


_NO_GRADIENT = (
    "Your numbers are right, but A and B get no gradient, so they'd never learn.",
    "Rounding is a staircase. Its slope is zero on every step, and autograd multiplies by it.",
    "Which part should backward() see, and which part should be detached?",
)

exercise(
    "09.4",
    title="The straight-through merge",
    prompt="Write my_merge_aware(W, A, B, scaling, quantize): the weight for one step of training. Its numbers are "
    "those of quantize(W + scaling · B A), up to a last digit. Going backward, A and B get the gradients of "
    "W + scaling · B A, as if nothing had been rounded.",
    minutes=10,
    difficulty=3,
    importance=5,
    solution=my_merge_aware,
    explanation="Forward, the sum cancels, and what's left is the rounded weight. Backward, the detached part is a "
    "constant, so the gradient goes straight through to the sum. It's the straight-through estimator (Bengio, Léonard "
    "and Courville, 2013).",
    cases=_aware_cases,
    observe=_observe_aware,
    hints=[
        "detach() keeps a tensor's numbers, and hides from backward() where they came from.",
        "Start with whole = W + scaling * (B @ A). What would you have to add to get quantize(whole)?",
        "whole + (quantize(whole) - whole).detach()",
    ],
    mistakes=[
        Mistake(_aware(lambda W, update, quantize: quantize(W + update)), *_NO_GRADIENT),
        Mistake(
            _aware(lambda W, update, quantize: W + update),
            "You don't round, so training never meets the rounding.",
            "That's ordinary LoRA, and the merge comes as a surprise afterwards.",
            "Where does `quantize` go?",
        ),
        Mistake(
            _aware(lambda W, update, quantize: quantize(W) + update),
            "You round W and leave the update exact.",
            "That's QLoRA: the adapter stays beside the base, and only the base is rounded.",
            "What will be rounded in a merge, W or the sum?",
        ),
        Mistake(
            _aware(lambda W, update, quantize: W + update + (quantize(update) - update).detach()),
            "You round the update by itself.",
            "A merged layer has one weight, so the sum is what's rounded.",
            "What do you hand to `quantize`?",
        ),
        Mistake(
            _aware(lambda W, update, quantize: W + quantize(update)),
            "You round the update by itself, and A and B get no gradient.",
            "A merged layer has one weight, so the sum is what's rounded.",
            "What do you hand to `quantize`?",
        ),
        Mistake(
            _aware(lambda W, update, quantize: (W + update).detach() + quantize(W + update) - (W + update)),
            "Your gradients have the wrong sign, so training would climb.",
            "You detach the sum that should carry the gradient, and keep the one with the minus.",
            "Which of the two sums should backward() see?",
        ),
        Mistake(
            _aware(lambda W, update, quantize: quantize(W + update) + (W + update - quantize(W + update)).detach()),
            "You have it the wrong way round: your numbers are those of the sum, and nothing learns from it.",
            "What isn't detached gives the gradient, and yours is the rounded sum, whose slope is zero.",
            "Which of the two should backward() see, the sum or the rounded sum?",
        ),
        Mistake(
            _aware(lambda W, update, quantize: W + update + quantize(W + update).detach()),
            "You return the sum plus the rounded sum.",
            "What you add should be only the difference that rounding makes.",
            "What's missing inside your detach()?",
        ),
        Mistake(
            _aware(lambda W, update, quantize: W + update + ((W + update) - quantize(W + update)).detach()),
            "You move each number away from its rounded value.",
            "To get from the sum to the rounded sum, you add rounded minus sum.",
            "Which of the two comes first in your difference?",
        ),
        Mistake(
            lambda W, A, B, scaling, quantize: my_merge_aware(W, A, B, 1.0, quantize),
            "You leave out the scaling.",
            "The update is scaling · B A, in training as in a merge.",
            "Where does `scaling` go?",
        ),
        Mistake(
            lambda W, A, B, scaling, quantize: my_merge_aware(W, A.detach(), B, scaling, quantize),
            "A gets no gradient, so only B would learn.",
            "A detached tensor is a constant to backward().",
            "Do you detach more than the difference that rounding makes?",
        ),
        Mistake(
            lambda W, A, B, scaling, quantize: my_merge_aware(W, A, B.detach(), scaling, quantize),
            "B gets no gradient, so only A would learn.",
            "A detached tensor is a constant to backward().",
            "Do you detach more than the difference that rounding makes?",
        ),
        Mistake(
            _aware(lambda W, update, quantize: quantize(W) + update + (quantize(W + update) - W - update).detach()),
            "You add what rounding does to W on top of the rounded sum.",
            "The sum you start from and the sum you subtract have to be the same.",
            "Is W rounded in one place and exact in the other?",
        ),
    ],
    shows="Forward it's rounded, backward it's not. That's all there is to training through a rounding.",
)
