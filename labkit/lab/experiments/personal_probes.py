"""Messages with personal data in them, all invented, to see what :mod:`labkit.tasks.personal_data` finds and what not.

They were written after the patterns, by the same person, as customers write: so what's found among them says little
about yours. What's missed says more. Half of what people tell has no form at all.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labkit.tasks.personal_data import anonymize


class Probe(NamedTuple):
    """A message, and the piece of it that says who somebody is."""

    kind: str
    text: str
    piece: str


def _probes(kind: str, *messages: tuple[str, str]) -> list[Probe]:
    return [Probe(kind, text.format(piece), piece) for text, piece in messages]


PROBES = [
    *_probes(
        "e-mail",
        ("Please write to {}.", "canary-salt-river@shop.invalid"),
        ("My address is {}, thank you", "Zelda.Quill+help@mail.invalid"),
        ("mailto:{}?subject=kettle", "zelda@post.mail.invalid"),
        ("<{}> wrote on Monday:", "z_q-7@xn--kdr-0qa.invalid"),
    ),
    *_probes(
        "e-mail, disguised",
        ("You reach me at {}", "zelda (at) shop (dot) invalid"),
        ("It's {}, all in one word", "zelda at shop dot invalid"),
        ("Write to {}", "zelda @ shop.invalid"),
        ("My address: {}", "zelda＠shop.invalid"),
    ),
    *_probes(
        "phone",
        ("Call me: {}", "+49 30 55501234"),
        ("Call {} after six.", "+90 (555) 010 20 30"),
        ("My number is {}", "0555 010 20 30"),
        ("tel {}", "(030) 5550-1234"),
        ("You have my number, {}", "555-0123"),
        ("Ring {} and let it ring", "zero five five five, ten, twenty, thirty"),
    ),
    *_probes(
        "IBAN",
        ("Pay it back to {}", "DE89 3704 0044 0532 0130 00"),
        ("IBAN: {}, please", "TR330006100519786457841326"),
        ("Pay it back to {}", "de89 3704 0044 0532 0130 00"),
        ("Pay to {} THANKS", "GB82 WEST 1234 5698 7654 32"),
    ),
    *_probes(
        "card",
        ("I paid with {}.", "4111 1111 1111 1111"),
        ("Card {} was charged twice", "5555-5555-5555-4444"),
        ("The card that ends in {} was charged", "4444"),
    ),
    *_probes(
        "identity number",
        ("My T.C. number is {}", "10000000146"),
        ("Passport {}", "U 0123 4567"),
    ),
    *_probes(
        "name",
        ("{} here. My kettle leaks.", "Zelda"),
        ("Best regards, {}", "Dr. Zelda Quill-Öztürk"),
        ("Ask my neighbor {} about it", "Fritz"),
    ),
    *_probes(
        "where and when",
        ("Send it to {}", "12 Harbor Lane, Cobblewick"),
        ("I was born on {}", "7 May 1961"),
        ("I'm {}", "the only pharmacist in Fennelby"),
        ("My husband is {}", "on dialysis since March"),
    ),
]


def sifted(probes: Iterable[Probe] = PROBES) -> list[dict]:
    """For each kind, how many of its probes lose their piece, and what's left of the others."""
    kinds: dict[str, list[Probe]] = {}
    for probe in probes:
        kinds.setdefault(probe.kind, []).append(probe)
    return [
        {
            "kind": kind,
            "probes": len(group),
            "found": sum(probe.piece not in anonymize(probe.text) for probe in group),
            "missed": [probe.piece for probe in group if probe.piece in anonymize(probe.text)],
        }
        for kind, group in kinds.items()
    ]


def changed_rows(rows: Iterable[Mapping]) -> list[str]:
    """The texts of `rows` in which something was taken for personal data, with its placeholder."""
    texts = (row[name] for row in rows for name in ("prompt", "completion"))
    return [after for text in texts if (after := anonymize(text)) != text]
