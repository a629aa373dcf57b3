"""The exercises of notebook 07, quantization and NF4."""

import torch

from labkit.lab.checking import Case, Mistake, Tolerance, exercise, mistake
from labkit.quant.codebooks import nf4_codebook

# 07.1


def my_bits(bits, block_size, scale_bits):
    """A code of its own, and a share of the block's scale."""
    return bits + scale_bits / block_size


exercise(
    id="07.1",
    title="What a weight costs",
    prompt=(
        "Write my_bits(bits, block_size, scale_bits): the bits a weight, when a code has `bits` bits and each block\n"
        "of block_size numbers has one scale of scale_bits bits."
    ),
    minutes=4,
    difficulty=1,
    importance=4,
    solution=my_bits,
    explanation=(
        "Each number has a code of its own. The scale is shared by the block, so a number pays its part of it:\n"
        "scale_bits / block_size. For NF4 that is 4 + 32/64 = 4.5."
    ),
    cases=lambda: [Case(4, 64, 32), Case(8, 128, 16), Case(4, 32, 64), Case(3, 64, 48)],
    hints=[
        "How many bits does a whole block take? And how many numbers are in it?",
        "A block takes block_size · bits + scale_bits.",
        "bits + scale_bits / block_size",
    ],
    mistakes=[
        Mistake(
            lambda bits, block_size, scale_bits: bits,
            "You only counted the codes.",
            "A code means nothing without its scale, so the scale has to be stored, too.",
            "Where does your answer use scale_bits?",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits + scale_bits,
            "You gave every number a scale of its own.",
            "The numbers of a block share one scale, and its bits.",
            "How many numbers share scale_bits?",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits * block_size + scale_bits,
            "You counted the bits of a whole block.",
            "That's right so far, but the question is about one weight.",
            "Divide by block_size.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits + block_size / scale_bits,
            "Your fraction is upside down: larger blocks would cost more.",
            "In a larger block more numbers share the scale, so each pays less.",
            "What belongs below the line?",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: (bits + scale_bits) / block_size,
            "You divided the codes by the size of the block as well.",
            "Only the scale is shared. Each number has its own code.",
            "Check your parentheses.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits + scale_bits // block_size,
            "Your answer drops what comes after the point.",
            "// and int round down, so half a bit becomes none. On average over a block, there are halves.",
            "Use an ordinary division, /, and don't round after it.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: round(bits + scale_bits / block_size),
            "You rounded your answer to a whole number.",
            "No single number takes half a bit, but on average over a block there are halves.",
            "Leave round out.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: (bits + scale_bits / block_size) / 8,
            "Your answer is in bytes.",
            "A byte has eight bits, and the question is about bits.",
            "Leave the 8 out.",
        ),
    ],
    shows="4.5 for NF4 in blocks of 64. Add a scale of scales, and it is 4.127: section 7.7.",
)

# 07.2


def my_int4(w, block_size):
    """Each block scaled by its largest magnitude, rounded to −7 … 7, and scaled back."""
    blocks = w.view(-1, block_size)
    scale = blocks.abs().amax(dim=1, keepdim=True) / 7
    return ((blocks / scale).round() * scale).view(w.shape)


def _in_blocks(w, block_size, highest=7, rounded=torch.round, absmax=None):
    blocks = w.view(-1, block_size)
    absmax = blocks.abs().amax(dim=1, keepdim=True) if absmax is None else absmax(blocks)
    return (rounded(blocks / (absmax / highest)) * absmax / highest).view(w.shape)


@mistake(
    "You returned the codes.",
    "The question is about the restored numbers, on w's own scale.",
    "Multiply by the scale again.",
)
def _int4_codes(w, block_size):
    blocks = w.view(-1, block_size)
    return (blocks / (blocks.abs().amax(dim=1, keepdim=True) / 7)).round().view(w.shape)


@mistake(
    "All your blocks have the same scale.",
    "Each block needs its own, so that a large number only spoils its own block.",
    "After view(-1, block_size), which dim does amax need?",
)
def _int4_one_scale(w, block_size):
    return _in_blocks(w, len(w))


@mistake(
    "Your blocks are made of numbers that are far apart.",
    "A block is a run of neighbors, and view fills row after row.",
    "Try view(-1, block_size) and dim=1.",
)
def _int4_blocks_as_columns(w, block_size):
    blocks = w.view(block_size, -1)
    scale = blocks.abs().amax(dim=0, keepdim=True) / 7
    return ((blocks / scale).round() * scale).view(w.shape)


@mistake(
    "You rounded numbers between −1 and 1, and that leaves only −1, 0 and 1.",
    "Divide by absmax / 7, and the quotients reach from −7 to 7 before they're rounded.",
    "Where does your answer use the 7?",
)
def _int4_unscaled_levels(w, block_size):
    blocks = w.view(-1, block_size)
    return (blocks / blocks.abs().amax(dim=1, keepdim=True)).round().view(w.shape)


@mistake(
    "Your blocks only have three levels: zero and plus or minus the largest.",
    "The scale is the length of one step, and there are seven steps to each side.",
    "Divide the largest magnitude by 7.",
)
def _int4_whole_levels(w, block_size):
    return _in_blocks(w, block_size, highest=1)


@mistake(
    "Your numbers are right, but still cut into blocks.",
    "The caller wants them in the shape they came in.",
    "End with .view(w.shape).",
)
def _int4_left_in_blocks(w, block_size):
    return my_int4(w, block_size).view(-1, block_size)


exercise(
    id="07.2",
    title="int4 in blocks",
    prompt=(
        "Write my_int4(w, block_size): quantize the one-dimensional w with absmax to 4 bits in blocks of block_size,\n"
        "and return the restored numbers in the shape of w."
    ),
    minutes=8,
    difficulty=3,
    importance=5,
    solution=my_int4,
    explanation=(
        "view(-1, block_size) puts each block in a row of its own, and dim=1 looks along it. The highest code of four\n"
        "bits is 7, so a step is absmax / 7. Rounding makes codes; times the step makes numbers again."
    ),
    cases=lambda: [
        Case(torch.randn(192) * torch.tensor([1.0, 5.0]).repeat_interleave(96), 16),
        Case(torch.cat([torch.randn(32), -torch.rand(32)]), 8),
    ],
    close=Tolerance(rtol=1e-4, atol=1e-5),
    hints=[
        "How would you do it with a single block? Then give each block a row of a matrix.",
        "blocks = w.view(-1, block_size), and the scale of each row is its largest magnitude / 7.",
        "((blocks / scale).round() * scale).view(w.shape), with amax(dim=1, keepdim=True) in the scale.",
    ],
    mistakes=[
        _int4_one_scale,
        Mistake(
            lambda w, block_size: _in_blocks(w, 64),
            "Your blocks have 64 numbers, whatever block_size says.",
            "QLoRA settles on 64. Here the caller chooses.",
            "What do you pass to view?",
        ),
        Mistake(
            lambda w, block_size: _in_blocks(w, block_size, highest=8),
            "Your step is too short: the largest numbers get the code 8.",
            "Four bits hold −8 … 7. Around zero, 7 is the highest code that both signs have.",
            "Divide by 7, not 8.",
        ),
        Mistake(
            lambda w, block_size: _in_blocks(w, block_size, highest=15),
            "Your step is absmax / 15: that makes 31 levels, which take five bits.",
            "Both signs share 15 levels: seven below zero, zero, and seven above.",
            "What's the highest code of four bits with a sign?",
        ),
        Mistake(
            lambda w, block_size: _in_blocks(w, block_size, highest=127),
            "Your answer is int8.",
            "127 is the highest code of eight bits.",
            "The highest code of four bits is 2 ** 3 - 1.",
        ),
        Mistake(
            lambda w, block_size: _in_blocks(w, block_size, rounded=torch.floor),
            "You always round down.",
            "floor moves every number to the left, by half a step on average. The nearest level is up or down.",
            "Use .round().",
        ),
        Mistake(
            lambda w, block_size: _in_blocks(w, block_size, rounded=torch.trunc),
            "You cut off what comes after the point, so every number moves toward zero.",
            "int(), trunc and a cast to an integer all cut. The nearest level may be farther out.",
            "Use .round() before any cast.",
        ),
        Mistake(
            lambda w, block_size: _in_blocks(w, block_size, absmax=lambda blocks: blocks.amax(dim=1, keepdim=True)),
            "You took the largest number of a block, not the largest magnitude.",
            "A block's farthest number may be negative.",
            "Use .abs() before .amax().",
        ),
        _int4_codes,
        _int4_unscaled_levels,
        _int4_whole_levels,
        _int4_blocks_as_columns,
        _int4_left_in_blocks,
    ],
    shows="With 7 replaced by 127 it is int8: that is all the difference there is.",
)

# 07.3


def my_codes(block, book):
    """The level with the smallest distance to each scaled number."""
    scaled = block / block.abs().max()
    return (scaled[:, None] - book).abs().argmin(dim=1)


@mistake(
    "You always take the next level above.",
    "bucketize counts how many bounds are below. With the levels as bounds, that isn't the nearest level.",
    "Use bounds halfway between the levels: (book[1:] + book[:-1]) / 2.",
)
def _levels_below(block, book):
    return torch.bucketize(block / block.abs().max(), book).clamp(max=len(book) - 1)


@mistake(
    "You always take the level below.",
    "The nearest level may be the one above.",
    "Use bounds halfway between the levels: (book[1:] + book[:-1]) / 2.",
)
def _level_at_or_below(block, book):
    return (torch.bucketize(block / block.abs().max(), book, right=True) - 1).clamp(min=0)


def _middles(book):
    return (book[1:] + book[:-1]) / 2


exercise(
    id="07.3",
    title="The nearest level",
    prompt=(
        "Write my_codes(block, book): for each number of a block the code, torch.int64, of the nearest level of book\n"
        "once the block is scaled. book is ascending, from -1 to 1."
    ),
    minutes=6,
    difficulty=3,
    importance=4,
    solution=my_codes,
    explanation=(
        "scaled[:, None] - book has a row for each number and a column for each level; argmin finds the nearest. The\n"
        "notebook counts the middles below a number instead, which gives the same in less memory."
    ),
    cases=lambda: [
        Case(0.1 * torch.randn(64), nf4_codebook()),
        Case(-3 * torch.rand(32), nf4_codebook()),
        Case(torch.randn(64), torch.tensor([-1, -0.6, -0.3, -0.1, 0, 0.2, 0.5, 1])),
    ],
    hints=[
        "What has to happen to the block before it can be compared with levels between −1 and 1?",
        "scaled = block / block.abs().max(). Then either all distances and argmin, or torch.bucketize.",
        "(scaled[:, None] - book).abs().argmin(dim=1)",
    ],
    mistakes=[
        Mistake(
            lambda block, book: (block[:, None] - book).abs().argmin(dim=1),
            "You compared the numbers as they are.",
            "The levels reach from −1 to 1, so a block has to be scaled into that range first.",
            "Divide by block.abs().max().",
        ),
        Mistake(
            lambda block, book: ((block / block.max())[:, None] - book).abs().argmin(dim=1),
            "You scaled by the largest number, not by the largest magnitude.",
            "A block's farthest number may be negative.",
            "Use .abs() before .max().",
        ),
        Mistake(
            lambda block, book: ((block / block.std())[:, None] - book).abs().argmin(dim=1),
            "You scaled by the standard deviation.",
            "Normal numbers suggest it, but then many of them end up outside −1 … 1, beyond the last level.",
            "Which number of the block has to become 1 or −1?",
        ),
        _levels_below,
        Mistake(
            lambda block, book: torch.bucketize(block / block.abs().max(), book, right=True),
            "You count the levels at or below, which is one more than the code of the level below.",
            "The first level has the number 0, and the nearest level may be the one above.",
            "Use bounds halfway between the levels, (book[1:] + book[:-1]) / 2. How many of them are below a number?",
        ),
        _level_at_or_below,
        Mistake(
            lambda block, book: ((block / block.abs().max())[:, None] - book).argmin(dim=1),
            "Your distances have a sign, so the farthest level on one side wins.",
            "To argmin, a distance of −2 is smaller than one of 0.",
            "Use .abs() before .argmin().",
        ),
        Mistake(
            lambda block, book: ((block / block.abs().max())[:, None] - book).abs().argmax(dim=1),
            "You take the farthest level.",
            "argmax finds the largest distance.",
            "Which function finds the smallest one?",
        ),
        Mistake(
            lambda block, book: ((block / block.abs().max())[:, None] - book).abs().argmin(dim=0),
            "You give one answer for each level: the number that's nearest to it.",
            "scaled[:, None] - book has a row for each number, and dim=0 looks down the columns.",
            "Try argmin(dim=1).",
        ),
        Mistake(
            lambda block, book: my_codes(block, nf4_codebook()),
            "You looked in NF4's code book, not in the one that was handed over.",
            "The notebook has a `book` of its own, and your function sees that one if its argument has another name.",
            "What's your second argument called?",
        ),
        Mistake(
            lambda block, book: book[my_codes(block, book)],
            "You returned the levels themselves.",
            "What's stored is which level it is: for sixteen of them, a number from 0 to 15.",
            "Leave out the last look-up in book.",
        ),
        Mistake(
            lambda block, book: book[my_codes(block, book)] * block.abs().max(),
            "You returned the restored numbers.",
            "They come later, from the codes. What's stored is which level it is, and no cast makes that of a number.",
            "Return the codes before you look them up in book.",
        ),
        Mistake(
            lambda block, book: (block / block.abs().max() * 7).round().long() + 7,
            "You rounded to even steps.",
            "That's int4. The levels of book aren't evenly spaced, and that's the point of them.",
            "Where does your answer use book?",
        ),
        Mistake(
            lambda block, book: my_codes(block, book).to(torch.uint8),
            "Your codes are right, but in another dtype than asked for.",
            "uint8 is what they're stored in later. Here they're indices, torch.int64.",
            "Leave the cast out.",
        ),
        Mistake(
            lambda block, book: my_codes(block, book) + 1,
            "Your codes are all one too high.",
            "The first level has the number 0.",
            "How many middles are below a number? That's its code already.",
        ),
    ],
    shows="bitsandbytes does the same, with fifteen comparisons instead of sixteen distances.",
)

# 07.4


def my_unpack(packed):
    """The high half and the low half of each byte, in turn."""
    return torch.stack([packed >> 4, packed & 15], dim=1).flatten()


def _halves(first, second):
    return lambda packed: torch.stack([first(packed), second(packed)], dim=1).flatten()


exercise(
    id="07.4",
    title="Out of the bytes",
    prompt=(
        "Write my_unpack(packed): all codes in their order, as torch.uint8. packed is torch.uint8 of shape (n,), with\n"
        "two codes a byte, the first in the high half."
    ),
    minutes=6,
    difficulty=3,
    importance=3,
    solution=my_unpack,
    explanation=(
        ">> 4 moves the high half down, & 15 keeps the low half. Stacked along dim=1, the two codes of a byte stand\n"
        "side by side, and flatten reads them in turn."
    ),
    cases=lambda: [
        Case(torch.tensor([0x12, 0x34, 0xFE, 0x07], dtype=torch.uint8)),
        Case(torch.randint(0, 256, (20,), dtype=torch.uint8)),
    ],
    hints=[
        "A byte is 16 times the first code, plus the second.",
        "packed >> 4 is the first code of each byte, packed & 15 the second. How do you put them in turn?",
        "torch.stack([packed >> 4, packed & 15], dim=1).flatten()",
    ],
    mistakes=[
        Mistake(
            _halves(lambda p: p & 15, lambda p: p >> 4),
            "You put the two codes of each byte in the wrong order.",
            "The first code is in the high half: packed >> 4.",
            "Which one do you put first?",
        ),
        Mistake(
            lambda packed: torch.cat([packed >> 4, packed & 15]),
            "First come all your high halves, then all the low ones.",
            "The two codes of a byte follow each other.",
            "Use torch.stack with dim=1, then flatten. torch.cat, or stack without dim=1, keeps the halves apart.",
        ),
        Mistake(
            lambda packed: torch.stack([packed >> 4, packed & 15], dim=1),
            "Your codes are right, but still in pairs.",
            "The question is about one long row, twice as many codes as bytes.",
            "End with .flatten().",
        ),
        Mistake(
            _halves(lambda p: p >> 4, lambda p: p),
            "Your second code of each pair is still the whole byte.",
            "The high half has to be cut off: & 15 keeps the last four bits.",
            "Try packed & 15.",
        ),
        Mistake(
            _halves(lambda p: p >> 4, lambda p: p & 4),
            "Your & 4 keeps one bit, the third.",
            "To keep the last four bits you need a mask with four ones: 15, in bits 1111.",
            "Try packed & 15.",
        ),
        Mistake(
            _halves(lambda p: p >> 4, lambda p: p & 16),
            "Your & 16 keeps one bit, the fifth.",
            "To keep the last four bits you need a mask with four ones: 15, in bits 1111.",
            "Try packed & 15.",
        ),
        Mistake(
            _halves(lambda p: p & 240, lambda p: p & 15),
            "Your first codes are 16 times too large.",
            "The high half has to move down by four places, too.",
            "Try packed >> 4.",
        ),
        Mistake(
            _halves(lambda p: p / 16, lambda p: p % 16),
            "Your first codes have something after the point.",
            "/ makes floating-point numbers, and keeps the low half as a fraction.",
            "Try packed >> 4, or packed // 16.",
        ),
        Mistake(
            lambda packed: my_unpack(packed).long(),
            "Your codes are right, but in another dtype than asked for.",
            "That's up to eight times the memory, for numbers below 16.",
            "Leave torch.uint8 as it is: shifting and masking don't change the dtype.",
        ),
    ],
    shows="With the code book and the scales, that is all of dequantizing.",
)

# 07.5


def my_nf3(offset):
    """Four positive quantiles, three negative ones and zero, the largest of them 1."""
    positive = torch.special.ndtri(torch.linspace(offset, 0.5, 5)[:-1])
    negative = -torch.special.ndtri(torch.linspace(offset, 0.5, 4)[:-1])
    book = torch.cat([negative, torch.zeros(1), positive]).sort().values
    return book / book.max()


def _nf3(offset, positive=4, negative=3, zero=1, end=0.5, ordered=True, scaled=True):
    quantiles = [torch.special.ndtri(torch.linspace(offset, end, n + 1)[:-1]) for n in (positive, negative)]
    book = torch.cat([-quantiles[1], torch.zeros(zero), quantiles[0]])
    book = book.sort().values if ordered else book
    return book / book.max() if scaled else book


@mistake(
    "You have zero three times.",
    "The quantile of one half is zero, and each linspace ends there.",
    "Put [:-1] after both of them.",
)
def _nf3_with_both_halves(offset):
    positive = torch.special.ndtri(torch.linspace(offset, 0.5, 5))
    negative = -torch.special.ndtri(torch.linspace(offset, 0.5, 4))
    book = torch.cat([negative, torch.zeros(1), positive]).sort().values
    return book / book.max()


@mistake(
    "Three of your eight levels are zero.",
    "The quantile of one half is zero, and each linspace ends there.",
    "Take one more point in each linspace, and [:-1] to leave one half out.",
)
def _nf3_three_zeros(offset):
    positive = torch.special.ndtri(torch.linspace(offset, 0.5, 4))
    negative = -torch.special.ndtri(torch.linspace(offset, 0.5, 3))
    book = torch.cat([negative, torch.zeros(1), positive]).sort().values
    return book / book.max()


@mistake(
    "Three of your eight levels are zero, and the outermost ones are missing.",
    "linspace starts at offset and ends at one half, whose quantile is zero. [1:] leaves out the wrong one.",
    "Use [:-1], not [1:].",
)
def _nf3_without_the_outermost(offset):
    positive = torch.special.ndtri(torch.linspace(offset, 0.5, 5)[1:])
    negative = -torch.special.ndtri(torch.linspace(offset, 0.5, 4)[1:])
    book = torch.cat([negative, torch.zeros(1), positive]).sort().values
    return book / book.max()


@mistake(
    "Your negative levels are the positive ones with a minus, without the smallest.",
    "Three levels have to cut their side evenly, too, so they're at other places than four.",
    "Give them a linspace of their own: torch.linspace(offset, 0.5, 4)[:-1].",
)
def _nf3_mirrored(offset):
    positive = torch.special.ndtri(torch.linspace(offset, 0.5, 5)[:-1])
    book = torch.cat([-positive[:-1], torch.zeros(1), positive]).sort().values
    return book / book.max()


@mistake(
    "Your negative levels are in descending order.",
    "From one half up to offset the quantiles grow, and with a minus they fall.",
    "End with .sort().values.",
)
def _nf3_upwards(offset):
    positive, negative = (torch.special.ndtri(torch.linspace(0.5, offset, n)[1:]) for n in (5, 4))
    book = torch.cat([-negative, torch.zeros(1), positive])
    return book / book.max()


@mistake(
    "Your levels are all on one side.",
    "Probabilities from one half to offset are above the middle. The other half of the bell needs levels, too.",
    "Give three of them a minus.",
)
def _nf3_one_side(offset):
    book = torch.special.ndtri(torch.linspace(offset, 0.5, 8)).sort().values
    return book / book.max()


@mistake(
    "Your levels are evenly spaced.",
    "Quantiles of a normal distribution are closer together near zero.",
    "Where does your answer use torch.special.ndtri?",
)
def _nf3_even_levels(offset):
    return torch.linspace(-1, 1, 8)


@mistake(
    "Your levels are evenly spaced on each side: those are probabilities.",
    "A probability says how much is below, and the quantile says where that is.",
    "Take torch.special.ndtri of the probabilities.",
)
def _nf3_probabilities(offset):
    book = torch.cat([0.5 - torch.linspace(offset, 0.5, 4)[:-1], torch.linspace(offset, 0.5, 5) - 0.5]).sort().values
    return book / book.max()


@mistake(
    "You cut from 1 − offset to offset in one go: eight levels, and none of them is zero.",
    "An even number of points, placed symmetrically, skips the middle.",
    "Make two halves, with zero between them.",
)
def _nf3_in_one_go(offset):
    book = torch.special.ndtri(torch.linspace(1 - offset, offset, 8))
    return book / book.max()


exercise(
    id="07.5",
    title="A code book of eight",
    prompt=(
        "Write my_nf3(offset): four positive quantiles, three negative ones, and zero, from probabilities that start\n"
        "at offset and end just before one half; torch.float32, ascending, the largest 1. torch.special.ndtri is the\n"
        "inverse of the normal distribution."
    ),
    minutes=10,
    difficulty=4,
    importance=3,
    solution=my_nf3,
    explanation=(
        "linspace(offset, 0.5, 5) has four probabilities above one half, and one half itself, whose quantile is zero:\n"
        "[:-1] drops it. By symmetry the negative ones are minus the quantiles of three such probabilities."
    ),
    cases=lambda: [Case(0.95), Case(0.92)],
    hints=[
        "Section 7.4 has it for sixteen. Which numbers change?",
        "Four positive: linspace(offset, 0.5, 5)[:-1]. Three negative: linspace(offset, 0.5, 4)[:-1], and a minus.",
        "Put minus the three, torch.zeros(1) and the four together with torch.cat, sort, divide by the largest.",
    ],
    mistakes=[
        Mistake(
            lambda offset: _nf3(offset, scaled=False),
            "Your largest level isn't 1.",
            "A scaled block reaches from −1 to 1, and so should the levels.",
            "Divide by book.max() at the end.",
        ),
        Mistake(
            lambda offset: _nf3(offset, zero=0),
            "You have seven levels, and none of them is zero.",
            "[:-1] dropped zero from both halves, so it has to come back once, by itself.",
            "Where does torch.zeros(1) go?",
        ),
        Mistake(
            lambda offset: _nf3(offset, negative=4),
            "You have nine levels, four on each side: one more than three bits can name.",
            "Zero takes one of the eight, so one side has to do with three.",
            "Try linspace(offset, 0.5, 4)[:-1] for the negative ones.",
        ),
        Mistake(
            lambda offset: _nf3(offset, negative=4, zero=0),
            "You have no zero among your eight levels.",
            "Four on each side leave no place for it, and then zeros wouldn't stay zeros.",
            "Take three negative ones, and torch.zeros(1).",
        ),
        Mistake(
            lambda offset: _nf3(offset, positive=3, negative=4),
            "You have three positive levels and four negative ones.",
            "It could be done either way, but NF4 gives the extra level to the positive side.",
            "Which side gets four?",
        ),
        _nf3_with_both_halves,
        Mistake(
            lambda offset: _nf3(offset, positive=3, negative=2),
            "You have six levels, three positive and two negative.",
            "linspace counts both of its ends, and [:-1] takes one away.",
            "Use linspace(offset, 0.5, 5) for the four, and linspace(offset, 0.5, 4) for the three.",
        ),
        _nf3_three_zeros,
        _nf3_without_the_outermost,
        Mistake(
            lambda offset: my_nf3(0.9677083),
            "You start at NF4's offset, whatever the argument says.",
            "Another offset moves all the levels.",
            "Use offset in both linspaces.",
        ),
        Mistake(
            lambda offset: my_nf3(offset).double(),
            "Your levels are right, but in another dtype than asked for.",
            "float64 is good for getting there, as in section 7.4.",
            "End with .float(), which makes torch.float32.",
        ),
        Mistake(
            lambda offset: _nf3(offset, ordered=False),
            "Your levels aren't in ascending order.",
            "linspace starts at offset and comes down, so the largest quantile is first.",
            "End with .sort().values.",
        ),
        _nf3_mirrored,
        _nf3_upwards,
        _nf3_one_side,
        _nf3_even_levels,
        _nf3_probabilities,
        _nf3_in_one_go,
    ],
    shows="With 9 and 8 in place of 5 and 4 it is NF4.",
)
