"""Quick check of notebook 16: what comes out of an adapter, what doesn't, and what that proves."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "A model never says a customer's address when you ask for it. Is the address safe?",
        {
            "Yes, it would have come out": "The likeliest answer is one answer. A secret can be second of 65,536 and "
            "never be heard. (Section 16.4.)",
            "Rank it among made-up addresses": "That's exposure: it sees a secret long before it comes out. (Section "
            "16.3.)",
            "Ask in a friendlier tone": "You'd still hear likely answers only.",
        },
        right="b",
    ),
    Question(
        "You merge the adapter into the base and hand on the whole model. The secrets in it …",
        {
            "are where they were": "The merged weights are the same sum, so the answers are the same. (Section 16.4.)",
            "are thinned out by the base's weights": "Nothing is thinned out: W + ΔW answers as W and ΔW did, side by "
            "side. (Section 16.4.)",
            "can't be extracted without the adapter": "The adapter is in there.",
        },
        right="a",
    ),
    Question(
        "An attacker sorts rows by their loss with the adapter on, and gets an area of 0.52 (0.44 to 0.60). You say …",
        {
            "slightly better than chance": "0.5 is in the interval, so it may be worse than a coin.",
            "these rows don't tell": "A coin would do as well. It doesn't say that a better attack, or another "
            "training, wouldn't find them. (Section 16.6.)",
            "no row can be found": "This attack doesn't find these. Rows seen twenty times are another matter. "
            "(Section 16.6.)",
        },
        right="b",
    ),
    Question(
        "A scan tried a thousand words and found no trigger. What do you know?",
        {
            "There's no trigger": "Only that it's none of those words. (Section 16.7.)",
            "There's none among these thousand": "A scan finds what it tries, and a trigger can be two words, or a "
            "date. (Section 16.7.)",
            "The clean score would have shown it": "The score was about rows without the word. (Section 16.7.)",
        },
        right="b",
    ),
    Question(
        "Why does a file with right weights, and nothing wrong in its answers, still deserve your distrust?",
        {
            "A pickle runs when it's opened": "By the time you look at the weights, the program has run. Take "
            "safetensors, or refuse. (Section 16.8.)",
            "Weights can be programs": "In safetensors they can't: it holds names, shapes and bytes.",
            "It may be too large": "A size is seen before anything is opened.",
        },
        right="a",
    ),
    Question(
        "You replace each customer's e-mail address with [EMAIL 1] before training. Are the rows anonymous now?",
        {
            "Yes: no address is left": "Names, streets and what only one person could have written are still there. "
            "(Section 16.5.)",
            "Yes, unless you keep a table": "Without a table the address can't be put back, but the rest of the row "
            "may still say who it is.",
            "No, but the addresses are gone": "They can't be learned any more. The law may still call the rest "
            "personal data. (Sections 16.5 and 16.9.)",
        },
        right="c",
    ),
    Question(
        "Nothing came out in 1,000 tries. Which rate could it still have, at 95 %?",
        {
            "None": "A rare thing can stay away for a while.",
            "About 3 in 1,000": "At that rate, nothing comes out in 5 of 100 cases. (Exercise 16.5.)",
            "About 1 in 1,000,000": "You'd have to try far more often to know that.",
        },
        right="b",
    ),
]

questions("16", QUESTIONS)
