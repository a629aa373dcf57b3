"""Quick check of notebook 01: pieces, counting, energy, and what low rank does not mean."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "A matrix has 1,000 rows and 1,000 columns. You keep rank 10. How many numbers do the factors hold?",
        {
            "10,000": "That is one of the two. A piece is a column and a row. (1.4)",
            "20,000": "Ten columns and ten rows of 1,000 numbers each: r · (m + n). (1.4)",
            "100": "That is a 10 × 10 matrix. The columns and rows have to be stored too. (1.4)",
        },
        right="b",
    ),
    Question(
        "Somebody offers a rank-8 matrix that comes closer to W than the first 8 pieces of its SVD. Do you believe it?",
        {
            "Yes, with enough gradient descent": "Gradient descent came down to the SVD's error, and stayed above it. "
            "(1.3)",
            "Yes, if columns of W itself are used": "They lost clearly. Eckart and Young proved that nothing of that "
            "rank is closer. (1.3)",
            "No": "Eckart and Young proved it: no other matrix of that rank is closer, in the Frobenius norm. (1.3)",
        },
        right="c",
    ),
    Question(
        'The rank of down_proj\'s update is 576, as high as can be. Why may it still be called "low-rank"?',
        {
            "Most of its energy lies in a few directions": "The rank counts every direction that is not quite zero. "
            "What matters here is how much is in the first few. (1.5)",
            "Because it is much smaller than the weight": "Size and rank have nothing to do with each other: "
            "halving a matrix leaves its rank as it is. (1.5)",
            "It may not": "Taken to the letter, no. What is meant is that few directions hold much of it, and that can "
            "be measured. (1.5)",
        },
        right="a",
    ),
    Question(
        "Eight directions hold 64 % of a matrix's energy. How large is what they leave out, beside the matrix?",
        {
            "36 % of its size": "That is the energy left out. Size is the square root of energy. (1.3)",
            "60 % of its size": "√0.36 = 0.6. Much of the energy can be there while much of the size is missing. (1.3)",
            "Nothing that counts": "Whether it counts is a question for the task's score, which energy does not "
            "answer. (1.8)",
        },
        right="b",
    ),
    Question(
        "A paper says that 200 numbers, in one random subspace of all weights, are enough. Has each update rank 200?",
        {
            "Yes, that is what it means": "Those 200 numbers move every weight at once, each in a full-rank way. "
            "(1.10)",
            "At most 200": "One fixed random direction is a full-rank matrix already, in every weight. (1.10)",
            "It says nothing about the rank of any matrix": "How many numbers you turn, and the rank of what they "
            "change, are two counts. (1.10)",
        },
        right="c",
    ),
]

questions("01", QUESTIONS)
