"""Quick check of notebook 10: switching, one adapter a row, blending, and what many adapters cost."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "A bank holds fifty adapters. What happens when it switches from one to another?",
        {
            "The adapter is copied into the layers": "Nothing is copied. The layers look up who is chosen. "
            "(Section 10.2.)",
            "The base is loaded again": "The base never changes, so there is nothing to load. (Section 10.1.)",
            "One reference changes": "All hooks look at the same table, and another table takes its place. "
            "(Section 10.2.)",
        },
        right="c",
    ),
    Question(
        "Sixteen users with sixteen adapters ask at the same moment. How often do the base's weights have to be gone "
        "through for each token?",
        {
            "Once": "The base's product is the same for all rows; only the small products differ. (Section 10.3.)",
            "Sixteen times": "That is the plain loop, and what a merged model would force on you. (Section 10.3.)",
            "Once for each rank that occurs": "Smaller ranks are filled up with zeros. (Section 10.3.)",
        },
        right="a",
    ),
    Question(
        "An adapter of rank 8 and one of rank 2 are blended half and half, exactly. What rank may the blend have "
        "at most?",
        {
            "5, the mean": "Ranks do not average. (Section 10.5.)",
            "8, the larger": "The two updates point in directions of their own. (Section 10.5.)",
            "10, the sum": "Their factors stand side by side. (Section 10.5.)",
        },
        right="c",
    ),
    Question(
        "Somebody averages the A's and the B's of two adapters. What do they get?",
        {
            "The mean of the two updates": "That would be the mean of the products. (Section 10.5.)",
            "Something that depends on how the adapters happen to be written": "Turn the sign of one adapter's A and "
            "of its B: the same adapter, another result. (Section 10.5.)",
            "The better of the two": "Nothing here knows what is better. (Section 10.5.)",
        },
        right="b",
    ),
    Question(
        "What grows with the number of adapters in a bank?",
        {
            "Memory": "In a straight line, and slowly: an adapter is small. (Section 10.4.)",
            "The time of a switch": "One reference changes, among two or among hundreds. (Sections 10.2 and 10.4.)",
            "The time of a token": "Rows use their own adapter only; the others lie still. (Section 10.4.)",
        },
        right="a",
    ),
]

questions("10", QUESTIONS)
