"""Quick check of notebook 11: exchanging adapters, several processes, servers."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "PEFT reads an adapter that labkit wrote. What has to be converted?",
        {
            "The names of the tensors": "They are the same: labkit's layers have PEFT's names inside. (Section 11.2.)",
            "The numbers, from float32": "Both keep float32, so every bit stays. (Section 11.2.)",
            "Nothing": "Same names, same numbers, and a config in PEFT's words. (Section 11.2.)",
        },
        right="c",
    ),
    Question(
        "A config has a field that your program does not know, set to true. What should it do?",
        {
            "Refuse, and name the field": "It may change what the adapter computes; nobody can tell. (Section 11.3.)",
            "Ignore it": "Then it loads another adapter than was trained, and says nothing. (Section 11.3.)",
            "Warn, and go on": "A warning is one line among many, and the answers are wrong all the same. "
            "(Sections 11.3 and 11.8.)",
        },
        right="a",
    ),
    Question(
        "You start a training on two processes, and the loss falls as expected. What do you know?",
        {
            "That they train together": "Two that do not know of each other have falling losses, too. (Section 11.4.)",
            "That at least one of them trains": "Ask the processes how many they are, and compare the losses with "
            "those of one process. (Section 11.4.)",
            "That training is twice as fast": "Nobody has looked at a clock, or counted the rows. (Section 11.4.)",
        },
        right="b",
    ),
    Question(
        "One process has 90 tokens that count, the other 10. Each takes its mean, the gradients are averaged. A token "
        "of the second process weighs …",
        {
            "as much as one of the first": "Then each would have to be divided by 100, not by 90 and by 10. "
            "(Section 11.5.)",
            "a ninth of one of the first": "It is the other way round. (Section 11.5.)",
            "nine times as much as one of the first": "Each process has half of the say, and the second shares it "
            "among fewer. (Section 11.5.)",
        },
        right="c",
    ),
    Question(
        "An adapter has a rank_pattern. A server loads it without an error. Its answers are …",
        {
            "those of the adapter, since the ranks stand in the tensors": "The ranks do; the scaling that belongs to "
            "them does not. (Section 11.7.)",
            "perhaps those of another adapter": "If the server reads one α and one r for all layers, the others are "
            "scaled wrongly. (Section 11.7.)",
            "those of the base": "A and B are there, and do something. (Section 11.7.)",
        },
        right="b",
    ),
]

questions("11", QUESTIONS)
