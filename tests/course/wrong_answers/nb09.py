"""Wrong answers to notebook 09's exercises; the package says what a tuple holds."""


def aware(*lines):
    return "\n    ".join(["def my_merge_aware(W, A, B, scaling, quantize):", *lines])


def merge(body):
    return f"lambda W, A, B, scaling: {body}"


def swap(body):
    return f"lambda merged, kept, old, new: {body}"


WHOLE = "whole = W + scaling * (B @ A)"

WRONG = [
    ("09.1", merge("W + scaling * (B @ A)"), "the sum takes care of itself", True),
    ("09.1", merge("(W.float() + scaling * (A.T @ B.T).T).to(torch.float16)"), "16 bits are 16 bits", True),
    ("09.1", merge("W + (scaling * (B @ A)).to(W.dtype)"), "both sides need the same dtype", True),
    ("09.1", merge("W.add(scaling * (B @ A).bfloat16())"), "cast the product, then scale"),
    ("09.1", merge("W + scaling * B.to(W.dtype) @ A.to(W.dtype)"), "everything in W's dtype"),
    (
        "09.1",
        "def my_merge(W, A, B, scaling):\n    A, B = A.to(W.dtype), B.to(W.dtype)\n"
        "    return (W.float() + scaling * (B.float() @ A.float())).to(torch.bfloat16)",
        "the adapter gets the model's dtype first",
        True,
    ),
    (
        "09.1",
        merge("(W.float() + scaling * (B.to(W.dtype) @ A.to(W.dtype)).float()).to(W.dtype)"),
        "adapters are loaded in the model's dtype",
        True,
    ),
    ("09.1", merge("(W.float() + (B * scaling).bfloat16().float() @ A).bfloat16()"), "B is scaled in 16 bits"),
    ("09.1", merge("(W.float() + B @ A).bfloat16()"), "the scaling is in B already", True),
    ("09.1", merge("((W.float() + B @ A) * scaling).bfloat16()"), "scale everything", True),
    ("09.1", merge("(W.float() + (B @ A) / scaling).bfloat16()"), "scaling is r / α"),
    ("09.1", merge("(W.float() - scaling * (B @ A)).bfloat16()"), "unmerging", True),
    ("09.1", merge("(W.double() + scaling * (B.double() @ A.double()))"), "as exact as can be"),
    ("09.1", merge("(scaling * (B @ A)).bfloat16()"), "the update is the weight", True),
    ("09.1", merge("(W.float() + scaling * (A @ B)).bfloat16()"), "A B"),
    ("09.2", "lambda w: torch.finfo(torch.bfloat16).eps * w.abs()", "eps is relative", True),
    ("09.2", "lambda w: torch.full_like(w, torch.finfo(torch.bfloat16).eps)", "eps is the step", True),
    ("09.2", "lambda w: torch.full_like(w, 1 / 4096)", "the ruler of 9.3 is everywhere", True),
    ("09.2", "lambda w: torch.full_like(w, torch.finfo(torch.bfloat16).tiny)", "tiny is the step"),
    ("09.2", "lambda w: 2.0 ** torch.floor(torch.log2(w)) / 128", "w is positive", True),
    ("09.2", "lambda w: 2.0 ** torch.ceil(torch.log2(w.abs())) / 128", "the power of two around it", True),
    ("09.2", "lambda w: 2.0 ** torch.floor(torch.log2(w.abs())) / 256", "8 bits", True),
    ("09.2", "lambda w: 2.0 ** torch.floor(torch.log2(w.abs())) / 7", "7 steps"),
    ("09.2", "lambda w: 2.0 ** (torch.log2(w.abs()).int() - 7)", "int rounds down", True),
    ("09.2", "lambda w: 2.0 ** (torch.log2(w.abs()).round() - 7)", "the nearest power of two", True),
    ("09.2", "lambda w: 2.0 ** (torch.log2(w.abs()).ceil() - 8)", "the power of two around it, and 8 bits", True),
    (
        "09.2",
        "lambda w: torch.ldexp(torch.ones_like(w), torch.frexp(w).exponent - 7)",
        "7 digits, so exponent − 7",
        True,
    ),
    ("09.2", "lambda w: (w - w.bfloat16().float()).abs()", "the error of rounding"),
    ("09.2", "lambda w: 2.0 ** (torch.frexp(w).exponent - 7)", "frexp counts as log2 does", True),
    (
        "09.2",
        "def my_step(w):\n    b = w.bfloat16()\n"
        "    return torch.nextafter(b, torch.full_like(b, float('inf'))).float() - b.float()",
        "the next number up",
        True,
    ),
    (
        "09.2",
        "def my_step(w):\n    b = w.abs().bfloat16()\n"
        "    return torch.nextafter(b, torch.full_like(b, float('inf'))).float() - b.float()",
        "the next number away from zero, after a cast",
        True,
    ),
    (
        "09.2",
        "def my_step(w):\n    b = w.abs().bfloat16()\n    return b.float() - torch.nextafter(b, b * 0).float()",
        "the next number toward zero",
        True,
    ),
    (
        "09.2",
        "def my_step(w):\n    b = w.bfloat16()\n"
        "    return b.float() - torch.nextafter(b, torch.full_like(b, -float('inf'))).float()",
        "the next number down",
        True,
    ),
    ("09.3", swap("(merged.float() - old + new).bfloat16()"), "what was added can be taken out", True),
    ("09.3", swap("merged - old.bfloat16() + new.bfloat16()"), "all in 16 bits", True),
    ("09.3", swap("merged + (new - old).bfloat16()"), "add the difference"),
    ("09.3", swap("(merged.float() + (new - old)).bfloat16()"), "add the difference in float32", True),
    ("09.3", swap("kept + new.bfloat16()"), "same dtypes", True),
    ("09.3", swap("kept + new"), "PyTorch will cast", True),
    ("09.3", swap("kept.float() + new"), "add in float32, and that's it", True),
    ("09.3", swap("(kept.float() - old + new).bfloat16()"), "kept has the old one in it", True),
    ("09.3", swap("(merged.float() + new).bfloat16()"), "just add it", True),
    ("09.3", swap("(kept.float() + old + new).bfloat16()"), "both", True),
    ("09.3", swap("(kept.float() + old).bfloat16()"), "old and new mixed up", True),
    ("09.3", swap("kept"), "back to the base", True),
    ("09.3", swap("(merged.double() - old.double() + new.double()).bfloat16()"), "float64 is exact"),
    ("09.3", swap("((merged.float() - old).bfloat16() + new).bfloat16()"), "unmerge, then merge", True),
    ("09.4", aware("return quantize(W + scaling * (B @ A))"), "autograd does it", True),
    ("09.4", aware(WHOLE, "return whole + quantize(whole) - whole"), "it cancels anyway", True),
    ("09.4", aware(WHOLE, "return whole + (quantize(whole) - whole)"), "detach isn't needed", True),
    ("09.4", aware(WHOLE, "return (whole + quantize(whole) - whole).detach()"), "detach everything", True),
    ("09.4", aware(WHOLE, "with torch.no_grad():", "    return quantize(whole)"), "rounding without gradient", True),
    ("09.4", aware(WHOLE, "return quantize(whole.detach())"), "detach what isn't to be differentiated", True),
    (
        "09.4",
        aware(WHOLE, "return whole + quantize(whole).detach()"),
        "numbers from one, gradients from the other",
        True,
    ),
    ("09.4", aware("return quantize(W).detach() + scaling * (B @ A)"), "QLoRA's way", True),
    ("09.4", aware(WHOLE, "return whole"), "the gradient is that of the sum", True),
    ("09.4", aware(WHOLE, "return quantize(whole.detach()) + whole"), "detach before rounding", True),
    ("09.4", aware(WHOLE, "return whole.detach() + (quantize(whole) - whole)"), "detach the first", True),
    ("09.4", aware(WHOLE, "return whole + (whole - quantize(whole)).detach()"), "the wrong way round", True),
    ("09.4", aware(WHOLE, "return whole - (quantize(whole) - whole).detach()"), "minus", True),
    (
        "09.4",
        aware(WHOLE, "rounded = quantize(whole)", "return rounded + (whole - rounded).detach()"),
        "detach the sum, since the numbers should be the rounded ones",
        True,
    ),
    ("09.4", aware("return quantize(W) + scaling * (B @ A)"), "the base is what's rounded", True),
    (
        "09.4",
        aware("update = scaling * (B @ A)", "return W + update + (quantize(update) - update).detach()"),
        "round the update",
        True,
    ),
    ("09.4", aware("return W + quantize(scaling * (B @ A))"), "round the update, no detach", True),
    ("09.4", aware("whole = W + B @ A", "return whole + (quantize(whole) - whole).detach()"), "no scaling", True),
    (
        "09.4",
        aware("A = A.detach()", WHOLE, "return whole + (quantize(whole) - whole).detach()"),
        "A needs no gradient",
        True,
    ),
    (
        "09.4",
        aware(WHOLE, "return W + (quantize(whole) - W).detach()"),
        "W is where the gradient goes",
        True,
    ),
    (
        "09.4",
        aware(WHOLE, "return (B @ A) + (quantize(whole) - B @ A).detach()"),
        "the gradient without the scaling",
    ),
    ("09.4", aware(WHOLE, "return whole + (quantize(W) - W).detach()"), "the error of the base"),
]
