"""Exercises of notebook 12: VeRA's layer, IA³'s count, virtual tokens, DoRA's weight, and what an interval decides.

12.1 is the layer that the notebook trains for its live steps, once it has passed: ``Layer(base, A, B)`` with ``.d`` and
``.b``, where A and B may be larger than the layer needs.
"""

import torch
from torch import nn

from labkit.lab.checking import Case, Mistake, exercise, mistake

# --- 12.1 ---------------------------------------------------------------------------------------------------


class MyVeRA(nn.Module):
    """y = base(x) + b ⊙ B (d ⊙ A x), where only d and b learn."""

    def __init__(self, base, A, B):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A, self.B = A[:, : base.in_features], B[: base.out_features]
        self.d = nn.Parameter(torch.full((len(A),), 0.1))
        self.b = nn.Parameter(torch.zeros(base.out_features))

    def forward(self, x):
        return self.base(x) + self.b * ((self.d * (x @ self.A.T)) @ self.B.T)


def _vera_cases():
    return [
        Case(nn.Linear(6, 4), torch.randn(5, 9), torch.randn(8, 5)),
        Case(nn.Linear(3, 7, bias=False), torch.randn(4, 3), torch.randn(7, 4)),
    ]


_VERA_LOOKS = [
    "the attributes",
    "what learns",
    "d at the start",
    "b at the start",
    "the answer at the start",
    "the answer once b isn't zero",
    "d's gradient",
    "b's gradient",
]


def _observe_vera(args, layer):
    """What a learner's layer does, from how it's made to what it learns; nothing where it has no d and b."""
    base, nothing = args[0], dict.fromkeys(_VERA_LOOKS)
    if not all(isinstance(getattr(layer, name, None), torch.Tensor) for name in "db"):
        return nothing | {"the attributes": "no d and b"}
    x = torch.linspace(-1, 1, 2 * base.in_features).view(2, -1).cos()
    start = {"d": layer.d.detach().clone(), "b": layer.b.detach().clone()}
    trained = sorted(name for name, parameter in layer.named_parameters() if parameter.requires_grad)
    seen = nothing | {
        "the attributes": "d and b",
        "what learns": trained,
        "d at the start": start["d"],
        "b at the start": start["b"],
        "the answer at the start": layer(x).detach(),
    }
    with torch.no_grad():
        layer.d.copy_(torch.linspace(0.5, 1.5, layer.d.numel()).view_as(layer.d))
        layer.b.copy_(torch.linspace(-1, 1, layer.b.numel()).view_as(layer.b))
    answer = layer(x)
    seen["the answer once b isn't zero"] = answer.detach()
    for name in "db":
        learns = answer.requires_grad and getattr(layer, name).requires_grad
        gradient = (
            torch.autograd.grad(answer.sum(), getattr(layer, name), retain_graph=True, allow_unused=True)[0]
            if learns
            else None
        )
        seen[f"{name}'s gradient"] = torch.zeros_like(start[name]) if gradient is None else gradient
    return seen


def _vera(change="", **parts):
    """A wrong layer: the right one, with some lines otherwise.

    Args:
        change: a name for the class.
        parts: ``d``, ``b``: what they start as, from the layer's r and width; ``sliced``: A and B, from both and the
            base; ``forward``: of the layer and x; ``then``: what else happens to the layer once it's made.
    """

    class Wrong(MyVeRA):
        def __init__(self, base, A, B):
            super().__init__(base, A, B)
            if "sliced" in parts:
                self.A, self.B = parts["sliced"](base, A, B)
            if "d" in parts:
                self.d = nn.Parameter(parts["d"](len(A)))
            if "b" in parts:
                self.b = nn.Parameter(parts["b"](base.out_features))
            if "then" in parts:
                parts["then"](self)

        def forward(self, x):
            return parts["forward"](self, x) if "forward" in parts else super().forward(x)

    return Wrong


def _learn_A_and_B(layer):
    A, B = layer.A, layer.B
    del layer.A, layer.B
    layer.A, layer.B = nn.Parameter(A.clone()), nn.Parameter(B.clone())


def _rename(layer):
    layer.lambda_d, layer.lambda_b = layer.d, layer.b
    del layer.d, layer.b


exercise(
    "12.1",
    title="VeRA's layer",
    prompt="Write the class MyVeRA(base, A, B): an nn.Module that answers base(x) + b · B (d · A x). Only d and b "
    "learn: r numbers that start at 0.1, and one number per output that starts at zero. A (r × in) and B (out × r) are "
    "shared by all layers and stay as they are. They may be larger than this layer needs: take the first columns of A "
    "and the first rows of B.",
    minutes=9,
    difficulty=3,
    importance=5,
    solution=MyVeRA,
    explanation="A and B are plain tensors here: a parameter is what an optimizer would find. b starts at zero, so the "
    "model starts as its base. d must not start there as well, or neither would ever get a gradient.",
    cases=_vera_cases,
    observe=_observe_vera,
    hints=[
        "Only nn.Parameter makes something learn. Which tensors should be one?",
        "A sees base.in_features inputs, and B gives base.out_features outputs: A[:, : base.in_features].",
        "self.base(x) + self.b * ((self.d * (x @ self.A.T)) @ self.B.T)",
    ],
    mistakes=[
        Mistake(
            _vera(then=_rename),
            "Your layer has no d and b, or they aren't tensors.",
            "Later cells set these two by their names, so self.d and self.b have to be what learns.",
            "What are your two vectors called?",
        ),
        Mistake(
            _vera(then=_learn_A_and_B),
            "You train A and B, too.",
            "That's LoRA with two vectors more. VeRA's A and B stay as they were drawn, and all layers share them.",
            "Which of your tensors are parameters?",
        ),
        Mistake(
            _vera(then=lambda layer: layer.base.requires_grad_(True)),
            "You train the base, too.",
            "A linear layer's weights are trainable until you say otherwise.",
            "What does requires_grad_(False) do to a module?",
        ),
        Mistake(
            _vera(d=torch.zeros),
            "Your d and b both start at zero, so neither ever gets a gradient.",
            "Zero is a good start for one of two factors. With both at zero, each hides the other from the loss.",
            "What does the exercise say d starts at?",
        ),
        Mistake(
            _vera(d=torch.ones),
            "Your d starts at one.",
            "In the paper, d starts at a small number that's a setting; here it's 0.1.",
            "What does the exercise say d starts at?",
        ),
        Mistake(
            _vera(d=torch.randn),
            "Your d starts at random numbers.",
            "A and B are random already; the two vectors start the same in every layer.",
            "What does the exercise say d starts at?",
        ),
        *[
            Mistake(
                _vera(b=start),
                "Your layer doesn't start as its base.",
                "One of the two vectors has to start at zero, and in VeRA that's b.",
                "What's left of the update when b is zero?",
            )
            for start in (torch.ones, lambda count: torch.full((count,), 0.1))
        ],
        Mistake(
            _vera(forward=lambda layer, x: layer.b * ((layer.d * (x @ layer.A.T)) @ layer.B.T)),
            "You return the update without the base's answer.",
            "The update is added to what the frozen layer says.",
            "Where does base(x) go?",
        ),
        Mistake(
            _vera(forward=lambda layer, x: layer.base(x) + layer.b * (x @ layer.A.T @ layer.B.T)),
            "You leave out d.",
            "d weighs the r numbers between A and B, b the outputs.",
            "What should happen to A x before B gets it?",
        ),
        Mistake(
            _vera(forward=lambda layer, x: layer.base(x) + (layer.d * (x @ layer.A.T)) @ layer.B.T),
            "You leave out b.",
            "Without b, the update isn't zero at the start, and the outputs can't be weighed.",
            "What should happen to what B gives?",
        ),
        Mistake(
            _vera(
                forward=lambda layer, x: x @ layer.base.weight.T + layer.b * ((layer.d * (x @ layer.A.T)) @ layer.B.T)
            ),
            "You drop the base's bias.",
            "base(x) is more than x Wᵀ where the layer has a bias.",
            "Can you call the base instead of taking its weight?",
        ),
        Mistake(
            _vera(forward=lambda layer, x: layer.b * (layer.base(x) + (layer.d * (x @ layer.A.T)) @ layer.B.T)),
            "You multiply the base's answer by b as well, and b starts at zero.",
            "b belongs to the update alone.",
            "What stands inside your parentheses?",
        ),
        Mistake(
            _vera(sliced=lambda base, A, B: (A[:, -base.in_features :], B[-base.out_features :])),
            "You take the last columns of A and the last rows of B.",
            "Any slice would do for training. But a file from PEFT is read with the first ones.",
            "Which end does the exercise ask for?",
        ),
    ],
    shows="That's VeRA, and further down it's your layer that trains.",
)

# --- 12.2 ---------------------------------------------------------------------------------------------------


def my_count(hidden, heads, kv_heads, wide, layers):
    """A factor for each number of keys and values, and for what goes into down_proj."""
    return layers * (2 * kv_heads * (hidden // heads) + wide)


def _counted(count):
    return lambda hidden, heads, kv_heads, wide, layers: count(hidden, heads, kv_heads, wide, layers)


exercise(
    "12.2",
    title="IA³'s numbers",
    prompt="Write my_count(hidden, heads, kv_heads, wide, layers): how many numbers IA³ trains in a Llama. In each "
    "layer it has one factor for each output of k_proj and of v_proj, and one for each input of down_proj. A head is "
    "hidden / heads wide; there are kv_heads of them for keys, and as many for values; down_proj goes from wide to "
    "hidden.",
    minutes=4,
    difficulty=2,
    importance=3,
    solution=my_count,
    explanation="With grouped queries, keys and values are narrower than the model: in SmolLM2 three heads share what "
    "nine ask. IA³ scales what goes into down_proj, which is as wide as the MLP.",
    cases=lambda: [Case(576, 9, 3, 1536, 30), Case(64, 4, 4, 160, 2), Case(4096, 32, 8, 14336, 32)],
    hints=[
        "How many numbers does one token's key have?",
        "A key has kv_heads · hidden / heads numbers. So has a value.",
        "layers * (2 * kv_heads * (hidden // heads) + wide)",
    ],
    mistakes=[
        Mistake(
            _counted(lambda hidden, heads, kv_heads, wide, layers: layers * (2 * hidden + wide)),
            "You take keys and values to be as wide as the model.",
            "With grouped queries there are fewer heads for them: kv_heads.",
            "How wide is k_proj's output?",
        ),
        Mistake(
            _counted(
                lambda hidden, heads, kv_heads, wide, layers: layers * (2 * kv_heads * (hidden // heads) + hidden)
            ),
            "You count the outputs of down_proj.",
            "IA³ scales what's inside the MLP, and in a Llama that's what goes into down_proj.",
            "On which side is down_proj as wide as the MLP?",
        ),
        Mistake(
            _counted(lambda hidden, heads, kv_heads, wide, layers: layers * (kv_heads * (hidden // heads) + wide)),
            "You count keys or values, but not both.",
            "Each of the two has factors of its own.",
            "How many vectors does a layer have?",
        ),
        Mistake(
            _counted(
                lambda hidden, heads, kv_heads, wide, layers: (
                    layers * (hidden + 2 * kv_heads * (hidden // heads) + wide)
                )
            ),
            "You count factors for the queries, too.",
            "IA³ scales keys and values. A factor on q would do what one on k does.",
            "Which three places does the exercise name?",
        ),
        Mistake(
            _counted(lambda hidden, heads, kv_heads, wide, layers: 2 * kv_heads * (hidden // heads) + wide),
            "You count a single layer.",
            "Each layer has factors of its own.",
            "How many layers are there?",
        ),
        Mistake(
            _counted(lambda hidden, heads, kv_heads, wide, layers: layers * (2 * kv_heads + wide)),
            "You count one factor per head.",
            "There's a factor for each number of a key, and a head has several.",
            "How wide is a head?",
        ),
        Mistake(
            _counted(
                lambda hidden, heads, kv_heads, wide, layers: layers * (2 * kv_heads * (hidden // heads) + 2 * wide)
            ),
            "You count the inside of the MLP twice.",
            "gate_proj and up_proj are as wide, but what IA³ scales is their product, once.",
            "What goes into down_proj?",
        ),
        Mistake(
            _counted(
                lambda hidden, heads, kv_heads, wide, layers: (
                    layers * (2 * hidden * kv_heads * (hidden // heads) + wide * hidden)
                )
            ),
            "You count whole weights.",
            "IA³ doesn't train k_proj, v_proj and down_proj. It scales what comes out of them or goes in.",
            "How long is a vector of factors?",
        ),
    ],
    shows="For SmolLM2 that's 57,600, which is fewer than the numbers of a small photo.",
)

# --- 12.3 ---------------------------------------------------------------------------------------------------


def my_inputs(P, embeds, mask, labels):
    """The virtual tokens come first, are attended to, and nothing is asked at them."""
    rows, p = len(embeds), len(P)
    return (
        torch.cat([P.expand(rows, -1, -1), embeds], dim=1),
        torch.cat([mask.new_ones(rows, p), mask], dim=1),
        torch.cat([labels.new_full((rows, p), -100), labels], dim=1),
    )


def _virtual_cases():
    def case(p, mask, hidden=3):
        mask = torch.tensor(mask)
        labels = torch.randint(5, 90, mask.shape).masked_fill(mask == 0, -100)
        labels[:, 0] = -100
        return Case(torch.randn(p, hidden, requires_grad=True), torch.randn(*mask.shape, hidden), mask, labels)

    return [case(2, [[1, 1, 1, 1], [1, 1, 1, 0]]), case(4, [[1, 1, 1], [1, 1, 1], [1, 0, 0]])]


def _observe_virtual(args, found):
    P = args[0]
    if not isinstance(found, (tuple, list)) or len(found) != 3 or not all(isinstance(t, torch.Tensor) for t in found):
        names = ("the embeddings", "the mask", "the labels", "P's gradient")
        return {"what's returned": "not three tensors"} | dict.fromkeys(names)
    embeds, mask, labels = found
    gradient = torch.zeros_like(P)
    if embeds.requires_grad:
        gradient = torch.autograd.grad(embeds.square().sum(), P, allow_unused=True)[0]
    return {
        "what's returned": "three tensors",
        "the embeddings": embeds.detach(),
        "the mask": mask,
        "the labels": labels,
        "P's gradient": torch.zeros_like(P) if gradient is None else gradient,
    }


def _virtual(embeds=None, mask=None, labels=None):
    """A wrong answer: what's handed in makes the embeddings, mask or labels; the rest is right."""

    def answer(P, given, of, asked):
        right = my_inputs(P, given, of, asked)
        made = [make(P, given, of, asked) if make else part for make, part in zip((embeds, mask, labels), right)]
        return tuple(made)

    return answer


def _filled(which, number):
    """Mask or labels with `number` in front of each row."""
    return lambda P, embeds, mask, labels: torch.cat(
        [(of := (mask, labels)[which]).new_full((len(of), len(P)), number), of], dim=1
    )


@mistake(
    "You put the virtual tokens behind the words.",
    "A token only looks back, so words wouldn't see what comes after them.",
    "In which order do you hand the two to torch.cat?",
)
def _behind(P, embeds, mask, labels):
    rows, p = len(embeds), len(P)
    return (
        torch.cat([embeds, P.expand(rows, -1, -1)], dim=1),
        torch.cat([mask, mask.new_ones(rows, p)], dim=1),
        torch.cat([labels, labels.new_full((rows, p), -100)], dim=1),
    )


exercise(
    "12.3",
    title="Virtual tokens",
    prompt="Write my_inputs(P, embeds, mask, labels). Put the p virtual tokens P (p × hidden) in front of every row of "
    "embeds (rows × tokens × hidden), and return the new embeddings, mask and labels. The model may look at virtual "
    "tokens, and the loss may not ask about them. mask has 1 for tokens and 0 for padding; labels have -100 where "
    "nothing counts.",
    minutes=6,
    difficulty=3,
    importance=4,
    solution=my_inputs,
    explanation="A virtual token has no id, so there's nothing it could be the right answer to. But it has to be seen: "
    "with a 0 in the mask, no word would look at it, and P would never learn.",
    cases=_virtual_cases,
    observe=_observe_virtual,
    hints=[
        "Each of the three tensors gets p more columns, in front.",
        "P.expand(rows, -1, -1) repeats P for each row. mask.new_ones(rows, p) makes ones like the mask's.",
        "labels: torch.cat([labels.new_full((rows, p), -100), labels], dim=1)",
    ],
    mistakes=[
        Mistake(
            _virtual(mask=_filled(0, 0)),
            "You hide the virtual tokens from the words.",
            "A 0 in the mask means padding. What nobody looks at changes nothing and gets no gradient.",
            "Should the model look at P?",
        ),
        Mistake(
            _virtual(labels=_filled(1, 0)),
            "You ask the model to predict token 0 at each virtual token.",
            "0 is the id of a token. What doesn't count is -100.",
            "Which number does the loss ignore?",
        ),
        Mistake(
            _virtual(labels=_filled(1, 1)),
            "You ask the model to predict token 1 at each virtual token.",
            "Ones are for the mask. In the labels, 1 is the id of a token.",
            "Which number does the loss ignore?",
        ),
        Mistake(
            _virtual(
                labels=lambda P, embeds, mask, labels: torch.cat(
                    [labels, labels.new_full((len(labels), len(P)), -100)], 1
                )
            ),
            "Your labels aren't beside their tokens any more: you add -100 at the end.",
            "The words have moved back by p places, and their labels have to move with them.",
            "On which side did the virtual tokens go?",
        ),
        Mistake(
            _virtual(mask=lambda P, embeds, mask, labels: torch.cat([mask, mask.new_ones(len(mask), len(P))], 1)),
            "Your mask isn't beside its tokens any more: you add the ones at the end.",
            "The padding has moved back by p places, and its zeros have to move with it.",
            "On which side did the virtual tokens go?",
        ),
        Mistake(
            lambda P, embeds, mask, labels: my_inputs(P, embeds, mask, labels)[0],
            "You return something else than three tensors.",
            "Embeddings, mask and labels have to stay as long as each other, so all three change.",
            "What does the exercise ask you to return?",
        ),
        _behind,
        Mistake(
            _virtual(
                embeds=lambda P, embeds, mask, labels: torch.cat([P.detach().expand(len(embeds), -1, -1), embeds], 1)
            ),
            "P gets no gradient, so it would never learn.",
            "A detached tensor is a constant to backward().",
            "Do you need detach() or no_grad() here?",
        ),
        Mistake(
            _virtual(embeds=lambda P, embeds, mask, labels: torch.cat([torch.zeros(len(embeds), *P.shape), embeds], 1)),
            "You put zeros in front of the words, and P is never used.",
            "The virtual tokens are P's rows: that's what learns.",
            "Where does P go?",
        ),
    ],
    shows="That's all there is to prompt tuning: the rest is an embedding that learns.",
)

# --- 12.4 ---------------------------------------------------------------------------------------------------


def my_dora(W, A, B, m, scaling):
    """Each row of W + s · B A, at the length that m says."""
    V = W + scaling * (B @ A)
    return m[:, None] * V / V.norm(dim=1, keepdim=True)


def _dora(weight):
    """A wrong answer, from W, V and m."""
    return lambda W, A, B, m, scaling: weight(W, W + scaling * (B @ A), m[:, None])


@mistake(
    "You measure the columns instead of the rows.",
    "The paper speaks of columns, in its own order of axes. In PyTorch's weight, an output's numbers are a row.",
    "How many lengths does m have, one per output or one per input?",
)
def _columns(W, A, B, m, scaling):
    V = W + scaling * (B @ A)
    return m[:, None] * V / V.norm(dim=0, keepdim=True)


exercise(
    "12.4",
    title="DoRA's weight",
    prompt="Write my_dora(W, A, B, m, scaling): DoRA's weight. Its rows point where those of W + scaling · B A point, "
    "and row i has the length m[i]. W is (out × in), A (r × in), B (out × r), m (out).",
    minutes=5,
    difficulty=2,
    importance=4,
    solution=my_dora,
    explanation="Divided by its length, a row keeps only its direction. m then says how long it is. With m at the "
    "lengths of W's rows and B at zero, that's W again.",
    cases=lambda: [
        Case(torch.randn(4, 6), torch.randn(2, 6), torch.randn(4, 2), torch.rand(4) + 0.5, 0.5),
        Case(torch.randn(5, 5), torch.randn(1, 5), torch.randn(5, 1), torch.rand(5) + 2, 2.0),
    ],
    hints=[
        "How do you give an arrow the length 1 without turning it?",
        "V.norm(dim=1, keepdim=True) has one length per row, as a column.",
        "m[:, None] * V / V.norm(dim=1, keepdim=True), where V = W + scaling * (B @ A)",
    ],
    mistakes=[
        _columns,
        Mistake(
            _dora(lambda W, V, m: m * V / W.norm(dim=1, keepdim=True)),
            "You divide by the lengths of W's rows.",
            "V's rows have other lengths as soon as B isn't zero, so yours don't get the length m.",
            "Whose length has to be taken away?",
        ),
        Mistake(
            _dora(lambda W, V, m: m * V / V.norm()),
            "You divide by the length of the whole matrix.",
            "norm() without dim makes one number of all of them.",
            "How many rows are there, and so how many lengths?",
        ),
        Mistake(
            _dora(lambda W, V, m: m * V),
            "You multiply by m without taking V's own length away.",
            "Then a row's length is m times what it was.",
            "How long is a row before you multiply it by m?",
        ),
        Mistake(
            _dora(lambda W, V, m: V / V.norm(dim=1, keepdim=True)),
            "Your rows all have the length 1.",
            "That's the direction alone, and m says how long a row is.",
            "Where does m go?",
        ),
        Mistake(
            _dora(lambda W, V, m: V),
            "You return LoRA's merged weight.",
            "LoRA changes length and direction together. DoRA sets the length itself.",
            "What do you do with m?",
        ),
        Mistake(
            _dora(lambda W, V, m: m * V / V.square().sum(dim=1, keepdim=True)),
            "You divide by the square of the length.",
            "The length is the root of the sum of the squares.",
            "What's missing after the sum?",
        ),
        Mistake(
            lambda W, A, B, m, scaling: my_dora(W, A, B, m, 1.0),
            "You leave out the scaling.",
            "DoRA's A and B are LoRA's, with the same α/r in front of them.",
            "Where does `scaling` go?",
        ),
        Mistake(
            lambda W, A, B, m, scaling: W + m[:, None] * (scaling * (B @ A)),
            "You scale the update alone, and W stays as it was.",
            "m is the length of the whole row, W's part included.",
            "What does m multiply?",
        ),
        Mistake(
            lambda W, A, B, m, scaling: m[:, None] * (W / W.norm(dim=1, keepdim=True) + scaling * (B @ A)),
            "You take W's length away before you add the update.",
            "Then the sum has another length again, and it points elsewhere.",
            "What comes first, the sum or the division?",
        ),
    ],
    shows="PEFT keeps m as lora_magnitude_vector, one number per output.",
)

# --- 12.5 ---------------------------------------------------------------------------------------------------


def my_verdict(means):
    """By where the middle 95 % of the resampled differences lie."""
    low, high = means.quantile(torch.tensor([0.025, 0.975]))
    return "better" if low > 0 else "worse" if high < 0 else "can't tell"


def _verdict_cases():
    def draws(mean, spread):
        return Case(mean + spread * torch.randn(4000))

    # at ±0.8, ±1.3, ±1.8 and ±2.8 deviations from zero, different wrong intervals decide; ±10 are clear, 0 isn't
    return [draws(side * 0.01 * far, 0.01) for far in (10, 0.8, 1.3, 1.82, 2.8) for side in (1, -1)] + [draws(0, 0.05)]


def _by_quantiles(low, high):
    def answer(means):
        if means.quantile(low) > 0:
            return "better"
        return "worse" if means.quantile(high) < 0 else "can't tell"

    return answer


@mistake(
    "You let the mean decide, whatever the spread.",
    "A mean is nearly never exactly zero, so you'd never say that you can't tell.",
    "Where does the interval begin, and where does it end?",
)
def _by_mean(means):
    return "better" if means.mean() > 0 else "worse"


@mistake(
    "You have better and worse the wrong way round.",
    "The differences are ours minus LoRA's, so above zero ours got more right.",
    "What does a positive difference say?",
)
def _upside_down(means):
    return {"better": "worse", "worse": "better"}.get(my_verdict(means), "can't tell")


exercise(
    "12.5",
    title="Better, worse, or can't tell",
    prompt="Write my_verdict(means). A method and LoRA answered the same rows, and `means` holds thousands of "
    'resampled mean differences, ours minus LoRA\'s. Return "better", "worse" or "can\'t tell", by the '
    "interval from the 2.5 % quantile to the 97.5 % quantile.",
    minutes=4,
    difficulty=2,
    importance=5,
    solution=my_verdict,
    explanation="Only an interval that lies wholly on one side of zero decides. In between you don't know that the two "
    "are equal: you know that these rows and seeds can't tell them apart.",
    cases=_verdict_cases,
    hints=[
        "When is all of the interval above zero?",
        "means.quantile(0.025) is its lower end.",
        '"better" if low > 0 else "worse" if high < 0 else "can\'t tell"',
    ],
    mistakes=[
        _by_mean,
        _upside_down,
        Mistake(
            _by_quantiles(0.05, 0.95),
            "Your interval is too narrow: it leaves out 5 % on each side.",
            "95 % in the middle leave 5 % for both sides together.",
            "How much is left on each side?",
        ),
        Mistake(
            _by_quantiles(0.25, 0.75),
            "Your interval holds only the middle half.",
            "2.5 % is 0.025.",
            "What are your two numbers, in percent?",
        ),
        Mistake(
            _by_quantiles(0.0, 1.0),
            "You ask whether every single draw is on one side.",
            "Among thousands of draws there's nearly always a stray one.",
            "How much of the draws may lie outside?",
        ),
        Mistake(
            lambda means: (
                "better" if means.mean() > means.std() else "worse" if means.mean() < -means.std() else "can't tell"
            ),
            "You take one deviation to each side, which is an interval of about 68 %.",
            "For 95 % it would be about two.",
            "Can you take the quantiles themselves?",
        ),
        Mistake(
            lambda means: "can't tell" if means.quantile(0.025) * means.quantile(0.975) < 0 else "better",
            'You never say "worse".',
            "An interval that leaves zero out may lie on either side of it.",
            "What do you return when the whole interval is negative?",
        ),
    ],
    shows="labkit.evaluation.comparing.verdict decides the same way.",
)
