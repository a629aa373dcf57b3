"""Quick check of notebook 02: what a step holds, what LoRA saves of it, and what it doesn't."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "Everything is in float32. How many bytes does an AdamW step hold per trained number, activations aside?",
        {
            "4": "That's the number itself, and it has company. (Section 2.2.)",
            "8": "Number and gradient. Adam keeps two averages besides. (Section 2.3.)",
            "16": "The number, its gradient, and Adam's two averages, 4 bytes each. (Sections 2.2 and 2.3.)",
        },
        right="c",
    ),
    Question(
        "Which part of full fine-tuning's memory does LoRA hardly touch?",
        {
            "Adam's averages": "They belong to trained numbers, and shrink with them. (Section 2.2.)",
            "The activations": "Gradients still travel through every layer to reach the adapters. (Section 2.5.)",
            "The gradients": "Only trained numbers have one. (Section 2.2.)",
        },
        right="b",
    ),
    Question(
        "You rent one card and train an 8B model on it, once with full fine-tuning and once with LoRA. The bills?",
        {
            "Less than a factor of two apart": "LoRA leaves out one product of three, and no more. (Section 2.8.)",
            "About ten times apart": "It's the card you need that differs, not the time on it. (Section 2.8.)",
            "As far apart as the trained numbers": "Frozen weights are multiplied all the same. (Section 2.8.)",
        },
        right="a",
    ),
    Question(
        "What does gradient checkpointing do?",
        {
            "It saves time and memory": "It computes the layers once more. (Section 2.6.)",
            "It saves time, and costs memory": "It's the other way round. (Section 2.6.)",
            "It saves memory, and costs time": "Each layer keeps only its input, and is computed again going back. "
            "(Section 2.6.)",
        },
        right="c",
    ),
    Question(
        'You hear: "A 70B QLoRA fits on a 48 GB card." What do you ask?',
        {
            "How fast is the card?": "That decides how long it takes, not whether it fits. (Section 2.7.)",
            "How many tokens, and with checkpointing?": "The weights take most of the card. What's left holds a short "
            "row, but not the activations of eighty layers. (Section 2.7.)",
            "How many examples?": "Memory is a matter of a single step. (Section 2.7.)",
        },
        right="b",
    ),
]

questions("02", QUESTIONS)
