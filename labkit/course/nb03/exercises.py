"""The exercises of notebook 03, where the learner builds the LoRA layer and puts it into a model.

Notebooks 03 and 04 go on with what the learner wrote (:func:`labkit.yours`), so two answers keep a contract:

**03.1, the layer.** ``Layer(base, r, alpha, dropout=0.0)``, called by position or by these names, is an ``nn.Module``
around an ``nn.Linear`` with or without bias. It has ``.base`` (frozen), ``.A`` (``nn.Linear`` from in to r) and ``.B``
(``nn.Linear`` from r to out), both without bias and trained, and ``.scaling``, the number alpha / r. B starts at zero,
A random. Dropout stands before A and only works in training mode. A and B are float32 and made where torch makes
tensors, so a model on a GPU is moved after injecting: ``model.to(device)``.

**03.2, the injection.** ``inject(model, targets, Layer, r, alpha)`` freezes every parameter of the model, then puts
``Layer(linear, r, alpha)`` in place of each ``nn.Linear`` whose name ends in a target at a dot. It returns the names,
in the model's order. `Layer` is handed in, so that the text of the answer runs in any notebook; for dropout, hand in
``functools.partial(Layer, dropout=0.05)``.
"""

import inspect
import math
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F

from labkit.lab.checking.comparing import difference
from labkit.lab.checking.form import Case, Mistake, Tolerance, exercise, mistake

# Sums in another order differ in the last digits, and most where they nearly cancel
CLOSE = Tolerance(rtol=1e-4, atol=1e-3)


def _until_wrong(keys: list[str], looks: Iterator[tuple]) -> dict:
    """What was seen, under each of `keys` in turn, up to the first thing that isn't as it should be.

    So an answer with two mistakes is recognised by its first one.
    """
    seen = dict.fromkeys(keys)
    for key, (value, right) in zip(keys, looks):
        seen[key] = value
        if difference(value, right, CLOSE) is not None:
            break
    return seen


# 03.1


class MyLoRA(nn.Module):
    """y = base(x) + α/r · B(A(dropout(x))), with the base frozen."""

    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Linear(base.in_features, r, bias=False)
        self.B = nn.Linear(r, base.out_features, bias=False)
        nn.init.zeros_(self.B.weight)
        self.scaling = alpha / r
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.base(x) + self.scaling * self.B(self.A(self.dropout(x)))


_LAYER_LOOKS = [
    "the arguments",
    "the attributes",
    "the shape of A",
    "the shape of B",
    "whether A or B has a bias",
    "the start",
    "the size of A's numbers",
    "the trained parameters",
    "what forward returns",
    "the weights of self.base",
    "whether the same x gets the same answer after eval()",
    "whether the update grows in step with x",
    "the update, as a multiple of the right one",
    "the answer once B isn't zero",
    "the answer for one vector",
    "the gradient passed on to x",
    "the answer in training mode while B is zero",
    "what dropout does in training mode",
    "the gradients at the start",
    "the scaling",
]


def _observe_layer(args, layer):
    """What a learner's layer does; it stops at the first thing that isn't as it should be."""
    return _until_wrong(_LAYER_LOOKS, _looks_at_layer(*args, layer=layer))


def _looks_at_layer(base, r, alpha, dropout=0.0, *, layer):
    """Pairs of what's seen and what's right, in the order of _LAYER_LOOKS."""
    yield _arguments(layer), "r, alpha and dropout"
    yield _missing(layer), "all there"
    A, B = layer.A.weight, layer.B.weight
    yield list(A.shape), [r, base.in_features]
    yield list(B.shape), [base.out_features, r]
    yield layer.A.bias is not None or layer.B.bias is not None, False
    yield _start(A, B), "A random, B zero"
    spread = A.std().item() * math.sqrt(base.in_features)  # nn.Linear's own start: 1/√3
    yield "too large" if spread > 5 else "too small" if spread < 0.01 else "good", "good"
    yield _trained(layer), "A and B"
    torch.manual_seed(7)
    layer.eval()
    x = torch.randn(2, 3, base.in_features)
    start = A.detach().clone()
    with torch.no_grad():
        A.copy_(torch.randn_like(A))
        B.copy_(torch.randn_like(B))
    answer = layer(x)
    yield "a tensor" if isinstance(answer, torch.Tensor) else "none", "a tensor"
    yield _weights(layer, base), "as they were"
    yield torch.equal(answer, layer(x)), True
    yield _grows_in_step(layer, x), True
    right = alpha / r * (x @ A.T @ B.T).detach()
    yield _multiple(answer.detach() - base(x), right), 1.0
    yield answer.detach(), base(x) + right
    yield layer(x[0, 0]).detach(), base(x[0, 0]) + alpha / r * (x[0, 0] @ A.T @ B.T).detach()
    yield _gradient_at(layer, x), (base.weight + alpha / r * B @ A).sum(0).detach().expand_as(x)
    yield _under_dropout(layer, B, x).detach(), base(x)
    yield _thinned(layer, base, A, B, alpha / r, dropout), "as it should" if dropout else "nothing"
    yield _moved_first(layer, start, x), "A zero, B not"
    yield layer.scaling, alpha / r


def _arguments(layer) -> str:
    """Whether the layer can be made with the names that the notebooks use."""
    named = inspect.signature(type(layer)).parameters.values()
    known = {each.name for each in named} >= {"r", "alpha", "dropout"}
    return "r, alpha and dropout" if known or any(each.kind == each.VAR_KEYWORD for each in named) else "others"


def _missing(layer) -> str:
    """The first group of attributes that isn't as the contract says."""
    if not (hasattr(layer, "A") and hasattr(layer, "B")):
        return "no A and B"
    if not (isinstance(layer.A, nn.Linear) and isinstance(layer.B, nn.Linear)):
        return "A and B are no nn.Linear"
    return "all there" if hasattr(layer, "base") and hasattr(layer, "scaling") else "no base and scaling"


def _start(A, B) -> str:
    """How A and B start. Random numbers are nearly all different: an identity's or a constant's are not."""
    if not B.any():
        kind = "random" if len(A.unique()) > A.numel() / 2 else "not random"
        return f"A {kind}, B zero" if A.any() else "both zero"
    return "A zero, B not" if not A.any() else "neither zero"


def _trained(layer) -> str:
    own = {id(layer.A.weight): "A", id(layer.B.weight): "B"}
    trained = [own.get(id(p), "another") for p in layer.parameters() if p.requires_grad]
    if "another" in trained:
        if layer.base.weight.requires_grad:
            return "also the whole base"
        return "also the bias of the base" if any(p.requires_grad for p in layer.base.parameters()) else "also another"
    return " and ".join(sorted(trained)) or "nothing"


def _weights(layer, base) -> str:
    """What has become of the base and its numbers, once forward has run."""
    if not torch.equal(base.weight, _numbers(base.out_features, base.in_features)):
        return "changed by forward"
    same = isinstance(layer.base, nn.Linear) and torch.equal(layer.base.weight, base.weight)
    return "as they were" if same else "another layer's"


def _grows_in_step(layer, x) -> bool:
    """Whether −2 times the x makes −2 times the update, as it does for every matrix and not through a ReLU."""
    at_zero = layer(torch.zeros_like(x))
    once, twice = layer(x) - at_zero, layer(-2 * x) - at_zero
    return bool((twice + 2 * once).abs().max() <= 1e-3 * (1 + once.abs().max()))


def _multiple(update, right) -> float:
    """How many times `right` the update is; 1 if it's no multiple, which the values tell better."""
    factor = ((update * right).sum() / right.square().sum()).item()
    return factor if (update - factor * right).abs().max() < 1e-3 * right.abs().max() else 1.0


def _gradient_at(layer, x):
    x = x.clone().requires_grad_()
    answer = layer(x).sum()
    if answer.requires_grad:
        answer.backward()
    return torch.zeros_like(x) if x.grad is None else x.grad


def _under_dropout(layer, B, x):
    """The answer in training mode, with B at zero: the base's own, whatever dropout does to the adapter."""
    kept = B.detach().clone()
    with torch.no_grad():
        B.zero_()
        layer.train()
        answer = layer(x)
        layer.eval()
        B.copy_(kept)
    return answer


def _thinned(layer, base, A, B, scaling, dropout):
    """What dropout does to the update in training, for x with one number that isn't zero.

    Dropout before A leaves all of it or nothing, the same for each output. Anywhere else it doesn't.
    """
    x = torch.zeros(64, base.in_features)
    x[:, 0] = 1
    with torch.no_grad():
        A.fill_(1)
        B.fill_(1)
        layer.train()
        update = (layer(x) - base(x)) / (scaling * A.shape[0])
        layer.eval()
    if (update - update[:, :1]).abs().max() > 1e-3:
        return "each output by itself"
    shares = {round(share, 2) for share in update[:, 0].tolist()}
    if shares == {1}:
        return "nothing"
    if dropout and shares == {0, round(1 / (1 - dropout), 2)}:
        return "as it should"
    return sorted(shares) if len(shares) > 2 else "something, at another rate"


def _moved_first(layer, start, x) -> str:
    """Which of A and B has a gradient in the first backward pass."""
    with torch.no_grad():
        layer.A.weight.copy_(start)
        layer.B.weight.zero_()
    layer.zero_grad()
    layer(x).square().sum().backward()
    has = [one.weight.grad is not None and bool(one.weight.grad.any()) for one in (layer.A, layer.B)]
    return {(False, True): "A zero, B not", (False, False): "neither has one"}.get(tuple(has), "both have one")


def _numbers(out_features, in_features):
    """The weight of a case's base, the same each time."""
    return torch.arange(out_features * in_features).sin().view(out_features, in_features)


def _base(in_features, out_features, bias=False):
    base = nn.Linear(in_features, out_features, bias=bias)
    base.weight.data.copy_(_numbers(out_features, in_features))
    return base


def _layer_cases():
    # α < r and α no multiple of r, out < in and out > in, with a bias and with dropout
    return [
        Case(_base(64, 48, bias=True), 4, 10, 0.0),
        Case(_base(32, 96), 8, 4),
        Case(_base(40, 40), 4, 6, 0.25),
    ]


@mistake(
    "Your layer has no .A and .B.",
    "The names are yours to choose anywhere else. Here the next cells look for layer.A and layer.B.",
    "Which names do you assign in __init__? Python tells a from A.",
)
class _other_names(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        nn.Module.__init__(self)
        self.base, self.scaling = base.requires_grad_(False), alpha / r
        self.lora_A = nn.Linear(base.in_features, r, bias=False)
        self.lora_B = nn.Linear(r, base.out_features, bias=False)


@mistake(
    "Your A and B aren't nn.Linear layers.",
    "A bare matrix or nn.Parameter can do the same job, but the next cells read layer.A.weight.",
    "What does nn.Linear(in, out, bias=False) take, and what are in and out for A?",
)
class _matrices(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        nn.Module.__init__(self)
        self.base, self.scaling = base.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.randn(r, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))


@mistake(
    "Your layer has no .base or no .scaling.",
    "The next cells look at both: layer.base is the frozen layer, layer.scaling the number alpha / r.",
    "Does __init__ assign self.base and self.scaling?",
)
class _keeps_no_scaling(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        self.alpha, self.r = alpha, r
        del self.scaling


@mistake(
    "Your __init__ calls its arguments something else.",
    "The next cells call Layer(base, r=8, alpha=16, dropout=0.1), by these names.",
    "Which names does the first line of __init__ in the exercise give?",
)
class _other_arguments(MyLoRA):
    def __init__(self, base, rank, alpha, dropout=0.0):
        super().__init__(base, rank, alpha, dropout)


@mistake(
    "Your __init__ doesn't call super().__init__() first.",
    "nn.Module keeps a list of its layers, and super().__init__() starts it. Before that it can't take any.",
    "What's the first line of __init__ in the exercise?",
)
class _no_super(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        self.base = base


def _with_linears(A, B):
    """A layer whose A and B are made by two functions of (in, out, r)."""

    class Made(MyLoRA):
        def __init__(self, base, r, alpha, dropout=0.0):
            super().__init__(base, r, alpha, dropout)
            self.A = A(base.in_features, base.out_features, r)
            self.B = B(base.in_features, base.out_features, r)
            nn.init.zeros_(self.B.weight)
            if self.B.bias is not None:
                nn.init.zeros_(self.B.bias)

    return Made


def _a_from(in_, out, r):
    return nn.Linear(in_, r, bias=False)


def _b_from(in_, out, r):
    return nn.Linear(r, out, bias=False)


def _started(start):
    """A layer whose A and B start as `start(A, B)` leaves them."""

    class Started(MyLoRA):
        def __init__(self, base, r, alpha, dropout=0.0):
            super().__init__(base, r, alpha, dropout)
            start(self.A.weight.data, self.B.weight.data)

    return Started


def _answering(forward):
    """A layer that answers with `forward(layer, x)`."""
    return type("Answering", (MyLoRA,), {"forward": forward})


def _scaled(scaling):
    """A layer whose scaling is ``scaling(alpha, r, base)``."""

    class Scaled(MyLoRA):
        def __init__(self, base, r, alpha, dropout=0.0):
            super().__init__(base, r, alpha, dropout)
            self.scaling = scaling(alpha, r, base)

    return Scaled


@mistake(
    "Your layer still trains W.",
    "Wrapping a layer doesn't freeze it. Left alone, PyTorch trains every parameter it finds.",
    "Which parameters of base have requires_grad=True after your __init__?",
)
class _unfrozen(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        self.base.requires_grad_(True)


@mistake(
    "Your layer still trains the bias of the base.",
    "A linear layer may have two parameters, weight and bias, and LoRA freezes both.",
    "What does base.requires_grad_(False), called on the layer itself, reach?",
)
class _trains_the_bias(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        if base.bias is not None:
            base.bias.requires_grad_(True)


@mistake(
    "Your layer trains nothing at all.",
    "You froze A and B along with the base. LoRA trains exactly these two.",
    "Where do you call requires_grad_(False), and on what?",
)
class _all_frozen(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        self.requires_grad_(False)


@mistake(
    "Your A is frozen, so only B learns.",
    "A starts random, but it doesn't stay as it is. LoRA trains both.",
    "Where do you call requires_grad_(False), and on what?",
)
class _a_frozen(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        self.A.requires_grad_(False)


@mistake(
    "Your layer trains something besides A and B.",
    "An nn.Parameter or a third layer that you keep in self is trained, too. The scaling is a plain number.",
    "What do you assign in __init__ besides base, A and B?",
)
class _trains_more(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        self.more = nn.Parameter(torch.ones(1))


@mistake(
    "Your self.base is another layer than the one you were given.",
    "A new nn.Linear has the right shape and random numbers. All the model has learned is in the old one.",
    "What does __init__ assign to self.base?",
)
class _fresh_base(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        self.base = nn.Linear(base.in_features, base.out_features).requires_grad_(False)


@mistake(
    "Your forward changes W, so each call adds the update once more.",
    "Merging into W is for when training is over. Until then the detour stays beside W.",
    "Does your forward assign to self.base.weight, or use += on it?",
)
class _merges_in_forward(MyLoRA):
    def forward(self, x):
        self.base.weight.data += self.scaling * self.B.weight @ self.A.weight
        return self.base(x)


@mistake(
    "Your layer passes on no gradient at all.",
    "torch.no_grad() switches it off for everything computed inside. Freezing the base is enough.",
    "What is inside your torch.no_grad()?",
)
class _no_gradient(MyLoRA):
    def forward(self, x):
        with torch.no_grad():
            return super().forward(x)


@mistake(
    "Your dropout isn't the one you were given.",
    "dropout is the share of numbers to drop, and nn.Dropout takes just that. Left out, it drops half.",
    "What do you hand to nn.Dropout?",
)
class _another_rate(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__(base, r, alpha, 0.5)


@mistake(
    "Your self.dropout is a number, and forward calls it like a layer.",
    "dropout is only the probability. The layer that uses it has to be made first.",
    "What does nn.Dropout take?",
)
class _dropout_as_number(MyLoRA):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        del self.dropout
        self.dropout = dropout


@mistake(
    "No gradient passes through your frozen base.",
    "Frozen means that W gets no gradient of its own. The gradient still has to pass through W to the layers below.",
    "Is there a torch.no_grad() or a .detach() around the base's answer?",
)
class _base_without_gradient(MyLoRA):
    def forward(self, x):
        with torch.no_grad():
            answer = self.base(x)
        return answer + self.scaling * self.B(self.A(self.dropout(x)))


exercise(
    id="03.1",
    title="The LoRA layer",
    prompt=(
        "Write the class MyLoRA(base, r, alpha, dropout): a layer that answers base(x) + alpha/r · B(A(dropout(x))).\n"
        "base is an nn.Linear: freeze it, its bias too, and keep it as self.base. self.A (in to r) and self.B (r to\n"
        "out) are nn.Linear without bias. self.scaling is alpha/r. B starts at zero, A random. dropout has the\n"
        "default 0.0."
    ),
    minutes=15,
    difficulty=3,
    importance=5,
    solution=MyLoRA,
    explanation=(
        "The base answers as always, and gets no gradient of its own. A takes x down to r numbers, B takes them up\n"
        "again. nn.Linear starts at random numbers the size LoRA asks for (Kaiming-uniform with a = √5), so only B\n"
        "needs setting. nn.Dropout is on in training mode and off after eval()."
    ),
    cases=_layer_cases,
    observe=_observe_layer,
    close=CLOSE,
    hints=[
        "Which two layers come beside the base, and how many numbers go into and out of each?",
        "A is nn.Linear(base.in_features, r, bias=False). What's B? nn.init.zeros_(self.B.weight) sets it to zero.",
        "Freeze with base.requires_grad_(False), and keep nn.Dropout(dropout) as self.dropout.",
        "forward returns self.base(x) + self.scaling * self.B(self.A(self.dropout(x))).",
    ],
    mistakes=[
        _other_arguments,
        _other_names,
        _matrices,
        _keeps_no_scaling,
        _no_super,
        Mistake(
            _with_linears(lambda in_, out, r: nn.Linear(r, in_, bias=False), _b_from),
            "Your A has its shape the wrong way round.",
            "nn.Linear wants what goes in first, then what comes out. Its .weight then has the shape (out, in).",
            "How many numbers go into A, and how many come out?",
        ),
        Mistake(
            _with_linears(lambda in_, out, r: nn.Linear(out, r, bias=False), _b_from),
            "Your A takes as many numbers as the base puts out.",
            "A gets x, just as the base does. In a square layer nobody would notice the difference.",
            "Which attribute of base says how many numbers go in?",
        ),
        Mistake(
            _with_linears(_a_from, lambda in_, out, r: nn.Linear(out, r, bias=False)),
            "Your B has its shape the wrong way round.",
            "nn.Linear wants what goes in first, then what comes out. Its .weight then has the shape (out, in).",
            "How many numbers go into B, and how many come out?",
        ),
        Mistake(
            _with_linears(_a_from, lambda in_, out, r: nn.Linear(r, in_, bias=False)),
            "Your B leads back to in, where it should lead to out.",
            "As long as the layer is square, in and out are the same number and nothing complains.",
            "Which attribute of base says how many numbers come out?",
        ),
        Mistake(
            _with_linears(_a_from, lambda in_, out, r: nn.Linear(r, out)),
            "Your A or your B has a bias.",
            "nn.Linear adds a bias unless you say otherwise. LoRA's update is B A alone.",
            "What's the third argument of nn.Linear, for each of the two?",
        ),
        Mistake(
            _started(lambda A, B: B.uniform_(-0.1, 0.1)),
            "Your B isn't zero at the start, so the layer disturbs the model before it has learned anything.",
            "nn.Linear starts with random numbers. That's fine for A, but B has to be set to zero.",
            "What does nn.init.zeros_ need to be called on?",
        ),
        Mistake(
            _started(lambda A, B: A.zero_()),
            "Your A and B are both zero, so the layer can never learn.",
            "A's gradient is multiplied by B, and B's by A. With both at zero, both gradients stay zero.",
            "Which of the two may stay random?",
        ),
        Mistake(
            _started(lambda A, B: (A.zero_(), B.uniform_(-0.1, 0.1))),
            "Your A is zero and B random: it's the other way round in LoRA.",
            "It would learn, but the two starts don't train alike (Hayou et al., 2024).",
            "Which of the two did you hand to nn.init.zeros_?",
        ),
        Mistake(
            _started(lambda A, B: nn.init.eye_(A)),
            "Your A isn't random.",
            "With an identity, A only passes on the first r numbers of x. With all numbers equal, every row learns "
            "the same.",
            "What does nn.Linear put into its weight if you leave it alone?",
        ),
        Mistake(
            _started(lambda A, B: A.normal_()),
            "The numbers in your A are too large.",
            "torch.randn spreads the same however wide the layer is, so A x grows with the number of inputs.",
            "What does nn.Linear put into its weight if you leave it alone?",
        ),
        Mistake(
            _started(lambda A, B: A.mul_(1e-6)),
            "The numbers in your A are too small.",
            "The update is a multiple of A x, and so is B's gradient. With A next to zero, both stay there.",
            "What does nn.Linear put into its weight if you leave it alone?",
        ),
        _unfrozen,
        _trains_the_bias,
        _trains_more,
        _all_frozen,
        _a_frozen,
        _fresh_base,
        _merges_in_forward,
        _no_gradient,
        _base_without_gradient,
        _dropout_as_number,
        Mistake(
            _answering(lambda self, x: None),
            "Your forward returns nothing.",
            "A result that isn't returned is lost, and print only shows it.",
            "Does the last line of forward begin with return?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(x) + self.scaling * self.A(self.B(self.dropout(x)))),
            "You go through B first and then through A, so the shapes don't fit.",
            "x meets A first, which takes it down to r numbers. B takes them up again.",
            "In self.A(self.B(x)), which of the two runs first?",
        ),
        Mistake(
            _answering(lambda self, x: (y := self.base(x)) + self.scaling * self.B(self.A(self.dropout(y)))),
            "Your adapter gets the base's answer instead of x.",
            "The adapter stands beside the base, and both get the same x.",
            "What does the arrow into A start from, in the picture at the top?",
        ),
        Mistake(
            _answering(
                lambda self, x: self.base(x) + self.scaling * (self.dropout(x) @ (self.B.weight @ self.A.weight))
            ),
            "Your update uses B A the wrong way round, so the shapes don't fit.",
            "B A has the shape of W, (out, in), and a row of x meets its transpose, as nn.Linear does with W.",
            "What does nn.Linear compute, x @ weight or x @ weight.T?",
        ),
        Mistake(
            _answering(lambda self, x: x @ self.base.weight.T + self.scaling * self.B(self.A(self.dropout(x)))),
            "Your layer loses the bias of the base.",
            "x @ W.T is all of the base's answer only where the base has no bias.",
            "What happens if you just call self.base?",
        ),
        Mistake(
            _answering(lambda self, x: self.scaling * self.B(self.A(self.dropout(x)))),
            "The base's own answer is missing.",
            "LoRA adds to the frozen layer and doesn't replace it.",
            "What should a fresh layer answer, while B is zero?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(x) * (1 + F.relu(self.A(x)).sum(-1, keepdim=True))),
            "Your update doesn't grow in step with x.",
            "B A is a matrix: twice the x makes twice the update, and −x makes the opposite. A ReLU or tanh breaks "
            "that, and so does multiplying where the formula adds.",
            "What happens to A's answer before B gets it, and what to B's?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(x) - self.scaling * self.B(self.A(self.dropout(x)))),
            "Your update has the wrong sign.",
            "The update is added. Which way it points is for training to find out.",
            "What stands between the base's answer and the update?",
        ),
        Mistake(
            _answering(lambda self, x: super(type(self), self).forward(x) if self.training else self.base(x)),
            "Your layer answers like the base alone once it's in eval mode, whatever B has learned.",
            "A and B belong in every answer. Only dropout depends on the mode.",
            "Does your forward always get as far as self.B?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(x) + self.scaling**2 * self.B(self.A(self.dropout(x)))),
            "You use the scaling twice.",
            "Once is enough: B(A(x)) has one alpha / r in front.",
            "How many times does your forward, or your __init__, multiply by alpha / r?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(x) + (self.scaling * self.B(self.A(self.dropout(x)))).detach()),
            "The gradient doesn't get through your A to x.",
            "Nothing in the detour is frozen: A and B learn from the gradient, and the layers below need it.",
            "Is there a .detach() or a torch.no_grad() on the way through A and B?",
        ),
        Mistake(
            _answering(lambda self, x: self.scaling * (self.base(x) + self.B(self.A(self.dropout(x))))),
            "You scale the base's answer too.",
            "alpha / r belongs to the update alone. The base must answer as it always did.",
            "Where do the brackets in your forward open and close?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(x) + self.B(self.A(self.dropout(x)))),
            "Your forward leaves out the scaling.",
            "You may have stored it in __init__ and not used it in forward.",
            "Where does self.scaling go in forward?",
        ),
        Mistake(
            _scaled(lambda alpha, r, base: alpha),
            "Your update is r times too large.",
            "alpha alone isn't the scaling. It's divided by the rank.",
            "What does __init__ assign to self.scaling?",
        ),
        Mistake(
            _scaled(lambda alpha, r, base: alpha // r),
            "Your scaling is rounded down to a whole number.",
            "// divides and drops the remainder: 4 // 8 is 0, and then the adapter does nothing.",
            "Which of / and // gives 0.5 for 4 and 8?",
        ),
        Mistake(
            _scaled(lambda alpha, r, base: alpha * r),
            "You multiply alpha by r, where the formula divides.",
            "A larger r adds more parts to the update. Dividing by r is what evens that out.",
            "Which sign stands between α and r in the formula above the exercise?",
        ),
        Mistake(
            _scaled(lambda alpha, r, base: r / alpha),
            "Your scaling is upside down: r / alpha.",
            "A larger alpha makes the update stronger, and a larger r divides it.",
            "Which of the two stands above the line in α/r?",
        ),
        Mistake(
            _scaled(lambda alpha, r, base: alpha / math.sqrt(r)),
            "Your scaling is alpha / √r. That's rsLoRA's.",
            "rsLoRA is a variant (use_rslora=True in PEFT). Plain LoRA divides by r.",
            "What does the formula above the exercise divide by?",
        ),
        Mistake(
            _scaled(lambda alpha, r, base: alpha / base.in_features),
            "You divide by the number of inputs instead of the rank.",
            "r is the second argument of your __init__, and the number of rows of A.",
            "What does the formula above the exercise divide by?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(d := self.dropout(x)) + self.scaling * self.B(self.A(d))),
            "Dropout thins out the base's input too.",
            "LoRA's dropout acts on the adapter's path only. The base always sees all of x.",
            "Which x does self.base get in your forward?",
        ),
        Mistake(
            _answering(lambda self, x: self.dropout(self.base(x) + self.scaling * self.B(self.A(x)))),
            "Dropout thins out the whole answer, the base's included.",
            "LoRA's dropout acts on what A gets, and leaves the base's answer alone.",
            "What should self.dropout be called on?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(x) + self.scaling * self.B(self.dropout(self.A(x)))),
            "Your dropout comes after A.",
            "LoRA's dropout thins out x before A sees it.",
            "What should self.dropout be called on?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(x) + self.scaling * self.dropout(self.B(self.A(x)))),
            "Your dropout comes after B.",
            "LoRA's dropout thins out x before A sees it.",
            "What should self.dropout be called on?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(x) + self.scaling * self.B(self.A(x))),
            "Your forward never uses dropout.",
            "A dropout made in __init__ does nothing until forward calls it.",
            "What should x pass through before A?",
        ),
        Mistake(
            _answering(lambda self, x: self.base(x) + self.scaling * self.B(self.A(F.dropout(x, self.dropout.p)))),
            "Your dropout is on in eval mode, so the same question gets a different answer each time.",
            "F.dropout doesn't know the mode of your layer, unless you hand it training=self.training.",
            "What does nn.Dropout do after layer.eval()?",
        ),
        _another_rate,
    ],
    shows="That's the whole layer. The cells below, and notebook 04, go on with yours.",
)

# 03.2


def my_inject(model, targets, Layer, r, alpha):
    """Freeze the model, wrap each linear layer that a target names, and return their names."""
    model.requires_grad_(False)
    names = []
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and any(name.endswith("." + target) for target in targets):
            model.set_submodule(name, Layer(module, r, alpha))
            names.append(name)
    return names


def _tiny_model(blocks, extra=()):
    """Named as a Llama is, with two heads of four numbers that share one key and value head; `extra` layers in each."""
    widths = {
        "self_attn": {"q_proj": (8, 8), "k_proj": (8, 4), "v_proj": (8, 4), "o_proj": (8, 8)},
        "mlp": {"gate_proj": (8, 12), "up_proj": (8, 12), "down_proj": (12, 8)},
    }
    for part, name in extra:
        widths[part] = widths[part] | {name: (8, 20)}

    def block():
        parts = {
            part: nn.ModuleDict({name: _base(*shape) for name, shape in layers.items()})
            for part, layers in widths.items()
        }
        return nn.ModuleDict(parts | {"norm": nn.LayerNorm(8)})

    layers = nn.ModuleDict({"layers": nn.ModuleList(block() for _ in range(blocks))})
    return nn.ModuleDict(
        {"embed_tokens": nn.Embedding(10, 8), "model": layers, "lm_head": nn.Linear(8, 10, bias=False)}
    )


def _inject_cases():
    # targets in another order than the model's, which isn't the alphabet's; of two parts; one that's no nn.Linear;
    # and names that contain a target, or end in its letters
    fused = [("self_attn", "qkv_proj"), ("self_attn", "q_proj_gate"), ("mlp", "gate_up_proj")]
    return [
        Case(_tiny_model(2), ["down_proj", "q_proj"], MyLoRA, 2, 3),
        Case(_tiny_model(1, fused), ["up_proj", "q_proj", "v_proj", "norm"], MyLoRA, 4, 2),
        Case(_tiny_model(2), ["mlp.gate_proj", "k_proj"], MyLoRA, 2, 8),
    ]


_INJECT_LOOKS = [
    "the wrapped layers",
    "what you return",
    "the list of names",
    "how many different layers there are",
    "the r of each layer",
    "the scaling of each layer",
    "the weights of the base of each layer",
    "the trained parameters besides A and B",
    "the frozen ones among A and B",
]


def _observe_inject(args, names):
    """What became of the model; it stops at the first thing that isn't as it should be."""
    return _until_wrong(_INJECT_LOOKS, _looks_at_injected(*args, returned=names))


def _looks_at_injected(model, targets, Layer, r, alpha, *, returned):
    modules = dict(model.named_modules(remove_duplicate=False))
    linear = [name.removesuffix(".base") for name, module in modules.items() if isinstance(module, nn.Linear)]
    names = [name for name in dict.fromkeys(linear) if any(name.endswith("." + target) for target in targets)]
    # what setattr(model, "model.layers.0…", …) put in has the right name, but isn't where the model looks for it
    wrapped = {name: module for name, module in modules.items() if isinstance(_at(model, name), Layer)}
    listed = isinstance(returned, (list, tuple)) and all(isinstance(name, str) for name in returned)
    right = listed and list(returned) == names
    yield list(wrapped) or ["none, though your list is right" if right else "none"], names
    yield "names of layers" if listed and {*returned} <= {*modules} else _what(returned), "names of layers"
    yield "in another order" if right is False and sorted(returned) == sorted(names) else list(returned), names
    yield len({*map(id, wrapped.values())}), len(names)
    yield [each.A.out_features for each in wrapped.values()], [r] * len(names)
    yield [each.scaling for each in wrapped.values()], [alpha / r] * len(names)
    bases = [each.base.weight.detach() for each in wrapped.values()]
    yield ["as it was" if torch.equal(w, _numbers(*w.shape)) else "another" for w in bases], ["as it was"] * len(names)
    adapters = [id(each.weight) for one in wrapped.values() for each in (one.A, one.B)]
    yield [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in adapters], []
    yield [name for name, p in model.named_parameters() if not p.requires_grad and id(p) in adapters], []


def _at(model, path):
    """What the model has at this path, if anything."""
    for part in path.split("."):
        model = getattr(model, part, None)
    return model


def _what(returned) -> str:
    return "nothing" if returned is None else "something else"


def _injecting(
    matches=lambda name, target: name.endswith("." + target),
    wrap=lambda Layer, *given: Layer(*given),
    kind=nn.Linear,
    taken=slice(None),
    result=lambda names: names,
):
    """An injection like the right one, but for what it looks for, how it wraps, how many, or what it returns."""

    def inject(model, targets, Layer, r, alpha):
        model.requires_grad_(False)
        linear = [name for name, module in model.named_modules() if isinstance(module, kind)]
        names = [name for name in linear if any(matches(name, target) for target in targets)][taken]
        for name in names:
            model.set_submodule(name, wrap(Layer, model.get_submodule(name), r, alpha))
        return result(names)

    return inject


@mistake(
    "Your list of names is right, but the model is as it was.",
    "Making a layer, or giving it a name in your code, doesn't put it into the model. setattr doesn't follow the dots "
    "in a path, and a copy isn't the model you were given.",
    "Which call puts a new layer in the place of an old one, deep inside a model?",
)
def _changes_nothing(model, targets, Layer, r, alpha):
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and any(name.endswith("." + target) for target in targets)
    ]


@mistake(
    "Only your last A and B are trained.",
    "requires_grad_(False) on the whole model also reaches the layers that you've wrapped so far.",
    "Is the line that freezes the model inside your loop?",
)
def _freezes_in_the_loop(model, targets, Layer, r, alpha):
    names = my_inject(model, targets, Layer, r, alpha)
    for name in names[:-1]:
        model.get_submodule(name).requires_grad_(False)
    return names


@mistake(
    "Your model still trains everything else.",
    "Each layer freezes its own base. Embeddings, norms and the layers you didn't wrap are left.",
    "Which call freezes a whole model, and when does it have to come?",
)
def _freezes_nothing(model, targets, Layer, r, alpha):
    before = [p for p in model.parameters() if p.requires_grad]
    names = my_inject(model, targets, Layer, r, alpha)
    wrapped = {id(p) for name in names for p in model.get_submodule(name).base.parameters()}
    for parameter in before:
        parameter.requires_grad_(id(parameter) not in wrapped)
    return names


@mistake(
    "Your A and B are frozen too, so nothing is trained.",
    "Freezing after wrapping catches the new layers along with the old ones.",
    "What comes first in your code, freezing or wrapping?",
)
def _freezes_after(model, targets, Layer, r, alpha):
    names = my_inject(model, targets, Layer, r, alpha)
    model.requires_grad_(False)
    return names


exercise(
    id="03.2",
    title="Into the model",
    prompt=(
        "Write my_inject(model, targets, Layer, r, alpha): freeze the model, then put Layer(linear, r, alpha) in the\n"
        "place of each nn.Linear whose name ends in one of targets, after a dot. A target can have two parts, such as\n"
        "self_attn.o_proj. Change model itself; return the names of the wrapped layers, in the model's order."
    ),
    minutes=10,
    difficulty=3,
    importance=5,
    solution=my_inject,
    explanation=(
        "Freezing comes first, so that the new A and B stay trainable. The dot keeps v_proj from matching qkv_proj.\n"
        "list(…) walks over the model as it was, while the loop changes it."
    ),
    cases=_inject_cases,
    observe=_observe_inject,
    hints=[
        "for name, module in model.named_modules() walks over everything. Which of these are meant?",
        'isinstance(module, nn.Linear), and name.endswith("." + target) for any of the targets.',
        "model.set_submodule(name, Layer(module, r, alpha)) puts the new layer in place.",
        "model.requires_grad_(False) freezes all there is at that moment. Call it before you wrap.",
    ],
    mistakes=[
        Mistake(
            _injecting(matches=lambda name, target: target in name),
            "You also wrap layers whose name only contains a target.",
            "The operator in finds a text anywhere: q_proj is in q_proj_gate, and v_proj is in qkv_proj.",
            "Where in the name does the target have to stand?",
        ),
        Mistake(
            _injecting(matches=lambda name, target: name.endswith(target)),
            "You also wrap layers whose name ends in the letters of a target, such as qkv_proj for v_proj.",
            "endswith compares letters and knows nothing of the parts of a name.",
            "Which character has to stand right before the target?",
        ),
        Mistake(
            _injecting(matches=lambda name, target: name.split(".")[-1] == target),
            "A target of two parts, such as self_attn.o_proj, finds nothing.",
            "You compare the last part of the name only, and a target can have two.",
            "What if you compare the end of the whole name, dot included?",
        ),
        Mistake(
            _injecting(matches=lambda name, target: False),
            "You wrap nothing at all.",
            "No module gets past your test. A layer's name is its whole path from the model down.",
            "What does your test say to an nn.Linear called model.layers.0.self_attn.q_proj, and the target q_proj?",
        ),
        Mistake(
            _injecting(taken=slice(1)),
            "You wrap one layer and stop.",
            "A return or break inside the loop ends it.",
            "How far is the line with return indented?",
        ),
        Mistake(
            _injecting(kind=nn.Module),
            "You hand Layer a module that isn't an nn.Linear.",
            "A name alone doesn't say what kind of module it is: a norm, or a whole block, has a name, too.",
            "What does isinstance(module, nn.Linear) say?",
        ),
        Mistake(
            _injecting(result=lambda names: None),
            "You return nothing.",
            "The layers are wrapped, but the next cells need to know which ones.",
            "What does the prompt ask my_inject to return?",
        ),
        Mistake(
            _injecting(result=len),
            "What you return isn't a list of the layers' names.",
            "The next cells hand each name to model.get_submodule, so they need whole paths, and all of them.",
            "What do you append to your list, and what do you return?",
        ),
        Mistake(
            _injecting(result=lambda names: names[::-1]),
            "Your list of names isn't in the model's order.",
            "named_modules() goes in that order. Sorting changes it, and so does a loop over the targets around it.",
            "Which of your loops is the outer one, and what happens to the list after it?",
        ),
        Mistake(
            _injecting(matches=lambda name, target: True),
            "You wrap every linear layer, whatever the targets are.",
            "targets says which layers to wrap; the others stay as they are.",
            "Where does targets come up in your code?",
        ),
        Mistake(
            _injecting(wrap=lambda Layer, linear, r, alpha: Layer(linear, alpha, r)),
            "You hand over r and alpha the wrong way round.",
            "Python goes by position here: the second argument of Layer is r.",
            "In which order does Layer take its arguments?",
        ),
        Mistake(
            _injecting(
                wrap=lambda Layer, linear, r, alpha: Layer(
                    nn.Linear(linear.in_features, linear.out_features, bias=False), r, alpha
                )
            ),
            "You wrap a fresh layer, so the model's own weights are gone.",
            "A new nn.Linear has the right shape and random numbers. The old layer is what has to be kept.",
            "Which layer should Layer get as its base?",
        ),
        _changes_nothing,
        _freezes_nothing,
        _freezes_after,
        _freezes_in_the_loop,
    ],
    shows="Any model, any targets: that's all there is to putting LoRA in. The cells below use yours.",
)

# 03.3


def my_merged_weight(W, A, B, alpha, dropout):
    """W with the whole update added; dropout has no part in it."""
    r = A.shape[0]
    return W + alpha / r * (B @ A)


def _merge_cases():
    # square first: there, a transposed update has the right shape. α < r, and α no multiple of r
    return [
        Case(torch.randn(6, 6), torch.randn(2, 6), torch.randn(6, 2), 7, 0.2),
        Case(torch.randn(5, 8), torch.randn(4, 8), torch.randn(5, 4), 3, 0.1),
        Case(torch.randn(8, 5), torch.randn(3, 5), torch.randn(8, 3), 12, 0.5),
        Case(torch.randn(4, 7), torch.ones(3, 7), torch.randn(4, 3), 2, 0.0),  # B A has rank 1, and r is still 3
    ]


@mistake(
    "The result is right, but W itself has changed.",
    "+= works on the caller's matrix. Call it twice and the update is in W twice.",
    "What makes a new matrix, W += … or W + …?",
)
def _merge_in_place(W, A, B, alpha, dropout):
    W += alpha / A.shape[0] * (B @ A)
    return W


exercise(
    id="03.3",
    title="The merged weight",
    prompt=(
        "Write my_merged_weight(W, A, B, alpha, dropout): one matrix that answers as the base and its finished\n"
        "adapter do together. The rank is A's first dimension. dropout is the probability the adapter was trained\n"
        "with. Don't change W itself."
    ),
    minutes=5,
    difficulty=2,
    importance=3,
    solution=my_merged_weight,
    explanation=(
        "B A has the shape of W, so the scaled update can be added once and for all. Dropout is for training: it\n"
        "thins out what A sees while A and B learn, and the finished update needs no correction for it."
    ),
    cases=_merge_cases,
    close=CLOSE,
    hints=[
        "Which product of A and B has the shape of W?",
        "The scaling is alpha / r, as in the layer. What does nn.Dropout do once training is over?",
        "W + alpha / A.shape[0] * (B @ A), which makes a new matrix. Dropout does nothing.",
    ],
    mistakes=[
        Mistake(
            lambda W, A, B, alpha, dropout: W + B @ A,
            "Your update lacks its scaling.",
            "The layer adds alpha / r · B A. The merged weight has to add the same.",
            "Where does alpha come up in your answer?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha * (B @ A),
            "Your update is r times too large.",
            "alpha is divided by the rank when merging too, just as in the layer.",
            "Which dimension of A is r?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha // A.shape[0] * (B @ A),
            "Your scaling is rounded down to a whole number.",
            "// divides and drops the remainder: 3 // 4 is 0, and then the adapter is lost.",
            "Which of / and // gives 0.75 for 3 and 4?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / A.shape[1] * (B @ A),
            "You divide by the number of inputs instead of the rank.",
            "A has shape (r, in): its second dimension is the width of x.",
            "Which dimension do A and B share?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / B.shape[0] * (B @ A),
            "You divide by the number of outputs instead of the rank.",
            "B has shape (out, r): its first dimension is the length of the answer.",
            "Which dimension do A and B share?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha * A.shape[0] * (B @ A),
            "You multiply alpha by r, where the formula divides.",
            "A larger r adds more parts to the update. Dividing by r is what evens that out.",
            "Which sign stands between α and r in the formula?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + A.shape[0] / alpha * (B @ A),
            "Your scaling is upside down: r / alpha.",
            "A larger alpha makes the update stronger, and a larger r divides it.",
            "Which of the two stands above the line in α/r?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + (alpha / A.shape[0]) ** 2 * (B @ A),
            "You use the scaling twice.",
            "Once is enough: B A has one alpha / r in front.",
            "How many times do you multiply by alpha / r?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W - alpha / A.shape[0] * (B @ A),
            "Your update has the wrong sign.",
            "The layer adds the update, so merging does the same.",
            "What stands between W and the update?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / A.shape[0] * A @ B,
            "A B is r by r, so it can't be added to W.",
            "x meets A first, but matrices read from right to left: B (A x) is (B A) x.",
            "Which order gives a matrix of W's shape?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: (W + alpha / A.shape[0] * (B @ A)).T,
            "Your merged weight is transposed.",
            "A weight has shape (out, in). Neither W nor B A needs turning.",
            "What shape does the result have if W is 5 × 8?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W * (alpha / A.shape[0] * (B @ A)),
            "You multiply W by the update.",
            "The two paths' answers are added, W x + (alpha / r) B A x. So are the matrices.",
            "What happens to W where the update is zero?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / math.sqrt(A.shape[0]) * (B @ A),
            "Your scaling is alpha / √r. That's rsLoRA's.",
            "rsLoRA is a variant. Plain LoRA divides by r.",
            "What did your layer in 03.1 divide by?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: alpha / A.shape[0] * (B @ A),
            "You return the update alone.",
            "The merged weight takes the place of W, so it has to contain W.",
            "Where does W come up in your answer?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: alpha / A.shape[0] * (W + B @ A),
            "You scale W too.",
            "alpha / r belongs to the update alone.",
            "Where do your brackets open and close?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / A.shape[0] * (B @ A).T,
            "Your update is transposed.",
            "A weight has shape (out, in), and B A has it already.",
            "What shape does B @ A have without any .T?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / A.shape[0] * (1 - dropout) * (B @ A),
            "Your update is weakened by the dropout.",
            "In training, nn.Dropout already scales up what it keeps, so nothing needs correcting later.",
            "What does nn.Dropout do in eval mode?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / A.shape[0] / (1 - dropout) * (B @ A),
            "Your update is too strong: you make up for the dropout.",
            "Dividing by 1 − p is what nn.Dropout itself does in training. The finished update needs none of it.",
            "What does nn.Dropout do in eval mode?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / A.shape[0] * (B @ F.dropout(A, dropout)),
            "You merge a random part of A.",
            "Dropout is for training. A merged weight has all of the update, and is the same each time.",
            "What does nn.Dropout do in eval mode?",
        ),
        Mistake(
            lambda W, A, B, alpha, dropout: W + alpha / A.shape[0] * F.dropout(B @ A, dropout),
            "You merge a random part of the update.",
            "Dropout is for training. A merged weight has all of the update, and is the same each time.",
            "What does nn.Dropout do in eval mode?",
        ),
        _merge_in_place,
    ],
    shows="A merged model costs nothing extra to run: one matrix product per layer, as before.",
)

# 03.4


def my_count(hidden, heads, kv_heads, layers, r):
    """r · (in + out) for q, k, v and o, in every layer."""
    kv = hidden // heads * kv_heads
    q_and_o = 2 * r * (hidden + hidden)
    k_and_v = 2 * r * (hidden + kv)
    return layers * (q_and_o + k_and_v)


def _count_with_kv(kv):
    """The right count, but for the width of k_proj and v_proj."""
    return lambda hidden, heads, kv_heads, layers, r: layers * 2 * r * (3 * hidden + kv(hidden, heads, kv_heads))


def _count_as(block):
    """The count of each block as ``block(hidden, kv, r)`` has it, for k_proj and v_proj kv wide."""
    return lambda hidden, heads, kv_heads, layers, r: layers * block(hidden, hidden // heads * kv_heads, r)


exercise(
    id="03.4",
    title="Counting under grouped queries",
    prompt=(
        "Write my_count(hidden, heads, kv_heads, layers, r): how many numbers LoRA trains on q_proj, k_proj, v_proj\n"
        "and o_proj of a Llama-like model that is hidden wide. A head is hidden // heads wide. Return an integer."
    ),
    minutes=7,
    difficulty=3,
    importance=4,
    solution=my_count,
    explanation=(
        "Each adapted layer costs r · (in + out). q_proj and o_proj go from hidden to hidden. k_proj and v_proj go\n"
        "from hidden to kv_heads · head width, which is narrower when there are fewer key/value heads than heads."
    ),
    cases=lambda: [Case(576, 9, 3, 30, 8), Case(4096, 32, 8, 32, 16), Case(960, 15, 5, 32, 4)],
    hints=[
        "A layer from in to out costs r · in for A and r · out for B.",
        "k_proj and v_proj give one key and one value per key/value head: kv_heads · (hidden // heads) numbers.",
        "layers · (2 · r · (hidden + hidden) + 2 · r · (hidden + kv)), with kv from the hint before.",
    ],
    mistakes=[
        Mistake(
            _count_with_kv(lambda hidden, heads, kv_heads: hidden),
            "Your count takes k_proj and v_proj to be as wide as q_proj.",
            "Several query heads share one key/value head, so k_proj and v_proj are narrower.",
            "What is kv_heads for?",
        ),
        Mistake(
            _count_with_kv(lambda hidden, heads, kv_heads: hidden // kv_heads),
            "You take k_proj and v_proj to be hidden // kv_heads wide.",
            "Dividing shares hidden out among the key/value heads. But a head keeps its width, and there are fewer.",
            "How wide is one head, and how many of them are there for keys?",
        ),
        Mistake(
            _count_with_kv(lambda hidden, heads, kv_heads: kv_heads),
            "You take k_proj and v_proj to be kv_heads wide.",
            "kv_heads is how many heads there are. Each of them is hidden // heads numbers wide.",
            "How wide is one head?",
        ),
        Mistake(
            _count_with_kv(lambda hidden, heads, kv_heads: hidden // heads),
            "You take k_proj and v_proj to be one head wide.",
            "hidden // heads is the width of one head, and there are kv_heads of them.",
            "How many key/value heads are there?",
        ),
        Mistake(
            _count_with_kv(lambda hidden, heads, kv_heads: heads // kv_heads),
            "You take k_proj and v_proj to be heads // kv_heads wide.",
            "That's how many query heads share one key/value head, and not a number of outputs.",
            "How wide is one head, and how many of them are there for keys?",
        ),
        Mistake(
            _count_with_kv(lambda hidden, heads, kv_heads: 64 * kv_heads),
            "You take every head to be 64 wide.",
            "That's SmolLM2's. In another model a head is hidden // heads wide.",
            "What is hidden // heads for hidden = 4096 and heads = 32?",
        ),
        Mistake(
            _count_as(lambda hidden, kv, r: r * 4 * hidden),
            "You counted A and left out B.",
            "Both are trained: A has r · in numbers, B has r · out.",
            "Where is out in your count?",
        ),
        Mistake(
            _count_as(lambda hidden, kv, r: r * (2 * hidden + 2 * kv)),
            "You counted B and left out A.",
            "Both are trained: A has r · in numbers, B has r · out.",
            "Where is in in your count?",
        ),
        Mistake(
            _count_as(lambda hidden, kv, r: r * (3 * hidden + kv)),
            "You counted q_proj and v_proj only.",
            "That's the LoRA paper's choice and PEFT's default for a Llama. Here it's all four.",
            "Which of the four projections has the same shape as v_proj, and which as q_proj?",
        ),
        Mistake(
            _count_as(lambda hidden, kv, r: r * (4 * hidden + 2 * kv)),
            "Your count is short by one projection from hidden to hidden.",
            "There are two of these: q_proj at the start of attention, and o_proj at its end.",
            "Which four projections does your sum go over?",
        ),
        Mistake(
            _count_as(lambda hidden, kv, r: r * (5 * hidden + 3 * kv)),
            "Your count has three narrow projections.",
            "Only keys and values are shared by several heads. q_proj and o_proj go from hidden to hidden.",
            "What does o_proj get, from how many heads?",
        ),
        Mistake(
            _count_as(lambda hidden, kv, r: r * (4 * hidden + 4 * kv)),
            "You take the input of k_proj and v_proj to be as narrow as their output.",
            "All of q, k and v get the same x, and that's hidden wide.",
            "What goes into k_proj?",
        ),
        Mistake(
            lambda hidden, heads, kv_heads, layers, r: my_count(hidden, heads, kv_heads, 1, r),
            "You counted one block of the model.",
            "Every block has four projections of its own, and each gets an A and a B.",
            "What is layers for?",
        ),
        Mistake(
            lambda hidden, heads, kv_heads, layers, r: my_count(hidden, heads, kv_heads, layers - 1, r),
            "Your count is one block short.",
            "Blocks are numbered from 0, so the last one is number layers − 1. There are still as many as layers says.",
            "How many numbers are there from 0 to 29?",
        ),
        Mistake(
            lambda hidden, heads, kv_heads, layers, r: heads * my_count(hidden, heads, kv_heads, layers, r),
            "You gave every head an adapter of its own.",
            "The heads are slices of one projection's output. There's one A and one B around the projection.",
            "How many nn.Linear layers is q_proj?",
        ),
        Mistake(
            lambda hidden, heads, kv_heads, layers, r: 2 * my_count(hidden, heads, kv_heads, layers, r),
            "Your count is twice as large as it should be.",
            "Each adapted layer has one A and one B, and r · (in + out) already has both in it.",
            "Where does a 2 come from in your sum, and is there another one?",
        ),
        Mistake(
            lambda hidden, heads, kv_heads, layers, r: 4 * my_count(hidden, heads, kv_heads, layers, r),
            "Your count is four times as large as it should be.",
            "The exercise asks for numbers, not for their bytes, and a sum over q, k, v and o has all four in it.",
            "Is there a 4 in your answer, and what does it count?",
        ),
        Mistake(
            lambda hidden, heads, kv_heads, layers, r: my_count(hidden, heads, kv_heads, layers, 1),
            "Your count doesn't depend on r.",
            "r is how many rows A has, and how many columns B has.",
            "What does a layer cost: r · (in + out), or in + out?",
        ),
        Mistake(
            _count_as(lambda hidden, kv, r: 2 * hidden * (hidden + kv)),
            "You counted the frozen weights.",
            "in · out is the size of W, which stays as it is. LoRA trains r · (in + out) beside it.",
            "What is r for?",
        ),
        Mistake(
            _count_as(lambda hidden, kv, r: r * 2 * hidden * (hidden + kv)),
            "Your count has products in · out in it, so it's larger than the model's own weights.",
            "A and B stand side by side: their sizes add up to r · in + r · out.",
            "What stands between in and out in the cost of a layer, a plus or a times?",
        ),
    ],
    shows="No table needed: any Llama-like model, any rank.",
)
