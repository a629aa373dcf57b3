"""The exercises of notebook 00: small enough that what is learned is how `check` answers, and how to read a number."""

from labkit.lab.checking import Case, Mistake, exercise

# 00.1


def my_share(trained, total):
    """The trained part of all numbers, between 0 and 1."""
    return trained / total


def _as_percent(trained, total):
    return 100 * trained / total


def _upside_down(trained, total):
    return total / trained


def _whole_numbers(trained, total):
    return trained // total


def _against_the_frozen(trained, total):
    return trained / (total - trained)


exercise(
    "00.1",
    title="What share is trained",
    prompt="Write my_share(trained, total): how much of the model is trained, as a number between 0 and 1.",
    minutes=2,
    difficulty=1,
    importance=3,
    solution=my_share,
    explanation="A share is the part divided by the whole, and the trained numbers are part of the whole. For LoRA on "
    "two matrices of each layer of this model it is 460,800 of 134,515,008, about a third of a percent.",
    cases=lambda: [Case(1, 4), Case(3, 5), Case(460_800, 134_515_008)],
    hints=[
        "If 1 of 4 numbers is trained, the share is a quarter. How do you get from 1 and 4 to 0.25?",
        "A share is the part divided by the whole.",
        "return trained / total",
    ],
    mistakes=[
        Mistake(
            _as_percent,
            "Your share is 100 times too large.",
            "A share runs from 0 to 1; percent is only a way to print it.",
            "Leave out the factor of 100.",
        ),
        Mistake(
            _upside_down,
            "Your fraction is upside down: it says how many times the part fits into the whole.",
            "A share can never be more than 1.",
            "What goes above the line, and what below?",
        ),
        Mistake(
            _whole_numbers,
            "Your share is 0, whatever is trained.",
            "The sign // divides and throws away everything after the decimal point.",
            "Divide with a single /.",
        ),
        Mistake(
            _against_the_frozen,
            "You compare the trained numbers with the frozen ones, not with all of them.",
            "The total holds the trained numbers as well, so nothing has to be subtracted.",
            "Divide by total as it is.",
        ),
    ],
    shows="Every number the course states about LoRA's size is this one division.",
)

# 00.2


def my_reading():
    """Which of the four claims hold."""
    return [True, False, True, False]


exercise(
    "00.2",
    title="Which claims hold",
    prompt="my_reading is a list of four truth values: for each claim, in order, whether it holds on that machine.",
    minutes=3,
    difficulty=1,
    importance=4,
    solution=my_reading,
    explanation=(
        "The first holds: 0.34 % is 0.0034, and that is below 0.005. The second does not: ≈ lets a time differ from\n"
        "machine to machine, but the bound it has to keep is the same for all. The third is an exact number, and it\n"
        "is equal. The fourth does not hold: a bound must not be touched, and 0.5 is not above 0.5."
    ),
    hints=[
        "For each claim, put the measured value and the bound side by side, in the same unit. Then ask: is it so?",
        "0.34 % of a thing is 0.0034 of it. And above=0.5 means more than 0.5.",
        "Two of the four hold.",
    ],
    mistakes=[
        Mistake(
            [False, False, True, False],
            "You let the first claim fail.",
            "It is shown in percent, and its bound is a plain number: 0.34 % is 0.0034.",
            "Is 0.0034 below 0.005?",
        ),
        Mistake(
            [True, True, True, False],
            "You let the second claim hold.",
            "≈ marks what was measured and may differ. It does not soften the bound.",
            "Is 12 below 10?",
        ),
        Mistake(
            [True, False, True, True],
            "You let the fourth claim hold.",
            "Above means above: a value that only touches its bound is refused.",
            "Is 0.5 above 0.5?",
        ),
        Mistake(
            [True, True, True, True],
            "You let all four hold.",
            "A claim that could not fail would be worth nothing. Two of these fail.",
            "Compare 12 with 10, and 0.5 with 0.5.",
        ),
        Mistake(
            [False, False, True, True],
            "You let the first claim fail and the fourth one hold.",
            "The first is shown in percent, and its bound is a plain number; the fourth only touches its bound.",
            "Is 0.0034 below 0.005? Is 0.5 above 0.5?",
        ),
        Mistake(
            [False, True, False, True],
            "You have it the wrong way round, four times.",
            "True is for a claim that holds, and False for one that fails.",
            "The third: 30 layers were claimed, and 30 were counted.",
        ),
    ],
    shows="You can read every claim of the course.",
)

# 00.3


def my_exact(answers, wanted):
    """The share of answers that are right to the letter."""
    right = [answer == each for answer, each in zip(answers, wanted)]
    return sum(right) / len(right)


def _count(answers, wanted):
    return sum(answer == each for answer, each in zip(answers, wanted))


def _percent(answers, wanted):
    return 100 * my_exact(answers, wanted)


def _wrong_ones(answers, wanted):
    return 1 - my_exact(answers, wanted)


def _contains(answers, wanted):
    return sum(each in answer for answer, each in zip(answers, wanted)) / len(wanted)


def _whatever_case(answers, wanted):
    return sum(answer.lower() == each.lower() for answer, each in zip(answers, wanted)) / len(wanted)


def _anywhere(answers, wanted):
    return sum(answer in wanted for answer in answers) / len(answers)


def _all_or_nothing(answers, wanted):
    return answers == wanted


def _only_the_first(answers, wanted):
    return float(answers[0] == wanted[0])


def _the_same_object(answers, wanted):
    return sum(answer is each for answer, each in zip(answers, wanted)) / len(wanted)


def _cases_of_texts():
    cases = [
        (["Paris", "Rome"], ["Paris", "Oslo"]),
        (["Tokyo", "It is Tokyo.", "Tokyo it is", "tokyo", "Rome"], ["Tokyo", "Tokyo", "Tokyo", "Tokyo", "Oslo"]),
        (["Oslo", "Rome", "Bern"], ["Rome", "Oslo", "Bern"]),
        (["7", "8"], ["7", "8"]),
    ]
    # Python keeps one object for equal texts in a program; joined from their letters, they are objects of their own
    return [Case(answers, ["".join([*text]) for text in wanted]) for answers, wanted in cases]


exercise(
    "00.3",
    title="A score over many answers",
    prompt="Write my_exact(answers, wanted): the share of answers that equal what was wanted, letter by letter.",
    minutes=4,
    difficulty=2,
    importance=4,
    solution=my_exact,
    explanation=(
        "Each answer is compared with the one wanted in its place, and the share is how many are equal, divided by\n"
        "how many there are. To the letter is strict, and it should be: whoever uses the answer may be a program."
    ),
    cases=_cases_of_texts,
    hints=[
        "zip(answers, wanted) gives you the pairs: the first answer with the first one wanted, and so on.",
        "answer == each is True or False, and sum counts the Trues. A share is divided by how many there are.",
        "return sum(answer == each for answer, each in zip(answers, wanted)) / len(wanted)",
    ],
    mistakes=[
        Mistake(
            _count,
            "You return how many are right, and not their share.",
            "A count means little without how many there were: 40 right of 40 is not 40 right of 200.",
            "Divide by the number of answers.",
        ),
        Mistake(
            _percent,
            "Your score is 100 times too large.",
            "A share runs from 0 to 1; percent is only a way to print it.",
            "Leave out the factor of 100.",
        ),
        Mistake(
            _wrong_ones,
            "You return the share of wrong answers.",
            "A score grows with what is right.",
            "Count where answer and wanted are equal.",
        ),
        Mistake(
            _contains,
            "You also count answers that only contain what was wanted.",
            "A sentence around the right word is not the same text, and a program could not use it.",
            "Compare with ==, and not with in.",
        ),
        Mistake(
            _whatever_case,
            "You count an answer as right although its capital letters differ.",
            "To the letter means that a small t is not a capital T.",
            "Compare the texts as they are, without .lower().",
        ),
        Mistake(
            _anywhere,
            "You count an answer as right when it was wanted anywhere, for another question say.",
            "Each answer belongs to the question in its own place.",
            "Go through both lists side by side, with zip.",
        ),
        Mistake(
            _the_same_object,
            "You ask whether two texts are one and the same object.",
            "Two texts can be equal, letter by letter, and be kept in two places, as an answer and its ticket are.",
            "Compare with ==, and not with is.",
        ),
        Mistake(
            _all_or_nothing,
            "You compare the two lists as a whole.",
            "That says only whether all answers are right. One slip, and the others no longer count.",
            "Compare the answers one by one, with zip.",
        ),
        Mistake(
            _only_the_first,
            "You look at the first answer only.",
            "One answer proves little; a score is about all of them.",
            "Go through both lists, with zip.",
        ),
    ],
    shows="This is the score called exact in the notebooks to come, for answers that are plain text.",
)
