"""How far is `glosses` solved without any fine-tuning? Simple classifiers, frozen features, and the base, asked.

    python -m studies.glosses_baselines        # ten minutes on two cores

What there is to choose (how strongly to regularize, which layer) is chosen on the validation rows. Every line is stored
with its answers, so that methods can be compared row by row. With its training labels shuffled, a method knows nothing:
what it still gets right is chance, or a leak.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import lru_cache

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch.nn.utils.rnn import pad_sequence

import labkit
from labkit.evaluation.scoring import Score, bootstrap_interval
from labkit.tasks.glosses import CATEGORIES, SYSTEM
from studies.make_adapters import digest
from studies.near_duplicates import words_of
from studies.runner import Study, main

TASK = labkit.load_task("glosses")
SPLITS = ("train", "validation", "test")
TFIDF = {"ngram_range": [1, 2], "sublinear_tf": True}
# C of logistic regression, from strong regularization to weak: for thousands of sparse columns, and for 576 dense ones
STRENGTHS = {"TF-IDF": (0.1, 1, 10, 100, 1000), "frozen features": (0.001, 0.003, 0.01, 0.03, 0.1)}
LISTED = 30  # words in a category's list
LAYERS = (6, 12, 18, 24, 30)  # whose outputs are tried as features; 30 is the last
ASKED_ROWS = 96  # test rows that the base is asked with examples; four of each category
NAMES = f"{SYSTEM} One of: {', '.join(CATEGORIES)}."
RECIPE = {
    "data": {split: digest(TASK.files[split]) for split in SPLITS},
    "tfidf": TFIDF,
    "strengths": {name: list(values) for name, values in STRENGTHS.items()},
    "listed": LISTED,
    "layers": list(LAYERS),
    "names": NAMES,
    "asked_rows": ASKED_ROWS,
}

Rows = tuple[list[str], list[str]]  # definitions, and their categories
Answers = tuple[list[str], dict]  # to the test rows, and what was chosen on the way


def rows_of(split: str, shuffled: bool = False) -> Rows:
    """The definitions of a split, and their categories; or these dealt out again."""
    rows = TASK.rows(split)
    texts, labels = list(rows["prompt"]), list(rows["completion"])
    if shuffled:
        random.Random(0).shuffle(labels)
    return texts, labels


# ---- simple classifiers


def word_lists(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """Each category's list has the words that most of its definitions have, beyond those that others have too.

    The category with the most words of its list in the definition wins.
    """
    having = defaultdict(Counter)  # word → in how many definitions of each category
    for text, label in zip(*train):
        for word in set(words_of(text)):
            having[word][label] += 1
    lists = {}
    for name in CATEGORIES:
        beyond = {word: 2 * counts[name] - counts.total() for word, counts in having.items() if counts[name] > 1}
        lists[name] = set(sorted(beyond, key=lambda word: (-beyond[word], word))[:LISTED])
    answers = [max(CATEGORIES, key=lambda name: len(lists[name] & set(words_of(text)))) for text in texts]
    return answers, {}


def nearest_neighbor(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """The category of the training definition with the largest cosine of TF-IDF vectors."""
    vectorizer = tfidf()
    known = vectorizer.fit_transform(train[0])
    nearest = (vectorizer.transform(texts) @ known.T).toarray().argmax(1)
    return [train[1][place] for place in nearest], {}


def tfidf_regression(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """Logistic regression on the TF-IDF of words and pairs of words."""
    vectorizer = tfidf()
    known, asked = vectorizer.fit_transform(train[0]), vectorizer.transform(validation[0])
    models = [LogisticRegression(C=strength, max_iter=1000) for strength in STRENGTHS["TF-IDF"]]
    model, right = best_of(models, (known, train[1]), (asked, validation[1]))
    return list(model.predict(vectorizer.transform(texts))), {"C": model.C, "validation": right}


def tfidf() -> TfidfVectorizer:
    return TfidfVectorizer(**TFIDF | {"ngram_range": tuple(TFIDF["ngram_range"])})


def best_of(models: Sequence, train: tuple, validation: tuple) -> tuple:
    """The fitted model that's right most often on the validation rows, and how often; of equal ones, the first."""
    with threadpool_limits(1):  # on problems this small, threads mostly wait for each other
        found = [(model.fit(*train), model.score(*validation)) for model in models]
    return max(found, key=lambda each: each[1])


# ---- frozen features


@torch.no_grad()
def features(texts: Sequence[str], model, tokenizer, batch: int = 32) -> dict[int, np.ndarray]:
    """The mean over a definition's tokens of what each of :data:`LAYERS` gives, (texts, hidden size)."""
    ids = [tokenizer(text).input_ids for text in texts]
    found = {layer: np.empty((len(texts), model.config.hidden_size), np.float32) for layer in LAYERS}
    by_length = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    for start in range(0, len(ids), batch):
        places = by_length[start : start + batch]
        # padded on the right, where no token of a text sees it
        padded = pad_sequence([torch.tensor(ids[place]) for place in places], batch_first=True)
        states = model(padded, output_hidden_states=True, use_cache=False).hidden_states
        for row, place in enumerate(places):
            for layer in LAYERS:
                found[layer][place] = states[layer][row, : len(ids[place])].mean(0).numpy()
    return found


@lru_cache(maxsize=1)
def features_of_all() -> tuple[dict[str, dict[int, np.ndarray]], float]:
    """The features of each split, and the seconds they took."""
    began = time.monotonic()
    model, tokenizer = labkit.load_base(device="cpu")
    found = {split: features(rows_of(split)[0], model.model, tokenizer) for split in SPLITS}
    return found, time.monotonic() - began


def frozen_features(train: Rows, validation: Rows, texts: Sequence[str], layers: Sequence[int] = LAYERS) -> Answers:
    """Logistic regression on the features of the layer that does best on the validation rows."""
    found, seconds = features_of_all()
    best = []
    for layer in layers:
        pieces = [(StandardScaler(), LogisticRegression(C=c, max_iter=1000)) for c in STRENGTHS["frozen features"]]
        models = [make_pipeline(*steps) for steps in pieces]
        known, asked = (found["train"][layer], train[1]), (found["validation"][layer], validation[1])
        best.append((*best_of(models, known, asked), layer))
    model, right, layer = max(best, key=lambda each: each[1])
    about = {"C": model[-1].C, "layer": layer, "validation": right, "feature_seconds": round(seconds, 1)}
    return list(model.predict(found["test"][layer])), about


def last_layer(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """Logistic regression on the features of the last layer."""
    return frozen_features(train, validation, texts, LAYERS[-1:])


# ---- the base, asked


def ask(examples: int, names: bool) -> dict:
    """The base's answers after so many training rows as turns; with `names`, the system prompt lists the categories."""
    model, tokenizer = labkit.load_base(device="cpu")
    task = replace(TASK, system=NAMES if names else SYSTEM)
    shots = list(task.rows("train"))[:examples]
    found = labkit.evaluate(model, tokenizer, task, limit=ASKED_ROWS if examples else None, examples=shots)
    return {
        "scores": {metric: asdict(score) for metric, score in found.scores.items()},
        "cut_off": found.cut_off,
        "answers": [answer.strip() for answer in found.predictions],
    }


# ---- the study

CLASSIFIERS: dict[str, Callable[[Rows, Rows, Sequence[str]], Answers]] = {
    "word lists": word_lists,
    "nearest neighbor": nearest_neighbor,
    "TF-IDF": tfidf_regression,
    "frozen features, last layer": last_layer,
    "frozen features, best layer": frozen_features,
}
GRID: list[dict] = [
    *({"method": name, "shuffled": False} for name in CLASSIFIERS),
    *({"method": name, "shuffled": True} for name in ("TF-IDF", "frozen features, last layer")),
    *({"method": "base", "examples": examples, "names": names} for examples in (0, 8, 24) for names in (False, True)),
]


def classify(method: str, shuffled: bool) -> dict:
    """A classifier's answers to the test rows, scored as a model's are."""
    train, validation, (texts, wanted) = rows_of("train", shuffled), rows_of("validation"), rows_of("test")
    answers, chosen = CLASSIFIERS[method](train, validation, texts)
    rows = [{"prompt": text, "completion": label} for text, label in zip(texts, wanted)]
    right = [TASK.score(answer, row)["accuracy"] for answer, row in zip(answers, rows)]
    score = Score(sum(right) / len(right), *bootstrap_interval(right))
    return {"scores": {"accuracy": asdict(score)}, "chosen": chosen, "answers": [str(answer) for answer in answers]}


def run(setting: dict) -> dict:
    """One line of the table."""
    if setting["method"] == "base":
        return ask(setting["examples"], setting["names"])
    return classify(setting["method"], setting["shuffled"])


def table(runs: list[dict]) -> str:
    """The runs as the data card shows them."""
    lines = ["| method | accuracy | 95 % interval | test rows |", "|---|---|---|---|"]
    for each in runs:
        name = each["method"] + (", training labels shuffled" if each.get("shuffled") else "")
        if name == "base":
            name = f"the base, {each['examples'] or 'no'} examples{', categories listed' if each['names'] else ''}"
        accuracy = each["scores"]["accuracy"]
        mean, low, high = (f"{100 * accuracy[part]:.1f}" for part in ("mean", "low", "high"))
        lines.append(f"| {name} | {mean} % | {low} to {high} % | {len(each['answers'])} |")
    return "\n".join(lines)


STUDY = Study("glosses_baselines", RECIPE, GRID, run, packages=("transformers", "scikit-learn"))

if __name__ == "__main__":
    main(STUDY, __doc__)
    if not STUDY.missing():
        print(table(STUDY.result()["runs"]))
