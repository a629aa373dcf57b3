"""Quick check of notebook 02: what a step holds, what LoRA saves of it, what it does not."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "All is kept in float32. How many bytes for each trained number does AdamW's step hold, activations aside?",
        {
            "4": "That is the number itself. It has company. (Section 2.1.)",
            "8": "Number and gradient; Adam has two averages besides. (Section 2.1.)",
            "16": "The number, its gradient, and Adam's two averages, 4 bytes each. (Section 2.1.)",
        },
        right="c",
    ),
    Question(
        "Which part of full fine-tuning's memory does LoRA hardly touch?",
        {
            "The optimizer's state": "It belongs to trained numbers, and shrinks with them. (Section 2.3.)",
            "The activations": "Gradients still travel through every layer to reach the adapters. (Section 2.3.)",
            "The gradients": "Only trained numbers have one. (Section 2.3.)",
        },
        right="b",
    ),
    Question(
        "LoRA trains half a percent of the numbers. What share of full fine-tuning's operations does its step take?",
        {
            "About two thirds": "Forward, and backward for the inputs; only the weights' own gradients are left out. "
            "(Section 2.5.)",
            "About half a percent": "The frozen numbers are multiplied with all the same. (Section 2.5.)",
            "About a third": "A third is what is saved. (Section 2.5.)",
        },
        right="a",
    ),
    Question(
        "Gradient checkpointing …",
        {
            "saves time and memory": "It computes the layers once more. (Section 2.6.)",
            "saves time, and costs memory": "It is the other way round. (Section 2.6.)",
            "saves memory, and costs time": "Each layer keeps its input only, and is computed again on the way back. "
            "(Section 2.6.)",
        },
        right="c",
    ),
    Question(
        "Somebody says: a 70B QLoRA fits on a card of 48 GB. What do you ask?",
        {
            "How fast the card is": "That decides how long it takes, not whether it fits. (Section 2.7.)",
            "With how many tokens, and with checkpointing?": "The weights take most of the card. What is left holds a "
            "short row, and no activations of eighty layers. (Section 2.7.)",
            "How many examples there are": "Memory is a matter of one step. (Section 2.7.)",
        },
        right="b",
    ),
]

questions("02", QUESTIONS)
