"""Which word of the definition names the kind, without a language model: two rules by hand, and words in context."""

import re
from collections.abc import Iterator, Sequence

from sklearn.pipeline import Pipeline

from studies.task_baselines.classifiers import Answers, Method, Rows, by_parts

BREAKS = frozenset(
    "of that which who whose with for in from to by on at as or and having used made containing consisting where when"
    " without between into among being resembling characterized".split()
)
# "any of several cresses", "a form of football": what names the kind comes after the "of"
PASSED = frozenset("any one either some several various kind kinds form type sort variety varieties species".split())


def words_asked(prompt: str) -> list[str]:
    """The definition's words and punctuation, in small letters; the noun that's defined is left out."""
    return re.findall(r"[\w'-]+|[^\w\s]", prompt.partition(": ")[2].lower())


def main_clause(words: Sequence[str]) -> list[str]:
    """Up to the first semicolon, and without what's in brackets."""
    kept, depth = [], 0
    for word in words:
        depth += (word == "(") - (word == ")")
        if word == ";" and not depth:
            break
        if not depth and word != ")":
            kept.append(word)
    return kept


def word_before(prompt: str, passing: bool) -> str:
    """The word before the first "of", "that", "with" or their like; with `passing`, not "any of" and "a form of"."""
    words = main_clause(words_asked(prompt))
    last = words[0] if words else ""
    for word in words:
        broken = word in BREAKS or not re.search(r"\w", word)
        if broken and last not in BREAKS and not (passing and (last in PASSED or not re.search(r"\w", last))):
            break
        last = word
    return last


def rule(passing: bool) -> Method:
    """:func:`word_before` as a method. It learns nothing from the rows."""
    return lambda train, validation, texts: ([word_before(text, passing) for text in texts], {})


def word_features(prompt: str) -> Iterator[tuple[str, dict]]:
    """Each word of a definition, and what a classifier sees of it.

    That's the word and its ending, its neighbors, its place, and whether the noun has it in it, as "surfboat" has
    "boat".
    """
    noun, words = prompt.partition(": ")[0].lower(), words_asked(prompt)
    depth, clauses = 0, 0
    for place, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        clauses += word == ";"
        if re.fullmatch(r"\w+", word):
            around = {f"{step:+}": words[place + step] for step in (-2, -1, 1, 2) if 0 <= place + step < len(words)}
            breaks = sum(other in BREAKS or other == "," for other in words[:place])
            known = {"word": word, "ending": word[-3:], "breaks": str(min(breaks, 4)), "in brackets": str(depth > 0)}
            pair = {"both sides": f"{around.get('-1')} … {around.get('+1')}", "place": str(min(place, 9))}
            more = {"clause": str(min(clauses, 2)), "in the noun": str(len(word) > 2 and word in noun)}
            yield word, around | known | pair | more


def words_in_context(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """Logistic regression: is this the word? The likeliest word of the definition is the answer."""
    examples, labels = [], []
    for prompt, answer in zip(*train):
        for word, seen in word_features(prompt):
            examples.append(seen)
            labels.append(word == answer)

    def likeliest(model: Pipeline, prompt: str) -> str:
        words, seen = zip(*word_features(prompt))
        return max(zip(model.predict_proba(list(seen))[:, 1], words))[1]

    return by_parts((examples, labels), likeliest, validation, texts)
