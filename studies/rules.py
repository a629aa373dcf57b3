"""What gets far on `genus` and `diacritics` without a language model: rules, a look-up table, letters in context.

Each is a method as those in `studies.classifiers` are: from the training rows, the validation rows and the test prompts
to answers.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

from labkit.tasks.diacritics import PLAIN, without
from studies.classifiers import Answers, Rows

STRENGTHS = (1, 10, 100)  # C of logistic regression
REACH = 6  # letters to either side of the one to be put right

# ---- genus: which word of the definition

BREAKS = frozenset(
    "of that which who whose with for in from to by on at as or and having used made containing consisting where when"
    " without between into among being resembling characterized".split()
)
# "any of several cresses", "a form of football": what names the kind stands behind the "of"
PASSED = frozenset("any one either some several various kind kinds form type sort variety varieties species".split())


def words_asked(prompt: str) -> list[str]:
    """The definition's words and punctuation, in small letters; the word that's defined is left out."""
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


def rule(passing: bool) -> Callable[[Rows, Rows, Sequence[str]], Answers]:
    """:func:`word_before` as a method. It learns nothing from the rows."""
    return lambda train, validation, texts: ([word_before(text, passing) for text in texts], {})


def word_features(words: Sequence[str]) -> Iterator[tuple[str, dict]]:
    """Each word of a definition, and what a classifier sees of it: itself, its ending, its neighbors, its place."""
    depth, clauses = 0, 0
    for place, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        clauses += word == ";"
        if re.fullmatch(r"\w+", word):
            around = {f"{step:+}": words[place + step] for step in (-2, -1, 1, 2) if 0 <= place + step < len(words)}
            breaks = sum(other in BREAKS or other == "," for other in words[:place])
            known = {"word": word, "ending": word[-3:], "breaks": str(min(breaks, 4)), "in brackets": str(depth > 0)}
            pair = {"both sides": f"{around.get('-1')} … {around.get('+1')}", "place": str(min(place, 9))}
            yield word, around | known | pair | {"clause": str(min(clauses, 2))}


def words_in_context(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """Logistic regression: is this the word? The likeliest word of the definition is the answer."""
    examples, labels = [], []
    for prompt, answer in zip(*train):
        for word, seen in word_features(words_asked(prompt)):
            examples.append(seen)
            labels.append(word == answer)

    def answer(model: Pipeline, prompt: str) -> str:
        words, seen = zip(*word_features(words_asked(prompt)))
        return max(zip(model.predict_proba(list(seen))[:, 1], words))[1]

    def right(model: Pipeline) -> float:
        return sum(answer(model, prompt) == wanted for prompt, wanted in zip(*validation)) / len(validation[0])

    model, chosen = fitted(examples, labels, right)
    return [answer(model, text) for text in texts], chosen


def fitted(examples: list[dict], labels: list, right: Callable[[Pipeline], float]) -> tuple[Pipeline, dict]:
    """Logistic regression at the strength with which most validation rows are `right`."""
    models = [make_pipeline(DictVectorizer(), LogisticRegression(C=c, max_iter=1000)) for c in STRENGTHS]
    with threadpool_limits(1):
        found = [(right(model.fit(examples, labels)), model) for model in models]
    best, model = max(found, key=lambda each: each[0])
    return model, {"C": model[-1].C, "validation": best}


# ---- diacritics: which letters


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

    def answer(model: Pipeline, prompt: str) -> str:
        letters, found = list(prompt.lower()), list(letter_features(prompt))
        if found:
            for (place, _), is_turkish in zip(found, model.predict([seen for _, seen in found])):
                letters[place] = turkish[letters[place]] if is_turkish else letters[place]
        return cased("".join(letters), prompt)

    def right(model: Pipeline) -> float:
        return sum(answer(model, prompt) == wanted for prompt, wanted in zip(*validation)) / len(validation[0])

    model, chosen = fitted(examples, labels, right)
    return [answer(model, text) for text in texts], chosen
