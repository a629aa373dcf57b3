"""The exercises of notebook 07, quantization and NF4."""

import math

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
        "Write my_bits(bits, block_size, scale_bits): the bits per weight, when a code has `bits` bits and each block\n"
        "of block_size numbers has one scale of scale_bits bits."
    ),
    minutes=4,
    difficulty=1,
    importance=4,
    solution=my_bits,
    explanation=(
        "Each number has a code of its own. The block shares its scale, so each number pays its part of it:\n"
        "scale_bits / block_size. For NF4 that's 4 + 32/64 = 4.5."
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
            "You only count the codes.",
            "A code means nothing without its scale, so the scale has to be stored, too.",
            "Where does your answer use scale_bits?",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: scale_bits / block_size,
            "You only count the scale.",
            "That's the part that blocks add. Each number still needs its own code.",
            "Where does your answer use bits?",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits + scale_bits,
            "You give every number a scale of its own.",
            "The numbers of a block share one scale, and its bits.",
            "How many numbers share scale_bits?",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits * block_size + scale_bits,
            "You count the bits of a whole block.",
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
            "You divide the codes by the size of the block as well.",
            "Only the scale is shared. Each number has its own code.",
            "Check your parentheses.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits + 2 * scale_bits / block_size,
            "You count the scale twice.",
            "Affine quantization stores two numbers per block. Here it's only one scale.",
            "Leave out the factor 2.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits * (1 + scale_bits / block_size),
            "You multiply the scale's share by bits.",
            "scale_bits already is a number of bits, and doesn't depend on how long a code is.",
            "Add the two parts: the code's bits, and the scale's share.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits + scale_bits / (block_size * bits),
            "You divide the scale by the bits of all codes, not by how many codes there are.",
            "A block's scale is shared by its numbers, and how long their codes are doesn't matter.",
            "How many numbers are in a block?",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits + 32 / block_size,
            "All your scales have 32 bits.",
            "float32 does. Other formats have scales of 16 or 8 bits, so it's an argument here.",
            "Use scale_bits.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits + scale_bits / 64,
            "All your blocks have 64 numbers.",
            "QLoRA's do. Here the caller chooses.",
            "Use block_size.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: 4 + scale_bits / block_size,
            "All your codes have four bits.",
            "NF4's do. Here it's an argument, and could be eight.",
            "Use bits.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits + scale_bits // block_size,
            "Your answer drops what comes after the point.",
            "// and int round down, so half a bit becomes none. On average over a block, there are halves.",
            "Use an ordinary division, /, and don't round after it.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: math.ceil(bits + scale_bits / block_size),
            "You round up to whole bits.",
            "You can't store half a bit for one number. But a block has many, and on average there are halves.",
            "Leave the rounding out.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: round(bits + scale_bits / block_size),
            "You round your answer to a whole number.",
            "No single number takes half a bit, but on average over a block there are halves.",
            "Leave round out.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: round(bits + scale_bits / block_size, 1),
            "You round your answer, and an eighth of a bit is lost.",
            "With a million weights, an eighth of a bit each is 15,625 bytes.",
            "Leave round out.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: (bits + scale_bits / block_size) / 8,
            "Your answer is in bytes.",
            "A byte has eight bits, and the question is about bits.",
            "Leave the 8 out.",
        ),
        Mistake(
            lambda bits, block_size, scale_bits: bits + scale_bits / block_size / 8,
            "You add bits and bytes: the scale's share is divided by 8.",
            "scale_bits is a number of bits already.",
            "Leave the 8 out.",
        ),
    ],
    shows="4.5 for NF4 in blocks of 64. And if the scales have scales, it's 4.127: section 7.8.",
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
    "You spread sixteen levels from the block's smallest to its largest number.",
    "That's affine quantization, and often better. But it stores two numbers per block, and zero has no level.",
    "Here the scale is the largest magnitude / 7, and nothing is subtracted.",
)
def _int4_affine(w, block_size):
    blocks = w.view(-1, block_size)
    low, high = blocks.amin(dim=1, keepdim=True), blocks.amax(dim=1, keepdim=True)
    step = (high - low) / 15
    return (((blocks - low) / step).round() * step + low).view(w.shape)


@mistake(
    "You use the code −8 as well, with a step of absmax / 8.",
    "Some formats do, and all sixteen codes are used. But then the largest positive number is cut to 7/8 of itself.",
    "Here the codes go from −7 to 7: divide by 7.",
)
def _int4_with_minus_eight(w, block_size):
    blocks = w.view(-1, block_size)
    step = blocks.abs().amax(dim=1, keepdim=True) / 8
    return ((blocks / step).round().clamp(-8, 7) * step).view(w.shape)


@mistake(
    "You take a block's scale from its width, largest minus smallest, but nothing shifts the block.",
    "A width only says enough if the block lies evenly around zero, and few do.",
    "Use the largest magnitude: .abs().amax().",
)
def _int4_by_width(w, block_size):
    blocks = w.view(-1, block_size)
    step = (blocks.amax(dim=1, keepdim=True) - blocks.amin(dim=1, keepdim=True)) / 15
    return ((blocks / step).round() * step).view(w.shape)


@mistake(
    "You scale each block by its standard deviation.",
    "It's a good measure of size, but the largest numbers lie far beyond it, and need codes above 7.",
    "Which number of the block must get the code 7 or −7?",
)
def _int4_by_deviation(w, block_size):
    return _in_blocks(w, block_size, absmax=lambda blocks: blocks.std(dim=1, keepdim=True))


@mistake(
    "You scale each block by the mean of its magnitudes.",
    "The largest numbers lie far above the mean, and need codes above 7.",
    "Which number of the block must get the code 7 or −7?",
)
def _int4_by_mean(w, block_size):
    return _in_blocks(w, block_size, absmax=lambda blocks: blocks.abs().mean(dim=1, keepdim=True))


@mistake(
    "Your blocks are fine, but each column has a scale: the first numbers of all blocks share one.",
    "dim=0 looks down the columns. A block is a row here.",
    "Which dim does amax need?",
)
def _int4_scale_per_column(w, block_size):
    return _in_blocks(w, block_size, absmax=lambda blocks: blocks.abs().amax(dim=0, keepdim=True))


@mistake(
    "You cut w into block_size blocks.",
    "view(block_size, -1) makes block_size rows. block_size says how many numbers are in a row.",
    "Try view(-1, block_size).",
)
def _int4_that_many_blocks(w, block_size):
    return _in_blocks(w, len(w) // block_size)


@mistake(
    "Nothing is rounded: you return the numbers you got.",
    "Divided by a scale and multiplied by it again, a number is what it was.",
    "Where do the quotients become whole numbers?",
)
def _int4_unrounded(w, block_size):
    return w.clone()


@mistake(
    "You round the numbers on w's own scale.",
    "The codes are whole numbers. The restored numbers aren't.",
    "Divide by the scale, round, and then multiply by it again.",
)
def _int4_rounded_late(w, block_size):
    return w.round()


@mistake(
    "Your restored numbers are still between −1 and 1.",
    "code / 7 is what's left once the block is divided by its largest magnitude. That has to come back.",
    "Multiply by the scale again.",
)
def _int4_still_scaled(w, block_size):
    blocks = w.view(-1, block_size)
    return ((blocks / blocks.abs().amax(dim=1, keepdim=True) * 7).round() / 7).view(w.shape)


@mistake(
    "You return the codes.",
    "The question is about the restored numbers, on w's own scale.",
    "Multiply by the scale again.",
)
def _int4_codes(w, block_size):
    blocks = w.view(-1, block_size)
    return (blocks / (blocks.abs().amax(dim=1, keepdim=True) / 7)).round().view(w.shape)


@mistake(
    "You return the codes, as integers.",
    "Codes are what's stored. The question is about the restored numbers, on w's own scale.",
    "Multiply by the scale again.",
)
def _int4_integer_codes(w, block_size):
    return _int4_codes.answer(w, block_size).to(torch.int8)


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
    "You round numbers between −1 and 1, and that leaves only −1, 0 and 1.",
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
        Case(torch.cat([torch.randn(48), -torch.rand(48)]), 8),
        Case(torch.randn(128), 32),
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
            "Your step is absmax / 8: the largest numbers get the code 8, which four bits don't have.",
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
            lambda w, block_size: _in_blocks(w, block_size, highest=16),
            "Your step is absmax / 16: that makes 33 levels.",
            "Four bits have 16 codes for both signs together.",
            "What's the highest code of four bits with a sign?",
        ),
        Mistake(
            lambda w, block_size: _in_blocks(w, block_size, highest=7.5),
            "Your step is absmax / 7.5, so the largest number lies halfway between two codes.",
            "Sixteen levels have fifteen steps, but then zero would need a level in the middle, and there's none.",
            "Count the steps from zero to the highest code.",
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
            "You take the largest number of a block, not the largest magnitude.",
            "A block's farthest number may be negative.",
            "Use .abs() before .amax().",
        ),
        Mistake(
            lambda w, block_size: _in_blocks(w, block_size, rounded=torch.ceil),
            "You always round up.",
            "ceil moves every number to the right, by half a step on average. The nearest level is up or down.",
            "Use .round().",
        ),
        _int4_codes,
        _int4_integer_codes,
        _int4_affine,
        _int4_with_minus_eight,
        _int4_by_width,
        _int4_by_deviation,
        _int4_by_mean,
        _int4_scale_per_column,
        _int4_that_many_blocks,
        _int4_unrounded,
        _int4_rounded_late,
        _int4_still_scaled,
        _int4_unscaled_levels,
        _int4_whole_levels,
        _int4_blocks_as_columns,
        _int4_left_in_blocks,
    ],
    shows="With 127 in place of 7, it's int8.",
)

# 07.3


def my_nf4(w, book, block_size):
    """The number of the nearest level for each number, and the largest magnitude of each block."""
    blocks = w.reshape(-1, block_size)
    absmax = blocks.abs().amax(dim=1)
    scaled = blocks / absmax[:, None]
    codes = torch.bucketize(scaled, (book[1:] + book[:-1]) / 2)
    return codes.flatten().to(torch.uint8), absmax


def _scaled(w, block_size, size=lambda blocks: blocks.abs().amax(dim=1)):
    """The blocks divided by their sizes, and the sizes."""
    blocks = w.reshape(-1, block_size)
    return blocks / size(blocks)[:, None], size(blocks)


def _answer(scaled, book, absmax):
    distances = (scaled.flatten()[:, None] - book).abs()
    return distances.argmin(dim=1).to(torch.uint8), absmax


def _bucketed(w, block_size, bounds, right=False, off=0, last=15):
    scaled, absmax = _scaled(w, block_size)
    codes = (torch.bucketize(scaled, bounds, right=right) + off).clamp(0, last)
    return codes.flatten().to(torch.uint8), absmax


@mistake(
    "You scale each block by its largest number, not by its largest magnitude.",
    "A block's farthest number may be negative.",
    "Use .abs() before .amax().",
)
def _nf4_largest_number(w, book, block_size):
    scaled, largest = _scaled(w, block_size, lambda blocks: blocks.amax(dim=1))
    return _answer(scaled, book, largest)


@mistake(
    "You scale each block by its standard deviation.",
    "Normal numbers suggest it, but then many of them end up outside −1 … 1, beyond the last level.",
    "Which number of the block has to become 1 or −1?",
)
def _nf4_deviation(w, book, block_size):
    scaled, spread = _scaled(w, block_size, lambda blocks: blocks.std(dim=1))
    return _answer(scaled, book, spread)


@mistake(
    "Your absmax is a seventh of the largest magnitude.",
    "Dividing by 7 is for int4, whose codes reach to 7. These levels reach from −1 to 1.",
    "Divide each block by its largest magnitude itself.",
)
def _nf4_a_seventh(w, book, block_size):
    scaled, absmax = _scaled(w, block_size, lambda blocks: blocks.abs().amax(dim=1) / 7)
    return _answer(scaled, book, absmax)


@mistake(
    "You look for the levels of the numbers as they are.",
    "The levels reach from −1 to 1, so each block has to be scaled into that range first.",
    "Divide each block by its absmax.",
)
def _nf4_unscaled(w, book, block_size):
    return _answer(w, book, _scaled(w, block_size)[1])


@mistake(
    "All your codes come from one scale.",
    "Each block needs its own, so that a large number only spoils its own block.",
    "Divide by absmax[:, None], which has a row for each block.",
)
def _nf4_scaled_by_all(w, book, block_size):
    return _answer(w / w.abs().max(), book, _scaled(w, block_size)[1])


@mistake(
    "You treat all of w as one block.",
    "block_size says how many neighbors share a scale.",
    "Begin with blocks = w.reshape(-1, block_size).",
)
def _nf4_one_block(w, book, block_size):
    return _answer(w / w.abs().max(), book, w.abs().max()[None])


@mistake(
    "All your blocks have the same scale.",
    "Each block needs its own, so that a large number only spoils its own block. Repeating one only makes it fit.",
    "Begin with blocks = w.reshape(-1, block_size). Which dim does amax need?",
)
def _nf4_one_scale_repeated(w, book, block_size):
    absmax = w.abs().max()
    return _answer(w / absmax, book, absmax.repeat(w.numel() // block_size))


@mistake(
    "Your blocks are the rows of w, whatever block_size says.",
    "A block is a run of block_size numbers, row after row, and may go on in the next row.",
    "Begin with blocks = w.reshape(-1, block_size).",
)
def _nf4_rows(w, book, block_size):
    return my_nf4(w, book, w.shape[-1])


@mistake(
    "Your blocks have 64 numbers, whatever block_size says.",
    "QLoRA settles on 64. Here the caller chooses.",
    "What do you pass to reshape?",
)
def _nf4_sixty_four(w, book, block_size):
    return my_nf4(w, book, 64)


@mistake(
    "Your blocks are made of numbers that are far apart.",
    "A block is a run of neighbors, and reshape fills row after row.",
    "Try reshape(-1, block_size) and dim=1.",
)
def _nf4_columns(w, book, block_size):
    blocks = w.reshape(block_size, -1)
    absmax = blocks.abs().amax(dim=0)
    return _answer(blocks / absmax, book, absmax)


@mistake(
    "You cut w into block_size blocks.",
    "reshape(block_size, -1) makes block_size rows. block_size says how many numbers are in a row.",
    "Try reshape(-1, block_size).",
)
def _nf4_that_many_blocks(w, book, block_size):
    return my_nf4(w, book, w.numel() // block_size)


@mistake(
    "You always take the next level above.",
    "bucketize counts how many bounds are below. With the levels as bounds, that isn't the nearest level.",
    "Use bounds halfway between the levels: (book[1:] + book[:-1]) / 2.",
)
def _nf4_levels_above(w, book, block_size):
    return _bucketed(w, block_size, book, last=len(book) - 1)


@mistake(
    "You always take the level below.",
    "The nearest level may be the one above.",
    "Use bounds halfway between the levels: (book[1:] + book[:-1]) / 2.",
)
def _nf4_levels_below(w, book, block_size):
    return _bucketed(w, block_size, book, right=True, off=-1, last=len(book) - 1)


@mistake(
    "You count the levels at or below, which is one more than the code of the level below.",
    "The first level has the number 0, and the nearest level may be the one above.",
    "Use bounds halfway between the levels, (book[1:] + book[:-1]) / 2. How many of them are below a number?",
)
def _nf4_at_or_below(w, book, block_size):
    return _bucketed(w, block_size, book, right=True, last=255)


@mistake(
    "Your distances have a sign, so the farthest level on one side wins.",
    "To argmin, a distance of −2 is smaller than one of 0.",
    "Use .abs() before .argmin().",
)
def _nf4_signed_distances(w, book, block_size):
    scaled, absmax = _scaled(w, block_size)
    return (scaled.flatten()[:, None] - book).argmin(dim=1).to(torch.uint8), absmax


@mistake(
    "You take the farthest level.",
    "argmax finds the largest distance.",
    "Which function finds the smallest one?",
)
def _nf4_farthest(w, book, block_size):
    scaled, absmax = _scaled(w, block_size)
    return (scaled.flatten()[:, None] - book).abs().argmax(dim=1).to(torch.uint8), absmax


@mistake(
    "For each level you look for the nearest number, not for each number the nearest level.",
    "scaled[:, None] - book has a row for each number, and dim=0 looks down the columns.",
    "Try argmin(dim=1).",
)
def _nf4_wrong_axis(w, book, block_size):
    scaled, absmax = _scaled(w, block_size)
    return (scaled.flatten()[:, None] - book).abs().argmin(dim=0).to(torch.uint8), absmax


@mistake(
    "You look in NF4's code book, not in the one you were given.",
    "The notebook has a `book` of its own, and your function sees that one if its argument has another name.",
    "What's your second argument called?",
)
def _nf4_the_notebooks_book(w, book, block_size):
    return my_nf4(w, nf4_codebook(), block_size)


@mistake(
    "Your levels are evenly spaced.",
    "That's int4. The levels of book aren't evenly spaced, and that's the point of them.",
    "Where does your answer use book?",
)
def _nf4_even_steps(w, book, block_size):
    scaled, absmax = _scaled(w, block_size)
    return ((scaled * 7).round() + 7).flatten().to(torch.uint8), absmax


@mistake(
    "Your levels are evenly spaced.",
    "Stretching −1 … 1 to 0 … 15 and rounding would fit even levels. Those of book aren't even.",
    "Where does your answer use book?",
)
def _nf4_stretched(w, book, block_size):
    scaled, absmax = _scaled(w, block_size)
    return ((scaled + 1) / 2 * (len(book) - 1)).round().flatten().to(torch.uint8), absmax


@mistake(
    "Your levels are evenly spaced, and there are always sixteen.",
    "Stretching −1 … 1 to 0 … 15 and rounding would fit even levels. Those of book aren't even.",
    "Where does your answer use book?",
)
def _nf4_stretched_to_fifteen(w, book, block_size):
    scaled, absmax = _scaled(w, block_size)
    return ((scaled + 1) / 2 * 15).round().flatten().to(torch.uint8), absmax


@mistake(
    "You return the levels themselves.",
    "What's stored is which level it is: for sixteen of them, a number from 0 to 15.",
    "Leave out the last look-up in book.",
)
def _nf4_levels(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return book[codes.int()], absmax


@mistake(
    "You return the restored numbers.",
    "They come later, from the codes. What's stored is which level each number falls to.",
    "Return the codes before you look them up in book.",
)
def _nf4_restored(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return book[codes.int()] * absmax.repeat_interleave(block_size), absmax


@mistake(
    "Your codes and scales are right, but the codes are still in blocks.",
    "The question is about one long row of codes, in the order of w.",
    "Use .flatten() on the codes.",
)
def _nf4_codes_in_blocks(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return codes.view(-1, block_size), absmax


@mistake(
    "Your codes and scales are right, but the codes have the shape of w.",
    "The question is about one long row of codes.",
    "Use .flatten() on the codes.",
)
def _nf4_codes_as_w(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return codes.view(w.shape), absmax


@mistake(
    "Your codes and scales are right, but the codes are still in blocks, and absmax is a column.",
    "keepdim=True and the rows of blocks are handy for dividing. What's stored is one long row of each.",
    "Use .flatten() on both.",
)
def _nf4_both_in_blocks(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return codes.view(-1, block_size), absmax[:, None]


@mistake(
    "Your codes are right, but still in blocks and in torch.int64.",
    "That's how bucketize and argmin return them.",
    "Use .flatten().to(torch.uint8) on the codes, and return absmax as one row.",
)
def _nf4_as_bucketize_returns(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return codes.view(-1, block_size).long(), absmax


@mistake(
    "Your codes are right, but still in blocks and in torch.int64.",
    "That's how bucketize and argmin return them.",
    "Use .flatten().to(torch.uint8) on the codes, and return absmax as one row.",
)
def _nf4_as_bucketize_returns_with_a_column(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return codes.view(-1, block_size).long(), absmax[:, None]


@mistake(
    "You pack two codes into each byte.",
    "That comes in a later cell. Here the question is one code for each number.",
    "Return the codes before you pack them.",
)
def _nf4_packed(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return codes[0::2] << 4 | codes[1::2], absmax


@mistake(
    "Your codes and scales are right, but absmax is a column.",
    "keepdim=True is handy for dividing. What's stored is one number per block, in a row.",
    "Use .flatten() on absmax, too.",
)
def _nf4_absmax_as_column(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return codes, absmax[:, None]


@mistake(
    "Your codes and scales are right, but the codes are in another dtype than asked for.",
    "bucketize and argmin count in torch.int64, and those are eight bytes per code.",
    "Use .to(torch.uint8) on the codes.",
)
def _nf4_int64(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return codes.long(), absmax


@mistake(
    "Your codes are right, but you return the reciprocals of the scales.",
    "Multiplying by the reciprocal is a fine way to divide. To restore a number you need absmax itself.",
    "Return absmax, not 1 / absmax.",
)
def _nf4_reciprocal(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return codes, 1 / absmax


@mistake(
    "You return the scales first, then the codes.",
    "The next cell unpacks them as codes, absmax.",
    "Swap the two in your return.",
)
def _nf4_swapped(w, book, block_size):
    return my_nf4(w, book, block_size)[::-1]


@mistake(
    "You only return the codes.",
    "Without the scale of its block, a code can't become a weight again.",
    "Return both: codes, absmax.",
)
def _nf4_only_codes(w, book, block_size):
    return my_nf4(w, book, block_size)[0]


@mistake(
    "Your codes are all one too high.",
    "The first level has the number 0.",
    "How many middles are below a number? That's its code already.",
)
def _nf4_from_one(w, book, block_size):
    codes, absmax = my_nf4(w, book, block_size)
    return codes + 1, absmax


exercise(
    id="07.3",
    title="Quantize to NF4",
    prompt=(
        "Write my_nf4(w, book, block_size): cut w, row after row, into blocks, divide each by its largest magnitude,\n"
        "and find each number's nearest level in book, which ascends from -1 to 1. Return two one-dimensional\n"
        "tensors: the codes, torch.uint8, and absmax, one number per block."
    ),
    minutes=12,
    difficulty=3,
    importance=5,
    solution=my_nf4,
    explanation=(
        "reshape puts each block in a row. A number's code is how many middles between levels are below it, and\n"
        "bucketize counts them. All distances and argmin give the same, in more memory. (A number halfway between two\n"
        "levels may go either way.)"
    ),
    cases=lambda: [
        Case(0.1 * torch.randn(192), nf4_codebook(), 16),
        Case(-3 * torch.rand(96) + 0.5, nf4_codebook(), 8),
        Case(torch.randn(6, 32), torch.tensor([-1, -0.6, -0.3, -0.1, 0, 0.2, 0.5, 1]), 48),
    ],
    hints=[
        "How did you scale the blocks for int4? Only the levels are new: they're in book.",
        "scaled = blocks / absmax[:, None]. Then either all distances and argmin, or torch.bucketize with the middles.",
        "torch.bucketize(scaled, (book[1:] + book[:-1]) / 2).flatten().to(torch.uint8)",
    ],
    mistakes=[
        _nf4_largest_number,
        _nf4_deviation,
        _nf4_a_seventh,
        _nf4_unscaled,
        _nf4_scaled_by_all,
        _nf4_one_block,
        _nf4_one_scale_repeated,
        _nf4_rows,
        _nf4_sixty_four,
        _nf4_columns,
        _nf4_that_many_blocks,
        _nf4_levels_above,
        _nf4_levels_below,
        _nf4_at_or_below,
        _nf4_signed_distances,
        _nf4_farthest,
        _nf4_wrong_axis,
        _nf4_the_notebooks_book,
        _nf4_even_steps,
        _nf4_stretched,
        _nf4_stretched_to_fifteen,
        _nf4_levels,
        _nf4_restored,
        _nf4_codes_in_blocks,
        _nf4_codes_as_w,
        _nf4_both_in_blocks,
        _nf4_as_bucketize_returns,
        _nf4_as_bucketize_returns_with_a_column,
        _nf4_packed,
        _nf4_absmax_as_column,
        _nf4_int64,
        _nf4_reciprocal,
        _nf4_swapped,
        _nf4_only_codes,
        _nf4_from_one,
    ],
    shows="bitsandbytes does the same, and the next cells hold your codes against its own.",
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
        "Write my_unpack(packed): all codes in their order, torch.uint8 of shape (2n,). packed is torch.uint8 of\n"
        "shape (n,), with two codes per byte, the first in the high half."
    ),
    minutes=6,
    difficulty=3,
    importance=3,
    solution=my_unpack,
    explanation=(
        ">> 4 moves the high half down, & 15 keeps the low half. Stacked along dim=1, the two codes of a byte are\n"
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
            _halves(lambda p: p >> 4, lambda p: p - (p >> 4)),
            "From each byte you take away its first code, but the byte holds 16 times that code.",
            "byte = 16 · first + second, so what's left after first alone is much too large.",
            "Take away 16 times the first code, or try packed & 15.",
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
    shows="With the code book and the scales, that's all of dequantizing.",
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
    "Your negative levels are the positive ones with a minus, without the outermost.",
    "Three levels have to cut their side evenly, too, and the outermost has to reach the end of a block.",
    "Give them a linspace of their own: torch.linspace(offset, 0.5, 4)[:-1].",
)
def _nf3_mirrored_inner(offset):
    positive = torch.special.ndtri(torch.linspace(offset, 0.5, 5)[:-1])
    book = torch.cat([-positive[1:], torch.zeros(1), positive]).sort().values
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
    "You take every second one of NF4's levels, and drop the outermost.",
    "Every second of seven leaves four, one more than there's room for. And the ends of a block need levels, too.",
    "Cut each side yourself: torch.linspace(offset, 0.5, 5)[:-1], and torch.linspace(offset, 0.5, 4)[:-1].",
)
def _nf3_half_of_nf4(offset):
    positive, negative = (torch.special.ndtri(torch.linspace(offset, 0.5, n)[:-1][::2]) for n in (9, 8))
    book = torch.cat([-negative, torch.zeros(1), positive]).sort().values
    return (book / book.max())[1:]


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
        "Write my_nf3(offset): four positive quantiles, three negative ones, and zero, from probabilities evenly\n"
        "spaced from offset to one half, without one half itself; torch.float32, ascending, the largest 1.\n"
        "torch.special.ndtri gives the quantiles."
    ),
    minutes=5,
    difficulty=3,
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
        _nf3_mirrored_inner,
        _nf3_upwards,
        _nf3_one_side,
        _nf3_even_levels,
        _nf3_probabilities,
        _nf3_in_one_go,
        _nf3_half_of_nf4,
    ],
    shows="With 9 and 8 in place of 5 and 4, it's NF4. NF3's own offset is halfway between 1 − 1/14 and 1 − 1/16.",
)
