"""Quick check of notebook 03: the layer, its start, its scaling, its cost."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "You double r and keep everything else. What happens to the trained numbers, and what to the scaling?",
        {
            "Both double": "The numbers do. But the scaling is α/r: r divides it. (Section 3.3.)",
            "The numbers double, the scaling halves": "A layer costs r · (in + out), and its scaling is α/r. "
            "(Sections 3.1 and 3.3.)",
            "The numbers grow fourfold, the scaling stays": "That's what happens when both sides of a matrix double. A "
            "and B each have r on one side only. (Section 3.1.)",
        },
        right="b",
    ),
    Question(
        "After the first backward pass of a fresh adapter, A's gradient is zero. Is that a bug?",
        {
            "Yes, A was frozen by mistake": "A frozen A has no gradient at all. This one is there, and zero. "
            "(Section 3.2.)",
            "Yes, the learning rate is too small": "The learning rate acts after the gradient. (Section 3.2.)",
            "No, B is still zero": "A's gradient is multiplied by B. After the first step B has moved. If A's gradient "
            "is still zero after two steps, then it's a bug. (Section 3.2.)",
        },
        right="c",
    ),
    Question(
        "Your training run takes far more memory than expected, and the loss falls nicely. What do you check first?",
        {
            "Whether the base is frozen": "Count the parameters with `requires_grad`. Forget to freeze, and you train "
            "everything without a complaint. (Section 3.4.)",
            "Whether the rank is too large": "A and B are tiny compared with the base: doubling them hardly matters. "
            "(Section 3.1.)",
            "Whether B starts at zero": "How B starts doesn't change the memory. (Section 3.2.)",
        },
        right="a",
    ),
    Question(
        "Why is `k_proj` cheaper to adapt than `q_proj` in SmolLM2?",
        {
            "Its rank is lower": "You choose r, and it was the same for both. (Section 3.5.)",
            "Its output is narrower": "It makes 3 key/value heads of 64 numbers, and `q_proj` makes 9 heads. LoRA "
            "costs r · (in + out). (Section 3.5.)",
            "Keys need less precision": "Every adapter here is in float32. (Section 3.5.)",
        },
        right="b",
    ),
    Question(
        "Why did we give B random numbers before comparing with PEFT?",
        {
            "PEFT can't start at zero": "It does, just as your layer does. (Section 3.6.)",
            "With B = 0 there is no gradient": "There is one, for B. (Section 3.2.)",
            "With B = 0 a wrong layer would have agreed": "The update is zero then, whatever the scaling or A. "
            "(Section 3.6.)",
        },
        right="c",
    ),
]

questions("03", QUESTIONS)
