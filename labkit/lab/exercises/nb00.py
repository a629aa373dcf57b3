"""Exercise of notebook 00: small enough that what is learned is how `check` answers."""

from labkit.lab.exercises import Case, Mistake, exercise

# --- 00.1 ---------------------------------------------------------------------------------------------------


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
