"""Quick check of notebook 10: switching, a mixed batch, blending, routing, and what many adapters cost."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "A bank holds fifty adapters. What happens when it switches from one to another?",
        {
            "The adapter is copied into the layers": "Nothing is copied. The layers look up which one is active. "
            "(Section 10.2.)",
            "The base is loaded again": "The base never changes, so there's nothing to load. (Section 10.1.)",
            "One reference changes": "All hooks look at one variable, and it points at another adapter. "
            "(Section 10.2.)",
        },
        right="c",
    ),
    Question(
        "Sixteen users with sixteen adapters ask at the same moment. How often does the base have to read its own "
        "weights for the next token of all of them?",
        {
            "Once": "All rows go through the same weights, so one reading serves them all. (Section 10.3.)",
            "Sixteen times": "That's the loop, and what sixteen merged models would need. (Section 10.3.)",
            "Once per rank that occurs": "Smaller ranks are filled up with zeros. (Section 10.3.)",
        },
        right="a",
    ),
    Question(
        "You blend an adapter of rank 8 with one of rank 2, half and half, exactly. What rank may the blend have at "
        "most?",
        {
            "5, the mean": "Ranks don't average. (Section 10.5.)",
            "8, the larger": "The two updates needn't share a direction. (Section 10.5.)",
            "10, the sum": "Their factors stand side by side. (Section 10.5.)",
        },
        right="c",
    ),
    Question(
        "You average the A's and the B's of two adapters. What do you get?",
        {
            "The mean of the two updates": "That would be the mean of the products. (Section 10.5.)",
            "Something that depends on how the adapters are written down": "Flip the signs of one adapter's A and B. "
            "It's the same adapter, and the result changes. (Section 10.5.)",
            "The better of the two": "Nothing here knows which one is better. (Section 10.5.)",
        },
        right="b",
    ),
    Question(
        "What grows with the number of adapters in a bank?",
        {
            "Memory": "In a straight line, and slowly: an adapter is small. (Section 10.4.)",
            "The time of a switch": "One reference changes, whether there are two or hundreds. (Section 10.2.)",
            "The time per token": "A row uses only its own adapter. (Section 10.4.)",
        },
        right="a",
    ),
    Question(
        "A router lets tokens vote for the adapter whose strongest direction they follow, and sends nearly everything "
        "to one adapter. What's the likeliest reason?",
        {
            "That adapter knows the most": "Its direction says what it amplifies, not what it knows. (Section 10.7.)",
            "All tokens have a large part in common, and that part votes": "Subtract it, and the rest can tell the "
            "messages apart. (Section 10.7.)",
            "The messages are too short": "They're long enough once the common part is gone. (Section 10.7.)",
        },
        right="b",
    ),
]

questions("10", QUESTIONS)
