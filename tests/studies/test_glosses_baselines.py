"""What `glosses` gives to simple methods: the methods do what they say, and what is stored is what the card says."""

import json
import re

import numpy as np
import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit
from labkit.evaluation.scoring import bootstrap_interval
from labkit.storage.paths import course_data_dir
from studies import glosses_baselines as study
from studies.results import RESULTS

TRAIN = (
    ["a red bird of the north", "a bird that sings", "a small bird", "a day of rest", "the day after", "a day in June"],
    3 * ["animal"] + 3 * ["time"],
)
VALIDATION = (["a bird of prey", "the longest day"], ["animal", "time"])
RUNS = json.loads((RESULTS / "glosses_baselines.json").read_text(encoding="utf-8"))["runs"]


# ---- the methods


@pytest.mark.parametrize("name", ["word lists", "nearest neighbor", "TF-IDF"])
def test_a_classifier_goes_by_the_words(name):
    answers, _ = study.CLASSIFIERS[name](TRAIN, VALIDATION, ["a bird", "one fine day"])
    assert list(answers) == ["animal", "time"]


def test_the_nearest_neighbor_has_the_largest_cosine():
    """The oracle: every cosine on its own."""
    train, (texts, _) = study.rows_of("train"), study.rows_of("test")
    train, texts = (train[0][:60], train[1][:60]), texts[:12]
    vectors = study.tfidf().fit(train[0])
    known, asked = vectors.transform(train[0]).toarray(), vectors.transform(texts).toarray()
    answers, _ = study.nearest_neighbor(train, VALIDATION, texts)
    for row, answer in zip(asked, answers):
        cosines = [row @ other / (np.linalg.norm(row) * np.linalg.norm(other) or 1) for other in known]
        close = {label for label, cosine in zip(train[1], cosines) if cosine > max(cosines) - 1e-9}
        assert answer in close


def test_of_models_that_are_as_often_right_the_first_is_taken():
    class Constant:
        def __init__(self, right):
            self.right = right

        def fit(self, *_):
            return self

        def score(self, *_):
            return self.right

    models = [Constant(0.5), Constant(0.7), Constant(0.7)]
    assert study.best_of(models, (), ()) == (models[1], 0.7)


def test_features_are_means_of_hidden_states_whatever_the_batch(monkeypatch):
    monkeypatch.setattr(study, "LAYERS", (1, 2))
    model, tokenizer = make_tiny_llama(), make_tiny_tokenizer()
    texts = ["a bird", "a small red bird that sings of the north", "day"]
    together = study.features(texts, model.model, tokenizer, batch=3)
    for place, text in enumerate(texts):
        states = model.model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        for layer, found in together.items():
            wanted = states[layer][0].mean(0).detach()
            torch.testing.assert_close(torch.from_numpy(found[place]), wanted, rtol=1e-4, atol=1e-5)


def test_shuffled_labels_are_the_same_labels_dealt_out_again():
    texts, labels = study.rows_of("train")
    same, dealt = study.rows_of("train", shuffled=True)
    assert same == texts and sorted(dealt) == sorted(labels)
    assert sum(map(str.__eq__, labels, dealt)) < 0.1 * len(labels)


# ---- what is stored


def test_every_stored_score_is_that_of_the_stored_answers():
    task = labkit.load_task("glosses")
    for run in RUNS:
        rows = task.rows("test").select(range(len(run["answers"])))
        right = [task.score(answer, row)["accuracy"] for answer, row in zip(run["answers"], rows)]
        score = run["scores"]["accuracy"]
        assert score["mean"] == pytest.approx(sum(right) / len(right))
        assert (score["low"], score["high"]) == pytest.approx(bootstrap_interval(right))


def test_with_shuffled_labels_there_is_only_chance():
    shuffled = [run["scores"]["accuracy"] for run in RUNS if run.get("shuffled")]
    assert shuffled and all(score["high"] < 0.1 for score in shuffled), "one in 24 is 4 %"


def test_the_card_has_the_stored_table():
    card = (course_data_dir() / "glosses" / "README.md").read_text(encoding="utf-8")
    assert study.table(RUNS) in card
    assert re.search(r"\| the base, 8 examples \| [\d.]+ % \|", card)
