"""Exercises of notebook 09: merging into 16 bits, the grid of bfloat16, changing adapters, disks."""

import torch

from labkit.lab.checking import Case, exercise, mistake

# --- 09.1 ---------------------------------------------------------------------------------------------------


def my_merge(W, A, B, scaling):
    """Sum in float32, cast once."""
    return (W.float() + scaling * (B @ A)).bfloat16()


@mistake(
    "Some of your weights are one step of bfloat16 off.",
    "The update was rounded, and then the sum was rounded again.",
    "Which .bfloat16() comes too early?",
)
def _update_cast_first(W, A, B, scaling):
    return W + (scaling * (B @ A)).bfloat16()


@mistake(
    "Many of your weights are off: you rounded A and B before you multiplied them.",
    "Adapters are kept in float32 for a reason, and their product deserves it, too.",
    "Leave A and B as they are.",
)
def _everything_in_16_bits(W, A, B, scaling):
    return W + scaling * (B.bfloat16() @ A.bfloat16())


@mistake(
    "You return the float32 sum.",
    "A merged layer has the dtype of its base: here, two bytes per weight.",
    "Which cast is missing at the end?",
)
def _left_in_float32(W, A, B, scaling):
    return W.float() + scaling * (B @ A)


@mistake(
    "Your update has the wrong size.",
    "The update is scaling · B A, so a merge has to carry the scaling, too.",
    "Where does `scaling` go?",
)
def _without_scaling(W, A, B, scaling):
    return (W.float() + B @ A).bfloat16()


@mistake(
    "Many of your weights are off: you round the sum again and again.",
    "Adding the rank-1 pieces one after the other is only right in exact arithmetic.",
    "Form the whole update first.",
)
def _piece_by_piece(W, A, B, scaling):
    for i in range(A.shape[0]):
        W = W + (scaling * B[:, i : i + 1] @ A[i : i + 1]).bfloat16()
    return W


def _bfloat16_cases():
    return [
        Case(torch.randn(48, 64).bfloat16(), torch.randn(8, 64), torch.randn(48, 8), scaling) for scaling in (0.05, 2.0)
    ]


exercise(
    "09.1",
    title="Round once",
    prompt="Write my_merge(W, A, B, scaling): the merged weight in bfloat16. W is bfloat16, A (r × in) and B (out × r) "
    "are float32. The only rounding to bfloat16 shall be that of the finished sum.",
    minutes=6,
    difficulty=3,
    importance=5,
    solution=my_merge,
    explanation="A bfloat16 number has 8 significant bits. Each time something passes through it, up to half a step of "
    "that grid is lost, and the losses add up. float32 in between costs memory for one layer at a time, and then there "
    "is a single rounding that nobody can avoid.",
    cases=_bfloat16_cases,
    hints=[
        "Which numbers are already rounded to bfloat16, and which are not yet?",
        "Make W float32 before you add. What is the last thing to do?",
        "(W.float() + scaling * (B @ A)).bfloat16()",
    ],
    mistakes=[
        _update_cast_first,
        _everything_in_16_bits,
        _piece_by_piece,
        _left_in_float32,
        _without_scaling,
    ],
    shows="That is LoraLinear.merged_weight of labkit, in one line.",
)

# --- 09.2 ---------------------------------------------------------------------------------------------------


def my_step(w):
    """2^(exponent − 7): bfloat16 has 7 bits after the leading one."""
    return 2.0 ** (w.abs().log2().floor() - 7)


@mistake(
    "Your steps are half as large as they should be.",
    "Eight significant bits count the leading one, and seven come after it.",
    "Check with w = 1.5: the step is 1/128.",
)
def _eight_bits(w):
    return 2.0 ** (w.abs().log2().floor() - 8)


@mistake("Your steps are those of float32.", "float32 has 23 bits after the leading one.", "How many has bfloat16?")
def _of_float32(w):
    return 2.0 ** (w.abs().log2().floor() - 23)


@mistake(
    "Your steps grow smoothly with the number.",
    "They stay the same between two powers of two, and double there.",
    "What does floor() do to the logarithm?",
)
def _in_proportion(w):
    return w.abs() * 2.0**-7


@mistake(
    "Your step is the same everywhere.",
    "That would be integers. The grid of floating-point numbers gets finer toward zero.",
    "Compare w = 1.5 with w = 0.05.",
)
def _the_same_everywhere(w):
    return torch.full_like(w, 2.0**-7)


@mistake(
    "Your steps grow smoothly with the number, and are negative where it is.",
    "They stay the same between two powers of two, double there, and don't know the sign.",
    "Which power of two is just below |w|?",
)
def _in_proportion_with_its_sign(w):
    return w / 128


@mistake(
    "Most of your steps are twice too large.",
    "The leading bit is the power of two just below the number, not the one above.",
    "Use floor, not ceil.",
)
def _rounded_up(w):
    return 2.0 ** (w.abs().log2().ceil() - 7)


@mistake(
    "Below 1, your steps are twice too large.",
    "int and trunc round toward zero, and the logarithm is negative there.",
    "Which function rounds down, whatever the sign?",
)
def _towards_zero(w):
    return 2.0 ** (w.abs().log2().trunc() - 7)


@mistake(
    "Your negative weights get NaN.",
    "A negative number has no logarithm, and the grid only depends on the size.",
    "Take the logarithm of |w|.",
)
def _without_abs(w):
    return 2.0 ** (w.log2().floor() - 7)


exercise(
    "09.2",
    title="The grid under a weight",
    prompt="Write my_step(w): for each number of w (float32, none of them zero), how far apart the bfloat16 numbers "
    "are there. bfloat16 keeps 7 binary digits after the leading one: between 1 and 2 its numbers are 1/128 apart, and "
    "around 0.05 they are 1/4096 apart.",
    minutes=6,
    difficulty=3,
    importance=4,
    solution=my_step,
    explanation="Between two powers of two there are always 128 numbers, evenly spaced, and each doubling doubles the "
    "spacing. A change of less than half a step is rounded away.",
    cases=lambda: [Case(torch.tensor([1.5, 1.0, 0.05, -0.05, 3.0, 1e-3])), Case(torch.randn(50).mul(0.1).add(1e-4))],
    hints=[
        "How far apart are they between 2 and 4? And between 1/2 and 1?",
        "Which power of two is just below |w|? torch has log2 and floor.",
        "2.0 ** (w.abs().log2().floor() - 7)",
    ],
    mistakes=[
        _eight_bits,
        _of_float32,
        _in_proportion,
        _the_same_everywhere,
        _rounded_up,
        _towards_zero,
        _without_abs,
        _in_proportion_with_its_sign,
    ],
    shows="Half of this, and you know which updates a bfloat16 weight does not notice.",
)

# --- 09.3 ---------------------------------------------------------------------------------------------------


def my_swap(merged, kept, old, new):
    """From the weight that was kept; what is merged at present does not matter."""
    return (kept.float() + new).to(kept.dtype)


@mistake(
    "Some of your weights are a step of bfloat16 off, or more.",
    "Subtracting `old` only gives W back in exact arithmetic, and here every sum is rounded.",
    "Is there a W that nothing was ever added to?",
)
def _subtract_and_add(merged, kept, old, new):
    return merged - old.to(merged.dtype) + new.to(merged.dtype)


@mistake(
    "Some of your weights are a step of bfloat16 off, though you went through float32.",
    "`merged` was rounded when it was made, and rounding can't be undone.",
    "Start from a weight that hasn't been through a merge.",
)
def _subtract_and_add_in_float32(merged, kept, old, new):
    return (merged.float() - old + new).to(merged.dtype)


@mistake(
    "Some of your weights are a step of bfloat16 off: what you got back wasn't quite W.",
    "`merged` was rounded when it was made, and the difference is rounded once more.",
    "Which argument is W itself?",
)
def _rounded_in_between(merged, kept, old, new):
    return ((merged.float() - old).to(merged.dtype).float() + new).to(merged.dtype)


@mistake(
    "Some of your weights are a step of bfloat16 off, though you started from the right one.",
    "The update was rounded, and then the sum was rounded again.",
    "Which cast comes too early?",
)
def _update_cast_before_adding(merged, kept, old, new):
    return kept + new.to(kept.dtype)


@mistake(
    "You take `old` out of a weight that it was never in.",
    "`kept` is W from before the merge.",
    "Which of the two updates do you need?",
)
def _old_out_of_kept(merged, kept, old, new):
    return (kept.float() - old + new).to(kept.dtype)


@mistake("You have both adapters in it now.", "The merged weight already holds W + old.", "Where is W alone?")
def _on_top(merged, kept, old, new):
    return (merged.float() + new).to(merged.dtype)


@mistake("You return W, with no adapter at all.", "Unmerging is only half the way.", "How does `new` get in?")
def _only_unmerged(merged, kept, old, new):
    return kept.clone()


@mistake("You return float32.", "A merged layer has the dtype of its base.", "Cast the finished sum.")
def _left_wide(merged, kept, old, new):
    return kept.float() + new


def _swap_cases():
    cases = []
    for _ in range(2):
        kept, old, new = torch.randn(40, 30).bfloat16(), 0.1 * torch.randn(40, 30), 0.1 * torch.randn(40, 30)
        cases.append(Case((kept.float() + old).bfloat16(), kept, old, new))
    return cases


exercise(
    "09.3",
    title="Change adapters",
    prompt="A server holds `merged`, the bfloat16 weight W + old, and has kept W as `kept`, in bfloat16 as well. Write "
    "my_swap(merged, kept, old, new): the merged weight for the update `new` (`old` and `new` are float32), to the bit "
    "what a fresh merge would give.",
    minutes=6,
    difficulty=3,
    importance=4,
    solution=my_swap,
    explanation="Whatever was merged before has left its roundings in `merged`, and no subtraction takes them out. The "
    "kept weight has none of them. It is all that unmerging, or changing adapters, needs.",
    cases=_swap_cases,
    hints=[
        "Which of the two weights has been rounded only once, when the base was made?",
        "Do you need `merged` and `old` at all?",
        "(kept.float() + new).to(kept.dtype)",
    ],
    mistakes=[
        _subtract_and_add,
        _subtract_and_add_in_float32,
        _rounded_in_between,
        _update_cast_before_adding,
        _old_out_of_kept,
        _on_top,
        _only_unmerged,
        _left_wide,
    ],
    shows="labkit's unmerge and merge do exactly this, with the W they keep.",
)

# --- 09.4 ---------------------------------------------------------------------------------------------------


def my_disk(tasks, base, adapter):
    """One base and an adapter each, or a whole model each."""
    return base + tasks * adapter, tasks * base


@mistake(
    "Kept apart, you store a base for each task.",
    "All adapters share one base, and that's the point of them.",
    "How many bases do you need?",
)
def _a_base_each(tasks, base, adapter):
    return tasks * (base + adapter), tasks * base


@mistake(
    "Your merged models are larger than the base.",
    "Merging adds numbers to numbers, and appends none.",
    "What shape does W + ΔW have?",
)
def _merged_is_larger(tasks, base, adapter):
    return base + tasks * adapter, tasks * (base + adapter)


@mistake("Kept apart, your base is missing.", "An adapter alone answers nothing.", "Add the base, once.")
def _no_base(tasks, base, adapter):
    return tasks * adapter, tasks * base


@mistake(
    "Merged, you store a single model.",
    "Two tasks merged into one model would always act together.",
    "How many models do that many tasks need?",
)
def _one_model(tasks, base, adapter):
    return base + tasks * adapter, base


@mistake("You swapped the two numbers.", "Kept apart comes first.", "Which of the two should grow slowly?")
def _the_other_way_round(tasks, base, adapter):
    return tasks * base, base + tasks * adapter


exercise(
    "09.4",
    title="Many tasks on one disk",
    prompt="Each of `tasks` tasks has an adapter of `adapter` bytes for the same base of `base` bytes. Write "
    "my_disk(tasks, base, adapter): two numbers, the bytes on disk with all adapters kept apart, and with every task "
    "merged into a model of its own.",
    minutes=3,
    difficulty=1,
    importance=4,
    solution=my_disk,
    explanation="A merged model is exactly as large as its base, since ΔW is added to numbers that are there anyway. "
    "But every task needs one of its own.",
    cases=lambda: [Case(4, 538_000_000, 9_800_000), Case(1, 100, 7), Case(100, 16_000_000_000, 84_000_000)],
    hints=[
        "Kept apart: how many bases are there? Merged: how many?",
        "How large is W + ΔW, compared with W?",
        "base + tasks * adapter, tasks * base",
    ],
    mistakes=[
        _a_base_each,
        _merged_is_larger,
        _no_base,
        _one_model,
        _the_other_way_round,
    ],
    shows="The last case: a hundred tasks on an 8B model, 24 GB or 1,600.",
)
