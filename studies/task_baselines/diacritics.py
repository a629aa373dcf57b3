"""Which letters are Turkish ones, without a language model: a look-up table, and letters in context."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from sklearn.pipeline import Pipeline

from labkit.tasks.diacritics import PLAIN, without
from studies.task_baselines.classifiers import Answers, Rows, by_parts

REACH = 6  # letters to either side of the one to be put right


def small(text: str) -> str:
    """Turkish in small letters: İ is the capital of i, and I that of ı."""
    return text.replace("İ", "i").replace("I", "ı").lower()


def cased(letters: str, like: str) -> str:
    """Small Turkish letters, capital where `like` has capitals."""
    capitals = {"i": "İ", "ı": "I"}
    return "".join(capitals.get(mine, mine.upper()) if its.isupper() else mine for mine, its in zip(letters, like))


def look_up(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """Each word as it's most often written in the training rows; a word that isn't there stays as it is."""
    table = defaultdict(Counter)
    for text in train[1]:
        for word in re.findall(r"\w+", text):
            table[without(small(word))][small(word)] += 1
    best = {plain: counts.most_common(1)[0][0] for plain, counts in table.items()}

    def written(match: re.Match) -> str:
        word = match[0]
        return cased(best[word.lower()], word) if word.lower() in best else word

    return [re.sub(r"\w+", written, text) for text in texts], {"words": len(best)}


def letter_features(text: str) -> Iterator[tuple[int, dict]]:
    """The place of each letter that may be another one in Turkish, and what a classifier sees: what's around it."""
    padded = " " * REACH + text.lower() + " " * REACH
    for place, letter in enumerate(text.lower()):
        if letter in PLAIN.values():
            here = place + REACH
            before, after = padded[here - REACH : here], padded[here + 1 : here + 1 + REACH]
            seen = {f"{letter} {step:+}": padded[here + step] for step in range(-REACH, REACH + 1) if step}
            for length in (2, 3, 4):
                seen[f"{letter} before {length}"], seen[f"{letter} after {length}"] = before[-length:], after[:length]
            word = before.rpartition(" ")[2] + letter + after.partition(" ")[0]
            near = padded[here - 1 : here + 2]
            yield place, seen | {"letter": letter, f"{letter} word": word, f"{letter} near": near}


def letters_in_context(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """Logistic regression on the letters around each one that may be Turkish: is it?"""
    examples, labels = [], []
    for prompt, text in zip(*train):
        for place, seen in letter_features(prompt):
            examples.append(seen)
            labels.append(small(text)[place] in PLAIN)
    turkish = {plain: letter for letter, plain in PLAIN.items() if letter == letter.lower()}

    def put_right(model: Pipeline, prompt: str) -> str:
        letters, found = list(prompt.lower()), list(letter_features(prompt))
        if found:
            for (place, _), is_turkish in zip(found, model.predict([seen for _, seen in found])):
                letters[place] = turkish[letters[place]] if is_turkish else letters[place]
        return cased("".join(letters), prompt)

    return by_parts((examples, labels), put_right, validation, texts)
