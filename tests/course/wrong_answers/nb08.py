"""Wrong answers to notebook 08's exercises; the package says what a tuple holds."""

WRONG = [
    ("08.1", "lambda grad, W: torch.einsum('ro,io->ri', grad, W)", "the way back is the way there", True),
    ("08.1", "lambda grad, W: W @ grad", "the weight comes first"),
    ("08.2", "lambda linear, rest: (linear * 4.127 + rest * 32) / 8", "all else is float32", True),
    ("08.2", "lambda linear, rest: (linear + rest) * 4.127 / 8", "a 4-bit model is 4 bits", True),
    ("08.3", "lambda weights, step: weights.bfloat16() - step == weights.bfloat16()", "vanishing is asked for", True),
    ("08.4", "lambda new, old, draws: new[draws].mean(1) - old.mean()", "old is what it is"),
]
