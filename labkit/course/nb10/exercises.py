"""Exercises of notebook 10: one adapter a row, ranks that differ, a true blend, what many adapters weigh."""

import math

import torch

from labkit.lab.checking import Case, exercise, mistake

# --- 10.1 ---------------------------------------------------------------------------------------------------


def my_rows(y, x, A, B):
    """Row i of the batch gets the update of its own A[i] and B[i]."""
    return y + x @ A.mT @ B.mT


@mistake(
    "You give every row the adapter of row 0.",
    "In a layer, one matrix serves a whole batch. Here each row has a matrix of its own.",
    "Leave the index out: @ goes through the rows by itself.",
)
def _first_for_all(y, x, A, B):
    return y + x @ A[0].T @ B[0].T


@mistake(
    "You give every row the same, because you average A and B over the rows.",
    "An average of adapters isn't the adapter of any row.",
    "Keep the first dimension.",
)
def _mean_of_all(y, x, A, B):
    return y + x @ A.mean(0).T @ B.mean(0).T


@mistake(
    "You give every row the updates of all rows.",
    "The loop adds each adapter to the whole batch.",
    "Which row of x goes with A[i] and B[i]?",
)
def _sum_of_all(y, x, A, B):
    return y + sum(x @ A[i].T @ B[i].T for i in range(len(A)))


@mistake("You left the base's answer out.", "The update comes on top of what the layer answered.", "Where does y go?")
def _without_the_base(y, x, A, B):
    return x @ A.mT @ B.mT


@mistake(
    "You turn all three dimensions with A.T, and the rows are no longer in front.",
    "For a matrix, .T and .mT are the same, but this has three dimensions.",
    "Try .mT, which turns the last two.",
)
def _all_dimensions_turned(y, x, A, B):
    return y + x @ A.T @ B.T


@mistake(
    "Your x @ A doesn't fit: A is rows × r × in, and x ends with in.",
    "A layer computes x @ W.T, not x @ W.",
    "Turn the last two dimensions of A and of B.",
)
def _not_turned(y, x, A, B):
    return y + x @ A @ B


@mistake(
    "Your adapters follow the tokens, not the rows.",
    "The first dimension of x counts rows already.",
    "Leave the dimensions of x as they are.",
)
def _per_token(y, x, A, B):
    # square in rows and tokens: the adapter follows the token, not the row
    return y + (x.transpose(0, 1) @ A.mT @ B.mT).transpose(0, 1)


exercise(
    "10.1",
    title="One adapter a row",
    prompt="A layer answered `y` (rows × tokens × out) to `x` (rows × tokens × in). A (rows × r × in, scaling in it) "
    "and B (rows × out × r) hold the adapter of each row. Write my_rows(y, x, A, B): the answer with each row's own "
    "update added.",
    minutes=5,
    difficulty=2,
    importance=5,
    solution=my_rows,
    explanation="A product of three-dimensional tensors is a product for each row, side by side. `.mT` transposes the "
    "last two dimensions and leaves the rows where they are. One call serves all rows, whatever their adapters.",
    # as many tokens as rows, so that who takes one for the other gets numbers, and not an error
    cases=lambda: [
        Case(torch.randn(3, 3, 5), torch.randn(3, 3, 4), torch.randn(3, 2, 4), torch.randn(3, 5, 2)),
        Case(torch.randn(4, 4, 6), torch.randn(4, 4, 6), torch.randn(4, 1, 6), torch.randn(4, 6, 1)),
    ],
    hints=[
        "For one row it is x[i] @ A[i].T @ B[i].T. What does @ do with a dimension in front?",
        "A.T would turn all three dimensions round; A.mT turns the last two.",
        "y + x @ A.mT @ B.mT",
    ],
    mistakes=[
        _first_for_all,
        _mean_of_all,
        _sum_of_all,
        _without_the_base,
        _all_dimensions_turned,
        _not_turned,
        _per_token,
    ],
    shows="Two batched products: what `labkit`'s bank does in every layer.",
)

# --- 10.2 ---------------------------------------------------------------------------------------------------


def my_stack(matrices):
    """Each matrix below zeros, so that all are as high as the highest: shape (rows, r, in)."""
    r = max(len(matrix) for matrix in matrices)
    stacked = torch.zeros(len(matrices), r, matrices[0].shape[1])
    for row, matrix in enumerate(matrices):
        stacked[row, : len(matrix)] = matrix
    return stacked


@mistake(
    "You cut them all to the smallest rank.",
    "That throws away most of a large adapter.",
    "How could the small ones grow?",
)
def _cut_to_the_smallest(matrices):
    r = min(len(matrix) for matrix in matrices)
    return torch.stack([matrix[:r] for matrix in matrices])


@mistake(
    "You fill the small ones up with their own rows.",
    "A row that's there twice counts twice.",
    "What must an extra row be, to add nothing?",
)
def _repeated(matrices):
    r = max(len(matrix) for matrix in matrices)
    return torch.stack([matrix[torch.arange(r) % len(matrix)] for matrix in matrices])


@mistake(
    "You fill the rest with ones.",
    "A row of ones adds up the whole input, and B would spread that out.",
    "What must an extra row be, to add nothing?",
)
def _filled_with_ones(matrices):
    stacked = my_stack(matrices)
    for row, matrix in enumerate(matrices):
        stacked[row, len(matrix) :] = 1
    return stacked


@mistake(
    "You put the zeros on top.",
    "That would do if B were filled up on the same side, but here the zeros go below.",
    "Start writing at row 0.",
)
def _zeros_on_top(matrices):
    return torch.stack([each.roll(len(each) - len(matrix), 0) for each, matrix in zip(my_stack(matrices), matrices)])


@mistake(
    "You put the matrices below one another, in one.",
    "That's a blend of them all. Here each row of the batch keeps its own.",
    "What should the first dimension count?",
)
def _end_to_end(matrices):
    return torch.cat(matrices)


exercise(
    "10.2",
    title="Ranks that differ",
    prompt="`matrices` is a list of A's, one for each row of a batch, of shapes (r₁, in), (r₂, in), …. Write "
    "my_stack(matrices): one tensor (rows, r, in), r the largest rank, the smaller ones filled up with zeros below.",
    minutes=6,
    difficulty=2,
    importance=4,
    solution=my_stack,
    explanation="A row of zeros in A gives a zero, which B multiplies into nothing: the update is the same to the "
    "last bit. It costs some work, and makes one product out of many.",
    cases=lambda: [
        Case([torch.randn(2, 3), torch.randn(4, 3), torch.randn(1, 3)]),
        Case([torch.randn(1, 5), torch.randn(3, 5)]),
    ],
    hints=[
        "A batched product wants equal shapes. Which extra rows of A change nothing?",
        "Make a tensor of zeros of the final shape, then write each matrix into its place.",
        "stacked[row, : len(matrix)] = matrix",
    ],
    mistakes=[
        _cut_to_the_smallest,
        _repeated,
        _filled_with_ones,
        _zeros_on_top,
        _end_to_end,
    ],
    shows="A layer that an adapter leaves alone is the same case, with r = 0.",
)

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
    "You blend the A's and the B's separately, each with the root of its weight.",
    "The roots mend the weights, but one adapter's B still meets the other's A.",
    "Multiply first, then add.",
)
def _factors_by_roots(adapters, weights):
    parts = [(weight * scaling, A, B) for (A, B, scaling), weight in zip(adapters, weights)]
    A = sum(math.copysign(abs(factor) ** 0.5, factor) * A for factor, A, _ in parts)  # the sign once, as in PEFT
    return sum(abs(factor) ** 0.5 * B for factor, _, B in parts) @ A


@mistake(
    "You left the scaling out.",
    "B A alone isn't the update yet: it includes α/r, and each adapter has its own.",
    "Where does the scaling go, next to B A?",
)
def _without_scaling(adapters, weights):
    return sum(weight * B @ A for (A, B, _), weight in zip(adapters, weights))


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
    minutes=5,
    difficulty=2,
    importance=5,
    solution=my_blend,
    explanation="An update is a product, and a product of sums is not the sum of the products: averaging the A's and "
    "the B's apart brings in B of one adapter times A of another, which nobody ever trained.",
    # equal ranks, so that who adds up the factors gets numbers, and not an error
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
        _without_scaling,
        _weights_twice,
        _made_to_sum_to_one,
        _unweighted,
        _first_two,
        _without_signs,
    ],
    shows="That is what `bank.blend` adds, layer by layer, without ever forming an out × in matrix.",
)

# --- 10.4 ---------------------------------------------------------------------------------------------------


def my_rent(count, r, layers):
    """r · (in + out) numbers a layer, four bytes each, for every adapter."""
    return count * sum(4 * r * (inputs + outputs) for inputs, outputs in layers)


@mistake(
    "You count whole matrices.",
    "in · out is what full fine-tuning would keep for each task.",
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
    "k and v are narrower than q in this model.",
    "Go through `layers`, each with its own in and out.",
)
def _first_layer_for_all(count, r, layers):
    return count * 4 * r * sum(layers[0]) * len(layers)


@mistake("You count numbers, not bytes.", "float32 takes four bytes.", "Multiply by four.")
def _numbers_not_bytes(count, r, layers):
    return count * sum(r * (inputs + outputs) for inputs, outputs in layers)


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


exercise(
    "10.4",
    title="What many adapters weigh",
    prompt="`layers` is a list of (in, out), one pair for each adapted layer. Write my_rent(count, r, layers): the "
    "bytes of `count` adapters of rank r in float32.",
    minutes=5,
    difficulty=1,
    importance=4,
    solution=my_rent,
    explanation="The bill grows in a line with the number of adapters. The base is not on it: it is paid for once.",
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
        _one_adapter,
        _square_layers,
    ],
    shows="A hundred adapters of an 8B model (r = 16 on q, k, v, o) take less than half of what the model takes in 16 "
    "bits.",
)
