"""Quick check of notebook 05: what rank, α and rate do, and how choices are compared fairly."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "You double α and change nothing else. With Adam, that's nearly the same as …",
        {
            "doubling the rank": "A higher rank adds pieces. α makes the ones you have count more. (Section 5.3.)",
            "doubling the learning rate": "B starts at zero and moves by about the rate per step, whatever the "
            "gradient's size. So B A grows with the rate, and the update with rate times scale. (Section 5.3.)",
            "nothing: Adam evens it out": "Adam evens out the size of the *gradient*. The update is still multiplied "
            "by α/r. (Section 5.3.)",
        },
        right="b",
    ),
    Question(
        "Of five learning rates, the highest has the lowest loss. What now?",
        {
            "Try a higher one": "At an end of the grid, you know one side of the valley, not its floor. (Section 5.4.)",
            "Take it": "It's the best of five. Whether a sixth would be better, this sweep can't say. (Section 5.4.)",
            "Take the one in the middle, to be safe": "You measured that it's worse. (Section 5.4.)",
        },
        right="a",
    ),
    Question(
        "At r = 8, an adapter on all linear layers scores higher than one on q and v. What does that show?",
        {
            "That the MLP is where learning happens": "Maybe, but this comparison can't show it: all layers also train "
            "five times as many numbers here. (Section 5.5.)",
            "That attention shouldn't be adapted": "It's adapted in both. (Section 5.5.)",
            "Nothing about the layers yet": "More layers at the same rank are more numbers. Give q and v a higher "
            "rank, until both train equally many. (Section 5.5.)",
        },
        right="c",
    ),
    Question(
        "How do you estimate the most that your rows can teach a model, in bits?",
        {
            "By the size of the file": "Most of it is easy to guess: the model knows words and grammar. (Section 5.6.)",
            "By the base's loss on the answers, summed and divided by ln 2": "That's what you'd have to send for the "
            "base to write them without a mistake. (Section 5.6.)",
            "By the number of trained numbers": "That says how much room there is, and nothing about what goes in. "
            "(Section 5.6.)",
        },
        right="b",
    ),
    Question(
        "The first 8 directions of one update and the 64 of another overlap by an eighth. Do they have something in "
        "common?",
        {
            "Compare with random directions first": "Among 576, 64 random ones already hold a ninth of any direction. "
            "(Section 5.2.)",
            "Yes, 8 of 64": "The overlap is a share of the smaller space, and random spaces have some, too. "
            "(Section 5.2.)",
            "No, an eighth is little": "Against which number? Random spaces of these sizes overlap, too. "
            "(Section 5.2.)",
        },
        right="a",
    ),
]

questions("05", QUESTIONS)
