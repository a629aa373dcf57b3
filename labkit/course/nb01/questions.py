"""Quick check of notebook 01: pieces, counting, energy, and what low rank does not mean."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "You store a 100 × 100 matrix as two factors of rank 60. How much do you save?",
        {
            "40 % of the numbers": "You've kept 60 of 100 pieces, but each is a column and a row. (1.4)",
            "Nothing, it takes more than before": "60 · (100 + 100) = 12,000 numbers, instead of 10,000. Low rank only "
            "pays while r is small. (1.4)",
            "Nothing, both take 10,000 numbers": "At r = 50 they would: r · (m + n). Here r is 60. (1.4)",
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
