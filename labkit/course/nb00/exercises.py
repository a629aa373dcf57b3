"""The exercises of notebook 00: small enough to learn how `check` answers, and how to read and make a score."""

from labkit.lab.checking import Case, Mistake, exercise, mistake

# 00.1


def my_share(trained, total):
    """The trained part of all numbers, between 0 and 1."""
    return trained / total


@mistake(
    "Your share is 100 times too large.",
    "A share runs from 0 to 1. Percent is only a way to print it.",
    "Leave out the factor of 100.",
)
def _as_percent(trained, total):
    return 100 * trained / total


@mistake(
    "Your fraction is upside down: it says how many times the part fits into the whole.",
    "A share can never be more than 1.",
    "What goes above the line, and what goes below it?",
)
def _upside_down(trained, total):
    return total / trained


@mistake(
    "Your share is 0, however much is trained.",
    "The sign // divides and throws away everything after the decimal point.",
    "Divide with a single /.",
)
def _whole_numbers(trained, total):
    return trained // total


@mistake(
    "You compare the trained numbers with the frozen ones, and not with all of them.",
    "The total holds the trained numbers too, so there's nothing to subtract.",
    "Divide by total as it is.",
)
def _against_the_frozen(trained, total):
    return trained / (total - trained)


@mistake(
    "You return the share that stays frozen.",
    "That's the rest: what you get when you take the trained share away from 1.",
    "Is nothing trained when your share is 1, or everything?",
)
def _the_frozen(trained, total):
    return (total - trained) / total


exercise(
    "00.1",
    title="What share is trained",
    prompt="Write my_share(trained, total): how much of the model is trained, as a number between 0 and 1.",
    minutes=2,
    difficulty=1,
    importance=3,
    solution=my_share,
    explanation="A share is the part divided by the whole, and the trained numbers are part of the whole.",
    cases=lambda: [Case(1, 4), Case(3, 5), Case(7, 1000)],
    hints=[
        "If 1 of 4 numbers is trained, the share is a quarter. How do you get from 1 and 4 to 0.25?",
        "A share is the part divided by the whole.",
        "return trained / total",
    ],
    mistakes=[_as_percent, _upside_down, _whole_numbers, _against_the_frozen, _the_frozen],
    shows="Every number the course states about LoRA's size is this one division.",
)

# 00.2


def my_reading():
    """Which of the four claims hold."""
    return [True, False, True, False]


exercise(
    "00.2",
    title="Which claims hold",
    prompt="my_reading is a list of four values, one per claim, in order: True if it holds there, and else False.",
    minutes=3,
    difficulty=1,
    importance=4,
    solution=my_reading,
    explanation=(
        "The first holds: 0.34 % is 0.0034, and that's below 0.005. The second doesn't: ≈ lets a time differ from\n"
        "machine to machine, but the bound is the same for all of them. The third is an exact number, and it's\n"
        "equal. The fourth doesn't hold: a value must not touch its bound, and 0.5 isn't above 0.5."
    ),
    hints=[
        "For each claim, put the measured value and the bound side by side, in the same unit. Then ask: is it so?",
        "0.34 % of something is 0.0034 of it. And above=0.5 means more than 0.5.",
        "Two of the four hold.",
    ],
    mistakes=[
        Mistake(
            [False, False, True, False],
            "You let the first claim fail.",
            "It's shown in percent, and its bound is a plain number: 0.34 % is 0.0034.",
            "Is 0.0034 below 0.005?",
        ),
        Mistake(
            [True, True, True, False],
            "You let the second claim hold.",
            "≈ marks what was measured and may differ. It doesn't soften the bound.",
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
            "A claim that can't fail is worth nothing. Two of these fail.",
            "Compare 12 with 10, and 0.5 with 0.5.",
        ),
        Mistake(
            [False, False, True, True],
            "You let the first claim fail and the fourth one hold.",
            "The first is shown in percent, and its bound is a plain number. The fourth only touches its bound.",
            "Is 0.0034 below 0.005? Is 0.5 above 0.5?",
        ),
        Mistake(
            [False, True, False, True],
            "You have it the wrong way round, four times.",
            "True is for a claim that holds, and False for one that fails.",
            "Look at the third: 30 layers were claimed, and 30 were counted.",
        ),
    ],
    shows="You can read every claim of the course.",
)

# 00.3


def my_exact(answers, wanted):
    """The share of answers that are right to the letter."""
    right = [answer == each for answer, each in zip(answers, wanted)]
    return sum(right) / len(right)


def _share_where(alike):
    """A score that takes an answer for right where ``alike(answer, each)`` says so."""
    return lambda answers, wanted: sum(map(alike, answers, wanted)) / len(wanted)


def _cases_of_texts():
    cases = [
        (["Paris", "Rome"], ["Paris", "Oslo"]),
        (["Tokyo", "Tokyo it is"], ["Tokyo", "Tokyo"]),
        (["It is Tokyo", "Rome"], ["Tokyo", "Rome"]),
        (["It is Tokyo.", "Rome"], ["Tokyo", "Rome"]),
        (["Tok", "Rome", "kyo"], ["Tokyo", "Rome", "Tokyo"]),
        (["tokyo", "Rome"], ["Tokyo", "Rome"]),
        ([" Tokyo", "Rome ", "Bern"], ["Tokyo", "Rome", "Bern"]),
        (["NewYork", "Oslo"], ["New York", "Oslo"]),
        (["Tokyo.", "Oslo"], ["Tokyo", "Oslo"]),
        (["Oslo", "Rome", "Bern"], ["Rome", "Oslo", "Bern"]),
        (["7", "8"], ["7", "8"]),
    ]
    # Python keeps one object for equal texts in a program; joined from their letters, they're objects of their own
    return [Case(answers, ["".join([*text]) for text in wanted]) for answers, wanted in cases]


exercise(
    "00.3",
    title="A score over many answers",
    prompt="Write my_exact(answers, wanted): the share of answers equal to the text wanted, character for character.",
    minutes=4,
    difficulty=2,
    importance=4,
    solution=my_exact,
    explanation=(
        "Compare each answer with the one wanted in its place. The share is how many are equal, divided by how many\n"
        "there are. To the letter is strict, and it should be: the next reader of a ticket is a program."
    ),
    cases=_cases_of_texts,
    hints=[
        "zip(answers, wanted) gives you the pairs: the first answer with the first one wanted, and so on.",
        "answer == each is True or False, and sum counts the Trues. For a share, divide by how many there are.",
        "return sum(answer == each for answer, each in zip(answers, wanted)) / len(wanted)",
    ],
    mistakes=[
        Mistake(
            lambda answers, wanted: sum(answer == each for answer, each in zip(answers, wanted)),
            "You return how many are right, and not their share.",
            "A count means little without how many there were: 40 right of 40 isn't 40 right of 200.",
            "Divide by the number of answers.",
        ),
        Mistake(
            lambda answers, wanted: 100 * my_exact(answers, wanted),
            "Your score is 100 times too large.",
            "A share runs from 0 to 1. Percent is only a way to print it.",
            "Leave out the factor of 100.",
        ),
        Mistake(
            lambda answers, wanted: 1 - my_exact(answers, wanted),
            "You return the share of wrong answers.",
            "A score grows with what's right.",
            "Count where answer and wanted are equal.",
        ),
        Mistake(
            _share_where(lambda answer, each: answer.strip() == each.strip()),
            "You count an answer as right although it has a space too many at one end.",
            "Letter by letter, a space counts as well.",
            "Compare the texts as they are, without .strip().",
        ),
        Mistake(
            _share_where(lambda answer, each: answer.lower() == each.lower()),
            "You count an answer as right although its capital letters differ.",
            "To the letter means that a small t isn't a capital T.",
            "Compare the texts as they are, without .lower().",
        ),
        Mistake(
            _share_where(lambda answer, each: answer.strip().lower() == each.strip().lower()),
            "You count an answer as right although its capital letters or the spaces around it differ.",
            "Letter by letter, a small t isn't a capital T, and a space counts as well.",
            "Compare the texts as they are, without .strip() and .lower().",
        ),
        Mistake(
            _share_where(lambda answer, each: each in answer),
            "You also count answers that only contain what was wanted.",
            "A sentence around the right word isn't the same text, and a program couldn't use it.",
            "Compare with == in place of in.",
        ),
        Mistake(
            _share_where(lambda answer, each: answer in each),
            "You also count answers that are only a piece of what was wanted.",
            "Between two texts, in asks whether the one is a part of the other.",
            "Compare with == in place of in.",
        ),
        Mistake(
            _share_where(lambda answer, each: answer in each or each in answer),
            "You count an answer as right when one text is a part of the other.",
            "Between two texts, in asks whether the one is a part of the other.",
            "Compare with == in place of in.",
        ),
        Mistake(
            _share_where(lambda answer, each: answer.startswith(each)),
            "You also count answers that only begin with what was wanted.",
            "What comes after it belongs to the answer too, and a program would read it.",
            "Compare with == in place of .startswith().",
        ),
        Mistake(
            _share_where(lambda answer, each: answer.endswith(each)),
            "You also count answers that only end with what was wanted.",
            "What comes before it belongs to the answer too, and a program would read it.",
            "Compare with == in place of .endswith().",
        ),
        Mistake(
            lambda answers, wanted: sum(answer in wanted for answer in answers) / len(answers),
            "You count an answer as right if it was wanted anywhere, even for another question.",
            "Each answer belongs to the question in its own place.",
            "Go through both lists side by side, with zip.",
        ),
        Mistake(
            _share_where(lambda answer, each: answer is each),
            "You ask whether two texts are one and the same object.",
            "Two texts can be equal, letter by letter, and be kept in two places in memory.",
            "Compare with == in place of is.",
        ),
        Mistake(
            lambda answers, wanted: answers == wanted,
            "You compare the two lists as a whole.",
            "That only says whether all answers are right. One slip, and the others no longer count.",
            "Compare the answers one by one, with zip.",
        ),
        Mistake(
            lambda answers, wanted: float(answers[0] == wanted[0]),
            "You look at the first answer only.",
            "One answer proves little. A score is about all of them.",
            "Go through both lists, with zip.",
        ),
    ],
    shows="This is the score called exact in the notebooks to come, for answers that are plain text.",
)
