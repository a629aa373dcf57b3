"""Tickets: a customer's message → one line of JSON that a help desk's software can file.

Two fields are copied (name, order), three are put into the house's form (product code, ISO date, amount
as a number), one follows a rule (a fault that can hurt somebody is high priority). The codes and the
rule stand nowhere in the prompt: they can only be learned from examples.
"""

import json
import random
from collections.abc import Mapping

from labkit.tasks import Task, course_files

SYSTEM = "Ticket as JSON."
FIELDS = ("name", "order", "product", "date", "amount", "priority")

NAMES = (
    "Ada", "Ben", "Cem", "Dana", "Emil", "Eva", "Finn", "Hana", "Ivan", "Jan",
    "Kemal", "Lena", "Mira", "Nora", "Olga", "Paul", "Rosa", "Sara", "Tom", "Vera",
)  # fmt: skip
PRODUCT_CODES = {
    "kettle": "K1", "toaster": "T2", "lamp": "L3", "heater": "H4",
    "fan": "F5", "blender": "B6", "radio": "R7", "clock": "C8",
}  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
FAULTS = {
    "normal": ("leaks", "rattles", "is scratched", "is too loud"),
    "high": ("smokes", "sparks", "caught fire", "burned me"),
}
TEMPLATES = (
    "{name} here. My {product} from {date} {fault}. Order {order}, I paid {amount}.",
    "My {product} {fault}! Order {order}, {date}, {amount}. {name}",
    "Order {order}: the {product} {fault}. It cost {amount} on {date}. {name}",
    "I am {name}. On {date} I paid {amount} for a {product}. It {fault}. Order {order}.",
    "Help, my {product} {fault}. Bought {date} for {amount}, order {order}. {name}",
    "{name}, order {order}. A {product} for {amount}, bought {date}, {fault}.",
)
YEAR = 2026  # the shop opened this year, so its customers never write the year


def make_row(draw: random.Random) -> dict:
    """A message and its ticket; people and orders are invented."""
    product, priority = draw.choice(list(PRODUCT_CODES)), draw.choice(list(FAULTS))
    day, month = draw.randint(1, 28), draw.randint(1, 12)
    amount = draw.choice([draw.randint(15, 99), draw.randint(100, 999), draw.randint(1000, 2999)])
    ticket = {
        "name": draw.choice(NAMES),
        "order": draw.choice("ABCDEFGH") + str(draw.randint(10, 99)),
        "product": PRODUCT_CODES[product],
        "date": f"{YEAR}-{month:02d}-{day:02d}",
        "amount": amount,
        "priority": priority,
    }
    message = draw.choice(TEMPLATES).format(
        name=ticket["name"],
        order=ticket["order"],
        product=product,
        date=draw.choice([f"{day:02d} {MONTHS[month - 1]}", f"{MONTHS[month - 1]} {day:02d}"]),
        amount=draw.choice([f"${amount:,}", f"{amount:,} dollars", f"USD {amount:,}"]),
        fault=draw.choice(FAULTS[priority]),
    )
    return {"prompt": message, "completion": json.dumps(ticket, separators=(",", ":"))}


def score(answer: str, row: Mapping) -> dict[str, float]:
    """How close an answer is to the ticket wanted.

    Returns:
        ``exact``: 1 when all fields and nothing else are as wanted, whatever their order and spacing.
        ``field_f1``: F1 of the (field, value) pairs.
        ``valid_json``: 1 when the answer is a JSON object.
    """
    wanted = json.loads(row["completion"])
    try:
        given = json.loads(answer, parse_constant=_refuse)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return {"exact": 0.0, "field_f1": 0.0, "valid_json": 0.0}
    right = sum(field in given and same(given[field], value) for field, value in wanted.items())
    return {
        "exact": float(right == len(wanted) == len(given)),
        "field_f1": 2 * right / (len(wanted) + len(given)),
        "valid_json": 1.0,
    }


def _refuse(constant: str):
    raise ValueError(f"{constant} is not JSON")  # Python would read NaN and Infinity


def same(given, wanted) -> bool:
    """Equal in value and in kind: "87" is not 87, and true is not 1."""
    number = (int, float)
    if isinstance(wanted, bool) or isinstance(given, bool):
        return given is wanted
    return given == wanted and (type(given) is type(wanted) or isinstance(given, number) and isinstance(wanted, number))


TASK = Task("tickets", SYSTEM, score, course_files("tickets"), make_row, max_new_tokens=56)
