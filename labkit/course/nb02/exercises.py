"""Exercises of notebook 02: what a step holds, Adam's update, a memory ledger, and checkpointing by hand."""

import torch
from torch import nn

from labkit.lab.checking import Case, Mistake, exercise, mistake

# --- 02.1 ---------------------------------------------------------------------------------------------------


def my_bytes(numbers, trained, size):
    """Every number is there once; a trained one also has a gradient and two averages."""
    return size * (numbers + 3 * trained)


exercise(
    "02.1",
    title="What a step holds",
    prompt="A model stores `numbers` numbers, adapters included, and AdamW trains `trained` of them. Each number takes "
    "`size` bytes, whatever it's for. Write `my_bytes(numbers, trained, size)`: the bytes of weights, gradients and "
    "Adam's averages together.",
    minutes=4,
    difficulty=1,
    importance=5,
    solution=my_bytes,
    explanation="With trained = numbers this is full fine-tuning: 4 · size bytes per number. With LoRA, `trained` is "
    "so small that little more than the weights is left.",
    cases=lambda: [Case(134_515_008, 134_515_008, 4), Case(136_957_248, 2_442_240, 4), Case(1000, 10, 2)],
    hints=[
        "What do you keep for a frozen number? And for a trained one?",
        "A trained number also has a gradient and two averages, each as large as the number itself.",
        "size * (numbers + 3 * trained)",
    ],
    mistakes=[
        Mistake(
            lambda numbers, trained, size: size * 4 * numbers,
            "You give every number a gradient and averages.",
            "Frozen numbers have neither, and that's what makes LoRA light.",
            "Which of the four things are there `trained` times?",
        ),
        Mistake(
            lambda numbers, trained, size: size * (numbers + 2 * trained),
            "You count three things for each trained number.",
            "There are four: the number, its gradient, and Adam's two averages.",
            "Which of the four is missing?",
        ),
        Mistake(
            lambda numbers, trained, size: size * (3 * numbers + trained),
            "You give every number Adam's averages.",
            "Adam only sees what's trained. It remembers nothing about a frozen number.",
            "Which things are there `numbers` times, and which `trained` times?",
        ),
        Mistake(
            lambda numbers, trained, size: size * (2 * numbers + 2 * trained),
            "You give every number a gradient.",
            "Gradients do pass through a frozen layer, but they're those of its inputs. Its weights get none.",
            "Which things are there `numbers` times, and which `trained` times?",
        ),
        Mistake(
            lambda numbers, trained, size: size * (numbers + trained),
            "You keep only one thing beside each trained number.",
            "There's the gradient, and Adam has two averages.",
            "What are the three things that come on top?",
        ),
        Mistake(
            lambda numbers, trained, size: size * (numbers + 4 * trained),
            "You count the trained numbers themselves twice.",
            "They're among `numbers` already.",
            "Which three things come on top?",
        ),
        Mistake(
            lambda numbers, trained, size: size * 4 * trained,
            "You leave the frozen numbers out.",
            "They aren't trained, but they have to be in memory.",
            "What do the inputs get multiplied by?",
        ),
        Mistake(
            lambda numbers, trained, size: 8 * size * (numbers + 3 * trained),
            "You count bits.",
            "`size` is in bytes already.",
            "Do you need the factor of 8?",
        ),
        Mistake(
            lambda numbers, trained, size: numbers + 3 * trained,
            "You count numbers, not bytes.",
            "How many there are is right. How large each one is, is missing.",
            "Where does `size` come in?",
        ),
        Mistake(
            lambda numbers, trained, size: 4 * numbers + 12 * trained,
            "You give every number 4 bytes.",
            "That's float32. In 16 bits a number takes 2.",
            "Where does `size` come in?",
        ),
        Mistake(
            lambda numbers, trained, size: size * numbers + 3 * trained,
            "You multiply only the weights by `size`.",
            "A gradient or an average takes as many bytes as a weight.",
            "Are there parentheses around the sum?",
        ),
        Mistake(
            lambda numbers, trained, size: size * numbers,
            "You count the weights alone.",
            "That's enough to run a model. Training it takes more.",
            "What else is kept for each trained number?",
        ),
    ],
    shows="The first case is full fine-tuning of our base, the second is LoRA at rank 8 on it.",
)

# --- 02.2 ---------------------------------------------------------------------------------------------------


def my_adam(w, g, m, v, t, lr):
    """Two averages that fade slowly, corrected for their start at zero; then a step of about lr."""
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    w = w - lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return w, m, v


def _adam(
    m_of=lambda m, g: 0.9 * m + 0.1 * g,
    v_of=lambda v, g: 0.999 * v + 0.001 * g**2,
    step=lambda m, v, g, t: (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8),
):
    """Adam with one of its lines replaced."""

    def answer(w, g, m, v, t, lr):
        m, v = m_of(m, g), v_of(v, g)
        return w - lr * step(m, v, g, t), m, v

    return answer


def _corrected(m, v, t):
    return m / (1 - 0.9**t), v / (1 - 0.999**t)


@mistake(
    "You return the corrected averages.",
    "The correction is for this step only. Next time, the plain averages go on.",
    "Which m and v does the next call need?",
)
def _corrected_for_good(w, g, m, v, t, lr):
    w, m, v = my_adam(w, g, m, v, t, lr)
    return w, *_corrected(m, v, t)


@mistake(
    "You step with the averages of last time.",
    "This step's gradient has to be in the averages first.",
    "In which order do the three lines come?",
)
def _step_first(w, g, m, v, t, lr):
    new_m, new_v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    m, v = _corrected(m, v, t)
    return w - lr * m / (v.sqrt() + 1e-8), new_m, new_v


def _parts(args, result):
    """What came back, by name."""
    if not (isinstance(result, (tuple, list)) and len(result) == 3):
        return result
    return dict(zip(("new w", "average gradient m", "average square v"), result))


def _steps():
    first = [torch.randn(4), torch.tensor([0.3, -2.0, 1.5, -0.1])]
    later = [torch.randn(3, 2), torch.randn(3, 2), torch.randn(3, 2), torch.rand(3, 2)]
    return [Case(*first, torch.zeros(4), torch.zeros(4), 1, 0.1), Case(*later, 7, 0.05), Case(*later, 400, 0.5)]


exercise(
    "02.2",
    title="Adam by hand",
    prompt="Write `my_adam(w, g, m, v, t, lr)`: Adam's step number `t` (the first is 1) on the weights `w` with "
    "gradient `g`. "
    "Average: m becomes `0.9 m + 0.1 g`, and v becomes `0.999 v + 0.001 g²`. Both begin at zero, so early on they're "
    "too small; correct a copy: `M = m / (1 − 0.9ᵗ)`, `V = v / (1 − 0.999ᵗ)`. Step: w becomes "
    "`w − lr · M / (√V + 1e-8)`. Return `(w, m, v)`, new tensors or changed in place.",
    minutes=6,
    difficulty=2,
    importance=4,
    solution=my_adam,
    explanation="m says which way to go, √v how large the gradients usually are. Dividing makes every weight move by "
    "about lr, whether its gradients are large or tiny. m and v have to survive until the next step: they're the "
    "optimizer's share of the memory.",
    cases=_steps,
    observe=_parts,
    hints=[
        "Four lines: new m, new v, new w, return. Which of them needs the corrected averages?",
        "M = m / (1 - 0.9**t), and V = v / (1 - 0.999**t). Use M and V in the step, return m and v.",
        "w - lr * M / (V.sqrt() + 1e-8)",
    ],
    mistakes=[
        Mistake(
            _adam(step=lambda m, v, g, t: m / (v.sqrt() + 1e-8)),
            "You use both averages as they are.",
            "They start at zero, so in the first steps they're far too small, and not equally so.",
            "What are m and v divided by before the step?",
        ),
        Mistake(
            _adam(step=lambda m, v, g, t: m / ((v / (1 - 0.999**t)).sqrt() + 1e-8)),
            "You correct v and not m.",
            "Both start at zero.",
            "What's m divided by before the step?",
        ),
        Mistake(
            _adam(step=lambda m, v, g, t: m / (1 - 0.9**t) / (v.sqrt() + 1e-8)),
            "You correct m and not v.",
            "Both start at zero, and v takes longer to recover.",
            "What's v divided by before the step?",
        ),
        Mistake(
            _adam(step=lambda m, v, g, t: m / (1 - 0.9**t) / (v / (1 - 0.999**t) + 1e-8)),
            "You divide by the average square itself.",
            "A square has the wrong size: gradients ten times larger would make the step ten times smaller.",
            "Is there a root in your last line?",
        ),
        Mistake(
            _adam(v_of=lambda v, g: 0.999 * v + 0.001 * g),
            "You average the gradient twice.",
            "v averages the squares, so that plus and minus don't cancel.",
            "What goes into v?",
        ),
        Mistake(
            _adam(v_of=lambda v, g: 0.999 * v + 0.001 * g.abs()),
            "You average the gradient's size instead of its square.",
            "The root that's taken later belongs to a square.",
            "What goes into v?",
        ),
        Mistake(
            _adam(m_of=lambda m, g: 0.1 * m + 0.9 * g, v_of=lambda v, g: 0.001 * v + 0.999 * g**2),
            "Your averages forget nearly everything at each step.",
            "The old average keeps the large share, the new gradient gets the small one.",
            "Which of the two is multiplied by 0.9?",
        ),
        Mistake(
            _adam(m_of=lambda m, g: 0.999 * m + 0.001 * g, v_of=lambda v, g: 0.9 * v + 0.1 * g**2),
            "You have the two averages' rates the wrong way round.",
            "The square gets the longer memory.",
            "Which average has 0.999?",
        ),
        Mistake(
            _adam(m_of=lambda m, g: 0.9 * m + g),
            "Your m is a sum that fades, ten times larger than an average.",
            "That's momentum as plain gradient descent has it. Adam's shares add up to one.",
            "What is g multiplied by?",
        ),
        Mistake(
            _adam(step=lambda m, v, g, t: -(m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)),
            "You walk uphill.",
            "The gradient points to where the loss grows.",
            "Is it plus or minus in your last line?",
        ),
        Mistake(
            _adam(step=lambda m, v, g, t: g),
            "You take a plain gradient step.",
            "The averages are computed, and then not used.",
            "Where are M and V in your last line?",
        ),
        Mistake(
            _adam(step=lambda m, v, g, t: g / ((v / (1 - 0.999**t)).sqrt() + 1e-8)),
            "You step along this step's gradient alone.",
            "Then the noise of a single batch moves the weights. The average gradient is steadier.",
            "What's above the root in your last line?",
        ),
        _corrected_for_good,
        _step_first,
    ],
    shows="It's the update that torch.optim.Adam makes. Now you know what its two tensors are for.",
)

# --- 02.3 ---------------------------------------------------------------------------------------------------


def my_ledger(events):
    """Keep a running account, and a copy of it whenever the total is higher than ever before."""
    now, highest = {}, {}
    for kind, size in events:
        now[kind] = now.get(kind, 0) + size
        if sum(now.values()) > sum(highest.values()):
            highest = dict(now)
    return highest


def _running(events):
    """The account after each event."""
    now = {}
    for kind, size in events:
        now = now | {kind: now.get(kind, 0) + size}
        yield now


@mistake(
    "You give what's left at the end.",
    "Either the highest moment wasn't kept, or what was kept is the account itself, which changes later.",
    "Did you copy the account at its highest moment, as in dict(now)?",
)
def _at_the_end(events):
    return list(_running(events))[-1]


@mistake(
    "You add up each kind's own highest moment.",
    "The kinds peak at different times: activations at the end of forward, gradients at the end of backward.",
    "At which single moment is the sum of all kinds largest?",
)
def _each_peak(events):
    accounts = list(_running(events))
    return {kind: max(each.get(kind, 0) for each in accounts) for kind in accounts[-1]}


@mistake(
    "You never give anything back.",
    "A negative size means that the block is freed, and its bytes can be used again.",
    "What happens to your account at a negative size?",
)
def _never_freed(events):
    return list(_running([event for event in events if event[1] > 0]))[-1]


@mistake(
    "You add freed blocks instead of taking them away.",
    "The sign says which way it goes.",
    "Is there an abs() that hides the sign?",
)
def _freed_is_added(events):
    return list(_running([(kind, abs(size)) for kind, size in events]))[-1]


@mistake(
    "You keep only the largest block of each kind.",
    "Several blocks of a kind are alive together.",
    "Is there a += for the kind?",
)
def _largest_blocks(events):
    return {kind: max(size for other, size in events if other == kind) for kind, _ in events}


@mistake(
    "You give the peak's total.",
    "That's the right moment to look at, perhaps, but the ledger says what it's made of.",
    "Return the account as a dict: kind to bytes.",
)
def _total_alone(events):
    return max(sum(each.values()) for each in _running(events))


@mistake(
    "Your account holds only the last event of each kind.",
    "An event adds to what's there. It doesn't replace it.",
    "Is there a += for the kind?",
)
def _overwritten(events):
    accounts = [dict(events[: end + 1]) for end in range(len(events))]
    return max(accounts, key=lambda each: sum(each.values()))


@mistake(
    "You give the account just before its highest moment.",
    "The event that makes the peak belongs to it.",
    "Do you compare before or after adding the event?",
)
def _one_event_early(events):
    accounts = [{}, *_running(events)]
    highest = max(range(len(accounts)), key=lambda i: sum(accounts[i].values()))
    return accounts[max(0, highest - 1)]


def _without_empty(args, ledger):
    """A kind of which nothing is alive may be listed or not."""
    return {kind: size for kind, size in ledger.items() if size} if isinstance(ledger, dict) else ledger


def _small_steps():
    start = [("weights", 100), ("averages", 200)]
    forward = [("activations", 90), ("activations", 80), ("scratch", 60), ("scratch", -60)]
    back = [("activations", -80), ("gradients", 50), ("activations", -90), ("gradients", 50)]
    update = [("scratch", 30), ("scratch", -30), ("gradients", -50), ("gradients", -50)]
    heavy = [("scratch", 100), ("scratch", 70), ("scratch", -70), ("scratch", -100)]
    frozen = [("weights", 100), ("adapters", 4), ("averages", 8)]
    short = [("activations", 20), ("activations", -20), ("gradients", 4), ("gradients", -4)]
    return [Case(start + forward + back + update), Case(start + forward + back + heavy), Case(frozen + short)]


exercise(
    "02.3",
    title="A memory ledger",
    prompt="`events` lists, in order, what happens in a step: pairs `(kind, size)`. A block of that many bytes is "
    "made, or freed if `size` is negative. Find the moment when the most bytes are in use, all kinds together (the "
    "first such moment, if there are several). Write `my_ledger(events)`: a dict with each kind's bytes at that "
    "moment. Kinds at zero may be left out.",
    minutes=8,
    difficulty=3,
    importance=4,
    solution=my_ledger,
    explanation="This is the heart of labkit's simulator: a running account of what's alive, and a snapshot at its "
    "highest moment. Without dict(now), the snapshot would be the account itself, and change with it.",
    cases=_small_steps,
    observe=_without_empty,
    hints=[
        "Keep a running account. When is it worth a snapshot?",
        "Update the kind's entry, then compare sum(now.values()) with that of the best snapshot so far.",
        "if sum(now.values()) > sum(highest.values()): highest = dict(now)",
    ],
    mistakes=[
        _at_the_end,
        _each_peak,
        _never_freed,
        _freed_is_added,
        _largest_blocks,
        _total_alone,
        _overwritten,
        _one_event_early,
    ],
    shows="simulate() does this with every block of a real step.",
)

# --- 02.4 ---------------------------------------------------------------------------------------------------


def my_backward(layers, inputs, grad):
    """From the last layer to the first: compute it again, go back through it alone, pass the gradient on."""
    for layer, x in zip(reversed(layers), reversed(inputs)):
        x = x.detach().requires_grad_()
        layer(x).backward(grad)
        grad = x.grad
    return grad


def _back_through(layer, x, grad):
    x = x.detach().requires_grad_()
    layer(x).backward(grad)
    return x.grad


@mistake(
    "You go through the layers from first to last.",
    "The gradient comes from the loss, so it meets the last layer first.",
    "Is there a reversed(…) around both lists?",
)
def _forwards(layers, inputs, grad):
    for layer, x in zip(layers, inputs):
        grad = _back_through(layer, x, grad)
    return grad


@mistake(
    "You go back through the last layer only.",
    "Its input's gradient is what the layer before it needs.",
    "Does your loop return too early?",
)
def _last_alone(layers, inputs, grad):
    return _back_through(layers[-1], inputs[-1], grad)


@mistake(
    "Every layer gets the gradient of the last one's output.",
    "The gradient changes on its way: each layer passes on that of its own input.",
    "What's `grad` after the first round of your loop?",
)
def _never_passed_on(layers, inputs, grad):
    for layer, x in zip(reversed(layers), reversed(inputs)):
        first = _back_through(layer, x, grad)
    return first


@mistake(
    "You leave the incoming gradient out.",
    "y.sum().backward() takes it to be 1 everywhere. Here it comes from the loss.",
    "What does backward(…) take as its argument?",
)
def _summed(layers, inputs, grad):
    for layer, x in zip(reversed(layers), reversed(inputs)):
        grad = _back_through(layer, x, torch.ones_like(grad))
    return grad


@mistake(
    "Your gradient gets back to the start, but the weights get none.",
    "torch.autograd.grad gives only the gradients you ask for. backward() fills in every weight's as well.",
    "What's layers[0].weight.grad after your loop?",
)
def _weights_left_out(layers, inputs, grad):
    for layer, x in zip(reversed(layers), reversed(inputs)):
        x = x.detach().requires_grad_()
        (grad,) = torch.autograd.grad(layer(x), x, grad)
    return grad


@mistake(
    "You run the whole chain again from the first input.",
    "That gives the gradients, but holds every layer's activations at once, and they were what didn't fit.",
    "Which input do you have for each single layer?",
)
def _whole_chain(layers, inputs, grad):
    x = start = inputs[0].detach().requires_grad_()
    for layer in layers:
        x = layer(x)
    x.backward(grad)
    return start.grad


@mistake(
    "Your gradients are right, but you return nothing that could go on.",
    "In a longer model there's something before the first layer, and it needs the gradient there.",
    "What's `grad` after the last round?",
)
def _returns_given(layers, inputs, grad):
    my_backward(layers, inputs, grad)
    return grad


def _gradients(args, result):
    layers = args[0]
    weights = [None if p.grad is None else p.grad for layer in layers for p in layer.parameters()]
    return {"the gradient at the first input": result, "the weights' gradients": weights}


def _chains():
    def chain(depth, width=5, bias=True):
        return [nn.Sequential(nn.Linear(width, width, bias=bias), nn.Tanh()) for _ in range(depth)]

    def inputs(layers, width=5):
        x = [torch.randn(3, width)]
        for layer in layers[:-1]:
            x.append(layer(x[-1]).detach())
        return x

    two, four = chain(2), chain(4, bias=False)
    return [
        Case(two, inputs(two), torch.randn(3, 5)),
        Case(four, inputs(four), torch.randn(3, 5)),
        Case(four, [torch.randn(3, 5) for _ in four], torch.randn(3, 5)),  # only each layer's own input tells
    ]


exercise(
    "02.4",
    title="Checkpointing by hand",
    prompt="You kept only each layer's input: `inputs[i]` is what went into `layers[i]`. `grad` is the loss's gradient "
    "at the last layer's output. Write `my_backward(layers, inputs, grad)`: go back layer by layer, computing each one "
    "again, fill in the weights' `.grad`, and return the gradient at `inputs[0]`. Two tools: "
    "`x = x.detach().requires_grad_()` starts a new computation at x, and `y.backward(g)` goes back from y when its "
    "gradient is g; afterwards `x.grad` is x's.",
    minutes=8,
    difficulty=4,
    importance=3,
    solution=my_backward,
    explanation="At any moment only one layer's activations are alive. The price: each layer's forward pass runs "
    "twice. detach().requires_grad_() makes x the start of a small graph of its own.",
    cases=_chains,
    observe=_gradients,
    hints=[
        "Which layer does the gradient meet first? What do you need to go back through that one layer?",
        "x = inputs[i].detach().requires_grad_(), then layers[i](x).backward(grad). Where's the next `grad`?",
        "for layer, x in zip(reversed(layers), reversed(inputs)): … grad = x.grad",
    ],
    mistakes=[
        _forwards,
        _last_alone,
        _never_passed_on,
        _summed,
        _weights_left_out,
        _whole_chain,
        _returns_given,
    ],
    shows="torch.utils.checkpoint does the same, layer by layer.",
)
