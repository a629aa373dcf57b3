"""The wordings of `clauses`, and when each is a risk. Written by hand for this course."""

from dataclasses import dataclass

CATEGORIES = ("liability", "termination", "confidentiality", "payment", "data", "property")
RISKS = ("high", "low")
PARTIES = {"Customer": "the Customer", "Supplier": "the Supplier", "each": "each party"}  # as label and in a clause
DAYS = (7, 10, 14, 20, 30, 45, 60, 90)
HOURS = (12, 24, 48, 72, 96, 120, 144, 168)
LIMITS = {"days": 30, "hours": 72}  # fewer days, or more hours, are a high risk


@dataclass(frozen=True)
class Pattern:
    """A kind of clause in several wordings.

    Attributes:
        category: one of :data:`CATEGORIES`.
        risk: "high" or "low"; "days" or "hours" when it is high beyond the limit; "one-sided" when it is high unless
            each party is meant.
        wording, new_wording: sentences about ``{who}``; `new_wording` is for test rows only.
    """

    category: str
    risk: str
    wording: tuple[str, ...]
    new_wording: tuple[str, ...]


PATTERNS = (
    Pattern(
        "liability",
        "low",
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
        "high",
        (
            "{Who} is liable without limit for every loss under this agreement.",
            "The liability of {who} is not limited in amount.",
            "{Who} shall compensate all damage in full, even beyond {money}.",
            "No cap applies to claims against {who}, not even {money}.",
            "{Who} answers for any damage, direct or indirect, to any amount.",
        ),
        (
            "There is no upper bound to what {who} may have to pay for a loss.",
            "{Who} bears every loss in its entirety, be it {money} or more.",
        ),
    ),
    Pattern(
        "termination",
        "days",
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
    ),
    Pattern(
        "termination",
        "high",
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
        "one-sided",
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
        "days",
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
    ),
    Pattern(
        "payment",
        "high",
        (
            "The prices may be changed by {who} at any time.",
            "{Who} sets the fees anew each year as it sees fit.",
            "{Who} alone decides on surcharges.",
        ),
        (
            "{Who} is free to adjust the rates.",
            "How much a service costs lies in the hands of {who}.",
        ),
    ),
    Pattern(
        "data",
        "high",
        (
            "{Who} may use the personal data for purposes of its own.",
            "Personal data may be passed on to others by {who}.",
            "{Who} may analyse the users' records for advertising.",
            "After the end of the contract {who} may keep the personal data.",
        ),
        (
            "{Who} may sell the addresses of users.",
            "{Who} may evaluate the users' personal details as it likes.",
        ),
    ),
    Pattern(
        "data",
        "hours",
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
    ),
    Pattern(
        "data",
        "low",
        (
            "{Who} may use the personal data only as the other side instructs.",
            "Personal data may be passed on by {who} only with the users' consent.",
            "After the end of the contract {who} shall delete the personal data.",
        ),
        (
            "{Who} shall erase the users' records once the contract has ended.",
            "Nobody but the users decides what {who} does with their personal details.",
        ),
    ),
    Pattern(
        "property",
        "one-sided",
        (
            "All rights in the results belong to {who}.",
            "The copyright in the work passes to {who}.",
            "{Who} becomes the owner of everything made under this agreement.",
            "Inventions made in the project may be patented by {who}.",
            "The source code remains the property of {who}.",
            "{Who} holds the right to use the designs.",
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
    "", "", "", "", " This survives termination.", " Fees already paid are not affected.",
    " Clause {c} on liability applies.", " Rights in the work are dealt with in clause {c}.",
    " The rules on personal data remain as they are.", " Confidential matters are left aside here.",
    " Notice is given in writing.", " Damages are dealt with in clause {c}.",
)  # fmt: skip
