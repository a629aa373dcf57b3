"""What does a task give without fine-tuning? Simple classifiers, frozen features of the base, and the base, asked.

What there is to choose (how strongly to regularize, which layer) is chosen on the validation rows. With its training
labels shuffled, a method knows nothing: what it still gets right is chance, or a leak.
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
from labkit.evaluation.scoring import Score, _summarise, bootstrap_interval
from labkit.tasks import Task
from studies.near_duplicates import words_of

SPLITS = ("train", "validation", "test")
TFIDF = {"ngram_range": [1, 2], "sublinear_tf": True}
# C of logistic regression, from strong regularization to weak: for thousands of sparse columns, and for 576 dense ones
STRENGTHS = {"TF-IDF": (0.1, 1, 10, 100, 1000), "frozen features": (0.001, 0.003, 0.01, 0.03, 0.1)}
LISTED = 30  # words in a label's list
LAYERS = (6, 12, 18, 24, 30)  # whose outputs are tried as features; 30 is the last

Rows = tuple[list[str], list[str]]  # prompts, and their completions
Answers = tuple[list[str], dict]  # to the test rows, and what was chosen on the way
Method = Callable[[Rows, Rows, Sequence[str]], Answers]  # of training rows, validation rows and the test prompts


def rows_of(task: Task, split: str, shuffled: bool = False) -> Rows:
    """The prompts of a split, and their completions; or these dealt out again."""
    rows = task.rows(split)
    texts, labels = list(rows["prompt"]), list(rows["completion"])
    if shuffled:
        random.Random(0).shuffle(labels)
    return texts, labels


# ---- simple classifiers


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
    models = [LogisticRegression(C=strength, max_iter=1000, **settings) for strength in STRENGTHS["TF-IDF"]]
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
    """The mean over a text's tokens of what each of :data:`LAYERS` gives, (texts, hidden size)."""
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
def features_of_all(name: str) -> tuple[dict[str, dict[int, np.ndarray]], float]:
    """The features of each split of the task of that name, and the seconds they took."""
    began = time.monotonic()
    model, tokenizer = labkit.load_base(device="cpu")
    task = labkit.load_task(name)
    found = {split: features(rows_of(task, split)[0], model.model, tokenizer) for split in SPLITS}
    return found, time.monotonic() - began


def frozen_features(name: str, layers: Sequence[int] = LAYERS) -> Method:
    """For the task `name`: logistic regression on the features of the layer that does best on the validation rows."""

    def method(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
        found, seconds = features_of_all(name)
        best = []
        for layer in layers:
            pieces = [(StandardScaler(), LogisticRegression(C=c, max_iter=1000)) for c in STRENGTHS["frozen features"]]
            models = [make_pipeline(*steps) for steps in pieces]
            known, asked = (found["train"][layer], train[1]), (found["validation"][layer], validation[1])
            best.append((*best_of(models, known, asked), layer))
        model, right, layer = max(best, key=lambda each: each[1])
        about = {"C": model[-1].C, "layer": layer, "validation": right, "feature_seconds": round(seconds, 1)}
        return list(model.predict(found["test"][layer])), about

    return method


# ---- scored


def classify(task: Task, method: Method, shuffled: bool) -> dict:
    """A method's answers to the test rows, scored as a model's are."""
    texts, wanted = rows_of(task, "test")
    answers, chosen = method(rows_of(task, "train", shuffled), rows_of(task, "validation"), texts)
    answers = [str(answer) for answer in answers]
    rows = [{"prompt": text, "completion": label} for text, label in zip(texts, wanted)]
    by_row = [task.score(answer, row) for answer, row in zip(answers, rows)]
    scores = {}
    for metric in by_row[0]:
        values = [each[metric] for each in by_row]
        scores[metric] = Score(sum(values) / len(values), *bootstrap_interval(values))
    if task.summary:
        scores |= _summarise(task.summary, answers, rows)
    return {
        "scores": {metric: asdict(score) for metric, score in scores.items()},
        "chosen": chosen,
        "answers": answers,
    }


def ask(task: Task, examples: int, limit: int | None, system: str | None = None) -> dict:
    """The base's answers to the first `limit` test rows, after so many training rows as turns.

    Args:
        system: a system prompt that says more than the task's own.
    """
    model, tokenizer = labkit.load_base(device="cpu")
    shots = list(task.rows("train"))[:examples]
    found = labkit.evaluate(
        model, tokenizer, replace(task, system=system or task.system), limit=limit, examples=shots
    )  # fmt: skip
    return {
        "scores": {metric: asdict(score) for metric, score in found.scores.items()},
        "cut_off": found.cut_off,
        "answers": [answer.strip() for answer in found.predictions],
    }


def table(runs: list[dict], metrics: dict[str, str]) -> str:
    """The runs as a data card shows them.

    Args:
        metrics: which, and what each is called.
    """
    head = [part for name in metrics.values() for part in (name, "95 % interval")]
    lines = [f"| method | {' | '.join(head)} | test rows |", "|---" * (len(head) + 2) + "|"]
    for each in runs:
        name = each["method"] + (", training labels shuffled" if each.get("shuffled") else "")
        if name == "base":
            name = f"the base, {each['examples'] or 'no'} examples{each.get('listed', '')}"
        cells = []
        for metric in metrics:
            mean, low, high = (f"{100 * each['scores'][metric][part]:.1f}" for part in ("mean", "low", "high"))
            cells += [f"{mean} %", f"{low} to {high} %"]
        lines.append(f"| {name} | {' | '.join(cells)} | {len(each['answers'])} |")
    return "\n".join(lines)
