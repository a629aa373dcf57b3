"""Exercises of notebook 11: PEFT's keys, means over processes, what a server reads."""

import torch

from labkit.lab.checking import Case, Mistake, exercise

# --- 11.1 ---------------------------------------------------------------------------------------------------


def my_key(name, part):
    """PEFT's wrapper, the layer's own name, the matrix in it."""
    return f"base_model.model.{name}.lora_{part}.weight"


def _without_prefix(name, part):
    return f"{name}.lora_{part}.weight"


def _with_adapter_name(name, part):
    return f"base_model.model.{name}.lora_{part}.default.weight"


def _without_weight(name, part):
    return f"base_model.model.{name}.lora_{part}"


def _one_model(name, part):
    return f"base_model.{name}.lora_{part}.weight"


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
        Mistake(
            _without_prefix,
            "What PEFT puts in front is missing.",
            "In its file the keys are seen from outside PEFT's wrapper.",
            "Look at the key that section 11.2 prints.",
        ),
        Mistake(
            _with_adapter_name,
            "There is the name of an adapter in it.",
            "In memory it is there, since one model may hold several. In the file it is not.",
            "Leave out `default`.",
        ),
        Mistake(
            _without_weight,
            "The end is missing.",
            "A and B are linear layers without a bias; the file holds their weights.",
            "What does PyTorch call the matrix of a linear layer?",
        ),
        Mistake(
            _one_model,
            "There is one `model` too few.",
            "The base itself begins with `model`, and PEFT's wrapper holds the base as its own `model`.",
            "Count them in the key that section 11.2 prints.",
        ),
        Mistake(
            _one_model_more,
            "There is one `model` too many.",
            "In the key that section 11.2 prints, the last `model` in front belongs to the layer's own name.",
            "What does `name` begin with?",
        ),
    ],
    shows="labkit's layers have PEFT's names inside, so a prefix is all there is to add.",
)

# --- 11.2 ---------------------------------------------------------------------------------------------------


def my_mean(sums, counts):
    """All losses over all tokens."""
    return sums.sum() / counts.sum()


def _mean_of_means(sums, counts):
    return (sums / counts).mean()


def _sum_of_means(sums, counts):
    return (sums / counts).sum()


def _by_processes(sums, counts):
    return sums.sum() / len(sums)


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
        Mistake(
            _mean_of_means,
            "This is the mean of the means.",
            "Every process counts the same here, however few tokens it has.",
            "Which process has how many tokens? Add up before you divide.",
        ),
        Mistake(
            _sum_of_means,
            "This is the sum of the means; it grows with the number of processes.",
            "Adding is right for sums and for counts, not for what is divided already.",
            "Add up both, then divide once.",
        ),
        Mistake(
            _by_processes,
            "This is the mean of the sums.",
            "It is divided by the number of processes.",
            "The mean loss of a *token*: by how many is to be divided?",
        ),
        Mistake(
            _mean_sum,
            "It is too small by the number of processes.",
            "The sums were averaged, and the counts added.",
            "Treat both alike.",
        ),
    ],
    shows="This is what `labkit.train` reports as the loss of a step.",
)

# --- 11.3 ---------------------------------------------------------------------------------------------------


def my_loss(summed, counts):
    """Over the tokens of all, times the processes that an average will divide by."""
    return summed / counts.sum() * len(counts)


def _not_undone(summed, counts):
    return summed / counts.sum()


def _own_mean(summed, counts):
    return summed / counts[0]


def _divided_twice(summed, counts):
    return summed / counts.sum() / len(counts)


def _only_summed(summed, counts):
    return summed.clone()


def _mean_count(summed, counts):
    return summed / counts.sum() * counts.max()


def _cut_off(summed, counts):
    return (summed / counts.sum() * len(counts)).detach()


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
        Mistake(
            _not_undone,
            "After the average, the gradient is too small by the number of processes.",
            "Dividing by all tokens is right where gradients are added. Here they are averaged.",
            "Undo the division that comes later.",
        ),
        Mistake(
            _own_mean,
            "This is the mean over the process's own tokens.",
            "Averaged, it gives the mean of means.",
            "By how many tokens is to be divided, if every token is to count the same?",
        ),
        Mistake(
            _divided_twice,
            "It is divided by the number of processes, and the average will do so once more.",
            "The average comes anyway; it has to be undone, not repeated.",
            "Multiply.",
        ),
        Mistake(
            _only_summed,
            "Nothing is divided: the gradient grows with the number of tokens.",
            "A sum is not a mean.",
            "How many tokens are there, over all processes?",
        ),
        Mistake(
            _mean_count,
            "It is multiplied by a count of tokens.",
            "What has to be undone is a division by the number of processes.",
            "How many entries has `counts`?",
        ),
        Mistake(
            _cut_off,
            "Nobody can call backward on what you return.",
            "A number, or a tensor made anew or detached, has forgotten which weights it came from.",
            "Compute with `summed` itself: no .item(), no .detach(), no torch.tensor().",
        ),
        Mistake(
            _called_already,
            "Your function calls backward itself.",
            "It is to return the loss; the loop calls backward on it, and calling it twice is an error.",
            "Leave out .backward().",
        ),
    ],
    shows="The same line stands in `labkit.train`.",
)

# --- 11.4 ---------------------------------------------------------------------------------------------------


def my_factor(alpha, r, layer_alpha, layer_r):
    """What is used over what was meant."""
    return (alpha / r) / (layer_alpha / layer_r)


def _upside_down(alpha, r, layer_alpha, layer_r):
    return (layer_alpha / layer_r) / (alpha / r)


def _ranks_only(alpha, r, layer_alpha, layer_r):
    return layer_r / r


def _alphas_only(alpha, r, layer_alpha, layer_r):
    return alpha / layer_alpha


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
        Mistake(
            _upside_down,
            "It is upside down.",
            "This is by what the server's update would have to be multiplied to be right again.",
            "Too large: what is used, over what was meant.",
        ),
        Mistake(
            _ranks_only,
            "The alphas are left out.",
            "A layer may have an alpha of its own, too: alpha_pattern.",
            "Write down both scalings first.",
        ),
        Mistake(
            _alphas_only,
            "The ranks are left out.",
            "A layer may have a rank of its own, too: rank_pattern.",
            "Write down both scalings first.",
        ),
        Mistake(
            _difference,
            "This is a difference, not a factor.",
            "If nothing is wrong, a factor is 1.",
            "Divide.",
        ),
    ],
    shows="For the adapter of section 11.7: (16/8) / (16/2) = 1/4.",
)
