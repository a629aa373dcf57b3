"""Quick check of notebook 01: pieces, counting, energy, and what low rank does not mean."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "A matrix has 1,000 rows and 1,000 columns. You keep rank 10. How many numbers do the factors hold?",
        {
            "10,000": "That's one of the two. A piece is a column and a row. (1.4)",
            "20,000": "Ten columns and ten rows of 1,000 numbers each: r · (m + n). (1.4)",
            "100": "That's a 10 × 10 matrix. You have to store the columns and rows, too. (1.4)",
        },
        right="b",
    ),
    Question(
        "You're offered a rank-8 matrix that comes closer to W than the first 8 pieces of its SVD. Do you believe it?",
        {
            "Yes, with enough gradient descent": "Gradient descent ended where the SVD already was. (1.3)",
            "Yes, if it's made of W's own columns": "The best ones we found missed more. Eckart and Young proved that "
            "nothing of that rank is closer. (1.3)",
            "No": "Eckart and Young proved it: no other matrix of that rank is closer, in the Frobenius norm. (1.3)",
        },
        right="c",
    ),
    Question(
        'The rank of q_proj\'s update is 574, of 576 at most. Why do people still call it "low-rank"?',
        {
            "Its first 8 pieces hold more than half of its energy": "The rank counts every singular value above zero. "
            "What matters is how much is in the first few. (1.7)",
            "It's much smaller than the weight": "Size and rank have nothing to do with each other: halve a matrix, "
            "and its rank is what it was. (1.6)",
            "The SVD has cut it to rank 8": "The SVD takes it apart, and loses nothing. The cut would be yours. (1.2)",
        },
        right="a",
    ),
    Question(
        "Eight pieces hold 64 % of a matrix's energy. How large is what they miss?",
        {
            "36 % of its size": "That's the energy they miss. Size is the square root of energy. (1.2)",
            "60 % of its size": "√0.36 = 0.6. Much of the energy can be there while much of the size is missing. (1.3)",
            "Too small to matter": "Whether it matters is a question for the task's score. Its size isn't small. (1.7)",
        },
        right="b",
    ),
    Question(
        "You add a little noise to a matrix of rank 3. What happens?",
        {
            "It stays at rank 3": "Noise lifts every singular value above zero. (1.5)",
            "Its first 3 pieces are lost in the noise": "They're far larger than the noise's, and hardly change. (1.5)",
            "Its rank is full, but 3 pieces hold nearly all the energy": "So ask what the first few pieces hold. (1.5)",
        },
        right="c",
    ),
]

questions("01", QUESTIONS)
