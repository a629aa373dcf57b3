"""Wrong answers to notebook 09's exercises; the package says what a tuple holds."""

WRONG = [
    ("09.1", "lambda W, A, B, scaling: W + scaling * (B @ A)", "the sum takes care of itself", True),
    ("09.1", "lambda W, A, B, scaling: (W.float() + scaling * (A.T @ B.T).T).to(torch.float16)", "16 bits are 16 bits"),
    ("09.2", "lambda w: torch.finfo(torch.bfloat16).eps * w.abs()", "eps is relative", True),
    (
        "09.3",
        "lambda merged, kept, old, new: (merged.float() - old + new).bfloat16()",
        "what was added can be taken out",
        True,
    ),
    (
        "09.4",
        "lambda tasks, base, adapter: (tasks * adapter + base, tasks * (base + adapter))",
        "merging adds bytes",
        True,
    ),
]
