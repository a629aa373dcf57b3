"""Quick check of notebook 04: what counts, what an adapter is, what can go wrong unseen."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "The loss counts the ticket and the end of the turn. Why not the customer's message as well?",
        {
            "The model could not learn to write it": "It could, and would spend most of its effort on it. "
            "(Section 4.3.)",
            "It is given, and never has to be written": "The loss should be about what the model is to write, and that "
            "is the answer. (Section 4.3.)",
            "The message is masked in the base already": "The base masks nothing. Which labels are -100 is up to you. "
            "(Section 4.3.)",
        },
        right="b",
    ),
    Question(
        "Somebody masks every padding id, instead of going by position. What will this model not learn?",
        {
            "How a ticket begins": "A ticket begins with an id of its own, which is left alone. (Section 4.3.)",
            "Nothing is lost, padding never counts": "True of padding, but here another token has the same id. "
            "(Section 4.3.)",
            "Where to stop": "Padding and the end of the turn are the same id in this model, so the token that says "
            "stop would not count. (Section 4.3.)",
        },
        right="c",
    ),
    Question(
        "You send a friend your adapter folder of a few megabytes. What else does your friend need?",
        {
            "The very base it was trained on": "An adapter is an update to one base. What the base knows is not in it. "
            "(Section 4.8.)",
            "Nothing, the model is in it": "A and B are in it, and no weight of the base. (Section 4.8.)",
            "Your training rows": "They were needed to find A and B. What was learned from them is in there. "
            "(Section 4.8.)",
        },
        right="a",
    ),
    Question(
        "Training ran through, the bar is full, and the answers are as before. What do you look at first?",
        {
            "Whether there were enough steps": "If the update stays at zero, more steps change nothing. "
            "(Section 4.11.)",
            "Whether there were enough rows": "If the update stays at zero, more rows change nothing. (Section 4.11.)",
            "Whether the update is zero": "It is when α is, or when nothing was trainable; and a learning rate far too "
            "small leaves it next to zero. (Section 4.11.)",
        },
        right="c",
    ),
    Question(
        "Your adapter does its task well. How do you find out whether the model got worse at other things?",
        {
            "It cannot have, the base is frozen": "The base's weights are kept. What answers is base and adapter. "
            "(Section 4.9.)",
            "Measure other text, adapter on and silenced": "Perplexity or a score, on text that has nothing to do with "
            "the task: the difference is the adapter's doing. (Section 4.9.)",
            "Look whether the loss came down": "It says how well the task is done. Runs of about equal loss forgot "
            "very different amounts. (Section 4.10.)",
        },
        right="b",
    ),
]

questions("04", QUESTIONS)
