"""Quick check of notebook 08: what is four bits, what isn't, what it saves and what it costs."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "In a QLoRA layer, in which precision are weights and activations multiplied?",
        {
            "In four bits": "Four bits is how the weights are stored. Codes aren't multiplied. (Section 8.1.)",
            "In the precision of the activations": "Each layer makes its weight dense just for the product: "
            "float32 here, bfloat16 on most GPUs. (Section 8.1.)",
            "In eight bits": "Eight bits is how the scales are stored, if they're quantized too. (Notebook 07.)",
        },
        right="b",
    ),
    Question(
        "Why don't you just hand the dequantized weight to F.linear?",
        {
            "PyTorch would keep it until the backward pass": "And every other layer's with it, so the dense model "
            "would be back in memory. (Section 8.2.)",
            "The gradients would be wrong": "They'd be right. It's the memory that you'd lose. (Section 8.2.)",
            "It would be trained, too": "It wouldn't: it's no parameter, and nobody asks for its gradient. "
            "(Section 8.2.)",
        },
        right="a",
    ),
    Question(
        "Your friend trains the same QLoRA with TRL, and gets other losses than you. What do you check first?",
        {
            "Whether TRL has a bug": "With the same settings, its losses are ours. (Section 8.6.)",
            "The seed, and nothing else": "It's one of the defaults that differ, but the same seed isn't enough. "
            "(Section 8.6.)",
            "The defaults, and the dtype of A and B": "FP4, another rate and schedule, another order of the rows, and "
            "A and B in bfloat16. (Sections 8.6 and 8.7.)",
        },
        right="c",
    ),
    Question(
        "A 4-bit base takes about a quarter of a 16-bit one. What about a training step on it?",
        {
            "A quarter, too": "Only the linear layers of the base shrink. (Section 8.8.)",
            "More than a quarter": "Activations, and what the adapters need, are as large as before. With many tokens "
            "in a batch, they're most of it. (Section 8.8.)",
            "Less than a quarter": "Nothing else shrinks. (Section 8.8.)",
        },
        right="b",
    ),
    Question(
        "The interval of a difference goes from −2 to +2 points. What do you know?",
        {
            "The two methods are equally good": "A difference of one point, either way, would fit as well. "
            "(Section 8.9.)",
            "Nothing": "You know that they aren't five points apart, say. (Section 8.9.)",
            "A difference, if there is one, is hardly more than 2 points": "On this task, with this recipe. "
            "Whether that's little depends: with 98 % right, it doubles the mistakes. (Section 8.9.)",
        },
        right="c",
    ),
    Question(
        "You load a base in four bits, forget inject_lora, and hand what's trainable to an optimizer. What happens?",
        {
            "The 4-bit weights are trained": "They're bytes, without a gradient. (Section 8.10.)",
            "Embeddings and norms are trained": "In labkit, they're the only parameters there are. It runs, and it "
            "looks like training. (Section 8.10.)",
            "You get an error": "Only if everything is frozen. (Section 8.10.)",
        },
        right="b",
    ),
]

questions("08", QUESTIONS)
