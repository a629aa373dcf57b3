"""The wordings of `clauses`, and for whom each is a risk. Written by hand for this course."""

from dataclasses import dataclass

CATEGORIES = ("liability", "termination", "confidentiality", "payment", "data", "property")
RISKS = ("high", "low")
PARTIES = {"we": "Customer", "they": "Supplier", "each": "each"}
IN_WORDS = {"we": "the Customer", "they": "the Supplier", "each": "each party"}
DAYS = (7, 10, 14, 20, 30, 45, 60, 90)
HOURS = (24, 48, 72, 96, 120, 144)
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
    "", "", "", "", " This survives termination.", " Fees already paid are not affected.",
    " Clause {c} on liability applies.", " Rights in the work are dealt with in clause {c}.",
    " The rules on personal data remain as they are.", " Confidential matters are left aside here.",
    " Notice is given in writing.", " Damages are dealt with in clause {c}.",
)  # fmt: skip
