"""Wrong answers to notebook 08's exercises, and a few right ones of an unusual make."""

from .changing import changed

FROZEN = """
def my_frozen_linear(x, packed, dequantize):
    class Frozen(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, packed):
            ctx.packed = packed
            return F.linear(x, dequantize(packed))

        @staticmethod
        def backward(ctx, grad):
            return grad @ dequantize(ctx.packed), None

    return Frozen.apply(x, packed)
"""
BACK = "grad @ dequantize(ctx.packed), None"


def frozen(*changes):
    return changed(FROZEN, *changes)


def plain(body):
    return "def my_frozen_linear(x, packed, dequantize):\n    " + body.replace("\n", "\n    ")


WRONG = [
    # ---------------------------------------------------------------------------------------------------- 08.1
    ("08.1", plain("return F.linear(x, dequantize(packed))"), "Ŵ has no name, so it's gone", True),
    ("08.1", plain("return x @ dequantize(packed).T"), "the same with @", True),
    ("08.1", plain("W = dequantize(packed)\ny = F.linear(x, W)\ndel W\nreturn y"), "del frees it", True),
    ("08.1", plain("W = dequantize(packed).detach()\nreturn F.linear(x, W)"), "a detached W isn't kept", True),
    (
        "08.1",
        plain("with torch.no_grad():\n    W = dequantize(packed)\nreturn F.linear(x, W)"),
        "made without a gradient, so it isn't kept",
        True,
    ),
    ("08.1", plain("with torch.no_grad():\n    return F.linear(x, dequantize(packed))"), "frozen is no_grad", True),
    ("08.1", plain("return F.linear(x.detach(), dequantize(packed))"), "frozen is detach", True),
    ("08.1", plain("return F.linear(x, dequantize(packed)).detach()"), "the answer is detached", True),
    ("08.1", plain("return x @ dequantize(packed)"), "W comes second", True),
    ("08.1", plain("return dequantize(packed) @ x.T"), "W x, as it's written"),
    (
        "08.1",
        frozen(
            ("ctx.packed = packed", "ctx.W = dequantize(packed)"),
            ("F.linear(x, dequantize(packed))", "F.linear(x, ctx.W)"),
            (BACK, "grad @ ctx.W, None"),
        ),
        "W on ctx",
        True,
    ),
    (
        "08.1",
        frozen(
            ("ctx.packed = packed", "W = dequantize(packed)\n            ctx.save_for_backward(W)"),
            ("F.linear(x, dequantize(packed))", "F.linear(x, W)"),
            (BACK, "grad @ ctx.saved_tensors[0], None"),
        ),
        "W saved for backward",
        True,
    ),
    (
        "08.1",
        frozen(
            ("    class Frozen", "    W = dequantize(packed)\n\n    class Frozen"),
            ("F.linear(x, dequantize(packed))", "F.linear(x, W)"),
            (BACK, "grad @ W, None"),
        ),
        "made once, outside",
        True,
    ),
    ("08.1", frozen((BACK, "grad @ dequantize(ctx.packed).T, None")), "the way back is the way there", True),
    ("08.1", frozen((BACK, "F.linear(grad, dequantize(ctx.packed)), None")), "F.linear both ways", True),
    ("08.1", frozen((BACK, "grad, None")), "it's frozen, so the gradient passes through", True),
    ("08.1", frozen((BACK, "None, None")), "frozen, so there's no gradient", True),
    ("08.1", frozen((BACK, "torch.zeros_like(grad), None")), "frozen, so the gradient is zero", True),
    ("08.1", frozen((BACK, "grad @ dequantize(ctx.packed)")), "one gradient"),
    ("08.1", frozen((BACK, "dequantize(ctx.packed) @ grad, None")), "the weight comes first"),
    ("08.1", frozen((BACK, "dequantize(ctx.packed), None")), "the derivative of W x is W"),
    ("08.1", frozen((BACK, "torch.ones_like(grad) @ dequantize(ctx.packed), None")), "backward starts from one", True),
    ("08.1", frozen((BACK, "grad @ dequantize(ctx.packed) / grad.shape[0], None")), "the mean over rows", True),
    ("08.1", frozen((BACK, "grad @ dequantize(ctx.packed), grad")), "packed gets one, too"),
    ("08.1", frozen(("return Frozen.apply(x, packed)", "return Frozen()(x, packed)")), "called like a module"),
    ("08.1", frozen(("return Frozen.apply(x, packed)", "return Frozen.forward(None, x, packed)")), "forward is called"),
    ("08.1", frozen(("    return Frozen.apply(x, packed)", "")), "the return forgotten"),
    ("08.1", frozen(("return Frozen.apply(x, packed)", "return Frozen.apply")), "the function comes back"),
    # ---------------------------------------------------------------------------------------------------- 08.2
    ("08.2", "lambda linear, rest: (linear * 4.127 + rest * 32) / 8", "all else is float32", True),
    ("08.2", "lambda linear, rest: (linear + rest) * 4.127 / 8", "a 4-bit model is 4 bits", True),
    ("08.2", "lambda linear, rest: (linear + rest) / 2", "half a byte each"),
    ("08.2", "lambda linear, rest: linear / 2 + rest * 2", "four bits are four bits", True),
    ("08.2", "lambda linear, rest: linear * 4.127 + rest * 16", "bits", True),
    ("08.2", "lambda linear, rest: linear * 4.127 + rest * 2", "4.127 are bytes", True),
    ("08.2", "lambda linear, rest: linear * 4.127 / 8 + rest * 16", "16 are bytes", True),
    ("08.2", "lambda linear, rest: linear * 4.127 / 8", "the rest is small", True),
    ("08.2", "lambda linear, rest: linear * 4.5 / 8 + rest * 2", "NF4 is 4.5", True),
    ("08.2", "lambda linear, rest: linear * 4.127 / 8 + rest", "8 bits for the rest", True),
    ("08.2", "lambda linear, rest: (linear * 4.127 + rest * 16) // 8 // 2", "two numbers a byte"),
    ("08.2", "lambda linear, rest: (linear * 4.127 / 8 + rest * 2) / 1e9", "in GB"),
    ("08.2", "lambda linear, rest: linear * 4.127 / 16 + rest", "8.1's line, which starts from bytes", True),
    # ---------------------------------------------------------------------------------------------------- 08.3
    ("08.3", "lambda weights, step: weights.bfloat16() - step == weights.bfloat16()", "vanishing is asked for", True),
    ("08.3", "lambda weights, step: weights - step != weights", "float32 will do", True),
    ("08.3", "lambda weights, step: (weights - step).bfloat16() != weights", "compared with the exact", True),
    (
        "08.3",
        "lambda weights, step: (weights - step).bfloat16() != weights.bfloat16()",
        "rounded after the step",
        True,
    ),
    ("08.3", "lambda weights, step: weights.half() - step != weights.half()", "16 bits are 16 bits", True),
    ("08.3", "lambda weights, step: (weights.bfloat16() - step != weights.bfloat16()).float()", "1 and 0"),
    ("08.3", "lambda weights, step: (weights.bfloat16() - step != weights.bfloat16()).float().mean()", "share", True),
    ("08.3", "lambda weights, step: (weights.bfloat16() - step != weights.bfloat16()).sum()", "how many", True),
    ("08.3", "lambda weights, step: weights.bfloat16().float() - step != weights.bfloat16()", "back in float32", True),
    ("08.3", "lambda weights, step: weights.bfloat16() + step != weights.bfloat16()", "added"),
    ("08.3", "lambda weights, step: weights.abs() > step", "larger than the step"),
    (
        "08.3",
        "lambda weights, step: weights.abs() * torch.finfo(torch.bfloat16).eps <= step",
        "a step of a whole spacing, taken as a share",
        True,
    ),
    ("08.3", "lambda weights, step: weights.bfloat16().float() - step != weights.bfloat16().float()", "exact", True),
    (
        "08.3",
        "lambda weights, step: weights[weights.bfloat16() - step != weights.bfloat16()]",
        "the weights that move",
        True,
    ),
    # ---------------------------------------------------------------------------------------------------- 08.4
    ("08.4", "lambda new, old, draws: new[draws].mean(1) - old.mean()", "old is what it is", True),
    ("08.4", "lambda new, old, draws: (old - new)[draws].mean(1)", "old comes first", True),
    ("08.4", "lambda new, old, draws: (new - old)[draws].mean(0)", "over the draws", True),
    ("08.4", "lambda new, old, draws: (new - old)[draws].sum(1)", "how many rows", True),
    ("08.4", "lambda new, old, draws: (new - old)[draws].mean()", "one number", True),
    ("08.4", "lambda new, old, draws: (new - old).abs()[draws].mean(1)", "how much they differ", True),
    ("08.4", "lambda new, old, draws: (new > old).float()[draws].mean(1)", "where new is better"),
    ("08.4", "lambda new, old, draws: (new - old)[draws]", "each drawn row", True),
    ("08.4", "lambda new, old, draws: (new - old).mean().expand(len(draws))", "the same each time", True),
    ("08.4", "lambda new, old, draws: new[draws].mean(1) / old[draws].mean(1)", "a ratio", True),
    ("08.4", "lambda new, old, draws: (new[draws] - old[draws]).std(1)", "the spread"),
    ("08.4", "lambda new, old, draws: (new - old)[draws].median(1).values", "the median"),
    ("08.4", "lambda new, old, draws: new[draws].mean() - old[draws].mean()", "two means", True),
    (
        "08.4",
        "lambda new, old, draws: (draws * (new - old)).sum(1) / draws.sum(1)",
        "draws says how often each message is drawn",
        True,
    ),
    (
        "08.4",
        "lambda new, old, draws: new[draws].mean(1) - old[torch.randint(len(old), draws.shape)].mean(1)",
        "each method gets its own draws",
    ),
]

RIGHT = [
    ("08.1", frozen((BACK, "grad @ dequantize(ctx.packed), None, None")), "autograd forgives a None too many"),
    (
        "08.1",
        plain(
            "from torch.utils.checkpoint import checkpoint\n"
            "return checkpoint(lambda x: F.linear(x, dequantize(packed)), x, use_reentrant=False)"
        ),
        "checkpointing computes it twice, too",
    ),
    (
        "08.1",
        frozen(
            ("F.linear(x, dequantize(packed))", "x @ dequantize(packed).T"), (BACK, "F.linear(grad, W.T), None")
        ).replace(
            "            return F.linear(grad",
            "            W = dequantize(ctx.packed)\n            return F.linear(grad",
        ),
        "other products",
    ),
]
