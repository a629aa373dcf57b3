"""Four exercises in the declarative form, one of each sort: a function, a value, a model changed in place, a class."""

import torch
from torch import nn

from labkit.lab.checking import Case, Mistake, Tolerance, exercise, mistake


def lora_update(x, A, B, alpha):
    r = A.shape[0]
    return alpha / r * (x @ A.T @ B.T)


def _without_scaling(x, A, B, alpha):
    return x @ A.T @ B.T


def _not_divided_by_r(x, A, B, alpha):
    return alpha * (x @ A.T @ B.T)


def _in_place(x, A, B, alpha):
    update = lora_update(x, A, B, alpha)
    x += update
    return update


def _of_the_wrong_shape(x, A, B, alpha):
    return alpha / A.shape[0] * (x @ A)


def _inputs():
    return [Case(torch.randn(5, 6), torch.randn(r, 6), torch.randn(6, r), alpha) for r, alpha in ((2, 16.0), (8, 24.0))]


function_exercise = exercise(
    "99.1",
    title="The update of a LoRA layer",
    prompt="Write lora_update(x, A, B, alpha): what LoRA adds to the base layer's answer.",
    minutes=5,
    difficulty=2,
    importance=5,
    solution=lora_update,
    explanation="x goes through A, then through B, and is scaled by alpha / r.",
    cases=_inputs,
    hints=["Which of A and B comes first?", "r is the number of rows of A.", "alpha / r * (x @ A.T @ B.T)"],
    mistakes=[
        Mistake(_without_scaling, "The scaling is missing.", "B A is not yet the update.", "Where does alpha go?"),
        Mistake(_not_divided_by_r, "Your update is r times too large.", "alpha is not the scaling.", "Use alpha / r."),
        Mistake(_in_place, "Your function changes x.", "+= works on the caller's x.", "Use x + update."),
        Mistake(_of_the_wrong_shape, "A does not fit x.", "A has r rows.", "Which product does nn.Linear compute?"),
    ],
    shows="The same three numbers, r, α and the order of A and B, are all there is to a LoRA layer.",
)


def share_trained():
    return 460_800 / 134_515_008


value_exercise = exercise(
    "99.2",
    title="The share that is trained",
    prompt="What share of SmolLM2's parameters does r = 8 on q_proj and v_proj train?",
    minutes=2,
    difficulty=1,
    importance=3,
    solution=share_trained,
    explanation="460,800 numbers are trained, next to 134,515,008 of the base.",
    hints=["Count A and B of one layer.", "There are 30 layers, with two targets each."],
    mistakes=[
        Mistake(lambda: 100 * share_trained(), "That is per cent.", "A share is between 0 and 1.", "Divide by 100."),
        Mistake(230_400 / 134_515_008, "That is half of it.", "A and B both count.", "Did you count B?"),
        Mistake(460_800, "That is the number, not the share.", "A share is a ratio.", "Divide by the total."),
    ],
    close=Tolerance(rtol=0.01),
)


def freeze(model):
    for parameter in model.parameters():
        parameter.requires_grad_(False)


def _freeze_in_eval(model):
    model.eval()


def _freeze_biases(model):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("bias" not in name)


def _freeze_first(model):
    next(model.parameters()).requires_grad_(False)


in_place_exercise = exercise(
    "99.3",
    title="Freeze a model",
    prompt="Write freeze(model), after which no parameter of it is trained.",
    minutes=3,
    difficulty=1,
    importance=4,
    solution=freeze,
    explanation="A parameter without requires_grad receives no gradient.",
    cases=lambda: [Case(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)))],
    observe=lambda args, result: [name for name, p in args[0].named_parameters() if p.requires_grad],
    hints=["Every parameter has a switch.", "It is called requires_grad."],
    mistakes=[
        Mistake(_freeze_in_eval, "All is still trained.", "eval() is about dropout.", "Try requires_grad_(False)."),
        Mistake(_freeze_biases, "Only the biases are frozen.", "Weights are parameters too.", "Drop the condition."),
        Mistake(_freeze_first, "Only one is frozen.", "next() gives the first.", "Use a loop."),
    ],
)


class Scaled(nn.Module):
    def __init__(self, base, factor):
        super().__init__()
        self.base, self.factor = base, factor

    def forward(self, x):
        return self.factor * self.base(x)


@mistake("Your answer isn't scaled.", "A factor that's only stored does nothing.", "Where does forward use factor?")
class Unscaled(Scaled):
    def forward(self, x):
        return self.base(x)


@mistake("You scale twice.", "Each call multiplies again.", "How often does factor come up?")
class ScaledTwice(Scaled):
    def forward(self, x):
        return self.factor * super().forward(x)


@mistake("You divide by the factor.", "Larger factors make larger answers.", "What does factor = 2 do?")
class Divided(Scaled):
    def forward(self, x):
        return self.base(x) / self.factor


def _tried_out(args, layer):
    x = torch.linspace(-1, 1, 6).view(2, 3)
    return {"the answer to a batch": layer(x), "how many parameters it has": len(list(layer.parameters()))}


class_exercise = exercise(
    "99.4",
    title="A layer that scales",
    prompt="Write the class Scaled(base, factor): a layer that answers factor times what base answers.",
    minutes=5,
    difficulty=2,
    importance=4,
    solution=Scaled,
    explanation="The base stays a layer of its own, so its parameters are found.",
    cases=lambda: [Case(nn.Linear(3, 4), 2.0), Case(nn.Linear(3, 2), -0.5)],
    observe=_tried_out,
    hints=["What does forward have to call?", "self.factor * self.base(x)"],
    mistakes=[Unscaled, ScaledTwice, Divided],
)
EVERY_KIND = [function_exercise, value_exercise, in_place_exercise, class_exercise]
