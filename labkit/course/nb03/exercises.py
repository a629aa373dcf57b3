"""The exercises of notebook 03, the LoRA layer."""

import math

import torch
from torch import nn

from labkit.lab.checking.form import Case, Mistake, Tolerance, exercise

# Sums in another order differ in the last digits, and most where they nearly cancel
CLOSE = Tolerance(rtol=1e-4, atol=1e-3)

# 03.1


def my_forward(x, W, A, B, alpha):
    """The base's answer plus the scaled detour through A and B."""
    r = A.shape[0]
    return x @ W.T + alpha / r * (x @ A.T @ B.T)


def _forward_cases():
    # square first: there, several wrong products have the right shape
    return [
        Case(torch.randn(4, 6), torch.randn(6, 6), torch.randn(2, 6), torch.randn(6, 2), 6.0),
        Case(torch.randn(2, 3, 6), torch.randn(5, 6), torch.randn(4, 6), torch.randn(5, 4), 12.0),
    ]


exercise(
    id="03.1",
    title="The forward pass",
    prompt=(
        "Write my_forward(x, W, A, B, alpha): the answer of a LoRA layer without dropout, from x of shape (…, in),\n"
        "the frozen W (out, in), A (r, in), B (out, r) and the number alpha. One or two lines."
    ),
    minutes=5,
    difficulty=2,
    importance=5,
    solution=my_forward,
    explanation=(
        "The base answers as always, x @ W.T. The update goes through the small matrix A first, down to r numbers,\n"
        "and then through B, up again. r is the number of rows of A. Only the update is scaled by alpha / r."
    ),
    cases=_forward_cases,
    close=CLOSE,
    hints=[
        "Two terms: what the frozen layer answers, plus the scaled update.",
        "A linear layer with weight M computes x @ M.T. Here W, A and B are three such weights.",
        "A has shape (r, in), so r = A.shape[0]; the update is alpha / r * (x @ A.T @ B.T).",
    ],
    mistakes=[
        Mistake(
            lambda x, W, A, B, alpha: x @ W.T + x @ A.T @ B.T,
            "Your update lacks its scaling.",
            "B A alone is not yet the update: without alpha / r, its size changes whenever r does.",
            "the picture in section 3, the line called 'no scaling'.",
        ),
        Mistake(
            lambda x, W, A, B, alpha: x @ W.T + alpha * (x @ A.T @ B.T),
            "Your update is r times too large.",
            "alpha is not the scaling itself; it is what gets divided by the rank.",
            "did you divide by r? It is the number of rows of A.",
        ),
        Mistake(
            lambda x, W, A, B, alpha: x @ W.T + A.shape[0] / alpha * (x @ A.T @ B.T),
            "Your scaling is upside down: r / alpha.",
            "A larger alpha makes the update stronger; a larger r divides it.",
            "the fraction in front of your update.",
        ),
        Mistake(
            lambda x, W, A, B, alpha: x @ W.T + alpha / math.sqrt(A.shape[0]) * (x @ A.T @ B.T),
            "Your scaling is alpha / √r. That is rsLoRA.",
            "rsLoRA is a variant of its own (use_rslora=True in PEFT); plain LoRA divides by r.",
            "section 3 has both.",
        ),
        Mistake(
            lambda x, W, A, B, alpha: x @ W.T + alpha / A.shape[1] * (x @ A.T @ B.T),
            "You divide by the number of inputs instead of the rank.",
            "A has shape (r, in): its second dimension is the width of x, not r.",
            "A.shape[0] and B.shape[1] are r.",
        ),
        Mistake(
            lambda x, W, A, B, alpha: alpha / A.shape[0] * (x @ A.T @ B.T),
            "The base's own answer is missing.",
            "LoRA adds to the frozen layer. It does not stand in for it.",
            "start from x @ W.T.",
        ),
        Mistake(
            lambda x, W, A, B, alpha: alpha / A.shape[0] * (x @ W.T + x @ A.T @ B.T),
            "You scale the base's answer too.",
            "alpha / r belongs to the update alone; W must answer as it always did.",
            "your brackets.",
        ),
        Mistake(
            lambda x, W, A, B, alpha: x @ W.T + alpha / A.shape[0] * (x @ B @ A),
            "You go through B first and then through A.",
            "x meets A first, down to r numbers. Your order even runs while the layer is square, and fails otherwise.",
            "the table of shapes in section 1.",
        ),
        Mistake(
            lambda x, W, A, B, alpha: x @ W + alpha / A.shape[0] * (x @ A.T @ B.T),
            "Your base answers with W the wrong way round.",
            "W has shape (out, in), so a row of x meets its transpose. While the layer is square, nothing complains.",
            "x @ W, which should be x @ W.T.",
        ),
        Mistake(
            lambda x, W, A, B, alpha: x @ W.T + alpha / A.shape[0] * (x @ (B @ A)),
            "Your update uses B A the wrong way round.",
            "B A has the shape of W, (out, in), and like W it has to be transposed before a row of x meets it.",
            "x @ (B @ A).T, which is the same as x @ A.T @ B.T.",
        ),
    ],
    shows="You have written every line of arithmetic that LoRA adds to a model.",
)

# 03.2


def my_count(hidden, heads, kv_heads, layers, r):
    """r · (in + out) for q, k, v and o, in every layer."""
    kv = hidden // heads * kv_heads
    q_and_o = 2 * r * (hidden + hidden)
    k_and_v = 2 * r * (hidden + kv)
    return layers * (q_and_o + k_and_v)


def _count_as_if_all_were_wide(hidden, heads, kv_heads, layers, r):
    return layers * 4 * r * 2 * hidden


def _count_only_A(hidden, heads, kv_heads, layers, r):
    return layers * 4 * r * hidden


def _count_only_B(hidden, heads, kv_heads, layers, r):
    return layers * r * 2 * (hidden + hidden // heads * kv_heads)


def _count_one_block(hidden, heads, kv_heads, layers, r):
    return my_count(hidden, heads, kv_heads, 1, r)


def _count_the_frozen_weights(hidden, heads, kv_heads, layers, r):
    return layers * 2 * hidden * (hidden + hidden // heads * kv_heads)


def _count_products(hidden, heads, kv_heads, layers, r):
    return r * _count_the_frozen_weights(hidden, heads, kv_heads, layers, r)


def _count_kv_as_heads(hidden, heads, kv_heads, layers, r):
    return layers * 2 * r * (hidden + hidden + hidden + kv_heads)


def _count_q_and_v(hidden, heads, kv_heads, layers, r):
    return layers * r * (2 * hidden + hidden + hidden // heads * kv_heads)


exercise(
    id="03.2",
    title="Counting under grouped queries",
    prompt=(
        "Write my_count(hidden, heads, kv_heads, layers, r): how many numbers LoRA trains on q_proj, k_proj, v_proj\n"
        "and o_proj of a Llama-like model that is hidden wide. A head is hidden // heads wide."
    ),
    minutes=8,
    difficulty=3,
    importance=5,
    solution=my_count,
    explanation=(
        "Each adapted layer costs r · (in + out). q_proj and o_proj are hidden → hidden. k_proj and v_proj are\n"
        "hidden → kv_heads · head width, which is narrower whenever there are fewer key/value heads than heads."
    ),
    cases=lambda: [Case(576, 9, 3, 30, 8), Case(4096, 32, 8, 32, 16)],
    hints=[
        "A layer from in to out costs r · in for A and r · out for B.",
        "k_proj and v_proj give one key and one value per key/value head: kv_heads · (hidden // heads) numbers.",
        "layers · (2 · r · (hidden + hidden) + 2 · r · (hidden + kv)), with kv from the hint before.",
    ],
    mistakes=[
        Mistake(
            _count_as_if_all_were_wide,
            "Your count takes k_proj and v_proj to be as wide as q_proj.",
            "Several query heads share one key/value head. The 16.8 million quoted for an 8B Llama come from this.",
            "kv_heads, which your count does not need so far.",
        ),
        Mistake(
            _count_only_A,
            "You counted A and left out B.",
            "Both are trained: A has r · in numbers, B has r · out.",
            "the second number in r · (in + out).",
        ),
        Mistake(
            _count_only_B,
            "You counted B and left out A.",
            "Both are trained: A has r · in numbers, B has r · out.",
            "the first number in r · (in + out).",
        ),
        Mistake(
            _count_one_block,
            "That is one block of the model.",
            "Every block has its own four projections, and each gets its own A and B.",
            "multiply by layers.",
        ),
        Mistake(
            _count_the_frozen_weights,
            "You counted the frozen weights.",
            "in · out is the size of W, which stays as it is. LoRA trains r · (in + out) beside it.",
            "the rank r, which your count does not need so far.",
        ),
        Mistake(
            _count_products,
            "Your count has products in · out in it, and so is larger than the model's own weights.",
            "A and B stand side by side: their sizes add up, r · in + r · out. They do not multiply.",
            "the plus sign in r · (in + out).",
        ),
        Mistake(
            _count_kv_as_heads,
            "You took kv_heads itself for the width of k_proj and v_proj.",
            "kv_heads is how many heads there are; each is hidden // heads numbers wide.",
            "multiply kv_heads by the width of a head.",
        ),
        Mistake(
            _count_q_and_v,
            "You counted q_proj and v_proj only.",
            "That is the LoRA paper's choice and PEFT's default for a Llama; here all four are asked for.",
            "k_proj is as wide as v_proj, o_proj as q_proj.",
        ),
    ],
    shows="921,600 for SmolLM2 at r = 8, and 13,631,488 for Llama-3.1-8B at r = 16: no table needed.",
)

# 03.3


def my_merged_weight(W, A, B, alpha, dropout):
    """W with the whole update added; dropout has no part in it."""
    r = A.shape[0]
    return W + alpha / r * (B @ A)


def _merge_in_place(W, A, B, alpha, dropout):
    W += alpha / A.shape[0] * (B @ A)
    return W


def _merge_cases():
    return [
        Case(torch.randn(6, 6), torch.randn(2, 6), torch.randn(6, 2), 6.0, 0.2),
        Case(torch.randn(5, 6), torch.randn(3, 6), torch.randn(5, 3), 12.0, 0.1),
    ]


exercise(
    id="03.3",
    title="The merged weight",
    prompt=(
        "Write my_merged_weight(W, A, B, alpha, dropout): one matrix that answers as the base and its finished\n"
        "adapter do together. dropout is the probability the adapter was trained with. W itself must stay as it is."
    ),
    minutes=5,
    difficulty=2,
    importance=4,
    solution=my_merged_weight,
    explanation=(
        "B A has the shape of W, so the scaled update can be added once and for all. Dropout is an affair of\n"
        "training: it thins the inputs of A at random while A and B learn, and has no part in the finished update."
    ),
    cases=_merge_cases,
    close=CLOSE,
    hints=[
        "Which product of A and B has the shape of W?",
        "The scaling is alpha / r, as in the forward pass. What does dropout do once training is over?",
        "W + alpha / A.shape[0] * (B @ A), which makes a new matrix. Dropout does nothing.",
    ],
    mistakes=[
        Mistake(
            lambda W, A, B, alpha, dropout: W + B @ A,
            "Your update lacks its scaling.",
            "What the layer adds while unmerged is alpha / r · B A. The merged weight has to add the same.",
            "alpha, and the number of rows of A.",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha * (B @ A),
            "Your update is r times too large.",
            "alpha is divided by the rank when merging too, just as in the forward pass.",
            "did you divide by r? It is the number of rows of A.",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: alpha / A.shape[0] * (B @ A),
            "You return the update alone.",
            "The merged weight replaces W, so it has to contain W.",
            "start from W.",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / A.shape[0] * (B @ A).T,
            "Your update is transposed.",
            "A weight has shape (out, in). (B A) has it already; A.T B.T has shape (in, out).",
            "B @ A, without any .T: the transposes in the forward pass belong to x @ M.T.",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / A.shape[0] * (1 - dropout) * (B @ A),
            "Your update is weakened by the dropout.",
            "While training, dropout scales what it keeps by 1 / (1 − p), so nothing needs correcting later.",
            "leave dropout out. It is in the signature to tempt you.",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / A.shape[0] * (B @ nn.functional.dropout(A, dropout)),
            "You merge a random part of A.",
            "Dropout is for training. A merged weight must be the same each time, and all of the update.",
            "leave dropout out. It is in the signature to tempt you.",
        ),
        Mistake(
            _merge_in_place,
            "The result is right, but W itself has changed.",
            "+= works on the caller's matrix. Call it twice and the update is in W twice; unmerging needs the old W.",
            "W + …, which makes a new matrix, instead of W += ….",
        ),
    ],
    shows="A merged model computes nothing extra: one matrix product a layer, as before. Notebook 09 has the rest.",
)

# 03.4


def my_matching(names, targets):
    """The names that are a target, or end in one after a dot."""
    return [name for name in names if any(name == t or name.endswith("." + t) for t in targets)]


def _names_and_targets():
    block = "model.layers.0"
    attention = [f"{block}.self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "o_proj")]
    fused = [f"{block}.self_attn.qkv_proj", f"{block}.mlp.gate_up_proj", f"{block}.mlp.up_proj"]
    adapted = [f"{block}.self_attn.q_proj.A", f"{block}.self_attn.q_proj.B"]
    names = [*attention, *fused, *adapted, "v_proj", "lm_head"]
    return [Case(names, ["q_proj", "v_proj"]), Case(names, ["self_attn.o_proj", "up_proj"])]


exercise(
    id="03.4",
    title="Which layers are meant",
    prompt=(
        "Write my_matching(names, targets): those of names, in their order, that are a target or end in one after a\n"
        "dot. A target may have several parts, such as self_attn.o_proj."
    ),
    minutes=5,
    difficulty=2,
    importance=3,
    solution=my_matching,
    explanation=(
        "A target is the last part of a name, cut at a dot. Asking for the dot keeps v_proj from matching qkv_proj;\n"
        "the comparison for equality is for a layer at the very top, which has no dot before it."
    ),
    cases=_names_and_targets,
    hints=[
        "str.endswith is nearly right. What must stand before the target?",
        'name.endswith("." + target) does most of it. What about a layer that is called just "v_proj"?',
        'Keep the names for which any(name == t or name.endswith("." + t) for t in targets).',
    ],
    mistakes=[
        Mistake(
            lambda names, targets: [name for name in names if any(t in name for t in targets)],
            "You also take names that merely contain a target, such as …q_proj.A and …qkv_proj.",
            "A target is the last part of a name, not any piece of it.",
            "the operator `in` between two texts: it finds a piece anywhere.",
        ),
        Mistake(
            lambda names, targets: [name for name in names if name.endswith(tuple(targets))],
            "You also take qkv_proj for v_proj, or gate_up_proj for up_proj.",
            "endswith compares letters, not parts of a name: qkv_proj ends in the letters v_proj.",
            "what must stand right before the target.",
        ),
        Mistake(
            lambda names, targets: [name for name in names if any(name.endswith("." + t) for t in targets)],
            "A layer at the very top, called just like the target, is left out.",
            "Such a name has no dot at all, so it cannot end in a dot and the target.",
            "a second condition: name == target.",
        ),
        Mistake(
            lambda names, targets: [name for name in names if name.split(".")[-1] in targets],
            "A target of two parts, such as self_attn.o_proj, finds nothing.",
            "You compare the last part of the name only, and a target may have several.",
            'name.endswith("." + target), which does not care how many parts there are.',
        ),
        Mistake(
            lambda names, targets: [name for name in names if name in targets],
            "You find only names that are equal to a target.",
            "A layer is called by its whole path, such as model.layers.0.self_attn.q_proj.",
            "endswith.",
        ),
        Mistake(
            lambda names, targets: [name for name in names if any(t in name.split(".") for t in targets)],
            "You also take what lies inside a target, such as q_proj.A, and miss targets of two parts.",
            "The target must be the end of the name, not one of its parts.",
            "endswith, instead of looking through the parts.",
        ),
    ],
    shows="This one line decides what is trained. PEFT's target_modules follows the same rule.",
)

# 03.5


def my_new_adapter(in_features, out_features, r):
    """A random, B zero: silent, and ready to learn."""
    A = torch.empty(r, in_features)
    nn.init.kaiming_uniform_(A, a=math.sqrt(5))
    return A, torch.zeros(out_features, r)


_GOOD_START = (
    "the update starts at zero",
    "B gets a gradient at once",
    "A gets a gradient at once",
    "how many rows of A differ",
    "the numbers in A are large enough",
    "the numbers in A are small enough",
)


def _observe_start(args, adapter):
    """What matters about freshly made A and B; the random numbers themselves are the learner's own."""
    in_features, out_features, r = args
    if not isinstance(adapter, (tuple, list)) or [isinstance(one, torch.Tensor) for one in adapter] != [True, True]:
        return "no pair of tensors"
    A, B = adapter
    seen = dict.fromkeys(["shape of A", "shape of B", *_GOOD_START])
    seen |= {"shape of A": list(A.shape), "shape of B": list(B.shape)}
    if A.shape != (r, in_features) or B.shape != (out_features, r):
        return seen
    x, error = torch.randn(20, in_features), torch.randn(20, out_features)
    spread = A.std().item() * math.sqrt(in_features)  # Kaiming-uniform with a = √5: 1/√3
    facts = (
        bool((B @ A == 0).all()),
        bool((error.T @ (x @ A.T) != 0).any()),
        bool(((error @ B).T @ x != 0).any()),
        len(A.unique(dim=0)),
        spread > 0.3,
        spread < 1.3,
    )
    return seen | dict(zip(_GOOD_START, facts))


def _both_zero(in_features, out_features, r):
    return torch.zeros(r, in_features), torch.zeros(out_features, r)


def _both_random(in_features, out_features, r):
    A, B = torch.empty(r, in_features), torch.empty(out_features, r)
    nn.init.kaiming_uniform_(A, a=math.sqrt(5))
    nn.init.kaiming_uniform_(B, a=math.sqrt(5))
    return A, B


def _the_other_way_round(in_features, out_features, r):
    B = torch.empty(out_features, r)
    nn.init.kaiming_uniform_(B, a=math.sqrt(5))
    return torch.zeros(r, in_features), B


def _too_large(in_features, out_features, r):
    return torch.randn(r, in_features), torch.zeros(out_features, r)


def _transposed(in_features, out_features, r):
    A, B = my_new_adapter(in_features, out_features, r)
    return A.T, B.T


def _swapped(in_features, out_features, r):
    return my_new_adapter(in_features, out_features, r)[::-1]


def _as_layers(in_features, out_features, r):
    return nn.Linear(in_features, r, bias=False), nn.Linear(r, out_features, bias=False)


def _ones(in_features, out_features, r):
    return torch.full((r, in_features), 1 / math.sqrt(in_features)), torch.zeros(out_features, r)


exercise(
    id="03.5",
    title="A good start",
    prompt=(
        "Write my_new_adapter(in_features, out_features, r): fresh tensors A and B for a new adapter, started as LoRA\n"
        "starts them: silent, and ready to learn. The random one is Kaiming-uniform with a = √5."
    ),
    minutes=8,
    difficulty=3,
    importance=4,
    solution=my_new_adapter,
    explanation=(
        "With B at zero, the update is zero and the model answers as before. With A random, B gets a gradient at once\n"
        "and moves in the first step, and from then on A learns too. nn.init.kaiming_uniform_ draws A evenly from\n"
        "−1/√in to 1/√in, so that A's answers are of the size of a number in x however wide the layer is."
    ),
    cases=lambda: [Case(64, 48, 8), Case(32, 96, 4)],
    observe=_observe_start,
    hints=[
        "Silent, and yet able to learn: section 2 tries all four ways.",
        "A of shape (r, in_features) is random, B of shape (out_features, r) is zero. Return A first.",
        "A = torch.empty(r, in_features), then nn.init.kaiming_uniform_(A, a=math.sqrt(5)), and torch.zeros for B.",
    ],
    mistakes=[
        Mistake(
            _both_zero,
            "Nothing will ever learn: A and B are both zero.",
            "The gradient of A is multiplied by B, and that of B by A. If both are zero, so are both gradients.",
            "the table of the four starts in section 2.",
        ),
        Mistake(
            _both_random,
            "The update is not zero at the start, so the model's answers change before anything is learnt.",
            "Something random in A and B makes something random of B A. One of the two has to be zero.",
            "B.",
        ),
        Mistake(
            _the_other_way_round,
            "B is random and A is zero: it would learn, but it is the other way round.",
            "LoRA and its libraries start with A random, and the two train differently (Hayou et al., 2024).",
            "which of the two your zeros went to.",
        ),
        Mistake(
            _too_large,
            "The numbers in A are too large: they do not shrink as the layer gets wider.",
            "torch.randn spreads as far whatever the width. A x then grows with √in, and the steps of B with it.",
            "nn.init.kaiming_uniform_(A, a=math.sqrt(5)), which draws from −1/√in to 1/√in.",
        ),
        Mistake(
            _transposed,
            "Both shapes are turned round.",
            "A weight is stored as (out, in): A goes from in_features to r, so its shape is (r, in_features).",
            "the table of shapes in section 1.",
        ),
        Mistake(
            _swapped,
            "You return B first and then A.",
            "A is the one that meets x: its shape is (r, in_features).",
            "the order in your return.",
        ),
        Mistake(
            _as_layers,
            "You do not return a pair of tensors.",
            "Asked for are the two matrices themselves: no layers, and both of them.",
            "end with return A, B. A layer's matrix is its .weight.",
        ),
        Mistake(
            _ones,
            "All rows of A are the same, so your rank-r adapter can only ever learn rank 1.",
            "Equal rows get equal gradients and stay equal. Drawing at random is what lets them become different.",
            "how A gets its numbers.",
        ),
    ],
    shows="Silent at the start, and ready to learn: both at once, because exactly one of the two is zero.",
)
