"""Texts that are nearly the same, told by the word triples they share.

A triple is three words in a row, and one number is as good as another: "the decade from 1820 to 1829" says nothing new
beside that from 1830 on. Two texts are near-duplicates when a third or more of the shorter one's triples are in the
other one, too. "A cat in a hat" and "my cat in a box" share one of three.
"""

import re
from collections import Counter, defaultdict

SHARE = 1 / 3


def words_of(text: str) -> list[str]:
    """The words, in lower case."""
    return re.findall(r"\w+", text.lower())


def triples(text: str) -> set[tuple[str, ...]]:
    """Three words in a row, each such triple once; a text of fewer words is one triple itself."""
    words = ["0" if word.isdigit() else word for word in words_of(text)]
    return {tuple(words[start : start + 3]) for start in range(max(1, len(words) - 2))}


class Seen:
    """The texts so far, and which of them is nearly the same as a new one."""

    def __init__(self) -> None:
        self._texts: list[tuple[str, int]] = []  # each with how many triples it has
        self._having: dict[tuple[str, ...], list[int]] = defaultdict(list)

    def add(self, text: str) -> None:
        """From now on `text` counts."""
        found = triples(text)
        for triple in found:
            self._having[triple].append(len(self._texts))
        self._texts.append((text, len(found)))

    def like(self, text: str) -> list[str]:
        """The texts that `text` is a near-duplicate of, in the order they came."""
        found = triples(text)
        shared = Counter(number for triple in found for number in self._having.get(triple, ()))
        return [
            self._texts[number][0]
            for number, count in sorted(shared.items())
            if count >= SHARE * min(len(found), self._texts[number][1])
        ]
