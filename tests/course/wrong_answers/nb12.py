"""Wrong answers to notebook 12's exercises; the package says what a tuple holds."""


def vera(*body, forward="return self.base(x) + self.b * ((self.d * (x @ self.A.T)) @ self.B.T)"):
    """MyVeRA with `body` as what its __init__ does, after super()."""
    lines = ["class MyVeRA(nn.Module):", "    def __init__(self, base, A, B):", "        super().__init__()"]
    lines += [f"        {line}" for line in body] + ["    def forward(self, x):"]
    return "\n".join([*lines, *(f"        {line}" for line in forward.split("\n"))])


def count(body):
    return f"lambda hidden, heads, kv_heads, wide, layers: {body}"


def inputs(*lines):
    start = ["def my_inputs(P, embeds, mask, labels):", "rows, p = len(embeds), len(P)"]
    return "\n    ".join([*start, *lines])


def dora(body):
    return f"lambda W, A, B, m, scaling: {body}"


def verdict(*lines):
    return "\n    ".join(["def my_verdict(means):", *lines])


FROZEN = "self.base = base.requires_grad_(False)"
SLICED = "self.A, self.B = A[:, : base.in_features], B[: base.out_features]"
D, B = "self.d = nn.Parameter(torch.full((len(A),), 0.1))", "self.b = nn.Parameter(torch.zeros(base.out_features))"
EMBEDS = "embeds = torch.cat([P.expand(rows, -1, -1), embeds], 1)"
MASK = "mask = torch.cat([torch.ones(rows, p, dtype=mask.dtype), mask], 1)"
LABELS = "labels = torch.cat([torch.full((rows, p), -100), labels], 1)"
DONE = "return embeds, mask, labels"
ENDS = "low, high = means.quantile(0.025), means.quantile(0.975)"

WRONG = [
    (
        "12.1",
        vera(
            FROZEN,
            "self.A = nn.Parameter(A[:, : base.in_features].clone())",
            "self.B = nn.Parameter(B[: base.out_features].clone())",
            D,
            B,
        ),
        "matrices of a layer are parameters",
        True,
    ),
    ("12.1", vera("self.base = base", SLICED, D, B), "only what I make learns", True),
    ("12.1", vera(FROZEN, SLICED, D.replace("full((len(A),), 0.1)", "zeros(len(A))"), B), "all start at zero", True),
    ("12.1", vera(FROZEN, SLICED, D.replace("0.1", "1.0"), B), "a factor starts at one", True),
    ("12.1", vera(FROZEN, SLICED, D, B.replace("zeros", "ones")), "factors start at one", True),
    (
        "12.1",
        vera(FROZEN, SLICED, D, B.replace("zeros(base.out_features)", "full((base.out_features,), 0.1)")),
        "both 0.1",
        True,
    ),
    ("12.1", vera(FROZEN, SLICED, D.replace("full((len(A),), 0.1)", "randn(len(A))"), B), "random like LoRA's A"),
    (
        "12.1",
        vera(FROZEN, SLICED, D, B, forward="return self.b * ((self.d * (x @ self.A.T)) @ self.B.T)"),
        "no base",
        True,
    ),
    (
        "12.1",
        vera(FROZEN, SLICED, D, B, forward="return self.base(x) + self.b * (x @ self.A.T @ self.B.T)"),
        "no d",
        True,
    ),
    (
        "12.1",
        vera(FROZEN, SLICED, D, B, forward="return self.base(x) + (self.d * (x @ self.A.T)) @ self.B.T"),
        "no b",
        True,
    ),
    (
        "12.1",
        vera(
            FROZEN,
            SLICED,
            D,
            B,
            forward="return x @ self.base.weight.T + self.b * ((self.d * (x @ self.A.T)) @ self.B.T)",
        ),
        "the weight is the layer",
        True,
    ),
    ("12.1", vera(FROZEN, "self.A, self.B = A, B", D, B), "whole A and B"),
    (
        "12.1",
        vera(FROZEN, SLICED, "self.d = torch.full((len(A),), 0.1)", "self.b = torch.zeros(base.out_features)"),
        "tensors",
    ),
    (
        "12.1",
        vera(
            FROZEN,
            SLICED,
            D,
            B,
            forward="return self.base(x) + self.b * ((self.d * (x @ self.A.T)) @ self.B.T).detach()",
        ),
        "A and B are frozen, so detach",
    ),
    ("12.2", count("layers * (hidden + hidden + wide)"), "keys are as wide as the model", True),
    ("12.2", count("layers * (2 * kv_heads * hidden // heads + hidden)"), "down_proj's output", True),
    ("12.2", count("layers * (kv_heads * hidden // heads + wide)"), "k and v share it", True),
    ("12.2", count("layers * (hidden + 2 * kv_heads * hidden // heads + wide)"), "q as well", True),
    ("12.2", count("2 * kv_heads * (hidden // heads) + wide"), "shared by all layers", True),
    ("12.2", count("layers * (kv_heads + kv_heads + wide)"), "one per head", True),
    ("12.2", count("3 * layers"), "three factors per layer"),
    ("12.2", count("layers * (2 * kv_heads * (hidden // heads) + 2 * wide)"), "gate and up", True),
    ("12.2", count("layers * (2 * kv_heads * (hidden // heads) + hidden + wide)"), "o_proj as well", True),
    (
        "12.3",
        inputs(EMBEDS, LABELS, "mask = torch.cat([torch.zeros(rows, p, dtype=mask.dtype), mask], 1)", DONE),
        "not real",
        True,
    ),
    (
        "12.3",
        inputs(EMBEDS, MASK, "labels = torch.cat([torch.zeros(rows, p, dtype=labels.dtype), labels], 1)", DONE),
        "0",
        True,
    ),
    (
        "12.3",
        inputs(EMBEDS, MASK, "labels = torch.cat([torch.ones(rows, p, dtype=labels.dtype), labels], 1)", DONE),
        "1",
        True,
    ),
    (
        "12.3",
        inputs(EMBEDS, MASK, "labels = torch.cat([labels, torch.full((rows, p), -100)], 1)", DONE),
        "pad labels",
        True,
    ),
    (
        "12.3",
        inputs(EMBEDS, LABELS, "mask = torch.cat([mask, torch.ones(rows, p, dtype=mask.dtype)], 1)", DONE),
        "pad mask",
        True,
    ),
    ("12.3", inputs(EMBEDS.replace("P.expand", "P.detach().expand"), MASK, LABELS, DONE), "a constant", True),
    ("12.3", inputs(EMBEDS, DONE), "mask and labels stay"),
    ("12.3", inputs(EMBEDS, MASK, DONE), "labels stay"),
    ("12.3", inputs(EMBEDS, MASK, LABELS, "return embeds"), "only the embeddings"),
    ("12.3", inputs("embeds = embeds + P[: embeds.shape[1]].sum(0)", DONE), "added to the words"),
    (
        "12.3",
        inputs(
            "embeds = torch.cat([embeds, P.expand(rows, -1, -1)], 1)",
            "mask = torch.cat([mask, torch.ones(rows, p, dtype=mask.dtype)], 1)",
            "labels = torch.cat([labels, torch.full((rows, p), -100)], 1)",
            DONE,
        ),
        "a suffix",
        True,
    ),
    (
        "12.4",
        dora("m[:, None] * (W + scaling * B @ A) / (W + scaling * B @ A).norm(dim=0)"),
        "columns, says the paper",
        True,
    ),
    ("12.4", dora("m[:, None] * (W + scaling * B @ A) / W.norm(dim=1, keepdim=True)"), "W's lengths", True),
    ("12.4", dora("m[:, None] * (W + scaling * B @ A) / (W + scaling * B @ A).norm()"), "norm()", True),
    ("12.4", dora("m[:, None] * (W + scaling * B @ A)"), "times m", True),
    ("12.4", dora("F.normalize(W + scaling * B @ A, dim=1)"), "direction only", True),
    ("12.4", dora("W + scaling * B @ A"), "LoRA", True),
    ("12.4", dora("m[:, None] * F.normalize(W + B @ A, dim=1)"), "no scaling", True),
    ("12.4", dora("W + m[:, None] * (scaling * B @ A)"), "m scales the update", True),
    ("12.4", dora("m[:, None] * (F.normalize(W, dim=1) + scaling * B @ A)"), "normalize W first", True),
    ("12.4", dora("m[:, None] * F.normalize(W + scaling * B @ A, dim=0)"), "dim 0", True),
    ("12.4", dora("m * F.normalize(W + scaling * B @ A, dim=1).T"), "transposed"),
    ("12.5", verdict('return "better" if means.mean() > 0 else "worse"'), "the mean", True),
    (
        "12.5",
        verdict('return "better" if means.median() > 0 else "worse" if means.median() < 0 else "can\'t tell"'),
        "median",
        True,
    ),
    (
        "12.5",
        verdict(ENDS, 'return "worse" if low > 0 else "better" if high < 0 else "can\'t tell"'),
        "lower is better",
        True,
    ),
    (
        "12.5",
        verdict(
            ENDS.replace("0.025", "0.05").replace("0.975", "0.95"),
            'return "better" if low > 0 else "worse" if high < 0 else "can\'t tell"',
        ),
        "5 % below",
        True,
    ),
    (
        "12.5",
        verdict(
            "up, down = (means > 0).double().mean(), (means < 0).double().mean()",
            'return "better" if up > 0.95 else "worse" if down > 0.95 else "can\'t tell"',
        ),
        "95 % are positive",
        True,
    ),
    (
        "12.5",
        verdict('return "better" if (means > 0).all() else "worse" if (means < 0).all() else "can\'t tell"'),
        "all of them",
        True,
    ),
    (
        "12.5",
        verdict(
            'if means.mean() - means.std() > 0: return "better"',
            'return "worse" if means.mean() + means.std() < 0 else "can\'t tell"',
        ),
        "one deviation",
        True,
    ),
    ("12.5", verdict(ENDS, 'return "better" if low * high > 0 else "can\'t tell"'), "zero isn't in it", True),
    ("12.5", verdict(ENDS, 'return "better" if high > 0 else "worse"'), "the upper end"),
    ("12.5", verdict(ENDS, 'return "equal" if low < 0 < high else "better" if low > 0 else "worse"'), "equal"),
    ("12.5", verdict(ENDS, "return low > 0"), "True or False"),
]
