"""Quick check of notebook 07: blocks, levels, bits, and fair comparisons."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "A weight matrix has a few very large numbers. What helps most in 4 bits?",
        {
            "One scale for the whole matrix": "Then the largest number sets the scale for all, and the others become "
            "zero. (Section 7.2.)",
            "Smaller blocks": "An outlier can only spoil the block it's in. (Section 7.2.)",
            "Another code book": "Levels near zero save a little, but the outlier still has the whole scale. "
            "(Sections 7.2 and 7.4.)",
        },
        right="b",
    ),
    Question(
        "How many bits per weight does NF4 take in blocks of 32, with float32 scales?",
        {
            "4": "The codes do. Each block has a scale as well. (Section 7.2.)",
            "4.5": "That's for blocks of 64. (Section 7.2.)",
            "5": "4 + 32/32: each block of 32 numbers shares 32 bits of scale. (Section 7.2.)",
        },
        right="c",
    ),
    Question(
        "Why are NF4's levels closer together near zero?",
        {
            "Most numbers of a normal block are there": "The levels are quantiles: dense where numbers are. "
            "(Section 7.4.)",
            "Small weights matter more to a model": "NF4 doesn't know what matters to a model, only how numbers are "
            "spread. (Section 7.4.)",
            "All floating-point numbers are built like that": "FP4 has four of its codes at zero or almost, and then a "
            "gap. NF4 isn't built like that. (Section 7.6.)",
        },
        right="a",
    ),
    Question(
        "MXFP4 and NVFP4 have the same levels. Why does MXFP4 miss by more?",
        {
            "It has fewer bits per code": "Both have four. (Section 7.6.)",
            "Its levels are evenly spaced": "Both use E2M1, dense near zero. (Section 7.6.)",
            "Its blocks are larger, and their scales are powers of two": "A power of two seldom fits a block, "
            "and one scale has to do for 32 numbers, not 16. (Section 7.6.)",
        },
        right="c",
    ),
    Question(
        "A blog compares quantizers on a model downloaded in a 4-bit format. Affine int4 makes no error at all. Why?",
        {
            "Affine int4 is the best quantizer": "On numbers that were never rounded, it errs like all others. "
            "(Sections 7.6 and 7.8.)",
            "The model is on that grid already": "Rounding to the same grid again changes nothing. Compare on weights "
            "that were never rounded. (Section 7.7.)",
            "It has a bug": "It may well be right to the last bit. It's the comparison that's wrong. (Section 7.7.)",
        },
        right="b",
    ),
]

questions("07", QUESTIONS)
