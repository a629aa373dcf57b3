"""How the rows of `glosses` are made: the reader, the rule for near-duplicates, what stays out, and the same bytes."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import DataError
from labkit.storage.paths import course_data_dir
from labkit.tasks.glosses import CATEGORIES
from studies import make_glosses as recipe
from studies import wordnet
from studies.near_duplicates import Seen, triples, words_of

LINE = (
    "15166462 28 n 02 hot_spell 0 heat_wave 0 002 @ 15157225 n 0000 ~ 15166999 n 0000 | a spell of hot weather; "
    '"we had a hot spell in August"; "another"  '
)
HOT = wordnet.synset(LINE)


def slow_and_needs_wordnet(test):
    """Reading WordNet takes seconds."""
    reason = "WordNet isn't here: install Debian's wordnet-base, or unpack it and set WNSEARCHDIR"
    there = (wordnet.folder() / "data.noun").exists()
    return pytest.mark.slow(pytest.mark.skipif(not there, reason=reason)(test))


# ---- WordNet's file


def test_a_line_is_read_as_wndb_describes_it():
    words = ("hot spell", "heat wave")
    assert HOT == wordnet.Synset(
        "15166462", "time", "hot spell", False, "a spell of hot weather", words=words, kinds=("15157225",)
    )
    assert wordnet.synset(LINE.replace(" @ ", " @i ")).instance
    assert wordnet.synset(LINE.replace(" 28 n", " 03 n")).category == "Tops"


def test_a_file_that_is_not_there_or_another_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path))
    with pytest.raises(DataError, match="No such file.*Install Debian's wordnet-base, or unpack it"):
        recipe.files()
    (tmp_path / "data.noun").write_text(LINE)
    with pytest.raises(DataError, match="isn't WordNet 3.0's file as Debian has it"):
        recipe.files()


@slow_and_needs_wordnet
def test_the_recipe_makes_what_is_stored():
    made = recipe.files()
    folder = course_data_dir() / "glosses"
    assert {file.name for file in folder.iterdir()} == {*made, "README.md"}
    for name, content in made.items():
        assert (folder / name).read_bytes() == content.encode("ascii")


@slow_and_needs_wordnet
def test_the_card_counts_what_fits_and_what_a_copying_rule_would_get():
    card = " ".join((course_data_dir() / "glosses" / "README.md").read_text(encoding="utf-8").split())
    synsets, _ = wordnet.nouns()
    fitting = Counter(synset.category for synset in synsets if recipe.fit(synset))
    assert f"{fitting['artifact']:,} `artifact`s that would have fitted, and {min(fitting.values())} `feeling`s" in card
    assert f"too small ({sum(s.category == 'motive' for s in synsets)} synsets)" in card
    assert f"the {sum(s.category == 'Tops' for s in synsets)} most general nouns" in card
    plain = [
        s
        for s in synsets
        if s.word == s.word.lower() and not s.instance and len(words_of(s.definition)) in recipe.WORDS
    ]
    plain = [synset for synset in plain if synset.category in CATEGORIES]
    assert 1 / 10 < sum(map(recipe.names_itself, plain)) / len(plain) < 1 / 8 and "one in nine" in card
    right = {name: [] for name in CATEGORIES}
    for synset in plain:
        named = [name for word in words_of(synset.definition) for name in CATEGORIES if word in recipe.names_of(name)]
        right[synset.category].append(named[:1] == [synset.category])
    share = sum(sum(each) / len(each) for each in right.values()) / len(right)
    assert f"would get {share:.0%} right".replace("%", " %") in card


# ---- near-duplicates


def test_a_third_of_the_shorter_texts_triples_is_nearly_the_same():
    seen = Seen()
    seen.add("A cat in a hat")  # three triples
    assert seen.like("the Cat, in a box") == ["A cat in a hat"], "it shares one of three"
    assert seen.like("a dog in a box") == []
    assert seen.like("once there was a cat in Rome") == ["A cat in a hat"], "of the shorter one's three, one"
    seen.add("one two three four five six")  # four
    assert seen.like("one two three and then some more") == [], "one of four"
    assert seen.like("on 1 May 2001") == [] and triples("on 1 May") == triples("on 22 May")
    assert seen.like("hat") == [] and triples("Hat!") == {("hat",)}


WORDS = st.lists(st.sampled_from("abc"), min_size=1, max_size=8).map(" ".join)


@given(WORDS, WORDS)
def test_the_index_finds_what_counting_finds(one, other):
    seen = Seen()
    seen.add(one)
    shared, shorter = len(triples(one) & triples(other)), min(len(triples(one)), len(triples(other)))
    assert bool(seen.like(other)) == (3 * shared >= shorter)


# ---- what is chosen


@pytest.mark.parametrize(
    "change",
    [
        {"category": "Tops"},
        {"category": "motive"},
        {"instance": True},
        {"word": "Hot Spell"},
        {"definition": "a spell of heat"},
        {"definition": "of southern and eastern United States"},
        {"definition": " ".join(26 * ["hot"])},
        {"definition": "a spell of `very hot weather"},
        {"definition": "a spell of hot weather (in summer"},
        {"definition": "a time of very hot weather"},
        {"definition": "one of the Times with hot weather"},
        {"definition": "an obscene word for hot weather"},
        {"category": "body", "definition": "one of the bodies without hot weather"},
    ],
)
def test_what_would_make_no_row_stays_out(change):
    assert recipe.fit(HOT) and not recipe.fit(replace(HOT, **change))


def test_the_splits_are_balanced_and_the_same_every_time():
    def synsets():
        for number, name in enumerate(CATEGORIES * 90):
            yield wordnet.Synset(f"{number:08}", name, "it", False, " ".join(f"{letter}{number}" for letter in "vwxyz"))

    cut = recipe.splits(synsets())
    assert cut == recipe.splits(synsets()) and [len(cut[split]) for split in recipe.SIZES] == [1344, 192, 336]
    for held in cut.values():
        for start in range(0, len(held), 24):
            assert sorted(each.category for each in held[start : start + 24]) == list(CATEGORIES)
    assert len({each.number for held in cut.values() for each in held}) == 1872


def test_near_duplicates_are_left_out_across_categories_too():
    same = [wordnet.Synset(f"{n:08}", name, "it", False, "all of these are one") for n, name in enumerate(CATEGORIES)]
    assert sum(map(len, recipe.chosen(same).values())) == 1
