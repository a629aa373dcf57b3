"""Make the rows of `changelog` from CPython's own NEWS: the same bytes every time.

    python -m studies.make_changelog        # a few seconds

It reads two files of the source of Python 3.13.5 as Debian 13 has it, in build/sources or where $PYTHONSOURCE says:

    mkdir -p build/sources && cd build/sources
    apt-get source --tar-only python3.13        # python3.13_3.13.5.orig.tar.xz, 23 MB; needs a deb-src line
    tar -xf python3.13_3.13.5.orig.tar.xz Python-3.13.5/Misc/NEWS Python-3.13.5/LICENSE

Stored in data/changelog/: the rows of each split, of which version and issue each row is (`entries.csv`), and Python's
license.
"""

import os
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labkit.tasks.changelog import SECTIONS
from labkit.tasks.make_data import as_jsonl
from studies.near_duplicates import Seen, words_of
from studies.sources import UNPACKED, as_csv, read_source, write_task

SEED = 2026
SIZES = {"train": 1200, "validation": 200}  # the test rows are all that fit
NEWS_SHA256 = "6210e4bd649a04f1d9b1902b711b5f5fb80f81bb7f246964fde0238a5d768651"
LICENSE_SHA256 = "78b12c3a81360b357002334f0e70ea0e92eebf7a9b358805c03c48484945f3bb"
LEARNED = re.compile(r"3\.13\.0 ")  # from its first alpha, October 13, 2023, to the final version, October 7, 2024
TESTED = re.compile(r"3\.13\.[1-5] ")  # December 3, 2024, to June 11, 2025: after the base was published
WORDS = range(5, 61)
ROLE = re.compile(r":(?:\w+:)*([\w-]+):`([^`]*)`")  # :c:func:`PyObject_DelAttr`
# what a page shows before the number
NUMBERED = {"pep": "PEP ", "rfc": "RFC ", "gh": "gh-", "issue": "bpo-", "cve": "CVE-"}
# who did it, at the end: "Patch by", "Contributed by", "Initial patch by"
CREDIT = re.compile(
    r"\s*\(?\b(?:(?:[Oo]riginal|[Ii]nitial|[Bb]ased on)\b[^.]*)?"
    r"(?:[Pp]atch(?:e[ds])?|[Cc]o-?authored|[Cc]ontribut(?:ed|ion)|[Rr]eported|[Ss]uggested|[Dd]iscovered|[Ff]ound) "
    r"(?:\w+ ){0,3}by\b.*$"
)
NAMED = re.compile(r"\b[Pp]atch(?:es)? by\b|\b[Bb]y [A-Z]\w+ [A-Z]|\b[Tt]hanks?\b|\b[Cc]redits?\b|@\w")


@dataclass(frozen=True)
class Entry:
    """One thing that changed.

    Attributes:
        version: such as "3.13.0 alpha 1".
        section: the heading it's under.
        issue: such as "gh-135151".
        text: what it says, without markup and without names.
    """

    version: str
    section: str
    issue: str
    text: str


def plain(text: str) -> str:
    """The words of an entry as a page shows them: no markup, and a function has its brackets."""

    def shown(match: re.Match) -> str:
        role, inside = match.groups()
        inside = re.sub(r"\s*<[^<>]*>$", "", inside).lstrip("!")
        if inside.startswith("~") and role != "file":  # ~a.b.C is shown as C, and ~/.config as it is
            inside = inside.rsplit(".", 1)[-1].lstrip("~")
        if role in ("func", "meth") and not inside.endswith(")"):
            inside += "()"
        return NUMBERED.get(role, "") + inside

    text = ROLE.sub(shown, text)
    text = re.sub(r"``(.+?)``", r"\1", text)
    text = re.sub(r"`([^`<]+?)\s*<[^>]*>`__?", r"\1", text)
    return re.sub(r"(?<!\w)(\*{1,2})([^*\s][^*]*?)\1(?!\w)", r"\2", text)


def entries(news: str) -> list[Entry]:
    """All entries of NEWS, newest version first."""
    found = []
    _, *versions = re.split(r"^What's New in Python (.+)\?\n=+\n", news, flags=re.MULTILINE)
    for version, body in zip(versions[::2], versions[1::2]):
        _, *sections = re.split(r"^(\S.*)\n-+\n", body, flags=re.MULTILINE)
        for section, items in zip(sections[::2], sections[1::2]):
            for item in re.split(r"^- ", items, flags=re.MULTILINE)[1:]:
                if match := re.match(r"((?:gh|bpo)-\d+): (.*)", " ".join(item.split())):
                    found.append(Entry(version, section, match[1], CREDIT.sub("", plain(match[2])).strip()))
    return found


def fit(entry: Entry) -> bool:
    """Whether a row can be made of it: of a usual length, with no list, markup or person's name left."""
    text = entry.text
    return (
        entry.section in SECTIONS
        and len(words_of(text)) in WORDS
        and text.isascii()
        and not re.search(r"[`\\]|::| \* |\.\. |https?:", text)
        and not NAMED.search(text)
    )


def alone(pool: Iterable[Entry]) -> list[Entry]:
    """Of entries that are nearly the same, the first; where such two have different sections, neither."""
    seen, first, torn = Seen(), {}, set()
    for entry in pool:
        same = seen.like(entry.text)
        if not same:
            first[entry.text] = entry
            seen.add(entry.text)
        torn |= {text for text in same if first[text].section != entry.section}
    return [entry for text, entry in first.items() if text not in torn]


def splits(found: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The entries of each split. An issue is in one only, and the test rows are from later versions than the others."""
    kept, issues, draw, cut = alone(filter(fit, found)), {}, random.Random(SEED), {}
    for entry in kept:
        if LEARNED.match(entry.version):
            issues.setdefault(entry.issue, []).append(entry)
    groups = list(issues.values())
    draw.shuffle(groups)
    for split, size in SIZES.items():
        cut[split] = []
        while groups and len(cut[split]) < size:
            cut[split] += groups.pop()[: size - len(cut[split])]
    # an issue's later entries would be known, whichever of its earlier ones were drawn
    cut["test"] = [entry for entry in kept if TESTED.match(entry.version) and entry.issue not in issues]
    for held in cut.values():
        draw.shuffle(held)
    return cut


def read_all() -> tuple[list[Entry], str]:
    """All entries of the two groups of versions, oldest first, and Python's license.

    Raises:
        DataError: a file isn't there, or is another one.
    """
    folder = Path(os.environ.get("PYTHONSOURCE") or UNPACKED / "Python-3.13.5")
    missing = "Unpack Debian's source of python3.13 as studies/make_changelog.py says, or set PYTHONSOURCE to it"
    expected, other = "Python 3.13.5's file", "Take the one of Python 3.13.5"
    news = read_source(folder / "Misc" / "NEWS", NEWS_SHA256, expected, missing, other).decode()
    notice = read_source(folder / "LICENSE", LICENSE_SHA256, expected, missing, other).decode()
    found = [each for each in entries(news) if LEARNED.match(each.version) or TESTED.match(each.version)]
    return found[::-1], notice


def files() -> dict[str, str]:
    """What's in each file of the task, but for its card.

    Raises:
        DataError: as for :func:`read_all`.
    """
    found, notice = read_all()
    cut = splits(found)
    rows = {
        f"{split}.jsonl": as_jsonl([{"prompt": entry.text, "completion": entry.section} for entry in held])
        for split, held in cut.items()
    }
    table = ((split, each.section, each.version, each.issue) for split, held in cut.items() for each in held)
    return {**rows, "entries.csv": as_csv(("split", "section", "version", "issue"), table), "LICENSE": notice}


if __name__ == "__main__":
    write_task("changelog", files())
