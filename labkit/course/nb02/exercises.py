"""Exercises of notebook 02: what a step holds, what it computes, how it grows with depth, what it costs."""

import math

import torch

from labkit.lab.checking import Case, Mistake, exercise

# --- 02.1 ---------------------------------------------------------------------------------------------------


def my_bytes(numbers, trained, size):
    """Every number is there once; a trained one has a gradient and two averages besides."""
    return size * (numbers + 3 * trained)


def _all_trained(numbers, trained, size):
    return size * 4 * numbers


def _three_of_four(numbers, trained, size):
    return size * (numbers + 2 * trained)


def _averages_for_all(numbers, trained, size):
    return size * (3 * numbers + trained)


def _gradients_for_all(numbers, trained, size):
    return size * (2 * numbers + 2 * trained)


def _no_gradient_but_averages(numbers, trained, size):
    return size * numbers + size * trained


def _trained_twice(numbers, trained, size):
    return size * (numbers + 4 * trained)


def _only_trained(numbers, trained, size):
    return size * 4 * trained


def _in_bits(numbers, trained, size):
    return 8 * size * (numbers + 3 * trained)


def _numbers_not_bytes(numbers, trained, size):
    return numbers + 3 * trained


def _always_float32(numbers, trained, size):
    return 4 * numbers + 12 * trained


def _brackets_forgotten(numbers, trained, size):
    return size * numbers + 3 * trained


def _weights_alone(numbers, trained, size):
    return size * numbers


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
            _three_of_four,
            "For each trained number, only three are counted.",
            "There are four: the number itself, its gradient, and Adam's two averages.",
            "Which of the four is missing in yours?",
        ),
        Mistake(
            _averages_for_all,
            "Adam's averages are counted for every number.",
            "Adam only sees what is trained; of a frozen number it remembers nothing.",
            "Which parts are as many as `numbers`, and which as many as `trained`?",
        ),
        Mistake(
            _gradients_for_all,
            "A gradient is counted for every number.",
            "What passes through a frozen layer is the gradient of its inputs. Its weights have none.",
            "Which parts are as many as `numbers`, and which as many as `trained`?",
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
        Mistake(
            _numbers_not_bytes,
            "Those are numbers, not bytes.",
            "How many there are is right. How large they are is missing.",
            "Where is `size`?",
        ),
        Mistake(
            _always_float32,
            "Every number takes 4 bytes in yours.",
            "It does in float32. In 16 bits it takes 2.",
            "Where is `size`?",
        ),
        Mistake(
            _brackets_forgotten,
            "Only the weights are multiplied by `size`.",
            "Gradients and averages take as many bytes a number.",
            "Are there brackets around the sum?",
        ),
        Mistake(
            _weights_alone,
            "Those are the weights alone.",
            "That is enough to run a model. Training it needs more.",
            "What else is kept for each trained number?",
        ),
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


def _only_b(shapes, r):
    return sum(r * rows for rows, _ in shapes)


def _both_twice(shapes, r):
    return 2 * my_lora_numbers(shapes, r)


def _r_by_r(shapes, r):
    return r * r * len(shapes)


def _r_by_r_between(shapes, r):
    return my_lora_numbers(shapes, r) + _r_by_r(shapes, r)


def _weights_as_well(shapes, r):
    return _the_update_itself(shapes, r) + my_lora_numbers(shapes, r)


def _rank_one(shapes, r):
    return my_lora_numbers(shapes, 1)


def _square_by_out(shapes, r):
    return sum(r * 2 * rows for rows, _ in shapes)


def _only_the_last(shapes, r):
    return r * sum(shapes[-1])


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
        Mistake(
            _square_by_out,
            "Both A and B are counted with `out`.",
            "A stands on the other side: it takes in what the layer takes in.",
            "A has r × in numbers.",
        ),
        Mistake(_only_a, "B is missing.", "Each layer has an A and a B.", "B has out × r numbers."),
        Mistake(_only_b, "A is missing.", "Each layer has an A and a B.", "A has r × in numbers."),
        Mistake(
            _both_twice,
            "It is twice too much.",
            "in + out counts A and B already: one has `in` columns of r numbers, the other `out` rows.",
            "Where does the 2 come from?",
        ),
        Mistake(
            _r_by_r,
            "For each layer, r × r numbers are counted.",
            "r is one side only of A and of B. The other is the layer's own.",
            "A has r × in numbers, and B?",
        ),
        Mistake(
            _r_by_r_between,
            "For each layer, r × r numbers are counted besides A and B.",
            "There is no third matrix between them: B takes what A gives.",
            "Which two matrices are trained?",
        ),
        Mistake(
            _weights_as_well,
            "The weights are counted as well.",
            "They are frozen; what LoRA trains stands beside them.",
            "Only A and B are trained.",
        ),
        Mistake(
            _rank_one,
            "That is the adapter of rank 1.",
            "A has r rows, and B r columns.",
            "Where is r?",
        ),
        Mistake(
            _only_the_first,
            "Only the first layer is counted.",
            "Every layer of the list has an adapter of its own.",
            "Sum over all shapes.",
        ),
        Mistake(
            _only_the_last,
            "Only the last layer is counted.",
            "In a loop, each layer's number has to be added to those before; = forgets them.",
            "Is there a += in it?",
        ),
    ],
    shows="This is exact, and `labkit.trainable_parameters` will say the same.",
)

# --- 02.3 ---------------------------------------------------------------------------------------------------


def my_step_flops(weights, tokens, frozen, checkpointing):
    """Two operations a weight, token and pass: forward, for the inputs, for the weights, and forward again."""
    passes = 2 + (not frozen) + checkpointing
    return 2 * weights * tokens * passes


def _products(trained, frozen, trained_again, frozen_again):
    """A mistake by the products it counts for a trained and a frozen W, without checkpointing and with it."""

    def flops(weights, tokens, is_frozen, checkpointing):
        counted = [[trained, frozen], [trained_again, frozen_again]]
        return 2 * weights * tokens * counted[checkpointing][is_frozen]

    return flops


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
            _products(3, 1, 4, 2),
            "With frozen weights there is no way back.",
            "The gradient has to pass through this layer to reach the adapters of those below.",
            "Which of the two products of the backward pass gives W's own gradient?",
        ),
        Mistake(
            _products(3 / 2, 1, 2, 3 / 2),
            "That is half of it.",
            "A product of matrices multiplies and adds.",
            "A multiplication and an addition are two operations.",
        ),
        Mistake(
            _products(2, 1, 3, 2),
            "One product is missing, whether W is frozen or not.",
            "There is one on the way forward and there are two on the way back: for the inputs, and for W itself.",
            "How many does a trained W take in all, and which one does freezing save?",
        ),
        Mistake(
            _products(2, 1, 2, 1),
            "One product is missing, whether W is frozen or not, and checkpointing changes nothing.",
            "One is on the way forward and two are on the way back; and what was not kept is computed again.",
            "How many does a trained W take in all? Which is done twice?",
        ),
        Mistake(
            _products(3, 1, 3, 1),
            "With frozen weights there is no way back, and checkpointing changes nothing.",
            "The gradient has to pass through to the adapters below; and what was not kept is computed again.",
            "Which one product does freezing save? Which is done twice?",
        ),
        Mistake(
            _products(1, 1, 2, 2),
            "Those are the products on the way forward.",
            "On the way back there is one more for the inputs, and one for W if it is trained.",
            "How many does a trained W take in all, and which one does freezing save?",
        ),
        Mistake(
            _products(1, 1, 1, 1),
            "That is one pass forward, and no more.",
            "A step also goes back, and what was not kept is computed again.",
            "How many products does a trained W take in all? What do freezing and checkpointing change of it?",
        ),
        Mistake(
            _products(2, 3, 3, 4),
            "`frozen` has its effect the wrong way round.",
            "A frozen W needs no gradient of its own, so it takes one product less.",
            "`not frozen` is 1 where W is trained.",
        ),
        Mistake(
            _products(3, 2, 3, 2),
            "Checkpointing changes nothing.",
            "What was not kept has to be computed again.",
            "One more forward pass.",
        ),
        Mistake(
            _products(3, 3, 4, 4),
            "Freezing changes nothing.",
            "A frozen W needs no gradient of its own.",
            "Which of the three products can be left out?",
        ),
        Mistake(
            _products(3, 3, 3, 3),
            "Neither freezing nor checkpointing changes anything.",
            "Freezing leaves a product out, and checkpointing computes one again.",
            "Which of forward, gradient of the inputs and gradient of W is it, each time?",
        ),
        Mistake(
            _products(3, 2, 4, 2),
            "With frozen weights, checkpointing changes nothing.",
            "The way back needs activations there too, and what was not kept is computed again.",
            "One more forward pass, frozen or not.",
        ),
        Mistake(
            _products(3, 2, 4, 4),
            "With checkpointing, freezing changes nothing.",
            "What is computed again is the forward pass. A frozen W still needs no gradient of its own.",
            "Let `frozen` and `checkpointing` each do their part, and add them.",
        ),
        Mistake(
            _products(3, 2, 6, 4),
            "With checkpointing everything is done twice.",
            "Only the forward pass is.",
            "Add one product, whatever the others are.",
        ),
        Mistake(
            _products(3, 2, 5, 4),
            "Checkpointing adds two products.",
            "It goes forward once more. The way back is gone only once.",
            "Add one product, whatever the others are.",
        ),
        Mistake(
            _products(3, 2, 9 / 2, 3),
            "Checkpointing adds half of the work, frozen or not.",
            "One product more is half as much again only where there were two.",
            "Add one product, whatever the others are.",
        ),
        Mistake(
            _products(3, 2, 4, 8 / 3),
            "Checkpointing adds a third of the work, frozen or not.",
            "One product more is a third as much again only where there were three.",
            "Add one product, whatever the others are.",
        ),
        Mistake(
            _products(3, 2, 2, 1),
            "Checkpointing saves a product.",
            "It saves memory, and pays for it with work.",
            "What was not kept has to be computed again.",
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


def _from_three(further):
    """The memory of three layers, with as many further ones as `further` says for a depth."""
    return lambda three, four, depth: (three + (four - three) * further(depth)).max()


def _highest_and_fastest(three, four, depth):
    return three.max() + (four - three).max() * (depth - 3)


def _growth_alone(three, four, depth):
    return ((four - three) * (depth - 3)).max()


def _in_proportion_to_four(three, four, depth):
    return (four * depth / 4).max()


def _in_proportion_to_three(three, four, depth):
    return (three * depth / 3).max()


def _all_moments(three, four, depth):
    return three + (four - three) * (depth - 3)


def _they_add_up(three, four, depth):
    return (three + (four - three) * (depth - 3)).sum()


def _as_a_number(args, peak):
    """A plain number, PyTorch's or NumPy's: each is as good an answer here as the others."""
    return peak.item() if getattr(peak, "ndim", None) == 0 else peak


def _peaks_with_different_phases():
    return [
        Case(torch.tensor([5.0, 6.0, 9.0]), torch.tensor([7.0, 8.0, 9.5]), 30),
        Case(torch.tensor([1.0, 8.0, 2.0]), torch.tensor([2.0, 8.0, 4.0]), 80),
        Case(torch.tensor([4.0, 3.0, 2.0]), torch.tensor([5.0, 3.5, 2.5]), 6),
    ]


exercise(
    "02.4",
    title="Eighty layers from three and four",
    prompt="The tensors `three` and `four` hold the gigabytes at the same moments of a step, of a model with three "
    "layers and of one with four. Write my_peak(three, four, depth): the most that it holds with `depth` such layers.",
    minutes=6,
    difficulty=3,
    importance=3,
    solution=my_peak,
    explanation="Each moment is a line in the number of layers. Their maximum is not: with few layers one moment may "
    "be the highest, with many another. So extrapolate first, and take the maximum last.",
    cases=_peaks_with_different_phases,
    observe=_as_a_number,
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
            _highest_and_fastest,
            "The highest moment grows as the fastest one does.",
            "They need not be the same: a low moment may grow fast, and a high one hardly.",
            "Let each moment grow by its own difference, and take the maximum at the end.",
        ),
        Mistake(
            _from_three(lambda depth: depth - 4),
            "It is one layer too few.",
            "Beside `three`, count from three; beside `four`, from four.",
            "How many layers are to be added to those whose memory you began with?",
        ),
        Mistake(
            _from_three(lambda depth: depth - 2),
            "It is one layer too many.",
            "Beside `three`, count from three; beside `four`, from four.",
            "How many layers are to be added to those whose memory you began with?",
        ),
        Mistake(
            _from_three(lambda depth: depth - 1),
            "It is two layers too many.",
            "That would be right beside the memory of one layer.",
            "`three` has three of them already. How many are to be added?",
        ),
        Mistake(
            _from_three(lambda depth: depth),
            "It is three layers too many.",
            "All `depth` layers are added to a model that has three of them already.",
            "How many more than three are there?",
        ),
        Mistake(
            _from_three(lambda depth: depth + 1),
            "It is four layers too many.",
            "All `depth` layers are added to a model that has four of them already.",
            "How many more than four are there?",
        ),
        Mistake(
            _growth_alone,
            "That is what the further layers add.",
            "They come on top of what three layers hold.",
            "Where is the memory that you began with?",
        ),
        Mistake(
            _in_proportion_to_four,
            "You took `four` to be in proportion to the layers.",
            "Embeddings and logits do not grow with them.",
            "What does one more layer add?",
        ),
        Mistake(
            _in_proportion_to_three,
            "You took `three` to be in proportion to the layers.",
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


def _the_rest_of_the_peak(flops, steps, peak, utilisation, price):
    return my_money(flops, steps, peak, 1 - utilisation, price)


def _hours_begun(flops, steps, peak, utilisation, price):
    return math.ceil(my_money(flops, steps, peak, utilisation, 1)) * price


def _price_a_minute(flops, steps, peak, utilisation, price):
    return 60 * my_money(flops, steps, peak, utilisation, price)


def _times_3600(flops, steps, peak, utilisation, price):
    return flops * steps / (peak * utilisation) * 3600 * price


def _in_percent(flops, steps, peak, utilisation, price):
    return my_money(flops, steps, peak, utilisation / 100, price)


def _to_the_cent(flops, steps, peak, utilisation, price):
    return round(my_money(flops, steps, peak, utilisation, price), 2)


def _one_step(flops, steps, peak, utilisation, price):
    return flops / (peak * utilisation) / 3600 * price


def _hours(flops, steps, peak, utilisation, price):
    return flops * steps / (peak * utilisation) / 3600


def _seconds(flops, steps, peak, utilisation, price):
    return flops * steps / (peak * utilisation)


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
            "On which side of the fraction does it belong? After a /, the product needs brackets: / (peak * …).",
        ),
        Mistake(
            _the_rest_of_the_peak,
            "You reckon with the share of the peak that is not reached.",
            "`utilisation` is what the program does reach.",
            "Leave 1 − … out.",
        ),
        Mistake(
            _price_a_second,
            "You pay the price of an hour for each second.",
            "Operations over operations a second are seconds.",
            "Divide by 3,600.",
        ),
        Mistake(
            _price_a_minute,
            "You pay the price of an hour for each minute.",
            "Seconds over 60 are minutes; the price is that of an hour.",
            "How many seconds has an hour?",
        ),
        Mistake(
            _times_3600,
            "Seconds became hours by multiplying.",
            "An hour is longer than a second, so there are fewer of them.",
            "Divide by 3,600.",
        ),
        Mistake(
            _in_percent,
            "It is a hundred times too much.",
            "The utilisation was taken for a percentage.",
            "`utilisation` is a share already: 0.3 stands for 30 %.",
        ),
        Mistake(
            _hours_begun,
            "Hours are rounded up.",
            "Some bills do that. Asked for is the price of the work, a part of an hour being a part of the price.",
            "Leave the rounding out.",
        ),
        Mistake(
            _to_the_cent,
            "It is rounded.",
            "A bill is, but an estimate is multiplied again: by users, by tries.",
            "Leave round(…) out.",
        ),
        Mistake(_one_step, "That is one step.", "There are `steps` of them.", "Where is `steps`?"),
        Mistake(_hours, "Those are hours.", "An hour has a price.", "Multiply by `price`."),
        Mistake(_seconds, "Those are seconds.", "An hour has a price.", "How many hours are they, and at what price?"),
    ],
    shows="Now put in your own card and your own price.",
)
