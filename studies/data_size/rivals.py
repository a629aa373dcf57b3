"""What costs seconds: TF-IDF with logistic regression, the nearest neighbor and frozen features, on given rows."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

import labkit
from labkit.storage.writing import alone_at, file_written_aside
from studies.court import training
from studies.drawing import Row
from studies.task_baselines import classifiers, frozen
from studies.task_baselines.classifiers import Answers, Rows, nearest_neighbor, tfidf_regression
from studies.task_baselines.frozen import LAYERS, Features, features, regression

NEIGHBOR, WORDS, FROZEN = "nearest neighbor", "TF-IDF", "frozen features"
KEPT = Path(__file__).parents[2] / "build" / "data_size"  # features of all rows of a task, which take minutes
RECIPE = {
    "tfidf": classifiers.TFIDF,
    "strengths": {WORDS: list(classifiers.STRENGTHS), FROZEN: list(frozen.STRENGTHS)},
    "layers": list(LAYERS),
}


def scored(method: str, name: str, rows: Sequence[Row]) -> dict:
    """Which test rows of the task `name` are wrong when the method has learned from `rows`, and what it chose.

    What there is to choose is chosen on the validation rows.
    """
    task = labkit.load_task(name)
    train, validation, test = (columns(each) for each in (rows, task.rows("validation"), task.rows("test")))
    answers, chosen = _answers(method, name, train, validation, test[0])
    wanted = [{"prompt": text, "completion": label} for text, label in zip(*test)]
    wrong = [row for row, each in enumerate(wanted) if not task.score(str(answers[row]), each)["accuracy"]]
    return {"rows_asked": len(wanted), "wrong": wrong, "chosen": chosen}


def columns(rows: Sequence[Row]) -> Rows:
    """The prompts, and the completions."""
    return [row["prompt"] for row in rows], [row["completion"] for row in rows]


def _answers(method: str, name: str, train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    if method == NEIGHBOR:
        return nearest_neighbor(train, validation, texts)
    if method == WORDS:
        return tfidf_regression(train, validation, texts)
    if method == FROZEN:
        return frozen_regression(name, train, validation, texts)
    raise ValueError(f"there is no method {method!r}")


def frozen_regression(name: str, train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
    """:func:`studies.task_baselines.frozen.regression` on the features of these texts."""
    known, asked, test = (features_of(name, each) for each in (train[0], validation[0], texts))
    return regression((known, train[1]), (asked, validation[1]), test)


# ---- features, computed once


def features_of(name: str, texts: Sequence[str]) -> Features:
    """The frozen features of texts: those of the task's own rows are kept in ``build/``, others are computed."""
    own = [row["prompt"] for split in ("train", "validation", "test") for row in labkit.load_task(name).rows(split)]
    place, kept = {text: number for number, text in enumerate(own)}, _kept(name, own)
    new = list(dict.fromkeys(text for text in texts if text not in place))
    if new:
        place |= {text: len(own) + number for number, text in enumerate(new)}
        computed = _computed(new)
        kept = {layer: np.concatenate([kept[layer], computed[layer]]) for layer in kept}
    chosen = [place[text] for text in texts]
    return {layer: each[chosen] for layer, each in kept.items()}


def _kept(name: str, texts: Sequence[str]) -> Features:
    key = sha256("\n".join([*map(str, LAYERS), *texts]).encode()).hexdigest()[:12]
    path = KEPT / f"features-{name}-{key}.npz"
    KEPT.mkdir(parents=True, exist_ok=True)
    # two processes share the work, and one of them does this; writing has a lock of its own at `path`
    with alone_at(KEPT / f"computing-{path.name}", patience=-1):
        if not path.exists():
            with file_written_aside(path) as aside, open(aside, "wb") as file:
                np.savez(file, **{str(layer): each for layer, each in _computed(texts).items()})
        with np.load(path) as stored:
            return {int(layer): stored[layer] for layer in stored.files}


def _computed(texts: Sequence[str]) -> Features:
    model, tokenizer = training.fresh_base()
    return features(texts, model.model, tokenizer)
