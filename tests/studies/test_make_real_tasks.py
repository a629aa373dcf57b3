"""How the rows of `genus`, `changelog` and `diacritics` are made: the readers, what stays out, and the same bytes."""

import io
import os
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import DataError
from labkit.storage.paths import course_data_dir
from studies import make_changelog, make_diacritics, make_genus, wordnet
from studies.sources import UNPACKED, as_csv, read_source

SOURCES = {
    "genus": (make_genus, wordnet.folder() / "data.noun"),
    "changelog": (make_changelog, Path(os.environ.get("PYTHONSOURCE") or UNPACKED / "Python-3.13.5") / "LICENSE"),
    "diacritics": (
        make_diacritics,
        Path(os.environ.get("WHEELS") or UNPACKED) / make_diacritics.WHEELS["Django"][0],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_the_recipe_makes_what_is_stored(name):
    recipe, source = SOURCES[name]
    if not source.exists():
        pytest.skip(f"what {name} is made of isn't here: {recipe.__name__} says how to get it")
    made, folder = recipe.files(), course_data_dir() / name
    assert {file.name for file in folder.iterdir()} == {*made, "README.md"}
    for file, content in made.items():
        assert (folder / file).read_bytes() == content.encode()


# ---- where it comes from


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_is_not_there_or_another_one_is_refused(name, tmp_path, monkeypatch):
    for variable in ("WNSEARCHDIR", "PYTHONSOURCE", "WHEELS"):
        monkeypatch.setenv(variable, str(tmp_path))
    recipe, source = SOURCES[name]
    with pytest.raises(DataError, match="No such file"):
        recipe.files()
    (tmp_path / "Misc").mkdir()
    for file in ("data.noun", "Misc/NEWS", make_diacritics.WHEELS["Django"][0]):
        (tmp_path / file).write_text("another one")
    with pytest.raises(DataError, match="isn't (WordNet 3.0's file|Python 3.13.5's file|the wheel that was meant)"):
        recipe.files()


def test_a_source_is_read_when_it_is_the_one_that_is_meant(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    # the sha256 of "abc", from FIPS 180-2
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert read_source(tmp_path / "a", known, "it", "Get it", "Take it") == b"abc"


def test_a_table_has_a_line_per_row():
    assert as_csv(("a", "b"), [(1, "x, y")]) == 'a,b\n1,"x, y"\n'


# ---- genus


DAGGER = wordnet.Synset("1", "artifact", "dagger", False, "a short knife", ("dagger", "sticker"))
STILETTO = wordnet.Synset(
    "2", "artifact", "stiletto", False, "a small dagger with a tapered blade", ("stiletto",), ("1",)
)
KNOWN = {"1": DAGGER, "2": STILETTO}


def test_the_answer_is_the_word_of_the_kind_that_the_definition_has():
    assert make_genus.row_of(STILETTO, KNOWN) == make_genus.Row(STILETTO, "1", "dagger", "dagger")
    many = replace(STILETTO, definition="any of several small daggers with tapered blades")
    assert make_genus.row_of(many, KNOWN).answer == "daggers" and make_genus.row_of(many, KNOWN).lemma == "dagger"
    assert make_genus.forms("gypsy moth") >= {"gypsy moths"} and "bodies" in make_genus.forms("body")
    assert "women" in make_genus.forms("woman")


@pytest.mark.parametrize(
    "change",
    [
        {"definition": "a small weapon with a tapered blade"},
        {"definition": "a small dagger that isn't a dagger used in war"},
        {"definition": "a dagger or sticker with a tapered blade"},
        {"definition": "a weapon with a blade; like a dagger"},
        {"definition": "a weapon (often a dagger) with a tapered blade"},
        {"definition": "a weapon that dagger fighters often use at night"},
        {"definition": "a dagger-like weapon with a tapered blade"},
        {"definition": "a small Dagger with a tapered blade"},
        {"word": "tapered dagger"},
        {"word": "Stiletto"},
        {"instance": True},
        {"kinds": ()},
        {"kinds": ("1", "2")},
    ],
)
def test_where_the_answer_is_in_doubt_there_is_no_row(change):
    assert make_genus.row_of(replace(STILETTO, **change), KNOWN) is None


def test_a_kind_of_several_words_in_the_definition_makes_no_row():
    known = KNOWN | {"1": replace(DAGGER, words=("small dagger", "dagger"))}
    assert make_genus.row_of(STILETTO, known) is None


def many_kinds():
    """Nouns of forty kinds, five of each, and two kinds that share a word."""
    for kind in range(40):
        name = "".join("abcdefghij"[int(digit)] for digit in f"{kind:02}") + "x"
        shared = ("shared",) if kind < 2 else ()
        yield wordnet.Synset(f"k{kind:02}", "artifact", name, False, "", (name, *shared))
        for number in range(5):
            tail = " ".join(f"{letter}{'abcde'[number]}{name}z" for letter in "pqrst")
            text = f"a {'shared' if kind < 2 else name} with {tail}"
            yield wordnet.Synset(f"{kind:02}{number}", "artifact", "it", False, text, ("it",), (f"k{kind:02}",))


def test_a_kind_has_two_rows_at_most_and_shares_no_word_with_another():
    rows = make_genus.chosen(list(many_kinds()))
    assert rows == make_genus.chosen(list(many_kinds())), "the same every time"
    assert len(rows) == 2 * 39 and len({row.kind for row in rows}) == 39, "one of the two kinds that share a word"
    assert make_genus.chosen(list(many_kinds()), frozenset(row.synset.number for row in rows))[0] not in rows


def test_all_rows_of_a_kind_are_in_one_split(monkeypatch):
    monkeypatch.setattr(make_genus, "SIZES", {"train": 41, "validation": 10, "test": 20})
    cut = make_genus.splits(make_genus.chosen(list(many_kinds())))
    assert [len(held) for held in cut.values()] == [41, 10, 20]
    kinds = [{row.kind for row in held} for held in cut.values()]
    assert not kinds[0] & kinds[1] and not kinds[0] & kinds[2] and not kinds[1] & kinds[2]


# ---- changelog


NEWS = """+++
Python News
+++

What's New in Python 3.13.1 final?
==================================

*Release date: 2024-12-03*

C API
-----

- gh-2: Fix :c:func:`!Py_Foo` in :meth:`~a.B.c` for ``x``.
  Patch by Some One.

- Nothing with a number, so it is no entry.

Library
-------

- bpo-1: Add *indent* to `json <https://x>`__. See :pep:`8`.

What's New in Python 3.13.0 alpha 1?
====================================

Library
-------

- gh-1: Two - three: a list.
"""
ENTRY = make_changelog.Entry("3.13.1 final", "Library", "gh-7", "Fix a crash in the parser of numbers.")


def test_news_is_read_by_version_and_section():
    assert make_changelog.entries(NEWS) == [
        make_changelog.Entry("3.13.1 final", "C API", "gh-2", "Fix Py_Foo() in c() for x."),
        make_changelog.Entry("3.13.1 final", "Library", "bpo-1", "Add indent to json. See PEP 8."),
        make_changelog.Entry("3.13.0 alpha 1", "Library", "gh-1", "Two - three: a list."),
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (":func:`!json.dump`", "json.dump()"),
        (":meth:`~a.B.c`", "c()"),
        (":c:type:`PyObject`", "PyObject"),
        (":pep:`8`", "PEP 8"),
        (":gh:`99111`", "gh-99111"),
        (":issue:`19072`", "bpo-19072"),
        (":cve:`2023-52425`", "CVE-2023-52425"),
        (":file:`~/.config/fish/conf.d`", "~/.config/fish/conf.d"),
        (":ref:`the text <a-label>`", "the text"),
        ("``__init__``", "__init__"),
        ("*emphasis* and **more**", "emphasis and more"),
        ("``**kwargs``", "**kwargs"),
    ],
)
def test_markup_reads_as_on_a_page(written, shown):
    assert make_changelog.plain(written) == shown


@pytest.mark.parametrize(
    "credit",
    [
        " Patch by A. Person.",
        " Original patch by A B and C D.",
        " Patch contributed by A Person",
        " Contributed by A Person.",
        " Reported by A Person, and patched by another.",
    ],
)
def test_who_did_it_is_left_out(credit):
    news = NEWS.replace(" a list.", f" a list.{credit}")
    assert make_changelog.entries(news)[-1].text == "Two - three: a list."


@pytest.mark.parametrize(
    "change",
    [
        {"section": "Extension Modules"},
        {"text": "Fix a crash."},
        {"text": " ".join(61 * ["word"])},
        {"text": "Fix a crash in `the parser of numbers."},
        {"text": "Fix two crashes: * the first one * the other one"},
        {"text": "Fix a crash that was found by Some Person in May."},
        {"text": "Fix a crash in the parser of Zürich's numbers."},
    ],
)
def test_an_entry_that_would_make_no_row_stays_out(change):
    assert make_changelog.fit(ENTRY) and not make_changelog.fit(replace(ENTRY, **change))


def test_of_twins_in_one_section_one_stays_and_of_twins_in_two_none():
    twin, other = replace(ENTRY, issue="gh-8"), replace(ENTRY, text="Something else is said by this one.")
    assert make_changelog.alone([ENTRY, twin, other]) == [ENTRY, other]
    assert make_changelog.alone([ENTRY, replace(twin, section="Tests"), other]) == [other]


def test_an_issue_is_in_one_split_and_the_test_rows_are_newer():
    def entry(version: str, issue: int, place: int) -> make_changelog.Entry:
        words = " ".join(f"{letter}{'xy'[place]}{chr(97 + issue % 26)}{chr(97 + issue // 26)}" for letter in "abcdef")
        return make_changelog.Entry(version, "Library", f"gh-{issue}", words)

    old = [entry("3.13.0 beta 1", issue, place) for issue in range(300) for place in (0, 1)]
    new = [entry("3.13.2 final", issue, 0) for issue in range(300, 400)]
    known = [replace(entry("3.13.2 final", 500, 0), issue="gh-3")]
    cut = make_changelog.splits(old + new + known)
    assert cut == make_changelog.splits(old + new + known)
    assert {each.issue for each in cut["test"]} == {each.issue for each in new}
    issues = [{each.issue for each in held} for held in cut.values()]
    assert not issues[0] & issues[1] and not issues[0] & issues[2] and not issues[1] & issues[2]


# ---- diacritics


def test_translations_are_read_from_a_wheel():
    def catalog(pairs: dict[str, str]) -> bytes:
        """The binary form of GNU gettext: a header, two tables of lengths and places, then the strings."""
        ids, texts = [[each.encode() for each in part] for part in (sorted(pairs), [pairs[k] for k in sorted(pairs)])]
        place, tables, body = 28 + 16 * len(ids), b"", b""
        for part in (ids, texts):
            for each in part:
                tables += len(each).to_bytes(4, "little") + (place + len(body)).to_bytes(4, "little")
                body += each + b"\0"
        header = [0x950412DE, 0, len(ids), 28, 28 + 8 * len(ids), 0, 0]
        return b"".join(each.to_bytes(4, "little") for each in header) + tables + body

    wheel = io.BytesIO()
    with ZipFile(wheel, "w") as archive:
        archive.writestr("p/tr/a.mo", catalog({"": "Content-Type: text/plain; charset=UTF-8\n", "Open": " Aç "}))
        archive.writestr("p/de/a.mo", catalog({"Open": "Öffnen"}))
        archive.writestr("p/tr/b.mo", catalog({"": "Content-Type: text/plain; charset=UTF-8\n", "menu\x04Cut": "Kes"}))
    found = make_diacritics.strings(wheel.getvalue(), "It", r"p/tr/\w\.mo")
    assert found == [make_diacritics.String("It", "Open", "Aç"), make_diacritics.String("It", "Cut", "Kes")]


OPEN = make_diacritics.String("JupyterLab", "Open the file", "Dosyayı aç")


@pytest.mark.parametrize(
    "change",
    [
        {"turkish": "Aç"},
        {"turkish": "Dosya kopyala"},
        {"turkish": "Dosyayı %1 aç"},
        {"turkish": "{name} dosyasını aç"},
        {"turkish": "<b>Dosyayı</b> aç"},
        {"turkish": "Dosyayı aç..."},
        {"turkish": "Dosyayı\naç"},
        {"turkish": "Dosyayı aç (yeni"},
        {"turkish": " ".join(26 * ["aç"])},
        {"english": "dosyayı aç"},
    ],
)
def test_a_string_that_would_make_no_row_stays_out(change):
    assert make_diacritics.fit(OPEN) and not make_diacritics.fit(replace(OPEN, **change))


def test_of_strings_that_say_or_translate_the_same_one_stays():
    again = replace(OPEN, program="Django", turkish="Dosyayı açın", english="open the file.")
    twin = replace(OPEN, turkish="dosyayi aç", english="Something else")
    other = replace(OPEN, turkish="Dosyayı kapatın lütfen", english="Close")
    for same in (again, twin):
        kept = make_diacritics.chosen([OPEN, same, other])
        assert len(kept) == 2 and other in kept
        assert kept == make_diacritics.chosen([other, same, OPEN]), "whatever the order"


TEXTS = st.lists(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=4), max_size=9)


@given(TEXTS)
def test_a_group_is_whatever_can_be_reached_by_shared_pairs(texts):
    """The oracle: spread a mark from string to string until nothing changes."""
    held = [make_diacritics.String("It", str(place), " ".join(words)) for place, words in enumerate(texts)]
    pairs = [set(zip(words, words[1:])) for words in texts]
    mark = list(range(len(texts)))
    for _ in texts:
        for one, mine in enumerate(pairs):
            for other, theirs in enumerate(pairs):
                if mine & theirs:
                    mark[one] = mark[other] = min(mark[one], mark[other])
    wanted = {frozenset(each.english for each, m in zip(held, mark) if m == which) for which in mark}
    assert {frozenset(each.english for each in group) for group in make_diacritics.groups(held)} == wanted


def test_a_group_is_in_one_split_and_the_largest_in_training(monkeypatch):
    monkeypatch.setattr(make_diacritics, "SIZES", {"train": 12, "validation": 4, "test": 8})
    held = [make_diacritics.String("It", f"{n}", f"aynı söz {n}") for n in range(9)]
    held += [make_diacritics.String("It", f"{n}", f"ş{n // 2} ç{n // 2} {n}") for n in range(20, 50)]
    cut = make_diacritics.splits(held)
    assert cut == make_diacritics.splits(held) and [len(strings) for strings in cut.values()] == [12, 4, 8]
    first = {split: {each.turkish.rpartition(" ")[0] for each in strings} for split, strings in cut.items()}
    assert "aynı söz" in first["train"]
    assert not first["test"] & (first["train"] | first["validation"]) and not first["validation"] & first["train"]
