"""Wrong answers to notebook 03's exercises, and a few right ones of an unusual make."""

from .changing import changed

LAYER = """
class MyLoRA(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base
        self.base.requires_grad_(False)
        self.A = nn.Linear(base.in_features, r, bias=False)
        self.B = nn.Linear(r, base.out_features, bias=False)
        nn.init.zeros_(self.B.weight)
        self.scaling = alpha / r
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.base(x) + self.scaling * self.B(self.A(self.dropout(x)))
"""
FREEZE = "        self.base.requires_grad_(False)\n"
SCALING = "self.scaling = alpha / r"
DROPOUT = "self.dropout = nn.Dropout(dropout)"
MAKE_A = "self.A = nn.Linear(base.in_features, r, bias=False)"
MAKE_B = "self.B = nn.Linear(r, base.out_features, bias=False)"
ZERO = "nn.init.zeros_(self.B.weight)"
ANSWER = "return self.base(x) + self.scaling * self.B(self.A(self.dropout(x)))"
DETOUR = "self.scaling * self.B(self.A(self.dropout(x)))"


def layer(*changes):
    return changed(LAYER, *changes)


INJECT = """
def my_inject(model, targets, Layer, r, alpha):
    model.requires_grad_(False)
    names = []
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and any(name.endswith("." + t) for t in targets):
            model.set_submodule(name, Layer(module, r, alpha))
            names.append(name)
    return names
"""
FIRST_FREEZE = "    model.requires_grad_(False)\n"
MATCH = 'any(name.endswith("." + t) for t in targets)'
PUT = "model.set_submodule(name, Layer(module, r, alpha))"


def inject(*changes):
    return changed(INJECT, *changes)


def merged(body):
    return "def my_merged_weight(W, A, B, alpha, dropout):\n    " + body.replace("\n", "\n    ")


def count(body):
    return "def my_count(hidden, heads, kv_heads, layers, r):\n    " + body.replace("\n", "\n    ")


WRONG = [
    ("03.1", layer((FREEZE, "")), "A and B are new, so only they are trained", True),
    (
        "03.1",
        layer((FREEZE, "        self.base.requires_grad = False\n")),
        "requires_grad of a module is a switch",
        True,
    ),
    ("03.1", layer((FREEZE, "        self.base.eval()\n")), "eval() freezes", True),
    ("03.1", layer((FREEZE, "        self.base.weight.requires_grad = False\n")), "the base is its weight", True),
    ("03.1", layer((DROPOUT, DROPOUT + "\n        self.requires_grad_(False)")), "freezing self means its base", True),
    (
        "03.1",
        layer((ZERO, ZERO + "\n        for p in self.parameters():\n            p.requires_grad = False")),
        "freeze last",
        True,
    ),
    (
        "03.1",
        layer((MAKE_A, MAKE_A + "\n        self.A.requires_grad_(False)")),
        "A is a fixed random projection",
        True,
    ),
    ("03.1", layer((SCALING, "self.scaling = alpha // r")), "whole numbers divide with //", True),
    ("03.1", layer((SCALING, "self.scaling = round(alpha / r)")), "a factor is a whole number"),
    ("03.1", layer((SCALING, "self.scaling = alpha")), "alpha is the factor", True),
    ("03.1", layer((SCALING, "self.scaling = alpha / r**0.5")), "rsLoRA is LoRA", True),
    ("03.1", layer((SCALING, "self.scaling = alpha * r")), "more rank, more update", True),
    ("03.1", layer((SCALING, "self.scaling = r / alpha")), "upside down", True),
    ("03.1", layer((SCALING, "self.scaling = 1 / r")), "alpha is the learning rate's business"),
    (
        "03.1",
        layer((SCALING, "self.scaling = nn.Parameter(torch.tensor(alpha / r))")),
        "the factor can learn, too",
        True,
    ),
    ("03.1", layer(("self.scaling * ", "")), "the scaling is kept in the layer, so it's used", True),
    (
        "03.1",
        layer(("self.B(self.A(self.dropout(x)))", "self.B(self.scaling * self.A(self.dropout(x)))")),
        "twice",
        True,
    ),
    (
        "03.1",
        layer((ANSWER, "return self.scaling * (self.base(x) + self.B(self.A(self.dropout(x))))")),
        "scales all",
        True,
    ),
    ("03.1", layer((ANSWER, f"return (1 - self.scaling) * self.base(x) + {DETOUR}")), "it's a weighted mean"),
    ("03.1", layer((DETOUR, "self.dropout(self.scaling * self.B(self.A(x)))")), "dropout comes last", True),
    ("03.1", layer(("self.A(self.dropout(x))", "self.dropout(self.A(x))")), "dropout goes between the layers", True),
    (
        "03.1",
        layer((ANSWER, "x = self.dropout(x)\n        " + ANSWER.replace("self.dropout(x)", "x"))),
        "x first",
        True,
    ),
    (
        "03.1",
        layer(("self.base(x)", "self.base(self.dropout(x))"), ("self.A(self.dropout(x))", "self.A(x)")),
        "wrong x",
        True,
    ),
    (
        "03.1",
        layer((ANSWER, f"return self.dropout({ANSWER[7:].replace('self.dropout(x)', 'x')})")),
        "on the answer",
        True,
    ),
    ("03.1", layer(("self.A(self.dropout(x))", "self.A(x)")), "dropout is made, so it's on", True),
    (
        "03.1",
        layer((DROPOUT, "self.p = dropout"), ("self.dropout(x)", "F.dropout(x, self.p)")),
        "F.dropout knows",
        True,
    ),
    ("03.1", layer((DROPOUT, "self.dropout = nn.Dropout()")), "the argument forgotten", True),
    ("03.1", layer((DROPOUT, "self.dropout = nn.Dropout(0.1)")), "a tenth is usual", True),
    ("03.1", layer((DROPOUT, "self.dropout = nn.Dropout(1 - dropout)")), "the share that's kept", True),
    (
        "03.1",
        layer((DROPOUT, "self.p = dropout"), ("self.dropout(x)", "F.dropout(x, self.p, not self.training)")),
        "training the wrong way round",
        True,
    ),
    ("03.1", layer((ZERO, "nn.init.zeros_(self.A.weight)\n        " + ZERO)), "zero is a safe start", True),
    ("03.1", layer((ZERO, "")), "B is made like A", True),
    ("03.1", layer((ZERO, "nn.init.zeros_(self.A.weight)")), "the other one", True),
    ("03.1", layer((ZERO, "nn.init.ones_(self.B.weight)")), "neutral is one", True),
    ("03.1", layer((ZERO, "self.B.weight.data.zero_")), "the parentheses forgotten", True),
    ("03.1", layer((ZERO, "nn.init.zeros_(self.B)")), "B is its weight"),
    ("03.1", layer((ZERO, "nn.init.normal_(self.B.weight, std=1e-3)")), "not quite zero, so that A learns", True),
    (
        "03.1",
        layer((ZERO, ZERO + "\n        nn.init.normal_(self.A.weight, std=1e-6)")),
        "small numbers are safe",
        True,
    ),
    ("03.1", layer((ZERO, ZERO + "\n        nn.init.ones_(self.A.weight)")), "any A will do", True),
    ("03.1", layer((", bias=False", "")), "a layer has a bias", True),
    ("03.1", layer((MAKE_B, MAKE_B.replace(", bias=False", ""))), "one bias at the end", True),
    ("03.1", layer((MAKE_A, MAKE_A.replace(", bias=False", ""))), "a bias in the middle", True),
    ("03.1", layer((", bias=False", ", bias=base.bias is not None")), "a bias if the base has one"),
    ("03.1", layer(("        super().__init__()\n", "")), "super() is for others", True),
    (
        "03.1",
        layer(
            (MAKE_A, "self.A = nn.Parameter(torch.randn(r, base.in_features) * 0.01)"),
            (MAKE_B, "self.B = nn.Parameter(torch.zeros(base.out_features, r))"),
            (f"        {ZERO}\n", ""),
            ("self.B(self.A(self.dropout(x)))", "(self.dropout(x) @ self.A.T @ self.B.T)"),
        ),
        "parameters, as in loralib",
        True,
    ),
    (
        "03.1",
        layer(
            (MAKE_A, "self.A = torch.randn(r, base.in_features) * 0.01"),
            (MAKE_B, "self.B = torch.zeros(base.out_features, r)"),
            (f"        {ZERO}\n", ""),
            ("self.B(self.A(self.dropout(x)))", "(self.dropout(x) @ self.A.T @ self.B.T)"),
        ),
        "a tensor is a parameter",
        True,
    ),
    ("03.1", layer(("self.A", "self.lora_A"), ("self.B", "self.lora_B")), "PEFT's names", True),
    (
        "03.1",
        layer((MAKE_A, "self.A = nn.Linear(r, base.in_features, bias=False)")),
        "a Linear's shape is out, in",
        True,
    ),
    (
        "03.1",
        layer(
            (MAKE_A, "self.A = nn.Linear(base.out_features, r, bias=False)"),
            (MAKE_B, "self.B = nn.Linear(r, base.in_features, bias=False)"),
        ),
        "in and out swapped",
        True,
    ),
    (
        "03.1",
        layer(
            (MAKE_A, MAKE_A.replace("base.in_features", "576")), (MAKE_B, MAKE_B.replace("base.out_features", "576"))
        ),
        "576",
    ),
    ("03.1", layer((MAKE_A, MAKE_A.replace("r,", "8,")), (MAKE_B, MAKE_B.replace("(r", "(8"))), "r is 8"),
    ("03.1", layer((ANSWER, f"return {DETOUR}")), "LoRA replaces the layer", True),
    ("03.1", layer((ANSWER, ANSWER[7:])), "return forgotten", True),
    ("03.1", layer((ANSWER, ANSWER.replace("return ", "print(") + ")")), "print returns", True),
    ("03.1", layer((ANSWER, ANSWER.replace("+", "-"))), "the update is subtracted, as a gradient is", True),
    ("03.1", layer((ANSWER, ANSWER.replace("+", "*"))), "beside means times", True),
    (
        "03.1",
        layer(("self.B(self.A(self.dropout(x)))", "self.B(F.relu(self.A(self.dropout(x))))")),
        "two layers need a ReLU",
        True,
    ),
    (
        "03.1",
        layer(("self.B(self.A(self.dropout(x)))", "self.B(torch.tanh(self.A(self.dropout(x))))")),
        "a tanh between",
        True,
    ),
    ("03.1", layer(("self.dropout(x)", "self.dropout(self.base(x))")), "the detour comes after the base", True),
    ("03.1", layer(("self.A(self.dropout(x))", "self.A(self.base(self.dropout(x)))")), "a bottleneck adapter", True),
    (
        "03.1",
        layer(("self.base = base", "self.base = nn.Linear(base.in_features, base.out_features)")),
        "a fresh base",
        True,
    ),
    ("03.1", layer(("self.base(x)", "F.linear(x, self.base.weight)")), "a linear layer is W x", True),
    ("03.1", layer((DETOUR, DETOUR + ".detach()")), "detach is for frozen things", True),
    ("03.1", layer(("self.A(self.dropout(x))", "self.A(self.dropout(x)).detach()")), "B learns, A needn't", True),
    (
        "03.1",
        layer((ANSWER, f"with torch.no_grad():\n            y = self.base(x)\n        return y + {DETOUR}")),
        "frozen means no_grad",
        True,
    ),
    ("03.1", layer((ANSWER, f"with torch.no_grad():\n            {ANSWER}")), "no_grad around everything", True),
    (
        "03.1",
        layer(
            (
                ANSWER,
                "self.base.weight.data += self.scaling * self.B.weight @ self.A.weight\n        return self.base(x)",
            )
        ),
        "the update goes into W",
        True,
    ),
    (
        "03.1",
        layer((ANSWER, "if not self.training:\n            return self.base(x)\n        " + ANSWER)),
        "the adapter is for training",
        True,
    ),
    ("03.1", layer((DETOUR, "self.scaling * self.A(self.B(self.dropout(x)))")), "A after B", True),
    (
        "03.1",
        layer((ANSWER, "return self.base(x) + self.scaling + self.B(self.A(self.dropout(x)))")),
        "plus, not times",
    ),
    # ---------------------------------------------------------------------------------------------------- 03.2
    ("03.2", inject(('"." + t', "t")), "without the dot", True),
    ("03.2", inject(('name.endswith("." + t)', "t in name")), "a name contains its target", True),
    ("03.2", inject((MATCH, "name.endswith(tuple(targets))")), "endswith takes a tuple", True),
    ("03.2", inject((MATCH, "name.endswith(targets)")), "endswith takes a list"),
    ("03.2", inject((MATCH, 'name.split(".")[-1] in targets')), "a target is one name", True),
    ("03.2", inject((MATCH, "name in targets")), "a target is a layer's full name", True),
    ("03.2", inject(('name.endswith("." + t)', "name.startswith(t)")), "the wrong end", True),
    ("03.2", "import re\n" + inject(('name.endswith("." + t)', "re.search(t, name)")), "a target is a pattern", True),
    ("03.2", inject(("any(", "all(")), "all targets at once", True),
    ("03.2", inject((MATCH, 'name.endswith("." + targets[0])')), "one target"),
    ("03.2", inject((" and " + MATCH, "")), "every linear layer", True),
    ("03.2", inject(("isinstance(module, nn.Linear) and ", "")), "what's named q_proj is linear", True),
    ("03.2", inject((MATCH, '"self_attn" in name and ' + MATCH)), "LoRA is for attention"),
    ("03.2", inject((FIRST_FREEZE, "")), "each layer freezes its base", True),
    ("03.2", inject((FIRST_FREEZE, ""), ("    return", FIRST_FREEZE + "    return")), "freeze at the end", True),
    (
        "03.2",
        inject((FIRST_FREEZE, ""), (PUT, "model.requires_grad_(False)\n            " + PUT)),
        "freeze before each",
        True,
    ),
    (
        "03.2",
        inject((FIRST_FREEZE, ""), (PUT, "module.requires_grad_(False)\n            " + PUT)),
        "freeze those wrapped",
        True,
    ),
    ("03.2", inject((FIRST_FREEZE, "    model.requires_grad = False\n")), "a module's switch", True),
    ("03.2", inject((FIRST_FREEZE, "    model.eval()\n")), "eval() freezes", True),
    (
        "03.2",
        inject(
            (
                FIRST_FREEZE,
                "    for n, p in model.named_parameters():\n        p.requires_grad = any(t in n for t in targets)\n",
            )
        ),
        "the targets stay trainable",
    ),
    ("03.2", inject(("return names", "return targets")), "the names are the targets", True),
    ("03.2", inject(("return names", "return len(names)")), "how many", True),
    ("03.2", inject(("return names", "return model")), "the model comes back", True),
    ("03.2", inject(("return names", "print(names)")), "print returns", True),
    ("03.2", inject(("return names", "return sorted(names)")), "sorted is the model's order", True),
    ("03.2", inject(("append(name)", "insert(0, name)")), "the newest first", True),
    ("03.2", inject(("append(name)", 'append(name.split(".")[-1])')), "the last part is the name", True),
    ("03.2", inject(("append(name)", "append(module)")), "layers for names", True),
    ("03.2", inject(("append(name)", 'append(name + ".base")')), "where the linear layer is now"),
    ("03.2", inject(("    return names", "            return names")), "return in the loop", True),
    ("03.2", inject(("append(name)", "append(name)\n            break")), "one is enough", True),
    ("03.2", inject((PUT, "setattr(model, name, Layer(module, r, alpha))")), "setattr follows the dots", True),
    ("03.2", inject((PUT, "module = Layer(module, r, alpha)")), "a name is the place", True),
    ("03.2", inject((PUT, "Layer(module, r, alpha)")), "making it puts it in", True),
    ("03.2", inject((PUT, "model.set_submodule(name, Layer(module, alpha, r))")), "r and alpha swapped", True),
    ("03.2", inject((PUT, "model.set_submodule(name, Layer(module, 8, 16))")), "r is 8, alpha 16"),
    ("03.2", inject((PUT, "model.set_submodule(name, Layer(module, r, r))")), "alpha = r"),
    (
        "03.2",
        inject((PUT, "model.set_submodule(name, Layer(nn.Linear(module.in_features, module.out_features), r, alpha))")),
        "a new base",
        True,
    ),
    (
        "03.2",
        inject(
            ("names = []", "names, one = [], None"),
            (PUT, "one = one or Layer(module, r, alpha)\n            model.set_submodule(name, one)"),
        ),
        "one layer for all",
    ),
    ("03.2", inject(("named_modules", "named_children")), "children are all there is", True),
    ("03.2", inject(("isinstance(module, nn.Linear)", "isinstance(module, Layer)")), "Layer for Linear", True),
    (
        "03.2",
        "import copy\n" + inject((FIRST_FREEZE, "    model = copy.deepcopy(model)\n" + FIRST_FREEZE)),
        "leave the model as it was",
        True,
    ),
    (
        "03.2",
        """
        def my_inject(model, targets, Layer, r, alpha):
            model.requires_grad_(False)
            names = []
            for target in targets:
                for name, module in list(model.named_modules()):
                    if isinstance(module, nn.Linear) and name.endswith("." + target):
                        model.set_submodule(name, Layer(module, r, alpha))
                        names.append(name)
            return names
        """,
        "one target after the other",
        True,
    ),
    # ---------------------------------------------------------------------------------------------------- 03.3
    ("03.3", merged("return W + B @ A"), "merging is adding", True),
    ("03.3", merged("return W + alpha * B @ A"), "alpha is the factor", True),
    ("03.3", merged("return W + alpha / A.shape[0] * (1 - dropout) * B @ A"), "dropout thinned it out", True),
    ("03.3", merged("return W + alpha / A.shape[0] / (1 - dropout) * B @ A"), "dropout has to be undone", True),
    ("03.3", merged("return W + alpha / A.shape[0] * F.dropout(B @ A, dropout)"), "dropout still acts", True),
    ("03.3", merged("return W + alpha / A.shape[0] * B @ F.dropout(A, dropout)"), "dropout is on what A sees", True),
    ("03.3", merged("return W + alpha / A.shape[0] * A @ B"), "A comes first", True),
    ("03.3", merged("return W + alpha / A.shape[0] * (B @ A).T"), "transposed", True),
    ("03.3", merged("return W + alpha / A.shape[0] * A.T @ B.T"), "x A B, transposed", True),
    ("03.3", merged("return (W.T + alpha / A.shape[0] * A.T @ B.T)"), "the whole transposed", True),
    ("03.3", merged("return W + alpha / A.shape[1] * B @ A"), "r is A's other side", True),
    ("03.3", merged("return W + alpha / B.shape[0] * B @ A"), "r is B's other side", True),
    ("03.3", merged("return W + alpha / min(W.shape) * B @ A"), "r is W's rank"),
    ("03.3", merged("return W + alpha / 8 * B @ A"), "r is 8"),
    ("03.3", merged("return W + alpha / 2 * B @ A"), "r is 2"),
    (
        "03.3",
        merged("r = torch.linalg.matrix_rank(B @ A)\nreturn W + alpha / r * B @ A"),
        "r is the rank the update has",
    ),
    ("03.3", merged("return W + alpha // A.shape[0] * B @ A"), "whole numbers divide with //", True),
    ("03.3", merged("return W + alpha / math.sqrt(A.shape[0]) * B @ A"), "rsLoRA is LoRA", True),
    ("03.3", merged("return W + A.shape[0] / alpha * B @ A"), "upside down", True),
    ("03.3", merged("return W + alpha * A.shape[0] * B @ A"), "times r", True),
    ("03.3", merged("s = alpha / A.shape[0]\nreturn W + (s * B) @ (s * A)"), "each matrix scaled", True),
    ("03.3", merged("W += alpha / A.shape[0] * B @ A\nreturn W"), "in place", True),
    ("03.3", merged("return W.add_(alpha / A.shape[0] * B @ A)"), "add_ adds", True),
    ("03.3", merged("W.data += alpha / A.shape[0] * B @ A\nreturn W.clone()"), "a clone at the end", True),
    ("03.3", merged("return alpha / A.shape[0] * B @ A"), "the update is the answer", True),
    ("03.3", merged("return W - alpha / A.shape[0] * B @ A"), "subtracted, as a gradient is", True),
    ("03.3", merged("return W * (alpha / A.shape[0] * B @ A)"), "merging is multiplying", True),
    ("03.3", merged("return W @ (alpha / A.shape[0] * B @ A)"), "one after the other"),
    ("03.3", merged("return alpha / A.shape[0] * (W + B @ A)"), "the scaling is for all", True),
    ("03.3", merged("return (1 - alpha / A.shape[0]) * W + alpha / A.shape[0] * B @ A"), "a weighted mean"),
    ("03.3", merged("W + alpha / A.shape[0] * B @ A"), "return forgotten"),
    ("03.3", merged("print(W + alpha / A.shape[0] * B @ A)"), "print returns"),
    ("03.3", merged("return W + alpha / A.shape[0] * B * A.T"), "* for @"),
    ("03.3", merged("return (W + alpha / A.shape[0] * B @ A).half()"), "half precision saves memory"),
    (
        "03.3",
        merged("return W + alpha / A.shape[0] * B @ A if dropout == 0 else W"),
        "with dropout there's nothing to merge",
    ),
    # ---------------------------------------------------------------------------------------------------- 03.4
    ("03.4", count("return layers * 4 * r * (hidden + hidden)"), "all four are square", True),
    ("03.4", count("return layers * r * (4 * hidden + 2 * (hidden + kv_heads))"), "k gives kv_heads numbers", True),
    (
        "03.4",
        count("kv = hidden // kv_heads\nreturn layers * r * (6 * hidden + 2 * kv)"),
        "a kv head is hidden // kv_heads",
        True,
    ),
    ("03.4", count("kv = hidden // heads\nreturn layers * r * (6 * hidden + 2 * kv)"), "one head for all", True),
    ("03.4", count("kv = heads // kv_heads\nreturn layers * r * (6 * hidden + 2 * kv)"), "the group's size", True),
    ("03.4", count("kv = kv_heads * 64\nreturn layers * r * (6 * hidden + 2 * kv)"), "a head is 64 wide", True),
    ("03.4", count("kv = kv_heads * 128\nreturn layers * r * (6 * hidden + 2 * kv)"), "a head is 128 wide"),
    ("03.4", count("kv = hidden // 3\nreturn layers * r * (6 * hidden + 2 * kv)"), "a third, as in SmolLM2"),
    ("03.4", count("kv = hidden * heads // kv_heads\nreturn layers * r * (6 * hidden + 2 * kv)"), "upside down"),
    ("03.4", count("kv = hidden // heads * kv_heads\nreturn layers * r * (2 * hidden + hidden + kv)"), "q and v", True),
    ("03.4", count("kv = hidden // heads * kv_heads\nreturn layers * r * (4 * hidden + 2 * kv)"), "o forgotten", True),
    ("03.4", count("kv = hidden // heads * kv_heads\nreturn layers * r * (5 * hidden + kv)"), "k or v, one of them"),
    ("03.4", count("kv = hidden // heads * kv_heads\nreturn r * (6 * hidden + 2 * kv)"), "one block", True),
    ("03.4", count("kv = hidden // heads * kv_heads\nreturn layers * (6 * hidden + 2 * kv)"), "r forgotten", True),
    (
        "03.4",
        count("kv = hidden // heads * kv_heads\nreturn layers * 2 * r * (6 * hidden + 2 * kv)"),
        "r for A and r for B",
        True,
    ),
    (
        "03.4",
        count("kv = hidden // heads * kv_heads\nreturn layers * r * (2 * hidden + 3 * (hidden + kv))"),
        "o is narrow as well",
        True,
    ),
    (
        "03.4",
        count("kv = hidden // heads * kv_heads\nreturn layers * r * (4 * hidden + 4 * kv)"),
        "k and v are kv by kv",
        True,
    ),
    ("03.4", count("kv = hidden // heads * kv_heads\nreturn layers * r * 4 * hidden"), "A only", True),
    ("03.4", count("kv = hidden // heads * kv_heads\nreturn layers * r * (2 * hidden + 2 * kv)"), "B only", True),
    (
        "03.4",
        count("kv = hidden // heads * kv_heads\nreturn layers * (2 * hidden * hidden + 2 * hidden * kv)"),
        "the whole weights",
        True,
    ),
    (
        "03.4",
        count("kv = hidden // heads * kv_heads\nreturn layers * r * (2 * hidden * hidden + 2 * hidden * kv)"),
        "r · in · out",
        True,
    ),
    (
        "03.4",
        count("kv = hidden // heads * kv_heads\nreturn layers * r * heads * (6 * hidden + 2 * kv)"),
        "each head has an adapter",
        True,
    ),
    (
        "03.4",
        count("kv = hidden // heads * kv_heads\nreturn layers * r * (6 * hidden + 2 * kv) * 4"),
        "a number has four bytes",
        True,
    ),
    ("03.4", count("kv = hidden // heads * kv_heads\nreturn layers * r * (6 * hidden + 2 * kv) / 1e6"), "in millions"),
    (
        "03.4",
        count("kv = hidden // heads * kv_heads\nreturn layers * (r * (6 * hidden + 2 * kv) + 2 * hidden + 2 * kv)"),
        "a bias for each",
    ),
    (
        "03.4",
        count("kv = hidden // heads * kv_heads\nreturn layers * (r * (6 * hidden + 2 * kv) + 4)"),
        "the scaling is trained",
    ),
    ("03.4", count("kv = hidden // heads * kv_heads\nreturn layers * r * r * (6 * hidden + 2 * kv)"), "r twice"),
    (
        "03.4",
        count("kv = hidden // heads * kv_heads\nreturn (layers - 1) * r * (6 * hidden + 2 * kv)"),
        "layers count from 0",
        True,
    ),
    ("03.4", count("kv = hidden // heads * kv_heads\nprint(layers * r * (6 * hidden + 2 * kv))"), "print returns"),
    (
        "03.4",
        count(
            "kv = hidden // heads * kv_heads\nreturn layers * r * (2 * (hidden + kv) + 4 * hidden) * heads // kv_heads"
        ),
        "shared by a group",
    ),
    ("03.4", count("return 30 * 8 * (6 * hidden + 2 * (hidden // heads * kv_heads))"), "30 blocks, r = 8"),
]

RIGHT = [
    (
        "03.1",
        layer((MAKE_A, MAKE_A + "\n        nn.init.kaiming_uniform_(self.A.weight, a=math.sqrt(5))")),
        "A's start written out",
    ),
    (
        "03.1",
        """
        class Mine(nn.Module):
            def __init__(self, base, r, alpha, dropout=0.0):
                super(Mine, self).__init__()
                for p in base.parameters():
                    p.requires_grad = False
                self.base, self.r, self.p = base, r, dropout
                self.A = nn.Linear(base.weight.shape[1], r, bias=False)
                self.B = nn.Linear(r, base.weight.shape[0], bias=False)
                nn.init.normal_(self.A.weight, std=1 / r)
                self.B.weight.data.fill_(0)
                self.scaling = float(alpha) / r

            def forward(self, x):
                y = self.base(x)
                y = y + self.B(self.A(F.dropout(x, self.p, self.training)) * self.scaling)
                return y
        """,
        "everything in another way",
    ),
    ("03.2", inject(("list(model.named_modules())", "model.named_modules()")), "no list"),
    (
        "03.2",
        """
        def my_inject(model, targets, Layer, r, alpha):
            for p in model.parameters():
                p.requires_grad = False
            linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
            found = [name for name in linear if any(f".{name}".endswith(f".{t}") for t in targets) and "." in name]
            for name in found:
                parent, _, last = name.rpartition(".")
                setattr(model.get_submodule(parent), last, Layer(linear[name], r=r, alpha=alpha))
            return found
        """,
        "find first, then setattr on the parent",
    ),
    ("03.3", merged("return torch.addmm(W, B, A, alpha=alpha / B.shape[1])"), "addmm, and r from B"),
    (
        "03.3",
        merged("r, n = A.shape\nx = torch.eye(n, dtype=W.dtype)\nreturn (x @ W.T + alpha / r * x @ A.T @ B.T).T"),
        "ask it",
    ),
    (
        "03.4",
        count(
            "kv = hidden // heads * kv_heads\n"
            "return sum(r * (i + o) for i, o in [(hidden, hidden), (hidden, kv)] * 2) * layers"
        ),
        "a sum over shapes",
    ),
    ("03.4", count("return 2 * r * layers * (3 * hidden + kv_heads * (hidden // heads))"), "two taken out"),
]
