"""Exercises of notebook 11: PEFT's keys, means over processes, what a server reads."""

import torch

from labkit.lab.checking import Case, exercise, mistake

# --- 11.1 ---------------------------------------------------------------------------------------------------


def my_key(name, part):
    """PEFT's wrapper, the layer's own name, the matrix in it."""
    return f"base_model.model.{name}.lora_{part}.weight"


@mistake(
    "Your key lacks what PEFT puts in front.",
    "In its file, the keys are seen from outside PEFT's wrapper.",
    "Look at the key that section 11.2 prints.",
)
def _without_prefix(name, part):
    return f"{name}.lora_{part}.weight"


@mistake(
    "Your key has the name of an adapter in it.",
    "In memory it's there, since one model may hold several. In the file it isn't.",
    "Leave `default` out.",
)
def _with_adapter_name(name, part):
    return f"base_model.model.{name}.lora_{part}.default.weight"


@mistake(
    "Your key lacks its end.",
    "A and B are linear layers without a bias, and the file holds their weights.",
    "What does PyTorch call the matrix of a linear layer?",
)
def _without_weight(name, part):
    return f"base_model.model.{name}.lora_{part}"


@mistake(
    "Your key has one `model` too few.",
    "The base itself begins with `model`, and PEFT's wrapper holds the base as its own `model`.",
    "Count them in the key that section 11.2 prints.",
)
def _one_model(name, part):
    return f"base_model.{name}.lora_{part}.weight"


@mistake(
    "Your key has one `model` too many.",
    "In the key that section 11.2 prints, the last `model` in front belongs to the layer's own name.",
    "What does `name` begin with?",
)
def _one_model_more(name, part):
    return f"base_model.model.model.{name}.lora_{part}.weight"


exercise(
    "11.1",
    title="A key in PEFT's file",
    prompt="A layer of the base is called `name`, such as `model.layers.3.mlp.up_proj`. Write my_key(name, part): the "
    'key under which PEFT\'s file holds its matrix `part`, "A" or "B".',
    minutes=4,
    difficulty=1,
    importance=3,
    solution=my_key,
    explanation="`base_model.model` is PEFT's wrapper around the base. The name of the adapter, which stands in the "
    "keys of the model in memory, is left out in the file, so that one may call it something else when loading it.",
    cases=lambda: [Case("model.layers.3.mlp.up_proj", "A"), Case("model.layers.11.self_attn.q_proj", "B")],
    hints=[
        "Section 11.2 prints the first key of a file.",
        "What stands before the layer's name, and what after it?",
        'f"base_model.model.{name}.lora_{part}.weight"',
    ],
    mistakes=[
        _without_prefix,
        _with_adapter_name,
        _without_weight,
        _one_model,
        _one_model_more,
    ],
    shows="labkit's layers have PEFT's names inside, so a prefix is all there is to add.",
)

# --- 11.2 ---------------------------------------------------------------------------------------------------


def my_mean(sums, counts):
    """All losses over all tokens."""
    return sums.sum() / counts.sum()


@mistake(
    "You take the mean of the means.",
    "Then every process counts the same, however few tokens it has.",
    "Which process has how many tokens? Add up before you divide.",
)
def _mean_of_means(sums, counts):
    return (sums / counts).mean()


@mistake(
    "You sum the means, so your answer grows with the number of processes.",
    "Adding is right for sums and for counts, not for what's divided already.",
    "Add up both, then divide once.",
)
def _sum_of_means(sums, counts):
    return (sums / counts).sum()


@mistake(
    "You take the mean of the sums.",
    "You divide by the number of processes.",
    "What should you divide by, for a mean loss per *token*?",
)
def _by_processes(sums, counts):
    return sums.sum() / len(sums)


@mistake(
    "You average the sums, but add up the counts.",
    "That makes the loss too small, by the number of processes.",
    "Treat both alike.",
)
def _mean_sum(sums, counts):
    return sums.mean() / counts.sum()


exercise(
    "11.2",
    title="One mean from many",
    prompt="Each process has summed the losses of its tokens, and counted them. Write my_mean(sums, counts): the mean "
    "loss of a token, over all processes. Both are tensors with one entry a process.",
    minutes=4,
    difficulty=1,
    importance=5,
    solution=my_mean,
    explanation="A mean is a sum over a count. Sums and counts may be added up over processes; means may not.",
    cases=lambda: [
        Case(torch.tensor([120.0, 3.0]), torch.tensor([60.0, 2.0])),
        Case(torch.rand(4) * 50 + 1, torch.randint(1, 90, (4,)).float()),
    ],
    hints=[
        "How many tokens are there in all, and what is the sum of their losses?",
        "Add up first, divide last.",
        "sums.sum() / counts.sum()",
    ],
    mistakes=[
        _mean_of_means,
        _sum_of_means,
        _by_processes,
        _mean_sum,
    ],
    shows="This is what `labkit.train` reports as the loss of a step.",
)

# --- 11.3 ---------------------------------------------------------------------------------------------------


def my_loss(summed, counts):
    """Over the tokens of all, times the processes that an average will divide by."""
    return summed / counts.sum() * len(counts)


@mistake(
    "After the average, your gradient is too small by the number of processes.",
    "Dividing by all tokens is right where gradients are added. Here they're averaged.",
    "How do you undo the division that comes later?",
)
def _not_undone(summed, counts):
    return summed / counts.sum()


@mistake(
    "You take the mean over the process's own tokens.",
    "Averaged, that gives the mean of means.",
    "What should you divide by, if every token counts the same?",
)
def _own_mean(summed, counts):
    return summed / counts[0]


@mistake(
    "You divide by the number of processes, and the average will do so once more.",
    "The average comes anyway, so it has to be undone, not repeated.",
    "What undoes a division?",
)
def _divided_twice(summed, counts):
    return summed / counts.sum() / len(counts)


@mistake(
    "You don't divide at all, so the gradient grows with the number of tokens.",
    "A sum isn't a mean.",
    "How many tokens are there, over all processes?",
)
def _only_summed(summed, counts):
    return summed.clone()


@mistake(
    "You multiply by a count of tokens.",
    "What has to be undone is a division by the number of processes.",
    "How many entries does `counts` have?",
)
def _mean_count(summed, counts):
    return summed / counts.sum() * counts.max()


@mistake(
    "Your answer can't be called backward on.",
    "A plain number, or a tensor that's new or detached, has forgotten which weights it came from.",
    "Compute with `summed` itself: no .item(), no .detach(), no torch.tensor().",
)
def _cut_off(summed, counts):
    return (summed / counts.sum() * len(counts)).detach()


@mistake(
    "Your function calls backward itself.",
    "It should return the loss. The loop calls backward on it, and calling it twice is an error.",
    "Leave .backward() out.",
)
def _called_already(summed, counts):
    loss = summed / counts.sum() * len(counts)
    loss.backward()
    return loss


def _to_call_backward_on(args, loss):
    """The loss, if one can still call backward on it: the right number alone trains nothing."""
    if not (isinstance(loss, torch.Tensor) and loss.requires_grad):
        return "cut off from the weights"
    return loss if args[0].grad is None else "backward has been called"


exercise(
    "11.3",
    title="What to call backward on",
    prompt="Gradients are averaged over the processes afterwards. Write my_loss(summed, counts): what this process "
    "calls backward on, from the sum of its own losses and the token counts of all processes, so that the average is "
    "the gradient of the mean over all tokens.",
    minutes=6,
    difficulty=3,
    importance=4,
    solution=my_loss,
    explanation="The gradient of the mean over all tokens is the *sum* of the processes' parts. The exchange gives "
    "their average, so each part is made larger by the number of processes first.",
    cases=lambda: [
        Case(torch.tensor(120.0, requires_grad=True), torch.tensor([60.0, 2.0])),
        Case(torch.tensor(7.5, requires_grad=True), torch.tensor([5.0, 40.0, 11.0])),
    ],
    observe=_to_call_backward_on,
    hints=[
        "If gradients were added up, what would each process divide its sum by?",
        "They are averaged: divided by the number of processes on top. How is that undone?",
        "summed / counts.sum() * len(counts)",
    ],
    mistakes=[
        _not_undone,
        _own_mean,
        _divided_twice,
        _only_summed,
        _mean_count,
        _cut_off,
        _called_already,
    ],
    shows="The same line stands in `labkit.train`.",
)

# --- 11.4 ---------------------------------------------------------------------------------------------------


def my_factor(alpha, r, layer_alpha, layer_r):
    """What is used over what was meant."""
    return (alpha / r) / (layer_alpha / layer_r)


@mistake(
    "Your fraction is upside down.",
    "That's what you'd multiply the server's update by, to make it right again.",
    "Too large means: what's used, over what was meant. Which is which?",
)
def _upside_down(alpha, r, layer_alpha, layer_r):
    return (layer_alpha / layer_r) / (alpha / r)


@mistake(
    "You left the alphas out.",
    "A layer may have an alpha of its own, too: alpha_pattern.",
    "Write down both scalings first.",
)
def _ranks_only(alpha, r, layer_alpha, layer_r):
    return layer_r / r


@mistake(
    "You left the ranks out.",
    "A layer may have a rank of its own, too: rank_pattern.",
    "Write down both scalings first.",
)
def _alphas_only(alpha, r, layer_alpha, layer_r):
    return alpha / layer_alpha


@mistake(
    "Your answer is a difference, not a factor.",
    "If nothing is wrong, a factor is 1.",
    "Divide one scaling by the other.",
)
def _difference(alpha, r, layer_alpha, layer_r):
    return alpha / r - layer_alpha / layer_r


exercise(
    "11.4",
    title="Wrongly scaled",
    prompt="An adapter has `r` and `alpha`, but one layer was trained with `layer_r` and `layer_alpha`. A server "
    "scales all layers by α/r. Write my_factor(alpha, r, layer_alpha, layer_r): by what factor that layer's update "
    "comes out too large (below 1: too small).",
    minutes=6,
    difficulty=3,
    importance=3,
    solution=my_factor,
    explanation="The update is proportional to its scaling. If the two quotients happen to be equal, as with α = 2r "
    "everywhere, the patterns do no harm.",
    cases=lambda: [Case(16, 8, 16, 2), Case(16, 8, 4, 8), Case(32, 16, 12, 4), Case(16, 8, 8, 4)],
    hints=[
        "By what is the update scaled on the server, and by what was it while training?",
        "What is used, divided by what was meant.",
        "(alpha / r) / (layer_alpha / layer_r)",
    ],
    mistakes=[
        _upside_down,
        _ranks_only,
        _alphas_only,
        _difference,
    ],
    shows="For the adapter of section 11.7: (16/8) / (16/2) = 1/4.",
)
