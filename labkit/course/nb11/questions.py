"""Quick check of notebook 11: other programs, other trainers, several processes, servers."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "You export an adapter for llama.cpp, and the first five answers look right. What do you know?",
        {
            "That every tensor is in its place": "With B's rows in PEFT's order, most answers look right, too. "
            "(Section 11.1.)",
            "That it's roughly right": "A small mistake and a right file look the same in five answers. Score it, on "
            "enough rows. (Section 11.1.)",
            "That the file is the right one, since its keys and shapes fit": "Rows in another order change neither "
            "keys nor shapes. (Section 11.1.)",
        },
        right="b",
    ),
    Question(
        "TRL's loss differs from yours at the very first step. What do you look at first?",
        {
            "Which tokens each of them counts, and in which dtype": "Before the first step, that's about all that can "
            "differ: the weights are the same. (Section 11.3.)",
            "The learning rate": "It only matters once a step has been taken. (Section 11.3.)",
            "The seed of the rows' order": "If you give both the same rows in the same order, it changes nothing. "
            "(Section 11.3.)",
        },
        right="a",
    ),
    Question(
        "A config has a field that your program doesn't know, set to true. What should it do?",
        {
            "Ignore it": "Then it loads another adapter than was trained, and says nothing. (Section 11.2.)",
            "Warn, and go on": "A warning is one line among many, and the answers are wrong all the same. "
            "(Section 11.6.)",
            "Refuse, and name the field": "The field may change what's computed, and the program can't tell. "
            "(Section 11.2.)",
        },
        right="c",
    ),
    Question(
        "You start a training on two processes, and the loss falls as expected. What do you know?",
        {
            "That they train together": "Two that don't know of each other have falling losses, too. (Section 11.4.)",
            "That at least one of them trains": "Ask the processes how many they are, and compare the losses with "
            "those of one process. (Section 11.4.)",
            "That training is twice as fast": "You haven't looked at a clock, or counted the rows. (Section 11.4.)",
        },
        right="b",
    ),
    Question(
        "One process has 90 tokens that count, the other 10. Each takes its mean, and the gradients are averaged. How "
        "much say does a token of the second process have, against one of the first?",
        {
            "as much": "Then both would have to divide by 100, not by 90 and by 10. (Section 11.4.)",
            "a ninth": "It's the other way round. (Section 11.4.)",
            "nine times as much": "Each process has half of the say, and the second shares it among fewer. "
            "(Section 11.4.)",
        },
        right="c",
    ),
]

questions("11", QUESTIONS)
