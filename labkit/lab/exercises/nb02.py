"""Exercises of notebook 02: what a step holds, what it computes, how it grows with depth, what it costs."""

import torch

from labkit.lab.exercises import Case, Mistake, exercise

# --- 02.1 ---------------------------------------------------------------------------------------------------


def my_bytes(numbers, trained, size):
    """Every number is there once; a trained one has a gradient and two averages besides."""
    return size * (numbers + 3 * trained)


def _all_trained(numbers, trained, size):
    return size * 4 * numbers


def _one_average(numbers, trained, size):
    return size * (numbers + 2 * trained)


def _no_gradient_but_averages(numbers, trained, size):
    return size * numbers + size * trained


def _trained_twice(numbers, trained, size):
    return size * (numbers + 4 * trained)


def _only_trained(numbers, trained, size):
    return size * 4 * trained


def _in_bits(numbers, trained, size):
    return 8 * size * (numbers + 3 * trained)


exercise(
    "02.1",
    title="What a step holds",
    prompt="A model has `numbers` numbers (adapters included), of which `trained` are trained by AdamW. Each takes "
    "`size` bytes. Write my_bytes(numbers, trained, size): the bytes of weights, gradients and Adam's averages.",
    minutes=4,
    difficulty=1,
    importance=5,
    solution=my_bytes,
    explanation="With trained = numbers this is full fine-tuning, 4 · size bytes a number. With LoRA, `trained` is so "
    "small that little more than the weights is left.",
    cases=lambda: [Case(134_515_008, 134_515_008, 4), Case(136_957_248, 2_442_240, 4), Case(1000, 10, 2)],
    hints=[
        "What does a frozen number need? And a trained one?",
        "A trained number has a gradient and two averages, each as large as itself.",
        "size * (numbers + 3 * trained)",
    ],
    mistakes=[
        Mistake(
            _all_trained,
            "Every number has a gradient and averages.",
            "Frozen numbers have neither: that is what LoRA is for.",
            "Which of the four parts are as many as `trained`?",
        ),
        Mistake(
            _one_average,
            "There is one average too few.",
            "Adam keeps a running mean of the gradients, and one of their squares.",
            "How many numbers does Adam keep for each trained one?",
        ),
        Mistake(
            _no_gradient_but_averages,
            "Only one number is kept beside each trained one.",
            "There is the gradient, and Adam has two averages.",
            "Three parts are as many as `trained`.",
        ),
        Mistake(
            _trained_twice,
            "The trained numbers themselves are counted twice.",
            "They are among `numbers` already.",
            "Which three parts come on top?",
        ),
        Mistake(
            _only_trained,
            "The frozen numbers are missing.",
            "They are not trained, but they have to be in memory.",
            "What multiplies with the inputs?",
        ),
        Mistake(_in_bits, "That is eight times too much.", "It is counted in bits.", "`size` is in bytes already."),
    ],
    shows="The first case is the full fine-tuning of our base, the second its LoRA at rank 8.",
)

# --- 02.2 ---------------------------------------------------------------------------------------------------


def my_lora_numbers(shapes, r):
    """A is r × in, B is out × r."""
    return sum(r * (rows + columns) for rows, columns in shapes)


def _the_update_itself(shapes, r):
    return sum(rows * columns for rows, columns in shapes)


def _a_product(shapes, r):
    return sum(r * rows * columns for rows, columns in shapes)


def _square(shapes, r):
    return sum(r * 2 * max(rows, columns) for rows, columns in shapes)


def _only_a(shapes, r):
    return sum(r * columns for _, columns in shapes)


def _only_the_first(shapes, r):
    return r * sum(shapes[0])


exercise(
    "02.2",
    title="The numbers of an adapter",
    prompt="`shapes` lists the adapted layers' (out, in). Write my_lora_numbers(shapes, r): how many numbers LoRA of "
    "rank r trains in all.",
    minutes=4,
    difficulty=2,
    importance=4,
    solution=my_lora_numbers,
    explanation="The second case is Llama-3 8B with q, k, v, o at rank 16: 13,631,488. Keys and values are narrower "
    "there than the rest (grouped queries), and who overlooks it counts nearly a quarter too many.",
    cases=lambda: [
        Case([(576, 576), (192, 576)], 8),
        Case([(4096, 4096), (1024, 4096), (1024, 4096), (4096, 4096)] * 32, 16),
        Case([(3, 5)], 1),
    ],
    hints=[
        "For one layer: which two matrices are trained, and what are their shapes?",
        "A has r × in numbers, B has out × r.",
        "sum(r * (rows + columns) for rows, columns in shapes)",
    ],
    mistakes=[
        Mistake(
            _the_update_itself,
            "Those are the numbers of the weights.",
            "LoRA trains two thin factors in place of a whole update.",
            "Where is r?",
        ),
        Mistake(
            _a_product,
            "Rows and columns are multiplied.",
            "A and B stand side by side in memory; their product is not kept.",
            "Add the sizes of A and B.",
        ),
        Mistake(
            _square,
            "Every layer is counted as if it were square.",
            "With grouped queries, keys and values are narrower than the queries.",
            "Use both numbers of each shape.",
        ),
        Mistake(_only_a, "B is missing.", "Each layer has an A and a B.", "B has out × r numbers."),
        Mistake(
            _only_the_first,
            "Only the first layer is counted.",
            "Every layer of the list has an adapter of its own.",
            "Sum over all shapes.",
        ),
    ],
    shows="This is exact, and `labkit.trainable_parameters` will say the same.",
)

# --- 02.3 ---------------------------------------------------------------------------------------------------


def my_step_flops(weights, tokens, frozen, checkpointing):
    """Two operations a weight, token and pass: forward, for the inputs, for the weights, and forward again."""
    passes = 2 + (not frozen) + checkpointing
    return 2 * weights * tokens * passes


def _frozen_costs_nothing(weights, tokens, frozen, checkpointing):
    return 2 * weights * tokens * ((1 if frozen else 3) + checkpointing)


def _one_operation(weights, tokens, frozen, checkpointing):
    return my_step_flops(weights, tokens, frozen, checkpointing) // 2


def _checkpointing_is_free(weights, tokens, frozen, checkpointing):
    return my_step_flops(weights, tokens, frozen, False)


def _always_three(weights, tokens, frozen, checkpointing):
    return my_step_flops(weights, tokens, False, checkpointing)


def _checkpointing_doubles(weights, tokens, frozen, checkpointing):
    return my_step_flops(weights, tokens, frozen, False) * (2 if checkpointing else 1)


exercise(
    "02.3",
    title="The operations of a step",
    prompt="A model's linear layers have `weights` numbers, and `tokens` tokens go through them. Write "
    "my_step_flops(weights, tokens, frozen, checkpointing): the operations of a step, a multiplication and an addition "
    "being two; `frozen` and `checkpointing` are True or False. Leave out attention and adapters.",
    minutes=6,
    difficulty=3,
    importance=4,
    solution=my_step_flops,
    explanation="Each of the products x Wᵀ, grad W and gradᵀ x takes 2 operations a weight and token. Only the last is "
    "the gradient of W, and only that is saved when W is frozen. Checkpointing does the first once more.",
    cases=lambda: [
        Case(1000, 7, False, False),
        Case(1000, 7, True, False),
        Case(106_168_320, 512, False, True),
        Case(106_168_320, 512, True, True),
    ],
    hints=[
        "Which products with W, or of its shape, does a step take? Count them for a trained W first.",
        "Forward x Wᵀ; backward grad W for the input, and gradᵀ x for W itself, if it is trained.",
        "2 * weights * tokens * (2 + (not frozen) + checkpointing)",
    ],
    mistakes=[
        Mistake(
            _frozen_costs_nothing,
            "With frozen weights there is no way back.",
            "The gradient has to pass through this layer to reach the adapters of those below.",
            "Which of the two products of the backward pass gives W's own gradient?",
        ),
        Mistake(
            _one_operation,
            "That is half of it.",
            "A product of matrices multiplies and adds.",
            "A multiplication and an addition are two operations.",
        ),
        Mistake(
            _checkpointing_is_free,
            "Checkpointing changes nothing.",
            "What was not kept has to be computed again.",
            "One more forward pass.",
        ),
        Mistake(
            _always_three,
            "Freezing changes nothing.",
            "A frozen W needs no gradient of its own.",
            "Which of the three products can be left out?",
        ),
        Mistake(
            _checkpointing_doubles,
            "With checkpointing everything is done twice.",
            "Only the forward pass is.",
            "Add one product, whatever the others are.",
        ),
    ],
    shows="So frozen weights leave two thirds of the work, and checkpointing adds a third of full fine-tuning's.",
)

# --- 02.4 ---------------------------------------------------------------------------------------------------


def my_peak(three, four, depth):
    """Each moment grows by the same bytes a layer; the peak is the highest of them at that depth."""
    return (three + (four - three) * (depth - 3)).max()


def _the_peak_grows(three, four, depth):
    return three.max() + (four.max() - three.max()) * (depth - 3)


def _one_layer_too_few(three, four, depth):
    return (three + (four - three) * (depth - 4)).max()


def _in_proportion(three, four, depth):
    return (four * depth / 4).max()


def _all_moments(three, four, depth):
    return three + (four - three) * (depth - 3)


def _they_add_up(three, four, depth):
    return (three + (four - three) * (depth - 3)).sum()


def _peaks_with_different_phases():
    return [
        Case(torch.tensor([5.0, 6.0, 9.0]), torch.tensor([7.0, 8.0, 9.5]), 30),
        Case(torch.tensor([1.0, 8.0, 2.0]), torch.tensor([2.0, 8.0, 4.0]), 80),
        Case(torch.tensor([4.0, 3.0, 2.0]), torch.tensor([5.0, 3.5, 2.5]), 6),
    ]


exercise(
    "02.4",
    title="Eighty layers from three and four",
    prompt="`three` and `four` hold the gigabytes at the same moments of a step, of a model with three layers and of "
    "one with four. Write my_peak(three, four, depth): the most that it holds with `depth` such layers, as a tensor.",
    minutes=6,
    difficulty=3,
    importance=3,
    solution=my_peak,
    explanation="Each moment is a line in the number of layers. Their maximum is not: with few layers one moment may "
    "be the highest, with many another. So extrapolate first, and take the maximum last.",
    cases=_peaks_with_different_phases,
    hints=[
        "How much does one more layer add to each moment? How many more than three are there?",
        "three + (four - three) * (depth - 3) is a tensor of moments. What is the peak of it?",
        "(three + (four - three) * (depth - 3)).max()",
    ],
    mistakes=[
        Mistake(
            _the_peak_grows,
            "You drew the line through the two peaks.",
            "The highest moment with three layers need not be the highest with eighty.",
            "Extrapolate each moment, and take the maximum at the end.",
        ),
        Mistake(
            _one_layer_too_few,
            "It is one layer too few.",
            "You began to count at four, with the memory of three.",
            "How many layers has `three` to gain?",
        ),
        Mistake(
            _in_proportion,
            "You took it to be in proportion to the layers.",
            "Embeddings and logits do not grow with them.",
            "What does one more layer add?",
        ),
        Mistake(_all_moments, "Those are all moments.", "The peak is one of them.", "Take the highest."),
        Mistake(
            _they_add_up,
            "The moments are added up.",
            "They come one after the other; memory is used again.",
            "Take the highest.",
        ),
    ],
    shows="This is how the explorer answers for seventy billion numbers in less than a second.",
)

# --- 02.5 ---------------------------------------------------------------------------------------------------


def my_money(flops, steps, peak, utilisation, price):
    """Seconds are operations over those done in a second; an hour has 3,600 of them."""
    return flops * steps / (peak * utilisation) / 3600 * price


def _at_full_speed(flops, steps, peak, utilisation, price):
    return flops * steps / peak / 3600 * price


def _faster_when_idle(flops, steps, peak, utilisation, price):
    return flops * steps / peak * utilisation / 3600 * price


def _price_a_second(flops, steps, peak, utilisation, price):
    return flops * steps / (peak * utilisation) * price


def _one_step(flops, steps, peak, utilisation, price):
    return flops / (peak * utilisation) / 3600 * price


def _hours(flops, steps, peak, utilisation, price):
    return flops * steps / (peak * utilisation) / 3600


exercise(
    "02.5",
    title="The bill",
    prompt="A step takes `flops` operations. A card can do `peak` of them a second, of which your program reaches the "
    "share `utilisation`; an hour of it costs `price`. Write my_money(flops, steps, peak, utilisation, price).",
    minutes=4,
    difficulty=2,
    importance=3,
    solution=my_money,
    explanation="The operations can be counted, the peak is on the data sheet, the price on a bill. The utilisation is "
    "the guess in it: 0.5 is good, 0.1 happens. Whoever states a price without it has guessed silently.",
    cases=lambda: [Case(31.3e12, 5000, 312e12, 0.3, 2.0), Case(1e15, 100, 989.4e12, 0.5, 3.5)],
    hints=[
        "How many operations in all, and how many are done in a second?",
        "From seconds to hours, from hours to money.",
        "flops * steps / (peak * utilisation) / 3600 * price",
    ],
    mistakes=[
        Mistake(
            _at_full_speed,
            "The card works at its peak.",
            "No training does: memory, small products and waiting take their share.",
            "Where is `utilisation`?",
        ),
        Mistake(
            _faster_when_idle,
            "The less of the card is used, the sooner you are done.",
            "A low utilisation makes the card slower, and the hours more.",
            "On which side of the fraction does it belong?",
        ),
        Mistake(
            _price_a_second,
            "You pay the price of an hour for each second.",
            "Operations over operations a second are seconds.",
            "Divide by 3,600.",
        ),
        Mistake(_one_step, "That is one step.", "There are `steps` of them.", "Where is `steps`?"),
        Mistake(_hours, "Those are hours.", "An hour has a price.", "Multiply by `price`."),
    ],
    shows="Now put in your own card and your own price.",
)
