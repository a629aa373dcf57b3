"""Quick check of notebook 09: what a merge changes, what it rounds, and when you'd better leave it."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "A server merges adapters that take turns, and unmerges each by subtracting its update. What happens?",
        {
            "Nothing: what you add, you can subtract": "That's true on paper. Here every sum is rounded. (Section "
            "9.2.)",
            "The base drifts away from what it was": "Each adapter leaves its own rounding errors. In bfloat16 it goes "
            "slower and slower, but what's lost stays lost. labkit keeps W, and puts it back. (Section 9.2.)",
            "It's off once and then stays where it is": "That's what one adapter does if it's merged again and again. "
            "With others in between, the errors add up. (Section 9.2.)",
        },
        right="b",
    ),
    Question(
        "A weight in bfloat16 is about 0.05, and its update is 0.00001. After merging it is …",
        {
            "the same number": "There the numbers of bfloat16 are 1/4096 apart, and the update is far less than half "
            "of that. (Section 9.3.)",
            "0.05001": "bfloat16 has no such number. (Section 9.3.)",
            "the next number up": "Rounding picks the nearest number, and that's the one it was. (Section 9.3.)",
        },
        right="a",
    ),
    Question(
        "You merge a QLoRA adapter and want one ordinary model. On which weights did it learn, so where does ΔW fit?",
        {
            "The original 16-bit or 32-bit weights": "The adapter never saw them. It may work all the same, but it "
            "learned to work around NF4's errors, and here the loss was higher. (Section 9.5.)",
            "The NF4 weights, made again from W + ΔW": "That rounds the sum to four bits, and the update is too small "
            "for that grid. (Section 9.5.)",
            "The NF4 weights, dequantized once": "They're what the adapter was trained on, and nothing is rounded to "
            "four bits again. (Section 9.5.)",
        },
        right="c",
    ),
    Question(
        "In merge-aware training, why can't PyTorch's own gradient of the rounding be used?",
        {
            "Rounding is random": "It isn't: the same number always goes to the same level. (Section 9.6.)",
            "It's zero nearly everywhere": "Rounding is a staircase: flat, with jumps. So we pretend, going backward, "
            "that it isn't there. (Section 9.6.)",
            "It would take too much memory": "It would take as much as any other gradient of W. (Section 9.6.)",
        },
        right="b",
    ),
    Question(
        "Another model has an `lm_head` with a matrix of its own. Can you merge an adapter on it?",
        {
            "No: lm_head is never merged": "It's a linear layer like any other. SmolLM2's is special, because it "
            "shares its matrix. (Section 9.7.)",
            "Yes: nothing else uses that matrix": "Only the way out changes, as it should. In SmolLM2 the embedding "
            "would change with it. (Section 9.7.)",
            "Only if you merge into the embedding, too": "That would change what every token means on its way in. "
            "(Section 9.7.)",
        },
        right="b",
    ),
]

questions("09", QUESTIONS)
