"""Exercises of notebook 11: llama.cpp's order of rows, the loss of one process, what a server scales by.

11.1 is what notebook 11 writes its GGUF file with, once it has passed: ``my_rows(B, heads)``.
"""

import torch

from labkit.lab.checking import Case, exercise, mistake

# --- 11.1 ---------------------------------------------------------------------------------------------------


def my_rows(B, heads):
    """Cut into heads, each head into two halves; then a row of the first half, and one of the second, in turn."""
    halves = B.reshape(heads, 2, -1, B.shape[1])  # (heads, 2, half a head, r)
    return halves.swapaxes(1, 2).reshape(B.shape)


@mistake(
    "You return B with its rows as they were.",
    "With reshapes alone, or with the loops the other way round, each row stays where it is.",
    "Which two axes, or which two loops, have to change places?",
)
def _unchanged(B, heads):
    return B.clone()


@mistake(
    "You go the other way: from llama.cpp's order back to transformers'.",
    "Both ways cut a head in two, but one cuts it into halves, and the other into neighboring pairs.",
    "In which order do the axes come out of your first reshape? The rows come in as two halves of each head.",
)
def _back(B, heads):
    return B.reshape(heads, -1, 2, B.shape[1]).swapaxes(1, 2).reshape(B.shape)


@mistake(
    "You cut all of B into two halves, and pair rows of different heads.",
    "RoPE turns pairs within one head, and knows nothing of the next.",
    "Where does `heads` come in? With one head, your answer is right.",
)
def _over_all_heads(B, heads):
    return B.reshape(2, -1, B.shape[1]).swapaxes(0, 1).reshape(B.shape)


@mistake(
    "You reorder B's columns, and its rows stay where they were.",
    "B's columns are the r numbers that come out of A. RoPE never sees those, only what B makes of them.",
    "B is (out, r). Which of the two axes holds the heads?",
)
def _columns(B, heads):
    return B.T.reshape(heads, 2, -1, len(B)).swapaxes(1, 2).reshape(B.T.shape).T


@mistake(
    "You reorder B's columns, all of them as one head.",
    "B's columns are the r numbers that come out of A. RoPE never sees those, only what B makes of them.",
    "B is (out, r). Which of the two axes holds the heads?",
)
def _columns_as_one(B, heads):
    return B.T.reshape(2, -1, len(B)).swapaxes(0, 1).reshape(B.T.shape).T


@mistake(
    "In each pair, your rows are the wrong way round.",
    "Row i comes before its partner, row i + d/2.",
    "Which row of a head should stay the first?",
)
def _second_first(B, heads):
    return B.reshape(heads, 2, -1, B.shape[1]).flip(1).swapaxes(1, 2).reshape(B.shape)


@mistake(
    "You mix the heads: rows of the first halves of all heads come first.",
    "You've moved the heads' axis, and it has to stay in front.",
    "After the reshape to (heads, 2, d/2, r), which two axes change places?",
)
def _heads_moved(B, heads):
    return B.reshape(heads, 2, -1, B.shape[1]).swapaxes(0, 1).reshape(B.shape)


@mistake(
    "You mix numbers of different rows.",
    "You've moved the last axis, which holds the r numbers of one row. They have to stay together.",
    "Only whole rows move. Which axes are left to change places?",
)
def _rows_torn(B, heads):
    return B.reshape(heads, 2, -1, B.shape[1]).swapaxes(2, 3).reshape(B.shape)


@mistake(
    "You put the even rows of all of B first, and then the odd ones.",
    "That's the way back from pairs to halves, and it runs over all heads at once.",
    "Row 1 of each new head is the partner of row 0. Which row is that?",
)
def _even_then_odd_over_all(B, heads):
    return torch.cat([B[0::2], B[1::2]])


@mistake(
    "You return the rows of one head only.",
    "With one head, that would be all of them.",
    "Which rows of B should come after the first d?",
)
def _one_head(B, heads):
    return my_rows(B[: len(B) // heads], 1)


@mistake(
    "You reorder the first head, and leave the other heads as they were.",
    "An order of d rows is enough for one head only.",
    "Where do the rows of the second head begin? They need the same order.",
)
def _first_head_only(B, heads):
    d = len(B) // heads
    return torch.cat([my_rows(B[:d], 1), B[d:]])


@mistake(
    "You repeat the first head's rows for each head.",
    "The order is the same in each head, but the rows are its own.",
    "In the order of head h, what do you add to each row's number?",
)
def _first_head_repeated(B, heads):
    return my_rows(B[: len(B) // heads], 1).repeat(heads, 1)


@mistake(
    "You overwrite rows of B that you still have to read.",
    "An assignment to a row of B takes effect at once.",
    "Write into a new tensor, such as torch.empty_like(B), and read from B.",
)
def _overwritten(B, heads):
    d = len(B) // heads
    for first in range(0, len(B), d):
        for i in range(d // 2):
            B[first + 2 * i] = B[first + i]
            B[first + 2 * i + 1] = B[first + i + d // 2]
    return B


exercise(
    "11.1",
    title="llama.cpp's order of rows",
    prompt="Write my_rows(B, heads). "
    "The tensor B has shape (heads · d, r): the rows of the first head, then those of the second, and so on. Return "
    "it in llama.cpp's order. In each head of d rows, that's row 0, row d/2, row 1, row d/2 + 1, and so on.",
    minutes=10,
    difficulty=3,
    importance=4,
    solution=my_rows,
    explanation="Cut into (heads, 2, d/2, r), a row's place is its head, its half, and its number there. Swapping the "
    "two in the middle puts row i of the first half beside row i of the second, head by head. A has nothing to "
    "reorder: its rows are B's columns, and neither is turned.",
    cases=lambda: [
        Case(torch.randn(2 * 6, 8), 2),
        Case(torch.randn(1 * 6, 4), 1),
        Case(torch.randn(3 * 8, 12), 3),
        Case(torch.randn(5 * 4, 10), 5),
        Case(torch.randn(2 * 64, 4), 2),
    ],
    hints=[
        "Write down the rows of one head with d = 6 in the new order: 0, 3, 1, 4, 2, 5.",
        "Cut B so that head, half and place in the half each get an axis of their own: B.reshape(heads, 2, -1, r).",
        "Swap the two axes in the middle, and reshape back: .swapaxes(1, 2).reshape(B.shape)",
    ],
    mistakes=[
        _unchanged,
        _back,
        _over_all_heads,
        _columns,
        _columns_as_one,
        _second_first,
        _heads_moved,
        _rows_torn,
        _even_then_odd_over_all,
        _one_head,
        _first_head_only,
        _first_head_repeated,
        _overwritten,
    ],
    shows="The next cell writes the file for llama.cpp with it.",
)

# --- 11.2 ---------------------------------------------------------------------------------------------------


def my_loss(summed, counts, me):
    """Over the tokens of all, times the processes that an average will divide by."""
    return summed / counts.sum() * len(counts)


@mistake(
    "After the average, your gradient is too small by the number of processes.",
    "Dividing by all tokens is right where gradients are added. Here they're averaged.",
    "How do you undo the division that comes later?",
)
def _not_undone(summed, counts, me):
    return summed / counts.sum()


@mistake(
    "You take the mean over the process's own tokens.",
    "Then every process has the same say, however few tokens it has.",
    "What should you divide by, if every token is to count the same?",
)
def _own_mean(summed, counts, me):
    return summed / counts[me]


@mistake(
    "You divide by the number of processes, and the average will do so once more.",
    "The average comes anyway, so it has to be undone, not repeated.",
    "What undoes a division?",
)
def _divided_twice(summed, counts, me):
    return summed / counts.sum() / len(counts)


@mistake(
    "You don't divide at all, so the gradient grows with the number of tokens.",
    "A sum isn't a mean.",
    "How many tokens are there, over all processes?",
)
def _only_summed(summed, counts, me):
    return summed.clone()


@mistake(
    "You divide by the number of processes, and by no count of tokens.",
    "It's a mean over tokens, and the processes only share them out.",
    "How many tokens are there, over all processes?",
)
def _by_processes(summed, counts, me):
    return summed / len(counts)


@mistake(
    "You undo the average, but then you have a sum and no mean.",
    "Multiplying by the number of processes is one half of the answer.",
    "By how many tokens do you still have to divide?",
)
def _times_processes(summed, counts, me):
    return summed * len(counts)


@mistake(
    "You return one number for each process.",
    "A process calls backward on its own loss only, which is one number.",
    "`counts` has an entry for each process. What should you make of them first?",
)
def _for_each(summed, counts, me):
    return summed / counts


@mistake(
    "You weigh the sum by the process's share of the tokens.",
    "A mean has to be weighed like that. A sum already grows with its tokens.",
    "Start from the sum: what do you divide it by to get a mean over all tokens?",
)
def _weighed_sum(summed, counts, me):
    return summed * counts[me] / counts.sum()


@mistake(
    "You take the mean over the process's own tokens, and multiply it by the number of processes.",
    "The average is undone, but processes with few tokens still have as much say as the others.",
    "What should you divide by, if every token is to count the same?",
)
def _own_mean_times(summed, counts, me):
    return summed / counts[me] * len(counts)


@mistake(
    "You take the mean over the process's own tokens, and divide by the number of processes besides.",
    "The average divides by the processes anyway, and those with few tokens have as much say as the others.",
    "What should you divide by, if every token is to count the same?",
)
def _own_mean_divided(summed, counts, me):
    return summed / counts[me] / len(counts)


@mistake(
    "Your answer can't be called backward on.",
    "A plain number, or a tensor that's new or detached, has forgotten which weights it came from.",
    "Compute with `summed` itself: no .item(), no .detach(), no torch.tensor().",
)
def _cut_off(summed, counts, me):
    return (summed / counts.sum() * len(counts)).detach()


@mistake(
    "Your function calls backward itself.",
    "It should return the loss. The loop calls backward on it, and calling it twice is an error.",
    "Leave .backward() out.",
)
def _called_already(summed, counts, me):
    loss = summed / counts.sum() * len(counts)
    loss.backward()
    return loss


def _to_call_backward_on(args, loss):
    """The loss, and whether one can still call backward on it: the right number alone trains nothing."""
    tensor = isinstance(loss, torch.Tensor)
    return {
        "the loss": loss.detach() if tensor else loss,
        "whether backward() can start from it": tensor and loss.requires_grad,
        "whether backward() was called already": args[0].grad is not None,
    }


exercise(
    "11.2",
    title="What to call backward on",
    prompt="Write my_loss(summed, counts, me). "
    "The gradients of several processes are averaged. Return what process number `me` calls backward on, so "
    "that the average is the gradient of the mean over *all* tokens. `summed` is the sum of its own tokens' losses; "
    "the tensor `counts` has every process's number of tokens. (You may not need all three.)",
    minutes=5,
    difficulty=3,
    importance=4,
    solution=my_loss,
    explanation="The gradient of the mean over all tokens is the *sum* of the processes' parts. The exchange gives "
    "their average, so each part is made larger by the number of processes first. Which process it is doesn't matter.",
    cases=lambda: [
        Case(torch.tensor(120.0, requires_grad=True), torch.tensor([60.0, 2.0]), 0),
        Case(torch.tensor(7.5, requires_grad=True), torch.tensor([5.0, 40.0, 11.0]), 2),
        Case(torch.tensor(3.25, requires_grad=True), torch.tensor([9.0, 30.0, 4.0, 21.0]), 1),
    ],
    observe=_to_call_backward_on,
    hints=[
        "If gradients were added up, what would each process divide its sum by?",
        "They're averaged: divided by the number of processes on top. How do you undo that?",
        "summed / counts.sum() * len(counts)",
    ],
    mistakes=[
        _not_undone,
        _own_mean,
        _divided_twice,
        _only_summed,
        _by_processes,
        _times_processes,
        _for_each,
        _weighed_sum,
        _own_mean_times,
        _own_mean_divided,
        _cut_off,
        _called_already,
    ],
    shows="The same line is in `labkit.train`.",
)

# --- 11.3 ---------------------------------------------------------------------------------------------------


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
    "Your answer doesn't depend on the alphas.",
    "A layer may have an alpha of its own, too: alpha_pattern.",
    "Write down both scalings first.",
)
def _ranks_only(alpha, r, layer_alpha, layer_r):
    return layer_r / r


@mistake(
    "Your answer doesn't depend on the ranks.",
    "A layer may have a rank of its own, too: rank_pattern.",
    "Write down both scalings first.",
)
def _alphas_only(alpha, r, layer_alpha, layer_r):
    return alpha / layer_alpha


@mistake(
    "Your answer doesn't depend on the ranks, and the alphas are upside down.",
    "The server uses `alpha` in the place of `layer_alpha`, and divides by a rank besides.",
    "Write down both scalings first, then divide what's used by what was meant.",
)
def _alphas_upside_down(alpha, r, layer_alpha, layer_r):
    return layer_alpha / alpha


@mistake(
    "Your answer doesn't depend on the alphas, and the ranks are upside down.",
    "The update is divided by the rank, so the larger rank makes it smaller.",
    "Write down both scalings first, then divide one by the other.",
)
def _ranks_upside_down(alpha, r, layer_alpha, layer_r):
    return r / layer_r


@mistake(
    "The two ranks are on the wrong sides of your fraction.",
    "The server divides by `r`. Dividing by what was meant brings `layer_r` to the top.",
    "Work out (16/8) / (16/2) on paper.",
)
def _ranks_multiplied(alpha, r, layer_alpha, layer_r):
    return (alpha * r) / (layer_alpha * layer_r)


@mistake(
    "You multiply the two scalings.",
    "The server uses the one in the place of the other, not both.",
    "If both are equal, the factor has to be 1.",
)
def _product(alpha, r, layer_alpha, layer_r):
    return (alpha / r) * (layer_alpha / layer_r)


@mistake(
    "Your answer is a difference, not a factor.",
    "If nothing is wrong, a factor is 1.",
    "Divide one scaling by the other.",
)
def _difference(alpha, r, layer_alpha, layer_r):
    return alpha / r - layer_alpha / layer_r


@mistake(
    "Your answer says by what share the update is off, not by what factor.",
    "If nothing is wrong, a factor is 1.",
    "Leave out the subtraction.",
)
def _share_off(alpha, r, layer_alpha, layer_r):
    return (alpha / r) / (layer_alpha / layer_r) - 1


@mistake(
    "Your answer is the share of the update that's lost, not the factor.",
    "If nothing is wrong, a factor is 1.",
    "Leave out the subtraction.",
)
def _share_lost(alpha, r, layer_alpha, layer_r):
    return 1 - (alpha / r) / (layer_alpha / layer_r)


@mistake(
    "Your answer is what the server multiplies by.",
    "That's one of two scalings. How wrong it is depends on the other one.",
    "What was this layer trained with?",
)
def _served_only(alpha, r, layer_alpha, layer_r):
    return alpha / r


@mistake(
    "Your answer is what the layer was trained with.",
    "That's one of two scalings. How wrong the server is depends on the other one.",
    "What does the server multiply by?",
)
def _meant_only(alpha, r, layer_alpha, layer_r):
    return layer_alpha / layer_r


@mistake(
    "You divide by `layer_r` where you should multiply by it.",
    "Without parentheses, a / b / c / d divides by b, c and d.",
    "Put parentheses around each of the two scalings.",
)
def _without_parentheses(alpha, r, layer_alpha, layer_r):
    return alpha / r / layer_alpha / layer_r


@mistake(
    "Your answer is a percentage, not a factor.",
    "If nothing is wrong, a factor is 1, which is 100 percent.",
    "Leave out the 100.",
)
def _percent(alpha, r, layer_alpha, layer_r):
    return 100 * (alpha / r) / (layer_alpha / layer_r)


exercise(
    "11.3",
    title="Wrongly scaled",
    prompt="Write my_factor(alpha, r, layer_alpha, layer_r). "
    "One layer was trained with `layer_r` and `layer_alpha`, but the server scales all by α/r, with `r` and "
    "`alpha`. By what factor does that layer's update come out too large? (Below 1, it's too small.)",
    minutes=3,
    difficulty=2,
    importance=3,
    solution=my_factor,
    explanation="The update is proportional to its scaling. If the two quotients happen to be equal, as with α = 2r "
    "everywhere, the patterns do no harm.",
    cases=lambda: [Case(16, 8, 16, 2), Case(16, 8, 4, 8), Case(32, 16, 12, 4), Case(16, 8, 8, 4)],
    hints=[
        "What does the server scale the update by, and what was it scaled by in training?",
        "What's used, divided by what was meant.",
        "(alpha / r) / (layer_alpha / layer_r)",
    ],
    mistakes=[
        _upside_down,
        _ranks_only,
        _alphas_only,
        _alphas_upside_down,
        _ranks_upside_down,
        _ranks_multiplied,
        _product,
        _without_parentheses,
        _percent,
        _difference,
        _share_off,
        _share_lost,
        _served_only,
        _meant_only,
    ],
    shows="With r = 8 in the config, and a layer that was trained with r = 2: (16/8) / (16/2) = 1/4.",
)
