"""Simple classifiers of texts, and what every method of this study is."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

from labkit.tasks import Task
from studies.near_duplicates import words_of

TFIDF = {"ngram_range": [1, 2], "sublinear_tf": True}
STRENGTHS = (0.1, 1, 10, 100, 1000)  # C of logistic regression on TF-IDF, from strong regularization to weak
STRENGTHS_OF_PARTS = (1, 10, 100)  # and on what's seen of each word or letter
LISTED = 30  # words in a label's list

Rows = tuple[list[str], list[str]]  # prompts, and their completions
Answers = tuple[list[str], dict]  # to the test prompts, and what was chosen on the way
Method = Callable[[Rows, Rows, Sequence[str]], Answers]  # of training rows, validation rows and the test prompts


def rows_of(task: Task, split: str, shuffled: bool = False) -> Rows:
    """The prompts of a split, and their completions; or these dealt out again."""
    rows = task.rows(split)
    texts, labels = list(rows["prompt"]), list(rows["completion"])
    if shuffled:
        random.Random(0).shuffle(labels)
    return texts, labels


def majority(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """The label that most training rows have, whatever the text."""
    label = Counter(train[1]).most_common(1)[0][0]
    return [label] * len(texts), {"label": label}


def word_lists(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """Each label's list has the words that most of its texts have, beyond those that others have too.

    The label with the most words of its list in the text wins.
    """
    having = defaultdict(Counter)  # word → in how many texts of each label
    for text, label in zip(*train):
        for word in set(words_of(text)):
            having[word][label] += 1
    lists = {}
    for name in sorted(set(train[1])):
        beyond = {word: 2 * counts[name] - counts.total() for word, counts in having.items() if counts[name] > 1}
        lists[name] = set(sorted(beyond, key=lambda word: (-beyond[word], word))[:LISTED])
    answers = [max(lists, key=lambda name: len(lists[name] & set(words_of(text)))) for text in texts]
    return answers, {}


def nearest_neighbor(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """The label of the training text with the largest cosine of TF-IDF vectors."""
    vectorizer = tfidf()
    known = vectorizer.fit_transform(train[0])
    nearest = (vectorizer.transform(texts) @ known.T).toarray().argmax(1)
    return [train[1][place] for place in nearest], {}


def tfidf_regression(train: Rows, validation: Rows, texts: Sequence[str], **settings) -> Answers:
    """Logistic regression on the TF-IDF of words and pairs of words; `settings` go to the regression."""
    vectorizer = tfidf()
    known, asked = vectorizer.fit_transform(train[0]), vectorizer.transform(validation[0])
    models = [LogisticRegression(C=strength, max_iter=1000, **settings) for strength in STRENGTHS]
    model, right = best_of(models, (known, train[1]), (asked, validation[1]))
    return list(model.predict(vectorizer.transform(texts))), {"C": model.C, "validation": right}


def tfidf() -> TfidfVectorizer:
    """From texts to rows of TF-IDF, each of length 1."""
    return TfidfVectorizer(**TFIDF | {"ngram_range": tuple(TFIDF["ngram_range"])})


def best_of(models: Sequence, train: tuple, validation: tuple) -> tuple:
    """The fitted model that's right most often on the validation rows, and how often; of equal ones, the first."""
    with threadpool_limits(1):  # on problems this small, threads mostly wait for each other
        found = [(model.fit(*train), model.score(*validation)) for model in models]
    return max(found, key=lambda each: each[1])


def by_parts(
    parts: tuple[list[dict], list[bool]], answer: Callable[[Pipeline, str], str], validation: Rows, texts: Sequence[str]
) -> Answers:
    """Logistic regression on parts of texts, such as words; the strength is the one that gets most validation rows.

    Args:
        parts: what's seen of each part in the training rows, and whether it's one that's looked for.
        answer: from the fitted model and a prompt to the answer.
    """
    models = [make_pipeline(DictVectorizer(), LogisticRegression(C=c, max_iter=1000)) for c in STRENGTHS_OF_PARTS]
    found = []
    with threadpool_limits(1):
        for model in models:
            model.fit(*parts)
            right = sum(answer(model, prompt) == wanted for prompt, wanted in zip(*validation))
            found.append((right / len(validation[0]), model))
        best, model = max(found, key=lambda each: each[0])
        return [answer(model, text) for text in texts], {"C": model[-1].C, "validation": best}
