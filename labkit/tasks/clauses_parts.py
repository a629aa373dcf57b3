"""The wordings of `clauses`: what somebody may or must do, and on what terms. Written by hand for this course."""

from dataclasses import dataclass

RISKS = ("high", "low")
PARTIES = ("the Customer", "the Supplier", "each party")
DAYS = (14, 30, 45, 60, 90)  # as the terms have them


@dataclass(frozen=True)
class Category:
    """A category of clauses. A clause says one of `acts` on one of the terms.

    Attributes:
        acts: what ``{who}`` may or must do; it tells the category and nothing of the risk.
        high, low: the terms, which tell the risk: without limit, or limited in amount, time or purpose.
    """

    acts: tuple[str, ...]
    high: tuple[str, ...]
    low: tuple[str, ...]


CATEGORIES = {
    "liability": Category(
        acts=(
            "{Who} is liable for damage under this agreement",
            "{Who} answers for losses of the other side",
            "{Who} shall compensate whatever harm its staff may do",
            "Claims for damages may be brought against {who}",
            "{Who} makes good what it breaks",
        ),
        high=(
            "without any limit",
            "forever",
            "for any reason",
            "in full, whatever the amount",
            "without any exception",
        ),
        low=(
            "up to {money}",
            "within fair limits",
            "until the end of the year",
            "except where the law says otherwise",
            "for {n} days at most",
        ),
    ),
    "termination": Category(
        acts=(
            "{Who} may terminate this agreement",
            "{Who} is free to end the contract",
            "{Who} may withdraw from this agreement",
            "This agreement may be cancelled by {who}",
            "The contract can be brought to an end by {who}",
        ),
        high=(
            "without notice",
            "at any time",
            "for any reason",
            "at once",
            "as it sees fit",
        ),
        low=(
            "on {n} days' notice",
            "after a written warning",
            "only with written consent",
            "together with the other side",
            "except where the law says otherwise",
        ),
    ),
    "confidentiality": Category(
        acts=(
            "{Who} shall keep the secrets of the other side",
            "{Who} must not disclose confidential papers",
            "{Who} shall treat what it learns as secret",
            "Confidential information shall be protected by {who}",
            "Nothing confidential may be passed on by {who}",
        ),
        high=(
            "forever",
            "without any exception",
            "without any limit",
            "at any time",
            "even against the will of the other side",
        ),
        low=(
            "for {n} days at most",
            "until the end of the year",
            "within fair limits",
            "except where the law says otherwise",
            "only for the purpose of this contract",
        ),
    ),
    "payment": Category(
        acts=(
            "{Who} shall pay the invoices",
            "{Who} settles the bills",
            "{Who} owes the agreed fees",
            "Invoices are payable by {who}",
            "The price shall be paid by {who}",
        ),
        high=(
            "at once",
            "in full, whatever the amount",
            "without any exception",
            "at any time",
            "without notice",
        ),
        low=(
            "on {n} days' notice",
            "up to {money}",
            "after a written warning",
            "within fair limits",
            "together with the other side",
        ),
    ),
    "data": Category(
        acts=(
            "{Who} may use the personal data",
            "{Who} may store the users' records",
            "{Who} processes data about persons",
            "Personal data may be handled by {who}",
            "The users' data may be read by {who}",
        ),
        high=(
            "without any limit",
            "forever",
            "for any reason",
            "as it sees fit",
            "even against the will of the other side",
        ),
        low=(
            "only with written consent",
            "only for the purpose of this contract",
            "for {n} days at most",
            "until the end of the year",
            "within fair limits",
        ),
    ),
    "property": Category(
        acts=(
            "{Who} receives the copyright in the results",
            "{Who} obtains the rights in the software",
            "{Who} may use the designs",
            "The inventions belong to {who}",
            "Ownership of the work passes to {who}",
        ),
        high=(
            "forever",
            "without any limit",
            "as it sees fit",
            "at any time",
            "even against the will of the other side",
        ),
        low=(
            "together with the other side",
            "only for the purpose of this contract",
            "only with written consent",
            "until the end of the year",
            "within fair limits",
        ),
    ),
}

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
