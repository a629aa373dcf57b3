"""The rows of `glosses`: balanced, each of one synset, no two nearly the same, and as the card says."""

import csv
import json
import re
from itertools import chain

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from labkit import ConfigError, load_task
from labkit.tasks.glosses import CATEGORIES, SYSTEM, summary

GLOSSES = load_task("glosses")
SIZES = {"train": 1344, "validation": 192, "test": 336}
FOLDER = GLOSSES.files["train"].parent
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")


def rows(split: str) -> list[dict]:
    return [json.loads(line) for line in GLOSSES.files[split].read_text(encoding="utf-8").splitlines()]


def synsets() -> list[dict]:
    with open(FOLDER / "synsets.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ALL = {split: rows(split) for split in SIZES}


# ---- the rows


@pytest.mark.parametrize("split", SIZES)
def test_a_row_is_a_definition_and_one_of_the_categories(split):
    assert len(ALL[split]) == SIZES[split]
    for row in ALL[split]:
        assert set(row) == {"prompt", "completion"} and row["completion"] in CATEGORIES
        assert 5 <= len(re.findall(r"\w+", row["prompt"])) <= 25
        assert row["prompt"] == row["prompt"].strip() and '"' not in row["prompt"]


@pytest.mark.parametrize("split", SIZES)
def test_every_category_comes_once_in_each_24_rows(split):
    """So a part from the top is as balanced as the whole."""
    labels = [row["completion"] for row in ALL[split]]
    assert len(CATEGORIES) == 24 and list(CATEGORIES) == sorted(set(CATEGORIES))
    for start in range(0, len(labels), 24):
        assert sorted(labels[start : start + 24]) == list(CATEGORIES)
    assert len({tuple(labels[start : start + 24]) for start in range(0, len(labels), 24)}) == len(labels) / 24


def test_no_definition_names_its_own_category():
    for row in chain(*ALL.values()):
        name = row["completion"]
        assert not re.search(rf"\b({name}s?|{name}es|{name[:-1]}ies)\b", row["prompt"], re.IGNORECASE), row


# ---- no leaks


def test_each_row_is_a_synset_of_its_own():
    listed = synsets()
    labels = [(split, row["completion"]) for split in SIZES for row in ALL[split]]
    assert [(each["split"], each["category"]) for each in listed] == labels
    assert len({each["synset"] for each in listed}) == len(listed) == sum(SIZES.values())


@pytest.mark.slow
def test_no_two_definitions_share_a_third_of_their_word_triples():
    """Counted here once more: every pair, without an index."""
    texts = [row["prompt"].lower() for row in chain(*ALL.values())]
    words = [re.findall(r"\w+", re.sub(r"\b\d+\b", "0", text)) for text in texts]
    triples = [{" ".join(each[i : i + 3]) for i in range(len(each) - 2)} for each in words]
    assert len(set(map(tuple, words))) == len(texts)
    for place, mine in enumerate(triples):
        for other in triples[:place]:
            assert 3 * len(mine & other) < min(len(mine), len(other)), (mine, other)


# ---- the score


ROW = {"prompt": "a spell of hot weather", "completion": "time"}


@pytest.mark.parametrize(
    ("answer", "accuracy", "valid"),
    [("time", 1, 1), (" time\n", 1, 1), ("state", 0, 1), ("Time", 0, 0), ("time.", 0, 0), ("", 0, 0)],
)  # fmt: skip
def test_an_answer_is_right_when_it_is_the_category_to_the_letter(answer, accuracy, valid):
    assert GLOSSES.score(answer, ROW) == {"accuracy": accuracy, "valid": valid}


def test_macro_f1_asks_for_every_category_alike():
    wanted = [{"completion": name} for name in ("act", "act", "act", "time")]
    assert summary(["act", "act", "act", "time"], wanted) == {"macro_f1": 1.0}
    # act: 2 · 3 / (4 + 3), and time never given
    assert summary(4 * ["act"], wanted) == {"macro_f1": pytest.approx((6 / 7 + 0) / 2)}
    with pytest.raises(ConfigError, match="cannot be compared"):
        summary([], [])


# ---- the card


def test_the_card_counts_what_is_there():
    for split, size in SIZES.items():
        share = size // len(CATEGORIES)
        assert re.search(rf"`{split}\.jsonl` \| {size:,} \| {share} \|", CARD)
    assert f'"{SYSTEM}"' in CARD
    assert set(re.findall(r"^\| `(\w+)` \|", CARD, re.MULTILINE)) == set(CATEGORIES)


def test_the_card_counts_what_the_splits_still_have_in_common():
    vectorizer = TfidfVectorizer().fit(row["prompt"] for row in ALL["train"])
    train, test = (vectorizer.transform([row["prompt"] for row in ALL[split]]) for split in ("train", "test"))
    close = int(((test @ train.T).toarray().max(1) >= 0.6).sum())
    assert f"{close} of the 336 test definitions have a cosine of 0.6" in " ".join(CARD.split())
    words = {split: [each["word"] for each in synsets() if each["split"] == split] for split in SIZES}
    known = sum(word in set(words["train"]) for word in words["test"])
    assert known == 3 and "Three test rows define another meaning of a word that training has" in " ".join(CARD.split())


def test_the_cards_share_of_definitions_that_name_another_category():
    name = re.compile(rf"\b({'|'.join(f'{name}s?|{name}es|{name[:-1]}ies' for name in CATEGORIES)})\b", re.IGNORECASE)
    rows = list(chain(*ALL.values()))
    assert 1 / 9 < sum(bool(name.search(row["prompt"])) for row in rows) / len(rows) < 1 / 7
    assert "one row in eight has one" in " ".join(CARD.split())


def test_the_cards_examples_are_test_rows_or_training_rows():
    stored = {(row["prompt"], row["completion"]) for row in chain(*ALL.values())}
    text = re.sub(r"\n> ?", " ", CARD)
    examples = re.findall(r"\*\*prompt\*\* (.+?) +\*\*completion\*\* `(\w+)`", text)
    assert len(examples) >= 2 and set(examples) <= stored


def test_the_cards_example_of_each_category_has_its_label():
    stored = {row["prompt"]: row["completion"] for row in chain(*ALL.values())}
    for name, definition in re.findall(r"^\| `(\w+)` \| (.+?) \|", CARD, re.MULTILINE):
        assert stored[definition] == name


def test_wordnets_license_is_beside_the_rows():
    notice = (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert notice.startswith(
        "This software and database is being provided to you, the LICENSEE, by\nPrinceton University"
    )
    assert "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved." in notice
    assert "(LICENSE)" in CARD and "Copyright 2006 by Princeton University" in CARD
