"""The rows of `genus`, `changelog` and `diacritics`: no test row is known from training, and the cards are true."""

import csv
import json
import re
from collections import Counter
from itertools import chain

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from transformers import AutoTokenizer

from labkit import load_task
from labkit.base.locating import find_base
from labkit.tasks.changelog import SECTIONS
from labkit.tasks.diacritics import PLAIN, TURKISH, without

NAMES = ("genus", "changelog", "diacritics")
SPLITS = ("train", "validation", "test")
TABLES = {"genus": "synsets.csv", "changelog": "entries.csv", "diacritics": "strings.csv"}
TASKS = {name: load_task(name) for name in NAMES}
FOLDERS = {name: TASKS[name].files["train"].parent for name in NAMES}
CARDS = {name: (FOLDERS[name] / "README.md").read_text(encoding="utf-8") for name in NAMES}
ROWS = {
    name: {
        split: [json.loads(line) for line in task.files[split].read_text(encoding="utf-8").splitlines()]
        for split in SPLITS
    }
    for name, task in TASKS.items()
}


def table(name: str) -> dict[str, list[dict]]:
    """Where each row comes from, by split, in the order of the rows."""
    with open(FOLDERS[name] / TABLES[name], encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    return {split: [each for each in listed if each["split"] == split] for split in SPLITS}


def text_of(name: str, row: dict) -> str:
    """The text that was written by people: of `genus`, the definition."""
    return row["prompt"].partition(": ")[2] if name == "genus" else row["prompt"]


def said(name: str) -> str:
    """A card with its lines joined."""
    return " ".join(CARDS[name].split())


# ---- all three


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_a_prompt_and_a_completion_and_its_source_is_listed(name):
    for split, listed in table(name).items():
        assert len(listed) == len(ROWS[name][split])
        for row in ROWS[name][split]:
            assert set(row) == {"prompt", "completion"}
            assert all(text == " ".join(text.split()) and text for text in row.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_two_texts_share_a_third_of_their_word_triples(name):
    """Counted here once more: every pair, without an index."""
    texts = [text_of(name, row).lower() for row in chain(*ROWS[name].values())]
    words = [re.findall(r"\w+", re.sub(r"\b\d+\b", "0", text)) for text in texts]
    triples = [{" ".join(each[i : i + 3]) for i in range(max(1, len(each) - 2))} for each in words]
    assert len(set(map(tuple, words))) == len(texts)
    for place, mine in enumerate(triples):
        for other in triples[:place]:
            assert 3 * len(mine & other) < min(len(mine), len(other)), (mine, other)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_counts_what_the_splits_still_have_in_common(name):
    texts = {split: [text_of(name, row) for row in ROWS[name][split]] for split in SPLITS}
    vectorizer = TfidfVectorizer().fit(texts["train"])
    train, test = (vectorizer.transform(texts[split]) for split in ("train", "test"))
    close = int(((test @ train.T).toarray().max(1) >= 0.6).sum())
    assert re.search(rf"\b{close} of the {len(texts['test'])} test \w+ have a cosine of 0.6", said(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_cards_examples_are_rows(name):
    stored = {(row["prompt"], row["completion"]) for row in chain(*ROWS[name].values())}
    text = re.sub(r"\n> ?", " ", CARDS[name])
    examples = re.findall(r"\*\*prompt\*\* (.+?) +\*\*completion\*\* `(.+?)`", text)
    assert len(examples) >= 3 and set(examples) <= stored


@pytest.mark.parametrize(
    ("name", "file", "notice"),
    [
        ("genus", "LICENSE", "WordNet 3.0 Copyright 2006 by Princeton University"),
        ("changelog", "LICENSE", "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2"),
        ("changelog", "LICENSE", "Copyright (c) 2001-2024 Python Software Foundation; All Rights Reserved"),
        ("diacritics", "LICENSE.Django", "Copyright (c) Django Software Foundation and individual contributors"),
        ("diacritics", "LICENSE.JupyterLab", "Copyright (c) 2023 Project Jupyter Contributors"),
    ],
)
def test_the_license_is_beside_the_rows(name, file, notice):
    assert notice in (FOLDERS[name] / file).read_text(encoding="utf-8") and f"({file})" in CARDS[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_card_names_the_source_and_the_recipe(name):
    assert f"`python -m studies.make_{name}`" in CARDS[name] and "sha256" in CARDS[name]


# ---- genus


def test_every_answer_is_once_in_its_definition():
    for row in chain(*ROWS["genus"].values()):
        assert re.findall(r"\w+", text_of("genus", row)).count(row["completion"]) == 1


def test_no_kind_and_no_answer_of_the_test_rows_is_in_training():
    listed = table("genus")
    for column in ("kind", "lemma of the kind", "synset"):
        found = {split: {row[column] for row in listed[split]} for split in SPLITS}
        assert not found["test"] & (found["train"] | found["validation"]) and not found["validation"] & found["train"]
    answers = {split: {row["completion"] for row in ROWS["genus"][split]} for split in SPLITS}
    assert not answers["test"] & answers["train"]
    assert max(Counter(row["kind"] for row in chain(*listed.values())).values()) == 2


def test_the_card_counts_plurals_and_answers_inside_the_noun():
    rows = list(chain(*ROWS["genus"].values()))
    inside = sum(row["completion"] in row["prompt"].partition(": ")[0] for row in rows)
    assert f"In {inside}, the noun has the answer in it" in said("genus")
    lemmas = [each["lemma of the kind"] for each in chain(*table("genus").values())]
    plural = sum(row["completion"] != lemma for row, lemma in zip(rows, lemmas))
    assert f"In {plural} of the {len(rows):,} rows, that's a plural" in said("genus")


def test_no_row_is_one_of_glosses():
    glosses = load_task("glosses").files["train"].parent / "synsets.csv"
    with open(glosses, encoding="utf-8", newline="") as file:
        taken = {row["synset"] for row in csv.DictReader(file)}
    assert not taken & {row["synset"] for row in chain(*table("genus").values())}


@pytest.mark.parametrize(
    ("answer", "accuracy", "quoted"),
    [("dagger", 1, 1), (" dagger\n", 1, 1), ("blade", 0, 1), ("daggers", 0, 0), ("Dagger", 0, 0), ("", 0, 0),
     ("stiletto", 0, 0), ("small dagger", 0, 0)],
)  # fmt: skip
def test_the_word_is_to_be_quoted(answer, accuracy, quoted):
    row = {"prompt": "stiletto: a small dagger with a tapered blade", "completion": "dagger"}
    assert TASKS["genus"].score(answer, row) == {"accuracy": accuracy, "quoted": quoted}


# ---- changelog


def test_no_issue_of_the_test_rows_is_in_training_and_they_are_newer():
    listed = table("changelog")
    issues = {split: {row["issue"] for row in listed[split]} for split in SPLITS}
    assert not issues["test"] & (issues["train"] | issues["validation"]) and not issues["validation"] & issues["train"]
    for split, rows in listed.items():
        assert [row["section"] for row in rows] == [row["completion"] for row in ROWS["changelog"][split]]
        versions = {row["version"].split()[0] for row in rows}
        assert versions == ({f"3.13.{number}" for number in range(1, 6)} if split == "test" else {"3.13.0"})


def test_the_card_has_the_shares_of_the_sections():
    counts = {split: Counter(row["completion"] for row in ROWS["changelog"][split]) for split in SPLITS}
    assert set(counts["train"]) == set(SECTIONS) == set(counts["test"])
    for section in SECTIONS:
        cells = " | ".join(str(counts[split][section]) for split in SPLITS)
        assert f"| `{section}` | {cells} |" in CARDS["changelog"]


def test_nobody_is_named_as_the_author():
    for row in chain(*ROWS["changelog"].values()):
        assert not re.search(r"[Pp]atch(ed)? by|[Cc]ontributed by|[Rr]eported by", row["prompt"])


@pytest.mark.parametrize(
    ("answer", "accuracy", "valid"),
    [("C API", 1, 1), (" C API\n", 1, 1), ("Library", 0, 1), ("c api", 0, 0), ("C API.", 0, 0), ("", 0, 0)],
)
def test_an_answer_is_right_when_it_is_the_section_to_the_letter(answer, accuracy, valid):
    row = {"prompt": "Add PyLong_AsInt() function.", "completion": "C API"}
    assert TASKS["changelog"].score(answer, row) == {"accuracy": accuracy, "valid": valid}


# ---- diacritics


def test_the_prompt_is_the_completion_without_its_turkish_letters():
    for row in chain(*ROWS["diacritics"].values()):
        assert row["prompt"] == without(row["completion"]) and not TURKISH.isdisjoint(row["completion"])
        assert TURKISH.isdisjoint(row["prompt"]) and len(row["prompt"]) == len(row["completion"])


def test_no_test_string_translates_what_a_training_string_does():
    english = {split: {row["English"].casefold() for row in table("diacritics")[split]} for split in SPLITS}
    assert not english["test"] & (english["train"] | english["validation"])
    assert not english["validation"] & english["train"]


def test_no_two_words_in_a_row_are_in_two_splits():
    pairs = {}
    for split in SPLITS:
        words = [re.findall(r"\w+", row["prompt"].lower()) for row in ROWS["diacritics"][split]]
        pairs[split] = {pair for each in words for pair in zip(each, each[1:])}
        assert len(pairs[split]) > len(words) / 2
    assert not pairs["test"] & pairs["train"] and not pairs["test"] & pairs["validation"]
    assert not pairs["validation"] & pairs["train"]


def test_the_card_counts_the_programs_and_the_known_words():
    for program in ("JupyterLab", "Django"):
        counts = [sum(row["program"] == program for row in table("diacritics")[split]) for split in SPLITS]
        assert f"| {program} | {' | '.join(map(str, counts))} |" in CARDS["diacritics"]
    words = {s: [w for row in ROWS["diacritics"][s] for w in re.findall(r"\w+", row["completion"])] for s in SPLITS}
    turkish = [word for word in words["test"] if not TURKISH.isdisjoint(word)]
    known = sum(word in set(words["train"]) for word in turkish)
    assert f"{len(turkish)} of the {len(words['test'])} words" in said("diacritics")
    assert f"training has {known} of those {len(turkish)}" in said("diacritics")


def test_the_card_counts_strings_that_begin_or_end_others():
    texts = {split: [row["completion"].replace("İ", "i").replace("I", "ı").lower() for row in ROWS["diacritics"][split]]
             for split in SPLITS}  # fmt: skip
    inside = sum(any(mine in other or other in mine for other in texts["train"]) for mine in texts["test"])
    assert f"{inside} of the {len(texts['test'])} test strings" in said("diacritics")


@pytest.mark.slow
def test_the_card_counts_tokens_per_word():
    tokenizer = AutoTokenizer.from_pretrained(find_base("SmolLM2-135M-Instruct"))
    rows = list(chain(*ROWS["diacritics"].values()))
    english = [row["English"] for row in chain(*table("diacritics").values())]
    for texts in ([row["completion"] for row in rows], [row["prompt"] for row in rows], english):
        tokens = sum(len(tokenizer(text).input_ids) for text in texts)
        assert f"{tokens / sum(len(text.split()) for text in texts):.1f} tokens" in said("diacritics")


ROW = {"prompt": "Dosyayi simdi ac", "completion": "Dosyayı şimdi aç"}


@pytest.mark.parametrize(
    ("answer", "exact", "words", "kept"),
    [
        ("Dosyayı şimdi aç", 1, 1, 1),
        (" Dosyayı şimdi aç\n", 1, 1, 1),
        ("Dosyayi simdi ac", 0, 0, 1),
        ("Dosyayı simdi aç", 0, 2 / 3, 1),
        ("Dosyayı şimdi", 0, 2 / 3, 0),
        ("Dosyayı şimdi aç lütfen", 0, 3 / 4, 0),
        ("şimdi Dosyayı aç", 0, 1 / 3, 0),
        ("Open the file", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_words_are_counted_from_the_left(answer, exact, words, kept):
    assert TASKS["diacritics"].score(answer, ROW) == {"exact": exact, "words": pytest.approx(words), "kept": kept}


def test_without_is_its_own_and_keeps_the_length():
    assert without("".join(PLAIN)) == "".join(PLAIN.values()) == without("".join(PLAIN.values()))
