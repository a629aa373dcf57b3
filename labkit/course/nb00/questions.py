"""Quick check of notebook 00: reading what the course shows."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "A friend's machine shows `≈1.3 s`, and yours shows `≈2.9 s`. Is something wrong?",
        {
            "Yes, the numbers must agree": "≈ says that they may differ, and a time depends on the machine.",
            "No, as long as the claim's bound holds": "≈ says that a number may differ. The claim's bound is what must "
            "hold on both machines.",
            "No, such numbers mean nothing": "They were really measured, each on its machine. And a claim's bound "
            "must hold on both.",
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
            "From a stored study": "It took too long for a notebook, so we ran it earlier. The line shows when.",
            "From a simulation": "That would be ◇.",
        },
        right="b",
    ),
    Question(
        "You predicted something, and the measurement disagrees. What happens?",
        {
            "Nothing, predictions aren't kept": "They're kept, on this machine only, together with what was measured.",
            "It counts against you": "There are no grades. A surprise only shows where there was something to learn.",
            "You change the prediction": "Once you've seen the measurement, your prediction can't change any more.",
            "The course keeps it, and shows it to you later": "Notebook 04 ends with what surprised you so far.",
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
