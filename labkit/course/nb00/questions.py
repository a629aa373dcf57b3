"""Quick check of notebook 00: reading what the course shows."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "You see `≈1.3 s` here, and your machine shows `≈2.9 s`. Is something wrong?",
        {
            "Yes, the numbers must agree": "Only numbers without ≈ must agree. This one was measured, and says so.",
            "No, as long as the claim's bound holds": "≈ marks what was measured, and a time depends on the machine. "
            "The claim's bound is what must hold.",
            "No, numbers on the page are only examples": "They were measured, on the machine this page was made on. "
            "Those without ≈ must come out the same on yours.",
        },
        right="b",
    ),
    Question(
        "A cell says `NameError: name 'model' is not defined`. What do you do?",
        {
            "Install the package `model`": "It isn't a package. A cell further up makes `model`.",
            "Change the code so that it doesn't need `model`": "The code is right. An earlier cell makes it.",
            "Run the cells above": "The cell that makes `model` hasn't run since the kernel was started.",
        },
        right="c",
    ),
    Question(
        "A line begins with ▣. Where does its number come from?",
        {
            "From your machine, just now": "That would be ✔.",
            "From a stored study": "It took too long for a notebook, so it ran beforehand. Its date stands behind it.",
            "From a simulation": "That would be ◇.",
        },
        right="b",
    ),
    Question(
        "You predicted something, and the measurement came out otherwise. What happens?",
        {
            "Nothing, predictions aren't kept": "They're kept on this machine, with what was measured.",
            "It counts against you": "There are no marks. A surprise is where there was something to learn.",
            "You change the prediction": "After the measurement, what you said before it stays. Otherwise it wouldn't "
            "be a prediction.",
            "Later you see it again": "The course keeps what you said beside what was measured, and shows you what "
            "surprised you.",
        },
        right="d",
    ),
    Question(
        "The model answers in perfect English. What do you know about the answer?",
        {
            "That it's in English": "Whether it's right takes a check, such as a task's score.",
            "That it's probably right": "One of the two capitals was wrong, and sounded just as sure.",
            "That the question was in its training text": "It writes likely tokens for any question, known or not.",
        },
        right="a",
    ),
]

questions("00", QUESTIONS)
