"""Quick check of notebook 12: what tells the methods apart, and what a comparison is worth."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "A paper compares its new method with LoRA, both at 1e-4, and wins by two points. What do you ask first?",
        {
            "How many numbers does it train?": "Worth knowing, but more numbers needn't help. A rate that suits only "
            "one of the two decides more. (Section 12.7.)",
            "Was LoRA's rate tuned as well?": "Each method has a best rate of its own, and at somebody else's rate it "
            "looks worse than it is. Then ask for seeds and intervals. (Section 12.7.)",
            "Is it in PEFT?": "That says whether you can run it, and not whether it's better.",
        },
        right="b",
    ),
    Question(
        "VeRA's update on one of our layers had full rank. Why did it reach less of a real update than LoRA of rank 1?",
        {
            "Its rank is only on paper": "It's real. But the directions were drawn at random, and it can only weigh "
            "them. (Section 12.2.)",
            "Random matrices are too small": "Their size is a matter of d and b.",
            "It can't choose its directions": "It has a few hundred numbers to set, and rank 1 has more, all of which "
            "choose a direction. (Section 12.2.)",
        },
        right="c",
    ),
    Question(
        "Which of these can you merge, so that the model computes no more than before?",
        {
            "DoRA": "Its length and direction become one weight. (Section 12.3.)",
            "A bottleneck adapter": "Between its two layers stands a nonlinear function, and no matrix can take its "
            "place. (Section 12.5.)",
            "Prompt tuning": "Its tokens are read with every prompt. (Section 12.6.)",
        },
        right="a",
    ),
    Question(
        "In the first step of training, LoRA+ at a rate of 1e-4 with a ratio of 16 …",
        {
            "is LoRA at 1e-4": "A's rate is that, but A has no gradient yet.",
            "is LoRA at 16 times that rate": "B starts at zero, so A's gradient is zero, and only B moves. (Section "
            "12.4.)",
            "moves A sixteen times as far as B": "It's the other way round, and A doesn't move at all yet. (Section "
            "12.4.)",
        },
        right="b",
    ),
    Question(
        "The interval of a difference goes from −2 to +5 points. You say …",
        {
            "can't tell": "Zero is in it. That isn't the same as being equal: five points more would be in it, too. "
            "(Section 12.8.)",
            "better: most of it is above zero": "By that rule, luck would often win.",
            "no difference": "You can't know that either. It may be five points. (Section 12.8.)",
        },
        right="a",
    ),
]

questions("12", QUESTIONS)
