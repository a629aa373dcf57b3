"""Frozen features: what the base makes of a text, with nothing trained in it, and a classifier on top."""

import time
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.utils.rnn import pad_sequence

import labkit
from studies.task_baselines.classifiers import Answers, Method, Rows, best_of, rows_of

Features = dict[int, np.ndarray]  # by layer, (texts, hidden size)

SPLITS = ("train", "validation", "test")
LAYERS = (6, 12, 18, 24, 30)  # whose outputs are tried as features; 30 is the last
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)  # C of logistic regression, for 576 dense columns


@torch.no_grad()
def features(texts: Sequence[str], model, tokenizer, batch: int = 32) -> Features:
    """The mean over a text's tokens of what each of :data:`LAYERS` gives, (texts, hidden size), float32."""
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
def features_of_all(name: str) -> tuple[dict[str, Features], float]:
    """The features of each split of the task of that name, and the seconds they took."""
    began = time.monotonic()
    model, tokenizer = labkit.load_base(device="cpu")
    task = labkit.load_task(name)
    found = {split: features(rows_of(task, split)[0], model.model, tokenizer) for split in SPLITS}
    return found, time.monotonic() - began


def frozen_features(name: str, layers: Sequence[int] = LAYERS) -> Method:
    """For the task `name`: logistic regression on the features of the layer that does best on the validation rows.

    The method takes labels from the rows it's given, and the features from the task.
    """

    def method(train: Rows, validation: Rows, texts: Sequence[str]) -> Answers:
        found, seconds = features_of_all(name)
        known = {layer: found["train"][layer] for layer in layers}
        answers, about = regression((known, train[1]), (found["validation"], validation[1]), found["test"])
        return answers, about | {"feature_seconds": round(seconds, 1)}

    return method


def regression(
    train: tuple[Features, Sequence[str]],
    validation: tuple[Features, Sequence[str]],
    test: Features,
) -> Answers:
    """Logistic regression on the features of the layer that does best on the validation rows.

    Args:
        train, validation: features of their texts, and the labels. The layers tried are those of the training texts.
        test: features of the texts to be answered.
    """
    best = []
    for layer in train[0]:
        models = [make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000)) for c in STRENGTHS]
        known, asked = (train[0][layer], train[1]), (validation[0][layer], validation[1])
        best.append((*best_of(models, known, asked), layer))
    model, right, layer = max(best, key=lambda each: each[1])
    return list(model.predict(test[layer])), {"C": model[-1].C, "layer": layer, "validation": right}
