"""Personal data in rows that a pattern can find, and placeholders in its stead.

This is a first sieve and no more. It finds what has a form: addresses of e-mail, phone numbers, IBANs, card numbers,
Turkish identity numbers. It finds no name, no street, no diagnosis, and nothing that's written in another way ("ada at
shop dot invalid"). Rows it has been through are pseudonymous at best (GDPR, recital 26): who knows the customer can
still tell whose row it is.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """A piece of personal data: its kind, and where in the text it stands."""

    kind: str
    start: int
    end: int


def _luhn(text: str) -> bool:
    """Whether the last digit is the check digit of a card number (ISO/IEC 7812-1)."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[::-2]) + sum(doubled)) % 10 == 0


def _mod_97(text: str) -> bool:
    """Whether it's an IBAN with the right check digits (ISO 13616)."""
    plain = re.sub(r"\W", "", text).upper()
    turned = "".join(str(int(each, 36)) for each in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(turned) % 97 == 1


def _identity_number(text: str) -> bool:
    """Whether the last two digits are the check digits of a Turkish identity number."""
    digits = [int(each) for each in text]
    tenth = (7 * sum(digits[0:9:2]) - sum(digits[1:8:2])) % 10
    return digits[9:] == [tenth, (sum(digits[:9]) + tenth) % 10]


def _phone(text: str) -> bool:
    """Whether it has as many digits as a phone number with its area may have (ITU-T E.164)."""
    return 9 <= sum(each.isdigit() for each in text) <= 15


# kind -> its pattern, and what else has to be so. In this order: what one kind has taken, no other gets.
KINDS: dict[str, tuple[re.Pattern, Callable[[str], bool]]] = {
    "email": (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+"), lambda _: True),
    "iban": (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b"), _mod_97),
    "card": (re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?!\w)"), _luhn),
    "identity number": (re.compile(r"(?<![\w.])[1-9]\d{10}(?!\w)"), _identity_number),
    "phone": (re.compile(r"(?<![\w.,$])(?:\+|00|0|\()\d(?:[ ()/.-]{0,2}\d){7,14}(?!\w)"), _phone),
}


def find_personal_data(text: str) -> list[Found]:
    """What of `text` has the form of personal data, from left to right, none within another."""
    found: list[Found] = []
    for kind, (pattern, holds) in KINDS.items():
        for match in pattern.finditer(text):
            apart = all(match.end() <= each.start or each.end <= match.start() for each in found)
            if apart and holds(match[0]):
                found.append(Found(kind, *match.span()))
    return sorted(found, key=lambda each: each.start)


def anonymize(text: str, known: dict[str, str] | None = None) -> str:
    """`text` with a placeholder for each piece found: ``[EMAIL 1]``, ``[EMAIL 2]``, ``[PHONE 1]``.

    The same piece gets the same placeholder, so that a model can still learn to copy it.

    Args:
        known: placeholders given so far, by what they stand for. New ones are added, so hand the same to all texts of a
            row. It holds the personal data: don't keep it.
    """
    known = {} if known is None else known
    parts, end = [], 0
    for each in find_personal_data(text):
        piece, kind = text[each.start : each.end], each.kind.upper()
        number = 1 + sum(given.startswith(f"[{kind} ") for given in known.values())
        parts += [text[end : each.start], known.setdefault(piece, f"[{kind} {number}]")]
        end = each.end
    return "".join([*parts, text[end:]])


def anonymize_row(row: Mapping) -> dict:
    """A row with placeholders in its prompt, completion, system prompt and messages. Other fields stay as they are."""
    known: dict[str, str] = {}
    changed = {name: anonymize(row[name], known) for name in ("system", "prompt", "completion") if row.get(name)}
    if row.get("messages"):
        changed["messages"] = [{**said, "content": anonymize(said["content"], known)} for said in row["messages"]]
    return {**row, **changed}


def count_personal_data(rows: Iterable[Mapping]) -> dict[str, int]:
    """How many pieces of each kind the texts of `rows` have, those of conversations too; no kind without any.

    Args:
        rows: as of a file of rows.
    """
    counts: Counter[str] = Counter()
    for row in rows:
        said = [each["content"] for each in row.get("messages") or ()]
        texts = [row.get(name) for name in ("system", "prompt", "completion")] + said
        counts.update(found.kind for text in texts if text for found in find_personal_data(text))
    return dict(counts)
