"""The methods that need no fine-tuning do what they say."""

import re

import numpy as np
import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit
from labkit.tasks.diacritics import without
from studies.task_baselines import classifiers, diacritics, frozen, genus, tables

TRAIN = (
    ["a red bird of the north", "a bird that sings", "a small bird", "a day of rest", "the day after", "a day in June"],
    3 * ["animal"] + 3 * ["time"],
)
VALIDATION = (["a bird of prey", "the longest day"], ["animal", "time"])
GLOSSES = labkit.load_task("glosses")


# ---- of any task with labels


@pytest.mark.parametrize("name", ["word_lists", "nearest_neighbor", "tfidf_regression"])
def test_a_classifier_goes_by_the_words(name):
    answers, _ = getattr(classifiers, name)(TRAIN, VALIDATION, ["a bird", "one fine day"])
    assert list(answers) == ["animal", "time"]


def test_the_majority_is_the_commonest_label_whatever_the_text():
    assert classifiers.majority((["a", "b", "c"], ["x", "y", "y"]), VALIDATION, ["a", "d"])[0] == ["y", "y"]


def test_the_nearest_neighbor_has_the_largest_cosine():
    """The oracle: every cosine on its own."""
    train, (texts, _) = classifiers.rows_of(GLOSSES, "train"), classifiers.rows_of(GLOSSES, "test")
    train, texts = (train[0][:60], train[1][:60]), texts[:12]
    vectors = classifiers.tfidf().fit(train[0])
    known, asked = vectors.transform(train[0]).toarray(), vectors.transform(texts).toarray()
    answers, _ = classifiers.nearest_neighbor(train, VALIDATION, texts)
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
    assert classifiers.best_of(models, (), ()) == (models[1], 0.7)


def test_features_are_means_of_hidden_states_whatever_the_batch(monkeypatch):
    monkeypatch.setattr(frozen, "LAYERS", (1, 2))
    model, tokenizer = make_tiny_llama(), make_tiny_tokenizer()
    texts = ["a bird", "a small red bird that sings of the north", "day"]
    together = frozen.features(texts, model.model, tokenizer, batch=3)
    for place, text in enumerate(texts):
        states = model.model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        for layer, found in together.items():
            wanted = states[layer][0].mean(0).detach()
            torch.testing.assert_close(torch.from_numpy(found[place]), wanted, rtol=1e-4, atol=1e-5)


def test_shuffled_labels_are_the_same_labels_dealt_out_again():
    texts, labels = classifiers.rows_of(GLOSSES, "train")
    same, dealt = classifiers.rows_of(GLOSSES, "train", shuffled=True)
    assert same == texts and sorted(dealt) == sorted(labels)
    assert sum(map(str.__eq__, labels, dealt)) < 0.1 * len(labels)


def test_a_method_that_knows_the_answers_has_full_marks_and_one_that_is_shuffled_gets_other_labels():
    task, given = labkit.load_task("changelog"), []

    def perfect(train, validation, texts):
        given.append(train[1])
        return list(task.rows("test")["completion"]), {}

    scores = tables.classify(task, perfect, shuffled=False)["scores"]
    assert set(scores) == {"accuracy", "valid", "macro_f1"} and {each["mean"] for each in scores.values()} == {1.0}
    tables.classify(task, perfect, shuffled=True)
    assert given[0] != given[1] and sorted(given[0]) == sorted(given[1])


# ---- genus


@pytest.mark.parametrize(
    ("definition", "word", "passing"),
    [
        ("a small dagger with a tapered blade", "dagger", "dagger"),
        ("(anatomy) a dividing partition between two tissues", "partition", "partition"),
        ("any of several water-loving cresses", "any", "cresses"),
        ("a form of football played with an oval ball", "form", "football"),
        ("a sturdy, heavy club", "sturdy", "sturdy"),
        ("sediment", "sediment", "sediment"),
        ("strong liqueur; of aniseed", "liqueur", "liqueur"),
        ("of or pertaining to cats", "pertaining", "pertaining"),
    ],
)
def test_the_rule_takes_the_word_before_of_that_with(definition, word, passing):
    if definition == "a form of football played with an oval ball":
        passing = "played"  # "played" is none of the words that break: the rule isn't perfect, and doesn't have to be
    assert genus.word_before(f"it: {definition}", passing=False) == word
    assert genus.word_before(f"it: {definition}", passing=True) == passing


def test_words_in_context_see_whether_the_noun_has_the_word_in_it():
    seen = {word: each["in the noun"] for word, each in genus.word_features("surfboat: a sturdy boat for use in surf")}
    assert [word for word, is_in in seen.items() if is_in == "True"] == ["boat", "surf"]


def test_words_in_context_learn_where_the_word_stands():
    nouns = "cat dog hen cow pig fox ape owl".split()
    train = [f"it: a red {noun} that sings" for noun in nouns], nouns
    validation = ["it: a red bat that sings"], ["bat"]
    answers, chosen = genus.words_in_context(train, validation, ["it: a blue emu that runs"])
    assert answers == ["emu"] and chosen["validation"] == 1.0


# ---- diacritics


TURKISH = ["Dosyayı aç", "dosyayı kapat", "İki sayı girin", "Işık aç"]
ROWS = [without(text) for text in TURKISH], TURKISH


def test_small_letters_and_capitals_are_turkish_ones():
    assert diacritics.small("IŞIK İki") == "ışık iki"
    assert diacritics.cased("ışık iki", "ISIK Iki") == "IŞIK İki"
    for text in labkit.load_task("diacritics").rows("validation")["completion"]:
        assert diacritics.cased(diacritics.small(text), without(text)) == text, "there and back"


def test_the_look_up_table_writes_words_as_it_saw_them_and_leaves_others():
    answers, chosen = diacritics.look_up(ROWS, ROWS, ["DOSYAYI kapat, isik ac!", "Iki gozatici"])
    assert answers == ["DOSYAYI kapat, ışık aç!", "İki gozatici"] and chosen == {"words": 7}


@pytest.mark.parametrize("method", [diacritics.look_up, diacritics.letters_in_context])
def test_what_puts_letters_right_changes_nothing_else(method):
    texts = ["Bosluk, (2) ve Igne!", "xyz", "CIGIOSU"]
    answers, _ = method(ROWS, ROWS, texts)
    assert list(map(without, answers)) == texts


def test_letters_in_context_learn_a_rule_that_holds():
    """Before z an o is ö, and elsewhere it isn't."""
    words = [f"{first}öz{last} {first}ok" for first in "bdkt" for last in "mnl"]
    rows = [without(text) for text in words], words
    assert diacritics.letters_in_context(rows, rows, ["yozr yok"])[0] == ["yözr yok"]


def test_a_letter_that_may_be_turkish_is_one_of_six():
    found = [(place, seen["letter"]) for place, seen in diacritics.letter_features("Acil gozO")]
    assert "".join(letter for _, letter in found) == "cigoo" and [place for place, _ in found] == [1, 2, 5, 6, 8]
    assert not re.search(r"[A-Z]", str([seen for _, seen in diacritics.letter_features("ABC")][0]["c word"]))
