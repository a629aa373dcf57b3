"""Clauses: a clause of a contract → its category and its risk for the side that buys, as ``liability | high``.

The risk cannot be looked up by a word. It depends on who may do what to whom (the same sentence is harmless with the
parties exchanged) and, for notice, payment and reports, on which side of the house's limit a number lies. The rule and
the limits stand nowhere in the prompt. Half of the test rows, about, are worded as no training row is.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.tasks import Task, course_files

SYSTEM = "Category and risk of the clause."

CATEGORIES = ("liability", "termination", "confidentiality", "payment", "data", "property")
RISKS = ("high", "low")
PARTIES = (("Customer", "Supplier"), ("Client", "Provider"), ("Buyer", "Seller"))  # who we are, and who they are
DAYS = (5, 7, 10, 14, 15, 20, 30, 45, 60, 90)
HOURS = (12, 24, 48, 72, 96, 120, 144)
LIMITS = {"days": 30, "hours": 72}  # fewer days, or more hours, are a high risk


@dataclass(frozen=True)
class Pattern:
    """A kind of clause in several wordings.

    Attributes:
        category: one of :data:`CATEGORIES`.
        high: for whom the risk is high, of "we", "they" and "each", who stand at ``{who}``.
        low: for whom it is low.
        wording, new_wording: sentences; `new_wording` is for test rows only.
        number: "days" or "hours" when the risk is high only beyond the limit.
    """

    category: str
    high: str
    low: str
    wording: tuple[str, ...]
    new_wording: tuple[str, ...]
    number: str | None = None


PATTERNS = (
    Pattern(
        "liability",
        "they",
        "we each",
        (
            "The liability of {who} under this agreement shall not exceed {money}.",
            "{Who} shall in no event be liable for more than {money}.",
            "Claims against {who} are limited to {money} in any one year.",
            "Damages payable by {who} are capped at {money}.",
            "For slight negligence {who} answers only up to {money}.",
        ),
        (
            "Whatever the cause, no more than {money} can be claimed from {who}.",
            "{Who} need not make good any loss beyond {money}.",
        ),
    ),
    Pattern(
        "liability",
        "we each",
        "they",
        (
            "{Who} is liable without limit for every loss under this agreement.",
            "The liability of {who} is not limited in amount.",
            "{Who} shall compensate all damage in full, whatever its size.",
            "No cap applies to claims against {who}.",
            "{Who} answers for any damage, direct or indirect, to any amount.",
        ),
        (
            "There is no upper bound to what {who} may have to pay for a loss.",
            "{Who} bears each loss in its entirety.",
        ),
    ),
    Pattern(
        "termination",
        "they each",
        "we they each",
        (
            "{Who} may terminate this agreement on {n} days' notice.",
            "This agreement may be ended by {who} with notice of {n} days.",
            "{Who} may give notice at any time, and the agreement ends {n} days later.",
            "A period of notice of {n} days applies to {who}.",
            "{Who} can withdraw from this agreement by writing {n} days ahead.",
        ),
        (
            "Once {who} has given notice, the contract runs for another {n} days.",
            "If {who} wishes to leave, {n} days' warning is enough.",
        ),
        "days",
    ),
    Pattern(
        "termination",
        "they each",
        "we",
        (
            "{Who} may terminate this agreement at once and without giving a reason.",
            "This agreement may be ended by {who} at any time without notice.",
            "No period of notice applies to {who}.",
            "{Who} can withdraw from this agreement with immediate effect.",
        ),
        (
            "{Who} is free to leave on the spot.",
            "It is open to {who} to end the contract overnight.",
        ),
    ),
    Pattern(
        "confidentiality",
        "we",
        "they each",
        (
            "{Who} shall keep secret all information received under this agreement.",
            "{Who} must not disclose the other side's documents to anybody.",
            "The duty of secrecy under this agreement binds {who}.",
            "{Who} shall treat what is learned from the other side as confidential.",
            "Business secrets shall be protected by {who} with due care.",
            "No trade secret may be passed on by {who}.",
        ),
        (
            "{Who} promises silence about everything learned in the project.",
            "{Who} shall lock away all papers marked as secret.",
        ),
    ),
    Pattern(
        "payment",
        "we",
        "we they",
        (
            "{Who} shall pay each invoice within {n} days.",
            "Invoices to {who} fall due {n} days after receipt.",
            "Sums owed by {who} are payable within {n} days.",
            "{Who} settles all fees no later than {n} days after delivery.",
            "Payment by {who} is expected within {n} days.",
        ),
        (
            "{Who} has {n} days to transfer what is owed.",
            "After {n} days an unpaid bill to {who} is overdue.",
        ),
        "days",
    ),
    Pattern(
        "payment",
        "they",
        "we",
        (
            "The prices may be changed by {who} at any time.",
            "{Who} sets the fees anew each year as it sees fit.",
            "{Who} alone decides on surcharges.",
            "What is to be paid is for {who} to determine.",
        ),
        (
            "{Who} is free to adjust the rates.",
            "How much a service costs lies in the hands of {who}.",
        ),
    ),
    Pattern(
        "data",
        "they",
        "we",
        (
            "{Who} may use the personal data for purposes of its own.",
            "Personal data may be passed on to others by {who}.",
            "{Who} may analyse the users' records for advertising.",
            "After the end of the contract {who} may keep the personal data.",
            "It is for {who} to decide how personal data are processed.",
        ),
        (
            "{Who} may sell the addresses of users.",
            "{Who} may evaluate the users' personal details as it likes.",
        ),
    ),
    Pattern(
        "data",
        "they",
        "we they each",
        (
            "{Who} shall report a breach of personal data within {h} hours.",
            "A leak of personal data must be notified by {who} within {h} hours.",
            "If personal data are lost, {who} informs the other side within {h} hours.",
            "{Who} has {h} hours to give notice of a data breach.",
        ),
        (
            "{Who} tells the other side of stolen user records within {h} hours.",
            "Should personal data escape, {who} speaks up after no more than {h} hours.",
        ),
        "hours",
    ),
    Pattern(
        "property",
        "they",
        "we",
        (
            "All rights in the results belong to {who}.",
            "The copyright in the work passes to {who}.",
            "{Who} becomes the owner of everything made under this agreement.",
            "Inventions made in the project may be patented by {who} alone.",
            "The source code remains the property of {who}.",
            "{Who} holds the exclusive right to use the designs.",
        ),
        (
            "Whatever is created is owned by {who}.",
            "Drawings and software become assets of {who}.",
        ),
    ),
)
OPENERS = (
    "", "", "", "", "Unless agreed otherwise in writing, ", "Subject to clause {c}, ", "Notwithstanding clause {c}, ",
    "For the avoidance of doubt, ", "As from the date of signature, ",
)  # fmt: skip
# Each names what another category is about, so that no single word gives the category away
CLOSERS = (
    "", "", "", "", " This survives termination.", " Fees already paid are not affected.", " Clause {c} on liability applies.",
    " Rights in the work are dealt with in clause {c}.", " The rules on personal data remain as they are.",
    " Confidential matters are left aside here.", " Notice is given in writing.", " Damages are dealt with in clause {c}.",
)  # fmt: skip


def make_row(draw: random.Random, new: bool = False) -> dict:
    """A clause with its category and risk; `new` takes the wordings that are for test rows."""
    category, risk = draw.choice(CATEGORIES), draw.choice(RISKS)
    while True:
        pattern = draw.choice([pattern for pattern in PATTERNS if pattern.category == category])
        side = draw.choice(sorted({*pattern.high.split(), *pattern.low.split()}))
        days, hours = draw.choice(DAYS), draw.choice(HOURS)
        if risk_of(pattern, side, days, hours) == risk:
            break
    us, them = draw.choice(PARTIES)
    who = {"we": f"the {us}", "they": f"the {them}", "each": "each party"}[side]
    sentence = draw.choice(pattern.new_wording if new else pattern.wording)
    opener, closer = draw.choice(OPENERS), draw.choice(CLOSERS)
    if opener and not sentence.startswith("{"):
        sentence = sentence[0].lower() + sentence[1:]
    clause = (opener + sentence + closer).format(
        who=who,
        Who=who if opener else who[0].upper() + who[1:],
        n=days,
        h=hours,
        c=f"{draw.randint(2, 19)}.{draw.randint(1, 9)}",
        money=f"EUR {draw.choice((5, 10, 25, 50, 75, 100, 250))},000",
    )
    return {"prompt": clause, "completion": f"{category} | {risk}"}


def risk_of(pattern: Pattern, side: str, days: int, hours: int) -> str:
    """The house's rule."""
    within = {None: False, "days": days >= LIMITS["days"], "hours": hours <= LIMITS["hours"]}[pattern.number]
    return "high" if side in pattern.high.split() and not within else "low"


def make_test_row(draw: random.Random) -> dict:
    """As :func:`make_row`; every second clause, about, is worded as no training row is."""
    return make_row(draw, new=draw.random() < 0.5)


# ---- score


def labels_of(answer: str) -> tuple[str, str]:
    """Category and risk of an answer such as ``liability | high``; two empty strings when it is none."""
    parts = [part.strip() for part in answer.split("|")]
    return (parts[0], parts[1]) if len(parts) == 2 else ("", "")


def score(answer: str, row: Mapping) -> dict[str, float]:
    """Are the labels right?

    Returns:
        ``both``: 1 when category and risk are right.
        ``category``, ``risk``: 1 when that one is.
    """
    given, wanted = labels_of(answer), labels_of(row["completion"])
    category, risk = given[0] == wanted[0], given[1] == wanted[1]
    return {"both": float(category and risk), "category": float(category), "risk": float(risk)}


def summary(answers: Sequence[str], rows: Sequence[Mapping]) -> dict[str, float]:
    """Macro F1 over the categories and over the risks: each label counts the same, however often it occurs."""
    given = [labels_of(answer) for answer in answers]
    wanted = [labels_of(row["completion"]) for row in rows]
    return {
        f"{name}_f1": macro_f1([labels[i] for labels in given], [labels[i] for labels in wanted])
        for i, name in enumerate(("category", "risk"))
    }


def macro_f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    """The mean over the labels that occur in `wanted` of F1 = 2 · right / (times given + times wanted)."""
    scores = []
    for label in set(wanted):
        right = sum(g == w == label for g, w in zip(given, wanted))
        scores.append(2 * right / (given.count(label) + wanted.count(label)))
    return sum(scores) / len(scores)


TASK = Task(
    "clauses", SYSTEM, score, course_files("clauses"), make_row, make_test_row=make_test_row, summary=summary,
    max_new_tokens=12,
)  # fmt: skip
