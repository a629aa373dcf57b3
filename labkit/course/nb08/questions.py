"""Quick check of notebook 08: what is four bits, what is not, what it saves and what it costs."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "In QLoRA, in which precision are the products of weights and activations computed?",
        {
            "In four bits": "Four bits is how the weights are kept. Nobody multiplies codes. (Section 8.1.)",
            "In that of the activations": "Each layer makes its weight dense while it is multiplied: float32 here, "
            "bfloat16 on most GPUs. (Section 8.1.)",
            "In eight bits": "Eight bits is how the scales are kept, when they are quantized too. (Section 8.4.)",
        },
        right="b",
    ),
    Question(
        "Why must the dequantized weight not simply be handed to F.linear?",
        {
            "PyTorch would keep it until the backward pass": "Every layer's, all at the same time: the dense model "
            "would be back in memory. (Section 8.1.)",
            "The gradients would be wrong": "They would be right. It is memory that would be lost. (Section 8.1.)",
            "It would be trained along": "Nothing asks for its gradient, so it would stand still. (Section 8.1.)",
        },
        right="a",
    ),
    Question(
        "A 4-bit base takes about a quarter of a 16-bit one. What does a training step on it take, of one on that?",
        {
            "A quarter, too": "Only the linear layers of the base become smaller. (Section 8.5.)",
            "More than a quarter": "Activations, and what the adapters need, are as large as before. With many tokens "
            "a batch they are most of it. (Section 8.5.)",
            "Less than a quarter": "Nothing else becomes smaller. (Section 8.5.)",
        },
        right="b",
    ),
    Question(
        "The interval of a difference goes from −2 to +2 points. What has been shown?",
        {
            "That the two methods are equally good": "A difference of one point, either way, would fit as well. "
            "(Section 8.7.)",
            "Nothing": "That they are not five points apart, say. (Section 8.7.)",
            "That a difference, if there is one, is small": "On this task, with this base and this recipe. "
            "(Section 8.7.)",
        },
        right="c",
    ),
    Question(
        "Somebody loads a base in four bits, forgets inject_lora, and trains. What happens?",
        {
            "The 4-bit weights are trained": "They are bytes, and have no gradient. (Section 8.10.)",
            "Embeddings and norms are trained, unless they were frozen": "They are the only parameters there are. It "
            "runs, and looks like training. (Section 8.10.)",
            "An error, always": "Only where everything is frozen. (Section 8.10.)",
        },
        right="b",
    ),
]

questions("08", QUESTIONS)
