"""WordNet 3.0's nouns, read from the file ``data.noun`` of Debian's package ``wordnet-base``.

A line of it is a synset, a meaning with the words for it: where it begins in the file (its number), which of the
lexicographers' files it was in, its words, its relations to other synsets, and behind a bar its gloss: definition, then
examples in quotes. The manual page wndb(5WN) describes all of it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from studies.sources import read_source

SHA256 = "fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2"  # of data.noun in wordnet-base 1:3.0-37
# the lexicographers' files of nouns, from number 03 on, as in lexnames(5WN)
NOUN_FILES = (
    "Tops", "act", "animal", "artifact", "attribute", "body", "cognition", "communication", "event", "feeling", "food",
    "group", "location", "motive", "object", "person", "phenomenon", "plant", "possession", "process", "quantity",
    "relation", "shape", "state", "substance", "time",
)  # fmt: skip


@dataclass(frozen=True)
class Synset:
    """A meaning, and what WordNet says of it.

    Attributes:
        number: eight digits; unique among nouns.
        category: the lexicographers' file, such as "animal".
        word: the first of its words, with spaces.
        instance: it's one thing of its kind, such as a river or a queen, and not a kind.
        definition: the gloss without its examples.
        words: all its words, with spaces.
        kinds: the numbers of the synsets it's a kind of, one step up.
    """

    number: str
    category: str
    word: str
    instance: bool
    definition: str
    words: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


def folder() -> Path:
    """Where WordNet lies: ``$WNSEARCHDIR``, as for WordNet's own programs, or where Debian puts it."""
    return Path(os.environ.get("WNSEARCHDIR") or "/usr/share/wordnet")


def nouns() -> tuple[list[Synset], str]:
    """All synsets of nouns, in the file's order, and the license notice at its head.

    Raises:
        DataError: the file isn't there, or isn't the one that this was written for.
    """
    remedy = "Install Debian's wordnet-base, or unpack it and set WNSEARCHDIR to its usr/share/wordnet"
    expected = "WordNet 3.0's file as Debian has it"
    content = read_source(folder() / "data.noun", SHA256, expected, remedy, "Take wordnet-base 1:3.0-37")
    lines = content.decode("ascii").splitlines()
    notice = [line for line in lines if line.startswith("  ")]  # each begins with its number
    text = "".join(line.strip().partition(" ")[2].rstrip() + "\n" for line in notice)
    return [synset(line) for line in lines[len(notice) :]], text


def synset(line: str) -> Synset:
    """A line of the file."""
    head, gloss = line.split(" | ", 1)
    fields = head.split()
    definition = gloss.partition('"')[0].strip().rstrip(";:,").strip()
    count = int(fields[3], 16)
    words = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * count : 2])
    relations = fields[5 + 2 * count :]  # four fields each: which, to what number, …
    kinds = tuple(number for which, number in zip(relations[::4], relations[1::4]) if which == "@")
    category = NOUN_FILES[int(fields[1]) - 3]
    return Synset(fields[0], category, words[0], "@i" in fields, definition, words, kinds)
