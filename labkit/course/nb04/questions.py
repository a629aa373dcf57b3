"""Quick check of notebook 04: what counts, what an adapter is, what can go wrong unseen."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "The loss counts the ticket and the end of the turn. Why not the customer's message as well?",
        {
            "The model couldn't learn to write it": "It could, and it would spend most of its effort on it. "
            "(Section 4.2.)",
            "It's given, so the model never has to write it": "The loss should be about what the model writes, "
            "and that's the answer. (Section 4.2.)",
            "The base masks the message already": "The base masks nothing. Which labels are -100 is up to you. "
            "(Section 4.2.)",
        },
        right="b",
    ),
    Question(
        "You mask every padding id, instead of going by position. What won't this model learn?",
        {
            "How a ticket begins": "A ticket begins with an id of its own, which you leave alone. (Section 4.2.)",
            "Nothing is lost, padding never counts": "True of padding, but here another token has the same id. "
            "(Section 4.2.)",
            "Where to stop": "Padding and the end of the turn share an id in this model, so the token that says "
            "stop wouldn't count. (Section 4.2.)",
        },
        right="c",
    ),
    Question(
        "You send a friend your adapter folder, a few megabytes. What else does your friend need?",
        {
            "The base you trained it on": "An adapter is an update to one base. What the base knows isn't in "
            "it. (Section 4.8.)",
            "Nothing, the model is in it": "It holds A and B, but no weight of the base. (Section 4.8.)",
            "Your training rows": "You needed them to find A and B. What was learned from them is in there. "
            "(Section 4.8.)",
        },
        right="a",
    ),
    Question(
        "Training ran through, and the model's logits are bit for bit those of the base. What do you look at first?",
        {
            "Whether there were enough steps": "Even one step would change a bit, if the update weren't zero. "
            "(Section 4.10.)",
            "Whether there were enough rows": "Even one row would change a bit, if the update weren't zero. "
            "(Section 4.10.)",
            "Whether the update is zero": "It's zero if α is, or if the gradients are zeroed just before the step. "
            "(With nothing to train at all, PyTorch would have raised an error. Sections 4.4 and 4.10.)",
        },
        right="c",
    ),
    Question(
        "Your adapter does its job well. How do you find out whether the model got worse at other things?",
        {
            "It can't have, the base is frozen": "The base's weights are kept. What answers is base and adapter. "
            "(Section 4.9.)",
            "Measure other text, with the adapter on and off": "Perplexity or a score, on text that has nothing "
            "to do with the job. The difference is the adapter's doing. (Section 4.9.)",
            "Check that the loss came down": "It says how well the job is done. Runs with similar losses forgot "
            "very different amounts. (The optional section after 4.9.)",
        },
        right="b",
    ),
]

questions("04", QUESTIONS)
