"""Exercises of notebook 10: a mixed batch, which adapter a message is close to, a true blend, what many weigh.

10.1 is what notebook 10's bank adds to a layer, once it has passed: ``my_mixed(y, x, pairs, names)``.
"""

import math

import torch
import torch.nn.functional as F

from labkit.lab.checking import Case, Mistake, exercise, mistake

# --- 10.1 ---------------------------------------------------------------------------------------------------


def my_mixed(y, x, pairs, names):
    """One A and one B per row of the batch, zeros where there's less to do, and two products for all rows."""
    r = max(len(pairs[name][0]) for name in names if name is not None)
    all_A, all_B = x.new_zeros(len(names), r, x.shape[-1]), x.new_zeros(len(names), y.shape[-1], r)
    for row, name in enumerate(names):
        if name is not None:
            A, B = pairs[name]
            all_A[row, : len(A)], all_B[row, :, : len(A)] = A, B
    return y + x @ all_A.mT @ all_B.mT


def _row_by_row(update):
    """y with `update(x, A, B)` of each row added to it, row by row; `update` changes what's added."""

    def mixed(y, x, pairs, names):
        return torch.stack(
            [y[i] if name is None else y[i] + update(x[i], *pairs[name]) for i, name in enumerate(names)]
        )

    return mixed


def _renamed(rename):
    """The right batch, but for who answers each row: `rename(names, pairs)` says so."""
    return lambda y, x, pairs, names: my_mixed(y, x, pairs, rename(names, pairs))


@mistake(
    "You start from zeros, so what the base answered is lost.",
    "The update comes on top of what the layer answered.",
    "Where does y go?",
)
def _without_the_base(y, x, pairs, names):
    return my_mixed(torch.zeros_like(y), x, pairs, names)


@mistake(
    "Your rows for None come out as zeros.",
    "None means that the base answers alone, and that's y.",
    "What does your answer hold in a row that has no adapter?",
)
def _none_is_zero(y, x, pairs, names):
    keep = torch.tensor([name is not None for name in names])[:, None, None]
    return my_mixed(y, x, pairs, names) * keep


@mistake(
    "You give every row the updates of all adapters that occur in the batch.",
    "Each update is added to the whole batch, instead of to its own rows.",
    "Which rows of x may meet which A?",
)
def _sum_of_all(y, x, pairs, names):
    return y + sum(x @ pairs[name][0].T @ pairs[name][1].T for name in dict.fromkeys(names) if name is not None)


@mistake(
    "You give every row the updates of all rows.",
    "Added up, or with their ranks put together, they're a blend. Here each row has its own.",
    "Which rows of x may meet which A?",
)
def _sum_of_all_rows(y, x, pairs, names):
    return y + sum(x @ pairs[name][0].T @ pairs[name][1].T for name in names if name is not None)


@mistake(
    "You give every row the updates of all adapters in pairs.",
    "pairs is what there is to choose from, and names says who's chosen.",
    "Do you use names?",
)
def _whole_bank(y, x, pairs, names):
    return y + sum(x @ A.T @ B.T for A, B in pairs.values())


@mistake(
    "When a name comes twice, only one of its rows gets the update.",
    "names.index(name) finds the first row only, and a dict keeps one value per name.",
    "Go through the rows, and look each one's name up.",
)
def _first_of_each_name(y, x, pairs, names):
    return my_mixed(y, x, pairs, [name if names.index(name) == row else None for row, name in enumerate(names)])


@mistake(
    "When a name comes twice, only its last row gets the update.",
    "A dict from name to row keeps one row per name.",
    "Go through the rows, and look each one's name up.",
)
def _last_of_each_name(y, x, pairs, names):
    return my_mixed(y, x, pairs, [name if name not in names[row + 1 :] else None for row, name in enumerate(names)])


@mistake(
    "You put an adapter's A at the top of its zeros, and its B at the right end of its own.",
    "Number i of A x belongs to column i of B, so the two have to be padded on the same side.",
    "Where do the zeros of A lie, and where those of B?",
)
def _zeros_on_different_sides(y, x, pairs, names):
    r = max(len(pairs[name][0]) for name in names if name is not None)
    ends = {
        name: (F.pad(A, (0, 0, 0, r - len(A))), F.pad(B, (r - len(A), 0)))
        for name, (A, B) in pairs.items()
        if len(A) <= r
    }
    return my_mixed(y, x, ends, names)


@mistake(
    "Your adapters follow the tokens, not the rows.",
    "The first dimension of x counts the rows of the batch already.",
    "Does anything in your answer turn the first two dimensions of x?",
)
def _per_token(y, x, pairs, names):
    return y + (my_mixed(torch.zeros_like(y), x.transpose(0, 1), pairs, names)).transpose(0, 1)


@mistake(
    "You turn all three dimensions with .T, and the rows are no longer in front.",
    "For a matrix, .T and .mT are the same, but a stack of matrices has three dimensions.",
    "Try .mT, which turns the last two.",
)
def _all_dimensions_turned(y, x, pairs, names):
    stack = _stacked(x, y, pairs, names)
    return y + x @ stack[0].T @ stack[1].T


@mistake(
    "You multiply x by A as it lies, but A is r × in and x ends with in.",
    "A layer computes x @ W.T, not x @ W.",
    "Turn the last two dimensions of A and of B.",
)
def _not_turned(y, x, pairs, names):
    stack = _stacked(x, y, pairs, names)
    return y + x @ stack[0] @ stack[1]


def _stacked(x, y, pairs, names):
    """The A's and the B's of all rows, as :func:`my_mixed` stacks them."""
    r = max(len(pairs[name][0]) for name in names if name is not None)
    empty = x.new_zeros(0, x.shape[-1]), x.new_zeros(y.shape[-1], 0)
    chosen = [empty if name is None else pairs[name] for name in names]
    all_A = torch.stack([F.pad(A, (0, 0, 0, r - len(A))) for A, _ in chosen])
    return all_A, torch.stack([F.pad(B, (0, r - B.shape[1])) for _, B in chosen])


exercise(
    "10.1",
    title="A mixed batch",
    prompt="A layer answered y (rows × tokens × out) to x (rows × tokens × in). pairs has the adapters by name, each "
    "as (A, B): A is r × in with the scaling in it, B is out × r, and the ranks differ. names has a name or None "
    "for each row, and at least one isn't None. Write my_mixed(y, x, pairs, names): leave y as it is, and return a new "
    "tensor, y with each row's own update added. A loop over the rows passes.",
    minutes=15,
    difficulty=4,
    importance=5,
    solution=my_mixed,
    explanation="A product of three-dimensional tensors is a product per row, side by side. Rows of zeros in A, with "
    "columns of zeros in B, add nothing, so small ranks and rows without an adapter can take part. One call serves "
    "all rows.",
    # as many tokens as rows, so that taking one for the other gives numbers, and not an error
    cases=lambda: [_batch(["b", None, "a", "b"], {"a": 1, "b": 3, "c": 2}), _batch(["c", "a", "c"], {"a": 2, "c": 4})],
    hints=[
        "What would you add to y[i], if there were only row i? And what does @ do with stacks of matrices?",
        "Make two stacks of zeros, (rows, r, in) and (rows, out, r), for the largest r of the batch. Then write each "
        "row's A and B into its place.",
        "all_A[row, : len(A)] = A and all_B[row, :, : len(A)] = B; then y + x @ all_A.mT @ all_B.mT",
    ],
    mistakes=[
        _without_the_base,
        _none_is_zero,
        Mistake(
            _renamed(lambda names, pairs: [names[0]] * len(names)),
            "You give every row the adapter of row 0.",
            "In an ordinary layer, one matrix serves the whole batch. Here each row has its own.",
            "What in your answer depends on the row?",
        ),
        Mistake(
            _renamed(lambda names, pairs: [name and names[0] for name in names]),
            "All your rows with an adapter have the one of row 0.",
            "In an ordinary layer, one matrix serves the whole batch. Here each row has its own.",
            "What in your answer depends on the row?",
        ),
        Mistake(
            _renamed(lambda names, pairs: [list(pairs)[row % len(pairs)] for row in range(len(names))]),
            "You deal the adapters out in the order of pairs, whatever the names say.",
            "The rows come in any order, some twice, some without an adapter.",
            "Do you use names?",
        ),
        Mistake(
            _renamed(lambda names, pairs: sorted(names, key=lambda name: name is None)),
            "After a row without an adapter, each of your rows gets the adapter of the next one.",
            "The rows with None were left out before the others were numbered.",
            "Which number does the third row have in your loop?",
        ),
        Mistake(
            _renamed(lambda names, pairs: [name or list(pairs)[0] for name in names]),
            "Your rows for None get the first adapter.",
            "None means that the base answers alone.",
            "What does your answer add to a row without an adapter?",
        ),
        Mistake(
            _renamed(lambda names, pairs: [name or list(pairs)[-1] for name in names]),
            "Your rows for None get the last adapter.",
            "None means that the base answers alone.",
            "What does your answer add to a row without an adapter?",
        ),
        _sum_of_all,
        _sum_of_all_rows,
        _whole_bank,
        _first_of_each_name,
        _last_of_each_name,
        Mistake(
            lambda y, x, pairs, names: _row_by_row(
                lambda x, A, B: (
                    x @ A[: min(len(A) for A, _ in pairs.values())].T @ B[:, : min(len(A) for A, _ in pairs.values())].T
                )
            )(y, x, pairs, names),
            "You cut all adapters down to the smallest rank.",
            "That throws most of a large adapter away.",
            "How could the small ones grow instead?",
        ),
        Mistake(
            _row_by_row(lambda x, A, B: x @ A.T @ B.T / len(A)),
            "You divide each update by its rank.",
            "The scaling is in A already.",
            "Is there a division in your answer?",
        ),
        _zeros_on_different_sides,
        _per_token,
        _all_dimensions_turned,
        _not_turned,
    ],
    shows="Two batched products: what labkit's bank does in every layer.",
)


def _batch(names, ranks):
    """A case: `names` for the rows, as many tokens as rows, and adapters of these ranks."""
    rows = len(names)
    pairs = {name: (torch.randn(r, 4), torch.randn(5, r)) for name, r in ranks.items()}
    return Case(torch.randn(rows, rows, 5), torch.randn(rows, rows, 4), pairs, names)


# --- 10.2 ---------------------------------------------------------------------------------------------------


def my_closeness(message, examples):
    """The cosine between message and each adapter's mean example, both seen from the middle of all examples."""
    means = torch.stack([each.mean(0) for each in examples.values()])
    middle = means.mean(0)
    return F.cosine_similarity(means - middle, (message - middle)[None], dim=-1)


def _seen_from(middle_of_means, middle_of_message, compare=lambda means, one: F.cosine_similarity(means, one, dim=-1)):
    """The closeness when something else is taken off the means and off the message."""

    def closeness(message, examples):
        means = torch.stack([each.mean(0) for each in examples.values()])
        middle = means.mean(0)
        return compare(means - middle_of_means * middle, (message - middle_of_message * middle)[None])

    return closeness


@mistake(
    "You take the single example that's closest, not the mean of them.",
    "One odd example then decides. The mean is steadier, and it's what was asked for.",
    "Where do you take the mean over an adapter's examples?",
)
def _closest_single(message, examples):
    middle = torch.cat(list(examples.values())).mean(0)
    each = [F.cosine_similarity(few - middle, (message - middle)[None], dim=-1).max() for few in examples.values()]
    return torch.stack(each)


@mistake(
    "You take the mean of the cosines, not the cosine with the mean.",
    "A mean first lets what the examples don't share cancel out; a cosine of each example has no chance to.",
    "Which comes first in your answer, the mean or the cosine?",
)
def _mean_of_cosines(message, examples):
    middle = torch.cat(list(examples.values())).mean(0)
    each = [F.cosine_similarity(few - middle, (message - middle)[None], dim=-1).mean() for few in examples.values()]
    return torch.stack(each)


@mistake(
    "You take the mean over the numbers of a vector off it, not the middle of all examples.",
    "That shifts every number by the same amount. What messages have in common is a whole vector.",
    "What shape has the thing that you subtract?",
)
def _own_mean_off(message, examples):
    means = torch.stack([each.mean(0) for each in examples.values()])
    return F.cosine_similarity(means - means.mean(-1, keepdim=True), (message - message.mean())[None], dim=-1)


@mistake(
    "You subtract one number, the mean of all numbers in the examples.",
    "mean() without a dimension takes the mean over everything. What messages have in common is a whole vector.",
    "What shape has the thing that you subtract?",
)
def _one_number_off(message, examples):
    means = torch.stack([each.mean(0) for each in examples.values()])
    return F.cosine_similarity(means - means.mean(), (message - means.mean())[None], dim=-1)


exercise(
    "10.2",
    title="Which adapter is closest?",
    prompt="message (width,) is the mean of what a layer sees of a message. examples holds such means for a few "
    "training messages of each adapter, by name: count × width, with one count for all. Write my_closeness(message, "
    "examples): subtract the mean of all examples from the message and from each adapter's mean example, then "
    "give the cosine between the two, as a tensor in the order of examples.",
    minutes=6,
    difficulty=3,
    importance=3,
    solution=my_closeness,
    explanation="All messages share a large part, and with it in, every cosine is close to 1. Without it, what's left "
    "is what tells the tasks apart.",
    cases=lambda: [_messages(3, 4, 6), _messages(4, 2, 5)],
    hints=[
        "What shape has the mean of one adapter's examples, and what shape have all of those together?",
        "means = torch.stack([each.mean(0) for each in examples.values()])",
        "F.cosine_similarity(means - middle, (message - middle)[None], dim=-1)",
    ],
    mistakes=[
        Mistake(
            _seen_from(0, 0),
            "You don't take the mean of all examples off.",
            "What all messages have in common is large, and it pulls every cosine toward 1.",
            "What should be subtracted from the means, and from the message?",
        ),
        Mistake(
            _seen_from(1, 0),
            "You take the mean of all examples off the adapters' means, but not off the message.",
            "Two things can only be compared when they're seen from the same place.",
            "What do you do to message before the cosine?",
        ),
        Mistake(
            _seen_from(0, 1),
            "You take the mean of all examples off the message, but not off the adapters' means.",
            "Two things can only be compared when they're seen from the same place.",
            "What do you do to the means before the cosine?",
        ),
        Mistake(
            _seen_from(1, 1, lambda means, one: (means * one).sum(-1)),
            "You give products that aren't divided by the lengths.",
            "A cosine is the product of two vectors of length 1.",
            "Try F.cosine_similarity.",
        ),
        Mistake(
            _seen_from(1, 1, lambda means, one: (means - one).norm(dim=-1)),
            "You give distances.",
            "A distance is small for what's close, and depends on lengths. A cosine is large, and doesn't.",
            "Try F.cosine_similarity.",
        ),
        Mistake(
            _seen_from(1, 1, lambda means, one: -(means - one).norm(dim=-1)),
            "You give distances with a minus.",
            "A distance depends on lengths, and a cosine doesn't.",
            "Try F.cosine_similarity.",
        ),
        Mistake(
            lambda message, examples: my_closeness(message, examples).abs(),
            "You drop the sign of the cosines.",
            "Pointing the opposite way isn't close.",
            "Is there an abs in your answer?",
        ),
        Mistake(
            lambda message, examples: 1 - my_closeness(message, examples),
            "You give the cosine distance, which is small for what's close.",
            "One minus the cosine turns the order around.",
            "Is there a 1 − in your answer?",
        ),
        Mistake(
            lambda message, examples: my_closeness(message, examples).softmax(-1),
            "You make shares of the cosines.",
            "The order stays, but a cosine was asked for.",
            "Try it without the softmax.",
        ),
        Mistake(
            lambda message, examples: my_closeness(message, examples).argmax(),
            "You give the place of the closest one.",
            "How close each adapter is was asked for.",
            "Try it without the argmax.",
        ),
        _closest_single,
        _mean_of_cosines,
        _own_mean_off,
        _one_number_off,
    ],
    shows="Four numbers per message, and the largest one is the adapter.",
)


def _messages(adapters, count, width):
    """A case: a message and examples that share a large part, as real ones do."""
    shared = 2 * torch.randn(width)
    examples = {name: shared + torch.randn(width) + torch.randn(count, width) for name in "abcd"[:adapters]}
    return Case(shared + torch.randn(width), examples)


# --- 10.3 ---------------------------------------------------------------------------------------------------


def my_blend(adapters, weights):
    """The weighted sum of the updates, which is not made of averaged factors."""
    return sum(weight * scaling * B @ A for (A, B, scaling), weight in zip(adapters, weights))


@mistake(
    "You blend the A's and the B's separately.",
    "Then one adapter's B meets the other's A, and each weight counts twice.",
    "Multiply first, then add.",
)
def _factors_apart(adapters, weights):
    A = sum(weight * A for (A, _, _), weight in zip(adapters, weights))
    return sum(weight * scaling * B for (_, B, scaling), weight in zip(adapters, weights)) @ A


@mistake(
    "You blend the A's and the B's separately, without the scaling.",
    "Then one adapter's B meets the other's A.",
    "Multiply each adapter's own B, A and scaling first, then add.",
)
def _factors_apart_unscaled(adapters, weights):
    A = sum(weight * A for (A, _, _), weight in zip(adapters, weights))
    return sum(weight * B for (_, B, _), weight in zip(adapters, weights)) @ A


@mistake(
    "You add up the A's, and the B's, before you multiply them.",
    "The weights count once, as they should, but one adapter's B still meets the other's A.",
    "Multiply each pair first, and then add.",
)
def _weights_on_A(adapters, weights):
    A = sum(weight * scaling * A for (A, _, scaling), weight in zip(adapters, weights))
    return sum(B for _, B, _ in adapters) @ A


@mistake(
    "You add up the B's, and the A's, before you multiply them.",
    "The weights count once, as they should, but one adapter's B still meets the other's A.",
    "Multiply each pair first, and then add.",
)
def _weights_on_B(adapters, weights):
    B = sum(weight * scaling * B for (_, B, scaling), weight in zip(adapters, weights))
    return B @ sum(A for A, _, _ in adapters)


@mistake(
    "You blend the A's and the B's separately, and take the first scaling for all.",
    "Then one adapter's B meets the other's A, and each has a scaling of its own.",
    "Multiply each adapter's own B, A and scaling first, then add.",
)
def _factors_apart_first_scaling(adapters, weights):
    A = sum(weight * A for (A, _, _), weight in zip(adapters, weights))
    return adapters[0][2] * sum(weight * B for (_, B, _), weight in zip(adapters, weights)) @ A


@mistake(
    "You add up the A's, each times its weight, and the B's, each times its scaling, before you multiply them.",
    "Each factor counts once, as it should, but one adapter's B still meets the other's A.",
    "Multiply each pair first, and then add.",
)
def _weights_on_A_scaling_on_B(adapters, weights):
    A = sum(weight * A for (A, _, _), weight in zip(adapters, weights))
    return sum(scaling * B for _, B, scaling in adapters) @ A


@mistake(
    "You count each weight and each scaling twice.",
    "A factor on A and on B is squared in the product.",
    "Put them on one of the two.",
)
def _all_twice(adapters, weights):
    return sum((weight * scaling) ** 2 * B @ A for (A, B, scaling), weight in zip(adapters, weights))


@mistake(
    "You blend the A's and the B's separately, each with the root of its weight.",
    "The roots mend the weights, but one adapter's B still meets the other's A.",
    "Multiply first, then add.",
)
def _factors_by_roots(adapters, weights):
    parts = [(weight * scaling, A, B) for (A, B, scaling), weight in zip(adapters, weights)]
    A = sum(math.copysign(abs(factor) ** 0.5, factor) * A for factor, A, _ in parts)  # the sign once, as in PEFT
    return sum(abs(factor) ** 0.5 * B for factor, _, B in parts) @ A


@mistake(
    "You blend the A's and the B's separately, each with the root of its weight, and some roots are complex.",
    "A weight below zero has no real root. And one adapter's B still meets the other's A.",
    "Multiply first, then add.",
)
def _factors_by_complex_roots(adapters, weights):
    roots = [weight**0.5 * scaling**0.5 for (_, _, scaling), weight in zip(adapters, weights)]
    A = sum(root * A for root, (A, _, _) in zip(roots, adapters))
    return sum(root * B for root, (_, B, _) in zip(roots, adapters)) @ A


@mistake(
    "You left the scaling out.",
    "B A alone isn't the update yet: it includes α/r, and each adapter has its own.",
    "Where does the scaling go, next to B A?",
)
def _without_scaling(adapters, weights):
    return sum(weight * B @ A for (A, B, _), weight in zip(adapters, weights))


@mistake("You count each scaling twice.", "A factor on A and on B is squared in the product.", "Put it on one of them.")
def _scaling_twice(adapters, weights):
    return my_blend([(A, B, scaling**2) for A, B, scaling in adapters], weights)


@mistake(
    "You divide by the scaling.", "The update is scaling · B A, so the scaling multiplies.", "Where's your division?"
)
def _divided_by_scaling(adapters, weights):
    return my_blend([(A, B, 1 / scaling) for A, B, scaling in adapters], weights)


@mistake("You count each weight twice.", "A factor on A and on B is squared in the product.", "Put it on one of them.")
def _weights_twice(adapters, weights):
    return sum((weight * scaling * B) @ (weight * A) for (A, B, scaling), weight in zip(adapters, weights))


@mistake(
    "You make the weights add up to 1.",
    "A blend takes them as they are: two adapters at 1 both count in full.",
    "Leave the division out.",
)
def _made_to_sum_to_one(adapters, weights):
    return my_blend(adapters, [weight / sum(weights) for weight in weights])


@mistake(
    "You don't use the weights.",
    "Without them, it's the sum of the updates in full.",
    "Multiply each update by its weight.",
)
def _unweighted(adapters, weights):
    return my_blend(adapters, [1.0] * len(weights))


@mistake(
    "Your blend only has the first two adapters in it.",
    "There may be any number of them.",
    "Go through both lists to their ends: zip(adapters, weights).",
)
def _first_two(adapters, weights):
    return my_blend(adapters[:2], weights[:2])


@mistake("You treat a weight below zero like one above.", "A negative weight takes an update away.", "Leave abs out.")
def _without_signs(adapters, weights):
    return my_blend(adapters, [abs(weight) for weight in weights])


exercise(
    "10.3",
    title="A true blend",
    prompt="`adapters` is a list of (A, B, scaling), all of one layer, and `weights` a list of as many numbers. Write "
    "my_blend(adapters, weights): the blended update of the layer, out × in.",
    minutes=4,
    difficulty=2,
    importance=5,
    solution=my_blend,
    explanation="An update is a product, and a product of sums isn't the sum of the products. Average the A's and the "
    "B's separately, and you get one adapter's B times another's A, which was never trained.",
    # equal ranks, so that adding up the factors gives numbers, and not an error
    cases=lambda: [
        Case([(torch.randn(2, 5), torch.randn(4, 2), 2.0), (torch.randn(2, 5), torch.randn(4, 2), 0.5)], [0.75, 0.5]),
        Case([(torch.randn(1, 3), torch.randn(3, 1), each) for each in (4.0, 1.0, 2.0)], [0.3, 0.3, -0.4]),
    ],
    hints=[
        "What is the update of one adapter alone?",
        "First each adapter's own product, with its scaling; then the weighted sum of these.",
        "sum(weight * scaling * B @ A for (A, B, scaling), weight in zip(adapters, weights))",
    ],
    mistakes=[
        _factors_apart,
        _factors_apart_unscaled,
        _weights_on_A,
        _weights_on_B,
        _factors_by_roots,
        _factors_by_complex_roots,
        _without_scaling,
        _weights_twice,
        _all_twice,
        _factors_apart_first_scaling,
        _weights_on_A_scaling_on_B,
        _scaling_twice,
        _divided_by_scaling,
        _made_to_sum_to_one,
        _unweighted,
        _first_two,
        _without_signs,
    ],
    shows="That's what labkit's bank adds, and it never forms an out × in matrix.",
)


# --- 10.4 ---------------------------------------------------------------------------------------------------


def my_rent(count, r, layers):
    """r · (in + out) numbers per layer, four bytes each, for every adapter."""
    return count * sum(4 * r * (inputs + outputs) for inputs, outputs in layers)


@mistake(
    "You count whole matrices.",
    "in · out is what full fine-tuning has to keep for each task.",
    "How many numbers do A and B have for one layer?",
)
def _whole_matrices(count, r, layers):
    return count * sum(4 * inputs * outputs for inputs, outputs in layers)


@mistake("You left B out.", "An update has two factors.", "Add r · out for each layer.")
def _only_A(count, r, layers):
    return count * sum(4 * r * inputs for inputs, _ in layers)


@mistake("You left A out.", "An update has two factors.", "Add r · in for each layer.")
def _only_B(count, r, layers):
    return count * sum(4 * r * outputs for _, outputs in layers)


@mistake(
    "You multiply in and out.",
    "A and B are two matrices, and their numbers add up.",
    "Count r · in for A, and r · out for B.",
)
def _in_times_out(count, r, layers):
    return count * sum(4 * r * inputs * outputs for inputs, outputs in layers)


@mistake(
    "You count every layer like the first.",
    "Each layer has its own in and out: k and v are narrower than q.",
    "Go through `layers`, each with its own in and out.",
)
def _first_layer_for_all(count, r, layers):
    return count * 4 * r * sum(layers[0]) * len(layers)


@mistake("You count numbers, not bytes.", "float32 takes four bytes.", "Multiply by four.")
def _numbers_not_bytes(count, r, layers):
    return count * sum(r * (inputs + outputs) for inputs, outputs in layers)


@mistake(
    "You count two bytes per number.", "That's float16. A float32 number has 32 bits.", "How many bytes are 32 bits?"
)
def _two_bytes(count, r, layers):
    return my_rent(count, r, layers) // 2


@mistake("You left r out.", "A has r rows and B has r columns.", "How does the number of values depend on r?")
def _without_r(count, r, layers):
    return my_rent(count, 1, layers)


@mistake("You count one adapter.", "There are `count` of them.", "Multiply by count.")
def _one_adapter(count, r, layers):
    return sum(4 * r * (inputs + outputs) for inputs, outputs in layers)


@mistake(
    "You took every layer for a square one.",
    "k and v are narrower than q in this model, and B has `out` rows.",
    "Use inputs + outputs, not twice the inputs.",
)
def _square_layers(count, r, layers):
    return count * sum(4 * r * 2 * inputs for inputs, _ in layers)


@mistake(
    "You count the layers themselves, too.",
    "The base is in memory once, for all adapters together.",
    "How many numbers do A and B have for one layer?",
)
def _with_the_layers(count, r, layers):
    return count * sum(4 * (inputs * outputs + r * (inputs + outputs)) for inputs, outputs in layers)


exercise(
    "10.4",
    title="What many adapters weigh",
    prompt="`layers` is a list of (in, out), one pair for each adapted layer. Write my_rent(count, r, layers): the "
    "bytes of `count` adapters of rank r in float32.",
    minutes=4,
    difficulty=1,
    importance=4,
    solution=my_rent,
    explanation="It grows in a straight line with the number of adapters. The base isn't in it: you need it once.",
    cases=lambda: [
        Case(1000, 8, [(576, 192), (576, 576)] * 30),  # v and q of the course's base
        Case(100, 16, [(4096, 4096), (4096, 1024), (4096, 1024), (4096, 4096)] * 32),
    ],
    hints=[
        "How many numbers are in A, and how many in B?",
        "A is r × in, B is out × r, and a float32 number takes 4 bytes.",
        "count * sum(4 * r * (inputs + outputs) for inputs, outputs in layers)",
    ],
    mistakes=[
        _whole_matrices,
        _only_A,
        _only_B,
        _in_times_out,
        _first_layer_for_all,
        _numbers_not_bytes,
        _two_bytes,
        _without_r,
        _one_adapter,
        _square_layers,
        _with_the_layers,
    ],
    shows="A hundred adapters of an 8B model (r = 16 on q, k, v, o) take less than half of what the model takes in 16 "
    "bits.",
)
