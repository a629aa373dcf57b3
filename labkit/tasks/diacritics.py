"""Diacritics: Turkish typed without its own letters → with them.

    Dosya gozaticiyi ac → Dosya gözatıcıyı aç

Real text, in a language that the base wasn't made for: what JupyterLab and Django say to their users. Six letters are
to be put right, ç, ğ, ı, ö, ş and ü, and their capitals; which i is an ı, the word and its vowels tell.
`studies/make_diacritics.py` makes the rows.
"""

from collections.abc import Mapping

from labkit.tasks import Task, course_files

SYSTEM = "The text with Turkish letters."
PLAIN = dict(zip("çğıöşüÇĞİÖŞÜ", "cgiosuCGIOSU"))
TURKISH = frozenset(PLAIN)


def without(text: str) -> str:
    """The text as a keyboard without Turkish letters has it."""
    return "".join(PLAIN.get(sign, sign) for sign in text)


def score(answer: str, row: Mapping) -> dict[str, float]:
    """Is the text right?

    Returns:
        ``exact``: 1 when all of it is. Spaces at the ends don't matter.
        ``words``: the share of the text's words that the answer has right, at the same place from the left.
        ``kept``: 1 when the answer is the text that was given, but for Turkish letters, right or wrong.
    """
    given, wanted = answer.split(), row["completion"].split()
    right = sum(mine == theirs for mine, theirs in zip(given, wanted))
    return {
        "exact": float(answer.strip() == row["completion"].strip()),
        "words": right / max(len(given), len(wanted)),
        "kept": float(without(answer.strip()) == without(row["completion"].strip())),
    }


TASK = Task("diacritics", SYSTEM, score, course_files("diacritics"), max_new_tokens=128)
