"""Exercises of notebook 05: shared directions, α at another rank, choosing a rate, the rank for a budget, bits kept.

05.3 chooses the notebook's learning rates, once it has passed.
"""

import math

import torch

from labkit.lab.checking import Case, Mistake, exercise, mistake

# --- 05.1 ---------------------------------------------------------------------------------------------------


def my_overlap(first, second):
    """‖Q₁ᵀ Q₂‖² / min(i, j), with the columns of each Q at right angles and of length one."""
    Q1, Q2 = torch.linalg.qr(first).Q, torch.linalg.qr(second).Q
    return (Q1.T @ Q2).square().sum() / min(first.shape[1], second.shape[1])


def _two_spaces(rows, i, j, shared):
    """Two matrices whose columns have different lengths, aren't at right angles, and share some directions."""
    common = torch.randn(rows, shared)
    pair = []
    for columns in (i, j):
        own = torch.cat([common, torch.randn(rows, columns - shared)], 1)
        pair.append(own @ torch.randn(columns, columns) * 3)
    return Case(*pair)


def _products(first, second):
    Q1, Q2 = torch.linalg.qr(first).Q, torch.linalg.qr(second).Q
    return Q1.T @ Q2


@mistake(
    "You give each column length one, but they aren't at right angles yet.",
    "Two columns that point nearly the same way would count one direction twice.",
    "What does torch.linalg.qr do that dividing by the norm doesn't?",
)
def _length_one_only(first, second):
    first, second = first / first.norm(dim=0), second / second.norm(dim=0)
    return (first.T @ second).square().sum() / min(first.shape[1], second.shape[1])


@mistake(
    "Your bases span everything, so your answer doesn't depend on the matrices at all.",
    "torch.linalg.svd gives as many columns as there are rows, unless you ask it not to.",
    "What does full_matrices=False change?",
)
def _whole_space(first, second):
    U1, U2 = torch.linalg.svd(first).U, torch.linalg.svd(second).U
    return (U1.T @ U2).square().sum() / min(first.shape[1], second.shape[1])


exercise(
    "05.1",
    title="Shared directions",
    prompt="Write my_overlap(first, second): two matrices with equally many rows; the columns of each span what an "
    "adapter writes. Take an orthonormal basis Q of each (torch.linalg.qr), and return the sum of all squared numbers "
    "of Q₁ᵀ Q₂, divided by the smaller number of columns.",
    minutes=6,
    difficulty=3,
    importance=3,
    solution=my_overlap,
    explanation="A number of Q₁ᵀ Q₂ is the cosine between a direction of one and a direction of the other. Squared and "
    "added up, they say how many directions the two share, whatever basis you take. As a share of the smaller space "
    "that's 1 if it lies within the larger one, and 0 if all are at right angles.",
    cases=lambda: [_two_spaces(40, 3, 6, 2), _two_spaces(24, 7, 2, 1), _two_spaces(30, 4, 4, 0)],
    hints=[
        "The columns of B are neither of length one nor at right angles. What makes them so, without changing what "
        "they span?",
        "Q1 = torch.linalg.qr(first).Q, and the same for the second. Which product holds all cosines?",
        "(Q1.T @ Q2).square().sum(), divided by the smaller number of columns",
    ],
    mistakes=[
        Mistake(
            lambda first, second: (first.T @ second).square().sum() / min(first.shape[1], second.shape[1]),
            "You compare the columns as they are.",
            "They're long or short and lean toward each other, and your products mix that with where they point.",
            "Which function gives you an orthonormal basis of the columns?",
        ),
        _length_one_only,
        _whole_space,
        Mistake(
            lambda first, second: _products(first, second).square().sum() / max(first.shape[1], second.shape[1]),
            "You divide by the larger number of columns.",
            "A small space inside a large one would then never reach 1.",
            "Which of the two can lie within the other?",
        ),
        Mistake(
            lambda first, second: _products(first, second).square().sum() / first.shape[1],
            "You divide by the first one's number of columns.",
            "The answer would change if you swapped the two.",
            "Which number of columns is the most they can share?",
        ),
        Mistake(
            lambda first, second: _products(first, second).square().sum() / second.shape[1],
            "You divide by the second one's number of columns.",
            "The answer would change if you swapped the two.",
            "Which number of columns is the most they can share?",
        ),
        Mistake(
            lambda first, second: _products(first, second).square().mean(),
            "You take the mean over all pairs of directions.",
            "Of all pairs, most are near right angles even if one space lies within the other.",
            "What do you divide the sum by?",
        ),
        Mistake(
            lambda first, second: _products(first, second).square().sum() / math.sqrt(first.shape[1] * second.shape[1]),
            "You divide by the root of both numbers of columns, multiplied.",
            "That's a cosine between the two spaces, and it's below 1 where a small one lies within a larger one.",
            "Which number of columns is the most they can share?",
        ),
        Mistake(
            lambda first, second: _products(first, second).square().sum(),
            "You don't divide by anything.",
            "The sum is a number of shared directions. We want it as a share.",
            "What's the most that the sum can be?",
        ),
        Mistake(
            lambda first, second: _products(first, second).abs().sum() / min(first.shape[1], second.shape[1]),
            "You add up the cosines without squaring them.",
            "Only squares add up to one for a direction that lies within the other space: think of Pythagoras.",
            "Is there a square in your answer?",
        ),
        Mistake(
            lambda first, second: _products(first, second).norm() / min(first.shape[1], second.shape[1]),
            "You take a root that shouldn't be there.",
            "norm() is the root of the sum of squares; we need the sum itself.",
            "What undoes the root?",
        ),
        Mistake(
            lambda first, second: my_overlap(first, second).sqrt(),
            "You take the root of the right answer.",
            "The sum of the squares is what counts directions; its root doesn't.",
            "Where does your root come from?",
        ),
        Mistake(
            lambda first, second: torch.linalg.svdvals(_products(first, second)).mean(),
            "You take the mean of the cosines between the two spaces, not of their squares.",
            "A square is the share of a direction that lies in the other space; a cosine isn't a share.",
            "Is there a square in your answer?",
        ),
        Mistake(
            lambda first, second: torch.linalg.svdvals(_products(first, second)).max(),
            "You give the closest pair of directions only.",
            "Two spaces can share one direction and nothing else.",
            "Where do the other directions go in your answer?",
        ),
        Mistake(
            lambda first, second: 1 - my_overlap(first, second),
            "You give what they don't share.",
            "Overlap is the share in common.",
            "What should two equal matrices give?",
        ),
    ],
    shows="Two adapters can be compared by what they write, whatever their ranks.",
)

# --- 05.2 ---------------------------------------------------------------------------------------------------


def my_alpha(alpha, r, new_r, use_rslora):
    """The α that keeps α/r, or α/√r."""
    return alpha * (math.sqrt(new_r / r) if use_rslora else new_r / r)


exercise(
    "05.2",
    title="α at another rank",
    prompt="Write my_alpha(alpha, r, new_r, use_rslora): which α gives rank new_r the same factor before B A that "
    "alpha gives rank r? The factor is α/r, or α/√r with rsLoRA.",
    minutes=3,
    difficulty=1,
    importance=3,
    solution=my_alpha,
    explanation="The factor stays if α grows as what it's divided by: like r, or like √r.",
    cases=lambda: [Case(16, 8, 64, False), Case(16, 8, 64, True), Case(20, 64, 4, False), Case(5, 4, 9, True)],
    hints=[
        "Write the factor down for r and for new_r. What has to be equal?",
        "alpha / r = α / new_r. And with rsLoRA?",
        "alpha * new_r / r, or with the root of new_r / r",
    ],
    mistakes=[
        Mistake(
            lambda alpha, r, new_r, use_rslora: alpha,
            "You keep α as it is.",
            "Then the factor shrinks as the rank grows. Many do that on purpose; here the factor should stay.",
            "What's your α divided by, before and after?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: alpha * new_r / r,
            "You take no notice of rsLoRA.",
            "With it, α is divided by the root of the rank.",
            "What does your answer do with use_rslora?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: alpha * math.sqrt(new_r / r),
            "You always use rsLoRA's root.",
            "Plain LoRA divides by r itself.",
            "What does your answer do if use_rslora is False?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: alpha * (new_r / r if use_rslora else math.sqrt(new_r / r)),
            "You've swapped the two.",
            "The root belongs to rsLoRA.",
            "What does your answer do if use_rslora is False?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: alpha * (math.sqrt(r / new_r) if use_rslora else r / new_r),
            "Your fraction is upside down: α shrinks as the rank grows.",
            "More is divided at a higher rank, so α has to grow.",
            "Is it new_r / r or r / new_r?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: alpha * r / new_r,
            "Your fraction is upside down, and you take no notice of rsLoRA.",
            "More is divided at a higher rank, so α has to grow: like r, and with rsLoRA like its root.",
            "Is it new_r / r or r / new_r? And what does your answer do with use_rslora?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: alpha / (math.sqrt(r) if use_rslora else r),
            "You give the factor itself.",
            "The factor is what should stay. Asked for is the α that does it.",
            "What would you write into lora_alpha?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: alpha / (math.sqrt(new_r) if use_rslora else new_r),
            "You give the new factor for the old α.",
            "That's what happens if α stays. Asked for is the α that keeps the factor.",
            "What would you write into lora_alpha?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: 2 * new_r,
            "You set α to twice the rank, whatever it was before.",
            "That's a habit. It keeps the factor only if it was 2.",
            "What was the factor before?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: alpha * (math.sqrt(new_r) if use_rslora else new_r),
            "You don't divide by the old rank.",
            "alpha belongs to rank r, and so it holds that rank already.",
            "Where does r come in?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: alpha * (math.sqrt(new_r) / r if use_rslora else new_r / r),
            "With rsLoRA, you take the root of the new rank only.",
            "The old α was divided by a root, too.",
            "How many roots are there in your fraction?",
        ),
        Mistake(
            lambda alpha, r, new_r, use_rslora: round(my_alpha(alpha, r, new_r, use_rslora)),
            "You round α to a whole number.",
            "α may be any number, and a rounded one doesn't keep the factor.",
            "Does your answer have to be an integer?",
        ),
    ],
    shows="Same factor, other rank.",
)

# --- 05.3 ---------------------------------------------------------------------------------------------------


def my_choice(losses):
    """The rate with the lowest loss, and whether no rate beyond it was tried."""
    best = min(losses, key=lambda rate: math.inf if losses[rate] is None else losses[rate])
    return best, best in (min(losses), max(losses))


def _best(losses):
    return my_choice(losses)[0]


def _finished(losses):
    return {rate: loss for rate, loss in losses.items() if loss is not None}


def _none_compared(losses):
    best = min(losses, key=losses.get)
    return best, best in (min(losses), max(losses))


@mistake(
    "You leave the broken rates out before you look for the ends.",
    "A rate that broke was tried, and it says that there's nothing to look for beyond your best one.",
    "Which rates do you compare the best one with?",
)
def _ends_of_the_finished(losses):
    best = _best(losses)
    return best, best in (min(_finished(losses)), max(_finished(losses)))


@mistake(
    "You take the first and the last rate of the dict for the ends.",
    "A dict keeps the order in which somebody filled it. Sweeps are often run from the middle.",
    "Which of the rates are the smallest and the largest?",
)
def _ends_by_place(losses):
    best, rates = _best(losses), list(losses)
    return best, best in (rates[0], rates[-1])


exercise(
    "05.3",
    title="Choose a learning rate",
    prompt="Write my_choice(losses): a dict from learning rates to validation losses, None where training broke off. "
    "Return two things: the best rate, and True if it's the smallest or the largest one tried, so that a better one "
    "may lie beyond.",
    minutes=6,
    difficulty=3,
    importance=5,
    solution=my_choice,
    explanation="A rate at which training broke is worse than any other, so it counts as infinite. But it was tried: "
    "if the next rate up broke, the best one isn't at an end. If it is, the sweep isn't finished.",
    cases=lambda: [
        Case({1e-4: 2.0, 3e-4: 1.5, 1e-3: 1.2, 3e-3: 1.4, 1e-2: None}),
        Case({1e-3: 0.9, 3e-4: 1.1, 1e-4: 1.6, 3e-3: None}),
        Case({3e-3: 0.5, 1e-3: 0.7, 1e-2: 0.4, 1e-4: 1.3}),
        Case({3e-5: 0.3, 1e-5: 0.2, 1e-4: None, 3e-4: None}),
    ],
    hints=[
        "What should a None count as, if the lowest loss wins?",
        "math.inf loses against every number. And which rates are the ends: of all, or of those that finished?",
        "best = min(losses, key=lambda rate: …), and then: is it min(losses) or max(losses)?",
    ],
    mistakes=[
        *(
            Mistake(
                takes,
                "You compare a None with a number, and Python refuses to.",
                "None is no number. A rate that broke has to count as worse than any other.",
                "What could stand in for None, if the lowest loss wins?",
            )
            for takes in (_none_compared, lambda losses: (min(losses, key=losses.get), False))
        ),
        Mistake(
            lambda losses: (_best(losses), False),
            "You never say True.",
            "Some of these sweeps end at their best rate, and a better one may lie beyond it.",
            "Which rates would you compare the best one with?",
        ),
        Mistake(
            lambda losses: (_best(losses), True),
            "You always say True.",
            "A best rate with worse ones on both sides isn't at an end.",
            "Which rates would you compare the best one with?",
        ),
        Mistake(
            lambda losses: (
                (best := min(losses, key=lambda rate: losses[rate] or 0)),
                best in (min(losses), max(losses)),
            ),
            "A rate at which training broke wins.",
            "`losses[rate] or 0` makes a None zero, and no loss is lower.",
            "What should a None count as?",
        ),
        _ends_of_the_finished,
        _ends_by_place,
        Mistake(
            lambda losses: (_best(losses), _best(losses) == max(losses)),
            "You look at the upper end only.",
            "The best rate can lie below the smallest one tried, too.",
            "How many ends does a row of rates have?",
        ),
        Mistake(
            lambda losses: (_best(losses), _best(losses) == min(losses)),
            "You look at the lower end only.",
            "The best rate can lie above the largest one tried, too.",
            "How many ends does a row of rates have?",
        ),
        Mistake(
            lambda losses: (_best(losses), _best(losses) not in (min(losses), max(losses))),
            "You say True where the best rate is inside.",
            "True should warn you: the best one is at an end, so look further.",
            "Which way round is your test?",
        ),
        Mistake(
            lambda losses: (losses[_best(losses)], _best(losses) in (min(losses), max(losses))),
            "You give the lowest loss in the place of its rate.",
            "It's the rate that you'll train with.",
            "What are the dict's keys, and what are its values?",
        ),
        Mistake(
            lambda losses: (
                (worst := max(_finished(losses), key=losses.get)),
                worst in (min(losses), max(losses)),
            ),
            "You take the highest loss.",
            "A loss is better when it's lower.",
            "Is there a max in your answer where a min should be?",
        ),
        Mistake(
            lambda losses: (_best(losses), None in losses.values()),
            "You say True wherever some rate broke.",
            "A broken rate doesn't say that the best one is at an end. It can even show that it isn't.",
            "Which rates is the best one compared with?",
        ),
        *(
            Mistake(
                takes,
                "You take the smallest rate.",
                "min() of a dict compares its keys.",
                "What does key= change in min()?",
            )
            for takes in (lambda losses: (min(losses), True), lambda losses: (min(losses), False))
        ),
        *(
            Mistake(
                takes,
                "You take the largest rate.",
                "max() of a dict compares its keys.",
                "Which of the rates has the lowest loss?",
            )
            for takes in (lambda losses: (max(losses), True), lambda losses: (max(losses), False))
        ),
        Mistake(
            lambda losses: _best(losses),
            "You give the best rate, and don't say whether it's at an end.",
            "Two things are asked for: a function can return them with a comma in between.",
            "What's the second thing?",
        ),
        Mistake(
            lambda losses: (_best(losses) in (min(losses), max(losses)), _best(losses)),
            "You give the two in the other order.",
            "The rate comes first, then True or False.",
            "What stands before the comma in your return?",
        ),
    ],
    shows="A best rate at an end of the grid isn't the best rate yet.",
)

# --- 05.4 ---------------------------------------------------------------------------------------------------


def my_rank(budget, shapes, blocks):
    """The most that r · (out + in) of all layers leaves room for."""
    return budget // (blocks * sum(out + into for out, into in shapes))


def _cost(shapes, blocks):
    return blocks * sum(out + into for out, into in shapes)


_Q, _K, _WIDE, _NARROW = (4096, 4096), (1024, 4096), (14336, 4096), (4096, 14336)

exercise(
    "05.4",
    title="The rank for a budget",
    prompt="Write my_rank(budget, shapes, blocks): the highest rank at which LoRA trains at most `budget` numbers. "
    "shapes has (out, in) of each adapted layer of a block, and there are `blocks` such blocks. Return a whole number, "
    "and 0 where not even rank 1 fits.",
    minutes=5,
    difficulty=2,
    importance=4,
    solution=my_rank,
    explanation="A layer costs r · (out + in), so all of them cost r times one sum. Rounding down keeps the budget.",
    cases=lambda: [
        Case(1_000_000, [(576, 576), (192, 576)], 30),
        Case(10_000_000, [_Q, _K, _K, _Q], 32),
        Case(5_000_000, [_WIDE, _WIDE, _NARROW], 32),
        Case(1_000_000, [_Q, _K, _K, _Q, _WIDE, _WIDE, _NARROW], 32),
    ],
    hints=[
        "What does one layer cost at rank r? And all layers of all blocks at rank 1?",
        "The whole cost is r times something. How often does that fit into the budget?",
        "budget // (blocks * the sum of out + in)",
    ],
    mistakes=[
        Mistake(
            lambda budget, shapes, blocks: budget // (blocks * sum(out * into for out, into in shapes)),
            "You count the numbers of W.",
            "LoRA trains A (r × in) and B (out × r), and leaves W alone.",
            "What's the shape of A, and of B?",
        ),
        Mistake(
            lambda budget, shapes, blocks: budget // sum(out + into for out, into in shapes),
            "You count one block only.",
            "Every block has these layers, and each gets an A and a B of its own.",
            "Where does `blocks` come in?",
        ),
        Mistake(
            lambda budget, shapes, blocks: budget // (blocks * sum(2 * into for _, into in shapes)),
            "You take every layer for a square one, as wide as its input.",
            "With grouped queries, k and v are narrower than q, and the MLP's layers are wider.",
            "Which of the two numbers of a shape don't you use?",
        ),
        Mistake(
            lambda budget, shapes, blocks: budget // (blocks * sum(2 * out for out, _ in shapes)),
            "You take every layer for a square one, as wide as its output.",
            "With grouped queries, k and v are narrower than q, and the MLP's layers are wider.",
            "Which of the two numbers of a shape don't you use?",
        ),
        Mistake(
            lambda budget, shapes, blocks: budget // (blocks * sum(into for _, into in shapes)),
            "You count A, but not B.",
            "A is r × in, and B is out × r. Both are trained.",
            "Which of the two numbers of a shape don't you use?",
        ),
        Mistake(
            lambda budget, shapes, blocks: budget // (blocks * sum(out for out, _ in shapes)),
            "You count B, but not A.",
            "A is r × in, and B is out × r. Both are trained.",
            "Which of the two numbers of a shape don't you use?",
        ),
        Mistake(
            lambda budget, shapes, blocks: budget / _cost(shapes, blocks),
            "Your rank has a fraction.",
            "A has a whole number of rows.",
            "Which way do you have to round to keep the budget?",
        ),
        Mistake(
            lambda budget, shapes, blocks: round(budget / _cost(shapes, blocks)),
            "You round to the nearest rank, and that may break the budget.",
            "The highest rank that fits is the whole part of the fraction.",
            "Which way does // round?",
        ),
        Mistake(
            lambda budget, shapes, blocks: math.ceil(budget / _cost(shapes, blocks)),
            "You round up, and that breaks the budget.",
            "The highest rank that fits is the whole part of the fraction.",
            "Which way does // round?",
        ),
        Mistake(
            lambda budget, shapes, blocks: max(1, my_rank(budget, shapes, blocks)),
            "You give rank 1 even where it doesn't fit.",
            "Then more than the budget is trained.",
            "What's asked for where not even rank 1 fits?",
        ),
        Mistake(
            lambda budget, shapes, blocks: budget // (blocks * len(shapes)) // max(out + into for out, into in shapes),
            "You give each layer the same share of the budget.",
            "At one rank, a wide layer costs more than a narrow one, so their shares differ.",
            "What do all layers together cost at rank 1?",
        ),
        Mistake(
            lambda budget, shapes, blocks: budget // (blocks * max(out + into for out, into in shapes)),
            "You count the widest layer only.",
            "Each adapted layer of a block gets an A and a B.",
            "Is there a max in your answer where a sum should be?",
        ),
        Mistake(
            lambda budget, shapes, blocks: budget * blocks // sum(out + into for out, into in shapes),
            "You multiply by the number of blocks where you should divide.",
            "The more blocks there are, the less there's for each.",
            "On which side of // do the blocks belong?",
        ),
        Mistake(
            lambda budget, shapes, blocks: _cost(shapes, blocks) // budget,
            "Your fraction is upside down.",
            "How often does the cost of rank 1 fit into the budget?",
            "What's divided by what?",
        ),
        Mistake(
            lambda budget, shapes, blocks: _cost(shapes, blocks),
            "You give what rank 1 costs.",
            "That's the first half: now see how often it fits into the budget.",
            "Where does the budget come in?",
        ),
    ],
    shows="Targets can only be compared fairly at equal budgets.",
)

# --- 05.5 ---------------------------------------------------------------------------------------------------


def my_bits(loss, symbols, tokens):
    """What the loss is below a guess among the symbols, in bits, for all tokens."""
    return tokens * (math.log2(symbols) - loss / math.log(2))


exercise(
    "05.5",
    title="Bits kept",
    prompt="Write my_bits(loss, symbols, tokens): a model has learned random strings of `tokens` tokens in all, each "
    "drawn from `symbols` equally likely ones. Its loss on them is `loss` nats per token. How many bits of the strings "
    "does it hold? (Below zero, if it does worse than guessing among the symbols.)",
    minutes=5,
    difficulty=3,
    importance=4,
    solution=my_bits,
    explanation="A random symbol is worth log₂(symbols) bits. What the model still has to be told of it is its loss, "
    "in bits: nats divided by ln 2. The difference is what it holds. Before training it may be below zero: then the "
    "model is sure of words that don't come.",
    cases=lambda: [Case(0.5, 16, 1000), Case(3.0, 16, 400), Case(0.0, 2, 64), Case(2.9, 26, 5000)],
    hints=[
        "How many bits is one random symbol worth, if there are 16? What is the loss of a guess among them?",
        "A nat is 1 / ln 2 bits. Take what the loss leaves open from what there is, for one token.",
        "tokens · (log₂(symbols) − loss / ln 2)",
    ],
    mistakes=[
        Mistake(
            lambda loss, symbols, tokens: tokens * (math.log(symbols) - loss),
            "You count in nats.",
            "A loss uses the natural logarithm, and so does math.log.",
            "How many bits is a nat?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * (math.log2(symbols) - loss),
            "You take nats from bits.",
            "log₂ counts in bits, and the loss in nats.",
            "Which of your two numbers has the wrong unit?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * (math.log2(symbols) - loss * math.log(2)),
            "You turn nats into bits the wrong way.",
            "A nat is more than a bit: 1 / ln 2 of them.",
            "Should you multiply by ln 2, or divide?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * (math.log(symbols) - loss) * math.log(2),
            "You turn nats into bits the wrong way.",
            "A nat is more than a bit: 1 / ln 2 of them.",
            "Should you multiply by ln 2, or divide?",
        ),
        Mistake(
            lambda loss, symbols, tokens: max(0.0, my_bits(loss, symbols, tokens)),
            "You stop at zero.",
            "A model that's sure of the wrong words needs more bits than a guess would, so it holds less than nothing.",
            "What does your answer say if the loss is higher than a guess's?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * loss / math.log(2),
            "You give what the model doesn't hold.",
            "The loss is what you'd still have to tell it. What it holds is the rest.",
            "How many bits are in the strings altogether?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * loss,
            "You give what the model doesn't hold, and in nats.",
            "The loss is what you'd still have to tell it. What it holds is the rest.",
            "How many bits are in the strings altogether?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * math.log2(symbols),
            "You give all the bits in the strings.",
            "That would be held at a loss of zero only.",
            "Where does the loss come in?",
        ),
        Mistake(
            lambda loss, symbols, tokens: math.log2(symbols) - loss / math.log(2),
            "You give the bits per token.",
            "All the strings together are asked for.",
            "Where do the tokens come in?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * (1 - loss / math.log(symbols)),
            "You give a share of the tokens.",
            "The share is right, but a token is worth log₂(symbols) bits.",
            "How many bits is one token worth?",
        ),
        Mistake(
            lambda loss, symbols, tokens: 1 - loss / math.log(symbols),
            "You give a share, and not a number of bits.",
            "Of how many bits altogether is that the share?",
            "How many bits is one token worth, and how many tokens are there?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * (symbols - loss / math.log(2)),
            "You count a bit for every symbol.",
            "One among 16 takes 4 bits: with each bit you halve what's left.",
            "What's missing around `symbols`?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * (math.log2(symbols) - math.exp(loss)),
            "You take the perplexity away from the bits.",
            "e to the loss is a number of symbols, and no number of bits.",
            "What's the unit of each of your two numbers?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * (math.log10(symbols) - loss / math.log(10)),
            "You count in decimal digits.",
            "math.log10 is the logarithm to base 10. A bit halves.",
            "Which base has a bit?",
        ),
        Mistake(
            lambda loss, symbols, tokens: tokens * (math.log2(symbols) - loss / math.log(2)) / 8,
            "You give bytes.",
            "A byte is eight bits.",
            "What do you divide by, and why?",
        ),
    ],
    shows="A loss is a number of bits you'd still have to send.",
)
