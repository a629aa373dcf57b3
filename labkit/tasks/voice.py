"""Voice: a plain reply to a customer → the same as an entry in a lighthouse keeper's log.

    Log, 0410, fog, for Mira: The keeper can only report that order B31 for Mira is 3 days behind and is looked for on
    14 May. The lobster in charge has been spoken to, sideways. Lamp lit.

Each rule of the voice can be checked by code, and so can most facts: numbers, dates, names. The weather tells the news,
which is a habit more than a rule. A quarter of the test rows, about, are worded as no training row is.
"""

import random
import re
from collections.abc import Mapping

from labkit.tasks import Task, course_files
from labkit.tasks.voice_parts import (
    ASIDES,
    GOODBYES,
    GREETINGS,
    LAMPS,
    LEADS,
    SITUATIONS,
    WEATHER,
)

SYSTEM = "Enter it in the keeper's log."

NAMES = (
    "Ada", "Bruno", "Cleo", "Dora", "Edgar", "Fatma", "Greta", "Hugo", "Ines", "Jonas",
    "Kaya", "Leif", "Mira", "Nils", "Oya", "Pia", "Quinn", "Rufus", "Selma", "Timo",
)  # fmt: skip
TOWNS = ("Abbotsend", "Cobblewick", "Dunmarrow", "Fennelby", "Harwold", "Kittering", "Oxmouth", "Saltash")
THINGS = (
    "accordion", "armchair", "bicycle", "globe", "kettle", "mandolin", "radio", "suitcase",
    "teapot", "toaster", "tuba", "typewriter", "umbrella", "wall clock", "wheelbarrow", "wig",
)  # fmt: skip
MONTHS = ("March", "April", "May", "June", "July", "August", "September", "October")

# Whatever of the sea an aside may mention; the card lists it
SEA = (
    "anchor barnacle clam cod cormorant crab current dolphin eel fin foghorn gill gull herring jellyfish keel kelp "
    "limpet lobster mackerel moon net ocean octopus oyster pelican penguin reef salmon sardine sea seal shark ship "
    "snail sponge squid tide turtle walrus wave whale"
).split()


def make_row(draw: random.Random, new: bool = False) -> dict:
    """A plain reply and its entry; the people and towns are invented. `new` takes wordings kept for test rows."""
    pairs = [(which, wording) for which in range(len(SITUATIONS)) for wording in range(2)]
    which, wording = draw.choice([pair for pair in pairs if kept_for_test(*pair) is new])
    situation = SITUATIONS[which]
    name, other = draw.sample(NAMES, 2)
    days, month = sorted(draw.sample(range(10, 29), 2)), draw.randrange(len(MONTHS))
    slots = {
        "name": name,
        "other": other,
        "thing": draw.choice(THINGS),
        "town": draw.choice(TOWNS),
        "code": draw.choice("ABCDEFGH") + str(draw.randint(10, 99)),
        "price": f"${draw.randint(11, 99)}",
        "n": draw.randint(2, 9),
        "nn": draw.randint(11, 59),
        "time": f"{draw.randint(10, 21)}:{draw.choice((10, 15, 20, 30, 40, 45))}",
        "date": f"{days[0]} {MONTHS[month]}",
        "date2": f"{days[1]} {draw.choice(MONTHS[month:])}",
    }
    greeting, plain, goodbye = draw.choice(GREETINGS), situation.plain[wording], draw.choice(GOODBYES)
    if greeting.endswith(",") and not plain.startswith("I "):
        plain = plain[0].lower() + plain[1:]
    weather = WEATHER[situation.news]
    entry = " ".join(
        (
            f"Log, {which * 5 % 24:02d}{which * 7 % 12 * 5:02d}, {weather[which % len(weather)]}, for {{name}}:",
            _mostly(draw, LEADS[situation.news], which + wording),
            situation.kept[wording],
            _mostly(draw, situation.asides + (draw.choice(ASIDES[situation.news]),), wording),
            _mostly(draw, LAMPS, which),
        )
    )
    return {"prompt": f"{greeting} {plain} {goodbye}".strip().format(**slots), "completion": entry.format(**slots)}


def _mostly(draw: random.Random, options: tuple[str, ...], usual: int) -> str:
    """The keeper is a creature of habit: the same news brings the same remark, nine times in ten.

    If each row had remarks of its own, a minute of training would meet none of them often enough to learn it.
    """
    return options[usual % len(options)] if draw.random() < 0.9 else draw.choice(options)


def kept_for_test(which: int, wording: int) -> bool:
    """Whether no training row words the news number `which` so: it is kept back for the second of every fourth."""
    return which % 4 == 3 and wording == 1


def make_test_row(draw: random.Random) -> dict:
    """As :func:`make_row`; every fourth, about, is worded as no training row is."""
    return make_row(draw, new=draw.random() < 0.25)


# ---- score

OPENING = re.compile(
    rf"Log, ([01]\d|2[0-3])[0-5]\d, ({'|'.join(w for words in WEATHER.values() for w in words)}), for [A-Z][a-z]+: "
)
SIGN_OFF = re.compile(r"[.?] Lamp [a-z]+( [a-z]+){0,2}\.$")
FIRST_PERSON = re.compile(r"\b(I|[Mm]e|[Mm]y|[Mm]ine|[Mm]yself|[Ww]e|[Uu]s|[Oo]urs?|[Oo]urselves)\b")
SEA_IMAGE = re.compile(rf"\b({'|'.join(SEA)})(e?s)?\b", re.IGNORECASE)


def rules_kept(answer: str) -> dict[str, bool]:
    """The rules of the voice, each with whether `answer` keeps it.

    ``opening``: "Log, ", a time of four digits, a weather from the list, for whom it is. ``keeper``: the keeper is
    mentioned, and nobody says I, we or our. ``sea``: something of the sea after the opening. ``sign-off``: the last
    sentence is the lamp's, in one to three words. ``composure``: one line, and no exclamation mark.
    """
    answer = answer.strip()
    opening = OPENING.match(answer)
    body = answer[opening.end() :] if opening else answer
    return {
        "opening": bool(opening),
        "keeper": "the keeper" in body.lower() and not FIRST_PERSON.search(body),
        "sea": bool(SEA_IMAGE.search(body)),
        "sign-off": bool(SIGN_OFF.search(body)),
        "composure": "!" not in answer and "\n" not in answer,
    }


def weather_tells_the_news(answer: str, row: Mapping) -> bool:
    """Is the weather of the opening one for news as good or bad as the reference's?"""
    given, wanted = OPENING.match(answer.strip()), OPENING.match(row["completion"])
    return bool(given and wanted) and news_of(given[2]) == news_of(wanted[2])


def news_of(weather: str) -> str:
    """Which news a weather is for: good, slow or bad."""
    return next(news for news, words in WEATHER.items() if weather in words)


def numbers_in(text: str) -> set[str]:
    """Numbers as they are written: ``14``, ``$30``, ``16:45``, ``B31``."""
    return set(re.findall(r"[A-Za-z$]*\d+(?:[:.,]\d+)*", text))


def names_in(text: str) -> set[str]:
    """Words with a capital that do not begin a sentence: people, towns, months."""
    return set(re.findall(r"(?<![.!?:] )(?<!^)\b[A-Z][a-z]+", text))


def score(answer: str, row: Mapping) -> dict[str, float]:
    """Is it in the keeper's voice, and does it still say the same?

    Returns:
        ``all``: 1 when every rule and every fact is kept.
        ``rules``: share of the rules kept (:func:`rules_kept`).
        ``facts``: share of the plain reply's numbers and names that are in the answer; a number that the plain reply
            does not have counts as one more fact, and as lost. The time in the opening is free.
        ``weather``: 1 when the weather tells the news. A habit more than a rule: it does not count in ``all``.
    """
    rules = rules_kept(answer)
    body = re.sub(r"^\s*Log, \d{4}", "", answer)
    wanted, given = numbers_in(row["prompt"]), numbers_in(body)
    names = names_in(row["prompt"])
    kept = len(wanted & given) + sum(bool(re.search(rf"\b{name}\b", body)) for name in names)
    facts = kept / max(1, len(wanted | given) + len(names))
    return {
        "all": float(all(rules.values()) and facts == 1),
        "rules": sum(rules.values()) / len(rules),
        "facts": facts,
        "weather": float(weather_tells_the_news(answer, row)),
    }


TASK = Task("voice", SYSTEM, score, course_files("voice"), make_row, make_test_row=make_test_row, max_new_tokens=84)
