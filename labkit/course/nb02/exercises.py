"""Exercises of notebook 02: what a step holds, Adam's update, a memory ledger, and checkpointing by hand."""

import torch
from torch import nn

from labkit.lab.checking import Case, Mistake, exercise, mistake

# --- 02.1 ---------------------------------------------------------------------------------------------------


def my_bytes(stored, trained, size):
    """Every number is there once; a trained one also has a gradient and two averages."""
    return size * (stored + 3 * trained)


exercise(
    "02.1",
    title="What a step holds",
    prompt="A model stores `stored` numbers, adapters included, and AdamW trains `trained` of them. Each number takes "
    "`size` bytes, whatever it's for. Write `my_bytes(stored, trained, size)`: the bytes of weights, gradients and "
    "Adam's averages together.",
    minutes=4,
    difficulty=1,
    importance=5,
    solution=my_bytes,
    explanation="With trained = stored this is full fine-tuning: 4 · size bytes per number. With LoRA, `trained` is "
    "so small that little more than the weights is left.",
    cases=lambda: [Case(134_515_008, 134_515_008, 4), Case(136_957_248, 2_442_240, 4), Case(1000, 10, 2)],
    hints=[
        "What do you keep for a frozen number? And for a trained one?",
        "A trained number also has a gradient and two averages, each as large as the number itself.",
        "size * (stored + 3 * trained)",
    ],
    mistakes=[
        Mistake(
            lambda stored, trained, size: size * 4 * stored,
            "You give every number a gradient and averages.",
            "Frozen numbers have neither, and that's what makes LoRA light.",
            "Which of the four things are there `trained` times?",
        ),
        Mistake(
            lambda stored, trained, size: size * (stored + 2 * trained),
            "You count three things for each trained number.",
            "There are four: the number, its gradient, and Adam's two averages.",
            "Which of the four is missing?",
        ),
        Mistake(
            lambda stored, trained, size: size * (3 * stored + trained),
            "You give every number Adam's averages.",
            "Adam only sees what's trained. It remembers nothing about a frozen number.",
            "Which things are there `stored` times, and which `trained` times?",
        ),
        Mistake(
            lambda stored, trained, size: size * (2 * stored + 2 * trained),
            "You give every number a gradient.",
            "Gradients do pass through a frozen layer, but they're those of its inputs. Its weights get none.",
            "Which things are there `stored` times, and which `trained` times?",
        ),
        Mistake(
            lambda stored, trained, size: size * (stored + trained),
            "You keep only one thing beside each trained number.",
            "There's the gradient, and Adam has two averages.",
            "What are the three things that come on top?",
        ),
        Mistake(
            lambda stored, trained, size: size * (stored + 4 * trained),
            "You count the trained numbers themselves twice.",
            "They're among `stored` already.",
            "Which three things come on top?",
        ),
        *[
            Mistake(
                lambda stored, trained, size, things=things: size * things * trained,
                "You leave out the frozen numbers, or all of the weights.",
                "Every weight has to be in memory, trained or not.",
                "Which of the four things are there `stored` times?",
            )
            for things in (3, 4)
        ],
        *[
            Mistake(
                lambda stored, trained, size, unit=unit: size * (stored + 3 * trained) / unit,
                "You count in another unit.",
                "`size` is in bytes, and so the result is, too.",
                "Do you multiply or divide by anything at the end?",
            )
            for unit in (1 / 8, 1e6, 1e9, 2**20, 2**30)
        ],
        *[
            Mistake(
                lambda stored, trained, size, each=each: each * (stored + 3 * trained),
                "Your answer doesn't look at `size`.",
                "How many numbers there are is right. A number takes 4 bytes in float32, 2 in 16 bits.",
                "Where does `size` come in?",
            )
            for each in (1, 2, 4)
        ],
        *[
            Mistake(
                each,
                "You multiply only a part by `size`.",
                "A weight, a gradient and an average all take as many bytes.",
                "Are there parentheses around the sum?",
            )
            for each in (
                lambda stored, trained, size: size * stored + 3 * trained,
                lambda stored, trained, size: stored + 3 * trained * size,
            )
        ],
        Mistake(
            lambda stored, trained, size: size * (stored + trained) + 4 * 2 * trained,
            "You give each of Adam's averages 4 bytes.",
            "Some programs do keep them in float32. Here every number takes `size` bytes, whatever it's for.",
            "What do you multiply the averages by?",
        ),
        Mistake(
            lambda stored, trained, size: size * (stored + 3 * (stored - trained)),
            "You give the frozen numbers gradients and averages, and the trained ones none.",
            "It's the trained ones that change, and they need all three.",
            "How many numbers does `trained` count?",
        ),
        *[
            Mistake(
                each,
                "You return the parts, and not their sum.",
                "A comma makes a list of things in Python.",
                "Is there a + between them?",
            )
            for each in (
                lambda stored, trained, size: (size * stored, size * 3 * trained),
                lambda stored, trained, size: (size * stored, size * trained, size * 2 * trained),
            )
        ],
        Mistake(
            lambda stored, trained, size: size * stored,
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
    "You step with the averages of last time.",
    "This step's gradient has to be in the averages first.",
    "In which order do the three lines come?",
)
def _step_first(w, g, m, v, t, lr):
    new_m, new_v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    m, v = _corrected(m, v, t)
    return w - lr * m / (v.sqrt() + 1e-8), new_m, new_v


@mistake(
    "You put the average into v, and not the gradient.",
    "Then plus and minus cancel before they're squared, and v no longer says how large gradients are.",
    "Which of g and m goes into the line for v?",
)
def _square_of_the_average(w, g, m, v, t, lr):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * m**2
    return w - lr * m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-8), m, v


@mistake(
    "You return the weights alone.",
    "The next step goes on with this step's averages. Who keeps them?",
    "Return all three: (w, m, v).",
)
def _weights_alone(w, g, m, v, t, lr):
    return my_adam(w, g, m, v, t, lr)[0]


@mistake(
    "You also pull the weights toward zero.",
    "That's AdamW. Here you write Adam.",
    "Leave out the 0.01 · w.",
)
def _with_decay(w, g, m, v, t, lr):
    return my_adam(w - lr * 0.01 * w, g, m, v, t, lr)


def _parts(args, result):
    """What came back, by name; anything but three things stands for the new weights."""
    if not (isinstance(result, (tuple, list)) and len(result) == 3):
        return {"new w": result}
    return dict(zip(("new w", "average gradient m", "average square v"), result))


def _steps():
    first = [torch.randn(4), torch.tensor([0.3, -2.0, 1.5, -1e-7])]  # the last is so small that 1e-8 matters
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
        *[
            Mistake(
                each,
                "You add up gradients in full: your m is a sum that fades, and no average.",
                "That's momentum as plain gradient descent has it. Adam's shares add up to one.",
                "What is g multiplied by?",
            )
            for each in (
                _adam(m_of=lambda m, g: 0.9 * m + g),
                _adam(m_of=lambda m, g: 0.9 * m + g, v_of=lambda v, g: 0.999 * v + g**2),
            )
        ],
        Mistake(
            _adam(step=lambda m, v, g, t: -(m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)),
            "You walk uphill.",
            "The gradient points to where the loss grows.",
            "Is it plus or minus in your last line?",
        ),
        *[
            Mistake(
                each,
                "You take a plain gradient step.",
                "The averages are there to steady it.",
                "Where are M and V in your last line?",
            )
            for each in (_adam(step=lambda m, v, g, t: g), lambda w, g, m, v, t, lr: (w - lr * g, m, v))
        ],
        Mistake(
            _adam(step=lambda m, v, g, t: g / ((v / (1 - 0.999**t)).sqrt() + 1e-8)),
            "You step along this step's gradient alone.",
            "Then the noise of a single batch moves the weights. The average gradient is steadier.",
            "What's above the root in your last line?",
        ),
        *[
            Mistake(
                each,
                "You don't add 1e-8 to the root.",
                "It keeps you from dividing by zero. Under the root it's too much, and elsewhere it doesn't help.",
                "Where in your last line is it, and where do your parentheses close?",
            )
            for each in (
                _adam(step=lambda m, v, g, t: m / (1 - 0.9**t) / (v / (1 - 0.999**t) + 1e-8).sqrt()),
                _adam(step=lambda m, v, g, t: m / (1 - 0.9**t) / (v / (1 - 0.999**t)).sqrt()),
            )
        ],
        *[
            Mistake(
                _adam(step=lambda m, v, g, t, rest=rest: m / rest(0.9, t) / ((v / rest(0.999, t)).sqrt() + 1e-8)),
                "You don't correct the averages by the right number.",
                "It's 1 − 0.9ᵗ and 1 − 0.999ᵗ, to the power of t, which starts at 1. You divide by them.",
                "In Python that's m / (1 - 0.9**t). What do you have?",
            )
            for rest in (
                lambda b, t: 1 / (1 - b**t),
                lambda b, t: 1 - b,
                lambda b, t: 1 - b * t,
                lambda b, t: 1 - b ** (t + 1),
            )
        ],
        *[
            Mistake(
                _adam(v_of=v_of, step=lambda m, v, g, t: m / (1 - 0.9**t) / ((v / (1 - 0.9**t)).sqrt() + 1e-8)),
                "You use 0.9 where v has 0.999.",
                "The square gets the longer memory, and its correction goes with it.",
                "Which number belongs to v?",
            )
            for v_of in (lambda v, g: 0.999 * v + 0.001 * g**2, lambda v, g: 0.9 * v + 0.1 * g**2)
        ],
        *[
            Mistake(
                lambda w, g, m, v, t, lr, back=back: back(*my_adam(w, g, m, v, t, lr), t),
                "You return a corrected average.",
                "The correction is for this step only. Next time, the plain averages go on.",
                "Which m and v does the next call need?",
            )
            for back in (
                lambda w, m, v, t: (w, *_corrected(m, v, t)),
                lambda w, m, v, t: (w, _corrected(m, v, t)[0], v),
                lambda w, m, v, t: (w, m, _corrected(m, v, t)[1]),
            )
        ],
        *[
            Mistake(
                lambda w, g, m, v, t, lr, back=back: back(*my_adam(w, g, m, v, t, lr)),
                "You return the three in another order.",
                "First the weights, then the average gradient, then the average square.",
                "Return (w, m, v).",
            )
            for back in (lambda w, m, v: (m, v, w), lambda w, m, v: (w, v, m))
        ],
        Mistake(
            lambda w, g, m, v, t, lr: (w - my_adam(w, g, m, v, t, lr)[0], *my_adam(w, g, m, v, t, lr)[1:]),
            "You return the step, and not the new weights.",
            "The step is what gets subtracted.",
            "Where does w come in?",
        ),
        _step_first,
        _square_of_the_average,
        _weights_alone,
        _with_decay,
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
    "At each new highest moment, do you note its total, and copy the account, as in dict(now)?",
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
    "You take away all of a kind when one of its blocks is freed.",
    "Several blocks of a kind are alive together, and the others stay.",
    "What does a negative size change in your account?",
)
def _all_freed(events):
    accounts, now = [], {}
    for kind, size in events:
        now = now | {kind: now.get(kind, 0) + size if size > 0 else 0}
        accounts.append(now)
    return _highest(accounts)


@mistake(
    "You return after the first event.",
    "A return inside the loop ends it.",
    "How far is your return indented?",
)
def _first_event(events):
    return dict(events[:1])


def _highest(accounts, key=lambda account: sum(account.values())):
    return max(accounts, key=key)


def _second_total(pair):
    return sum(pair[1].values())


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
    # its peak is its last event, and some activations are freed on the way there
    rising = [("weights", 100), ("activations", 90), ("activations", 80), ("activations", -80), ("averages", 200)]
    return [
        *[Case(start + forward + back + update), Case(start + forward + back + heavy)],
        *[Case(frozen + short), Case(rising)],
    ]


exercise(
    "02.3",
    title="A memory ledger",
    prompt="`events` lists, in order, what happens in a step: pairs `(kind, size)`. A block of that many bytes is "
    "made, or freed if `size` is negative. Find the moment when the most bytes are in use, all kinds together (the "
    "first such moment, if there are several). Write `my_ledger(events)`: a dict with each kind's bytes at that "
    "moment. Kinds at zero may be left out.",
    minutes=8,
    difficulty=3,
    importance=3,
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
        _all_freed,
        _first_event,
        *[
            Mistake(
                each,
                "Your account holds only the last event of each kind.",
                "An event adds to what's there. It doesn't replace it.",
                "Is there a += for the kind?",
            )
            for each in (dict, lambda events: _highest([dict(events[: end + 1]) for end in range(len(events))]))
        ],
        *[
            Mistake(
                each,
                "You look at the account before an event, where you want to look after it.",
                "The event that makes the peak belongs to it, even when it's the last one.",
                "Do you add the event first, and compare then?",
            )
            for each in (
                lambda events: _highest([{}, *_running(events[:-1])]),
                lambda events: max(zip([{}, *_running(events)], _running(events)), key=_second_total)[0],
            )
        ],
        *[
            Mistake(
                each,
                "You pick the moment by one block, or by one kind.",
                "The card is full when all kinds together are largest.",
                "What do you compare: a size, or the sum of the whole account?",
            )
            for each in (
                lambda events: _highest(_running(events), lambda account: max(account.values())),
                lambda events: max(zip(events, _running(events)), key=lambda pair: pair[0][1])[1],
            )
        ],
        *[
            Mistake(
                each,
                "You return every moment, and not the highest one.",
                "A ledger of the peak is one dict.",
                "Which of your moments has the largest sum?",
            )
            for each in (
                lambda events: list(_running(events)),
                lambda events: [sum(account.values()) for account in _running(events)],
            )
        ],
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


def _through_pairs(layers, inputs, grad, factor=lambda y: 1):
    for layer, x in zip(layers, inputs):
        grad = _back_through(layer, x, grad * factor(grad))
    return grad


def _mixing(layers, inputs, grad, mix):
    for layer, x in zip(reversed(layers), reversed(inputs)):
        grad = mix(grad, _back_through(layer, x, grad))
    return grad


@mistake(
    "You go through the layers from first to last.",
    "The gradient comes from the loss, so it meets the last layer first.",
    "Is there a reversed(…) around both lists?",
)
def _forwards(layers, inputs, grad):
    return _through_pairs(layers, inputs, grad)


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


def _whole_chain(layers, inputs, grad):
    x = start = inputs[0].detach().requires_grad_()
    for layer in layers:
        x = layer(x)
    x.backward(grad)
    return start.grad


@mistake(
    "You stop before the first layer.",
    "range leaves out its end, going down as well as going up.",
    "Does your loop reach i = 0?",
)
def _without_the_first(layers, inputs, grad):
    return my_backward(layers[1:], inputs[1:], grad)


@mistake(
    "You pass on x itself, where the layer before needs its gradient.",
    "x is what went into the layer. Its gradient is in x.grad.",
    "What's `grad` after the first round of your loop?",
)
def _x_itself(layers, inputs, grad):
    for layer, x in zip(reversed(layers), reversed(inputs)):
        _back_through(layer, x, grad)
        grad = x
    return grad


@mistake(
    "Your backward() has no gradient to start from.",
    "Either its parentheses are empty, or x.grad is still None: x never asked for a gradient.",
    "Do you write backward(grad), and x.requires_grad_() before it?",
)
def _no_requires_grad(layers, inputs, grad):
    for layer, x in zip(reversed(layers), reversed(inputs)):
        x = x.detach()
        layer(x).backward(grad)
        grad = x.grad
    return grad


@mistake(
    "You compute the layer again without a graph, so there's nothing to go back through.",
    "Under no_grad, autograd takes no notes. This time it has to.",
    "Is there a no_grad() or a .detach() around the layer?",
)
def _no_graph(layers, inputs, grad):
    layers[-1](inputs[-1]).detach().backward(grad)


@mistake(
    "You return the gradients at all inputs.",
    "Only the one at inputs[0] is still needed: the others have been used.",
    "Return the last of them.",
)
def _all_of_them(layers, inputs, grad):
    grads = []
    for layer, x in zip(reversed(layers), reversed(inputs)):
        grads.append(grad := _back_through(layer, x, grad))
    return grads


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
        _without_the_first,
        _x_itself,
        _no_requires_grad,
        _no_graph,
        _all_of_them,
        *[
            Mistake(
                lambda layers, inputs, grad, after=after: after(_whole_chain(layers, inputs, grad)),
                "You run the whole chain again from the first input.",
                "That gives the gradients, but holds every layer's activations at once, and they were what didn't fit.",
                "Which input do you have for each single layer?",
            )
            for after in (lambda found: found, lambda found: None)
        ],
        *[
            Mistake(
                lambda layers, inputs, grad, back=back: back(my_backward(layers, inputs, grad), grad),
                "Your weights' gradients are right, but you return nothing that could go on.",
                "In a longer model there's something before the first layer, and it needs the gradient there.",
                "What's `grad` after the last round, and do you return it?",
            )
            for back in (lambda found, given: given, lambda found, given: None)
        ],
        *[
            Mistake(
                lambda layers, inputs, grad, i=i, j=j: _through_pairs(layers[::i], inputs[::j], grad),
                "You give each layer another layer's input.",
                "If you turn only one of the two lists around, layer and input no longer belong together.",
                "Which index do layer and input have in each round?",
            )
            for i, j in ((-1, 1), (1, -1))
        ],
        *[
            Mistake(
                lambda layers, inputs, grad, mix=mix: _mixing(layers, inputs, grad, mix),
                "You mix the incoming gradient in a second time.",
                "backward(grad) has done the chain rule's product already, and x.grad is the result.",
                "What's left if you pass on x.grad as it is?",
            )
            for mix in (torch.mul, torch.add)
        ],
        Mistake(
            lambda layers, inputs, grad: _through_pairs(layers[::-1], inputs[::-1], grad, lambda y: 1 / y.numel()),
            "You take a mean, and each layer makes the gradient smaller.",
            "The chain rule adds up.",
            "Is there a .mean() where a .sum() belongs, or backward(grad)?",
        ),
    ],
    shows="torch.utils.checkpoint does the same, layer by layer.",
)
