"""Quick check of notebook 07: blocks, levels, bits, and fair comparisons."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "A weight matrix has a few very large numbers. What helps most in 4 bits?",
        {
            "One scale for the whole matrix": "Then the largest number sets the scale for all, and the others become "
            "zero. (Section 7.2.)",
            "Smaller blocks": "An outlier can spoil only the block it is in. (Section 7.2.)",
            "Another code book": "Levels near zero save a little. The scale is what the outlier has taken. "
            "(Sections 7.2 and 7.4.)",
        },
        right="b",
    ),
    Question(
        "How many bits a weight does NF4 take in blocks of 32, with float32 scales?",
        {
            "4": "The codes do. Each block has a scale as well. (Section 7.2.)",
            "4.5": "That is for blocks of 64. (Section 7.2.)",
            "5": "4 + 32/32: each block of 32 numbers shares 32 bits of scale. (Section 7.2.)",
        },
        right="c",
    ),
    Question(
        "Why are NF4's levels closer together near zero?",
        {
            "Most numbers of a normal block lie there": "The levels are quantiles: dense where numbers are. "
            "(Section 7.4.)",
            "Small weights matter more to a model": "No measure of that went into it: only how the numbers are "
            "distributed. (Section 7.4.)",
            "Floating-point numbers are built like that": "FP4 has four of its codes at zero or almost, and then a "
            "gap. NF4 is not built like that. (Section 7.6.)",
        },
        right="a",
    ),
    Question(
        "A blog compares quantizers on a model downloaded in a 4-bit format. Affine int4 has no error at all. And now?",
        {
            "Affine int4 is the best quantizer": "On numbers that nobody rounded before, it was not. (Section 7.6.)",
            "The model is on that grid already": "Rounding to the same grid again changes nothing. Compare on weights "
            "that were never rounded. (Section 7.6.)",
            "It has a bug": "It may well be right to the last bit. The comparison is what is wrong. (Section 7.6.)",
        },
        right="b",
    ),
    Question(
        "What does double quantization make smaller?",
        {
            "The codes of the weights": "They stay at four bits. (Section 7.7.)",
            "The embeddings": "They are not quantized at all. (Section 7.8.)",
            "The scales of the blocks": "From 32 bits each to 8 and a little: 0.127 bits a weight instead of 0.5. "
            "(Section 7.7.)",
        },
        right="c",
    ),
]

questions("07", QUESTIONS)
