"""The exercises of notebook 00: small enough to learn how `check` answers, and how to read and make a score."""

import itertools
import operator

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
    "// and int() throw away everything after the decimal point.",
    "Divide with a single /, and leave the result as it is.",
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


@mistake(
    "You count the trained numbers twice.",
    "The total holds them already.",
    "Divide by total as it is.",
)
def _added_again(trained, total):
    return trained / (total + trained)


@mistake(
    "Your answer is 0.25, whatever it's given.",
    "That's the hint's example: 1 of 4.",
    "What do you do with trained and total?",
)
def _the_example(trained, total):
    return 0.25


@mistake(
    "Your answer is the number of trained numbers.",
    "A share compares them with the whole. In Python, % isn't percent: it's what's left over.",
    "What do you divide by?",
)
def _not_divided(trained, total):
    return trained


@mistake(
    "You multiply, where you want to divide.",
    "A share can't be more than 1, and a product soon is.",
    "Which sign divides?",
)
def _multiplied(trained, total):
    return trained * total


@mistake(
    "You return how many numbers are frozen.",
    "A difference says how many are left. A share is a fraction.",
    "Divide where you subtract.",
)
def _subtracted(trained, total):
    return total - trained


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
    mistakes=[
        _as_percent,
        _upside_down,
        _whole_numbers,
        _against_the_frozen,
        _the_frozen,
        _added_again,
        _the_example,
        _not_divided,
        _multiplied,
        _subtracted,
        *[
            Mistake(
                each,
                "You round the share.",
                "A small share rounds to nothing, and LoRA's are small.",
                "Return the share as it comes. Printing is where you round.",
            )
            for each in (lambda part, total: round(part / total), lambda part, total: round(part / total, 2))
        ],
    ],
    shows="Every number the course states about LoRA's size is this one division.",
)

# 00.2


def my_reading():
    """Which of the four claims hold."""
    return [True, False, True, False]


def _misread():
    """Every list that's wrong in one to three places, and what to say of each claim that was misread."""
    told = [
        ("first", "It's shown in percent, and its bound is a plain number.", "Is 0.0034 below 0.005?"),
        ("second", "≈ marks what was measured and may differ. It doesn't soften the bound.", "Is 12 below 10?"),
        ("third", "A number without ≈ is exact, and 30 is what was claimed.", "Does 30 equal 30?"),
        ("fourth", "Above means above: a value that only touches its bound is refused.", "Is 0.5 above 0.5?"),
    ]
    for misread in itertools.product([False, True], repeat=4):
        if 0 < sum(misread) < 4:
            places, why, look = zip(*itertools.compress(told, misread))
            answer = [right != wrong for right, wrong in zip(my_reading(), misread)]
            symptom = f"You misread the {' and the '.join(places)} claim."
            yield Mistake(answer, symptom, " ".join(why), " ".join(look))


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
            [False, True, False, True],
            "You have it the wrong way round, four times.",
            "True is for a claim that holds, and False for one that fails.",
            "Look at the third: 30 layers were claimed, and 30 were counted.",
        ),
        *_misread(),
        *[
            Mistake(
                each,
                "You write the truth values as texts.",
                "With quotes, Python sees letters. True and False are values of their own.",
                "Leave out the quotes, and put the four into a list.",
            )
            for each in (["True", "False", "True", "False"], "True, False, True, False")
        ],
        *[
            Mistake(
                each,
                "You list the claims that hold.",
                "You may well be right about them, but check asks about each of the four.",
                "Write True or False for the first, the second, the third and the fourth.",
            )
            for each in (["first", "third"], [1, 3], [0, 2])
        ],
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
        (["7", "Oslo"], ["7", "Oslo"]),
        (["Bern", "Rome", "Oslo"], ["Bern", "Rome", "Bonn"]),
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
        *[
            Mistake(
                _share_where(alike),
                "You count an answer as right although its capital letters, or its spaces, differ.",
                "Letter by letter, a small t isn't a capital T, and a space counts as well.",
                "Compare the texts as they are, without .lower() or .strip().",
            )
            for alike in (
                lambda answer, each: answer.strip() == each.strip(),
                lambda answer, each: answer.lower() == each.lower(),
                lambda answer, each: answer.strip().lower() == each.strip().lower(),
                lambda answer, each: answer.replace(" ", "") == each.replace(" ", ""),
            )
        ],
        *[
            Mistake(
                _share_where(alike),
                "You also count answers that match only in part.",
                "A sentence around the right word, or a piece of it, isn't the same text. A program couldn't use it.",
                "Compare the whole texts, with ==.",
            )
            for alike in (
                lambda answer, each: each in answer,
                lambda answer, each: answer in each,
                lambda answer, each: answer in each or each in answer,
                lambda answer, each: answer.startswith(each),
                lambda answer, each: answer.endswith(each),
                lambda answer, each: each.startswith(answer),
            )
        ],
        *[
            Mistake(
                each,
                "Your score is 0 unless every answer is right.",
                "A share also counts when some are wrong. It needs each pair compared, and a plain division.",
                "Compare the answers one by one, and divide with a single /.",
            )
            for each in (
                lambda answers, wanted: float(answers == wanted),
                lambda answers, wanted: sum(map(operator.eq, answers, wanted)) // len(wanted),
            )
        ],
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
        *[
            Mistake(
                each,
                "You look at the first answer only.",
                "One answer proves little. A return inside the loop ends it in the first round.",
                "Go through both lists, and return after the loop.",
            )
            for each in (
                lambda answers, wanted: float(answers[0] == wanted[0]),
                lambda answers, wanted: answers[0] == wanted[0],
                lambda answers, wanted: (answers[0] == wanted[0]) / len(wanted),
            )
        ],
        *[
            Mistake(
                lambda answers, wanted, kept=kept: my_exact(answers[kept], wanted[kept]) * (1 - 1 / len(wanted)),
                "You leave out an answer at one end of the list.",
                "Python counts from 0, and range leaves out its end.",
                "Which places does your loop visit?",
            )
            for kept in (slice(1, None), slice(-1))
        ],
        *[
            Mistake(
                lambda answers, wanted, pairs=pairs: (
                    sum(answer == each for answer in answers for each in wanted) / pairs(len(wanted))
                ),
                "You compare each answer with every text that was wanted.",
                "A loop inside a loop goes through all pairs. Each answer belongs to its own place only.",
                "Go through both lists side by side, with zip.",
            )
            for pairs in (lambda n: n, lambda n: n * n)
        ],
        Mistake(
            lambda answers, wanted: any(map(operator.eq, answers, wanted)) / len(wanted),
            "Your count never gets beyond one.",
            "In a loop, = forgets what was counted before.",
            "Try += in place of =.",
        ),
        Mistake(
            lambda answers, wanted: my_exact(answers, wanted) / 2,
            "Your score is half of what it should be.",
            "There are two lists, but only as many pairs as one of them is long.",
            "Divide by the number of answers.",
        ),
        Mistake(
            lambda answers, wanted: my_exact(sorted(answers), sorted(wanted)),
            "You sort the lists, and lose which answer belongs to which question.",
            "Both lists are in the same order already.",
            "Leave them as they are, and use zip.",
        ),
        Mistake(
            lambda answers, wanted: [answer == each for answer, each in zip(answers, wanted)],
            "You return a verdict on each answer, and no score.",
            "The verdicts are a good start. The score is the share of them that are True.",
            "Sum them up, and divide by how many there are.",
        ),
    ],
    shows="This is the score called exact in the notebooks to come, for answers that are plain text.",
)
