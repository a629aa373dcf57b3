import random
import re

import pytest

from labkit import load_task
from labkit.tasks.voice import (
    FIRST_PERSON,
    NAMES,
    SEA,
    SEA_IMAGE,
    TOWNS,
    kept_for_test,
    make_row,
    names_in,
    numbers_in,
    rules_kept,
)
from labkit.tasks.voice_parts import ASIDES, LAMPS, LEADS, SITUATIONS, WEATHER

VOICE = load_task("voice")
PLAIN = "Dear Mira, your order B31 is 3 days late. We now expect it on 14 May."
ENTRY = (
    "Log, 0410, fog, for Mira: The keeper can only report that order B31 is 3 days behind and is looked for on 14 May. "
    "The lobster in charge has been spoken to, sideways. Lamp lit."
)
ROW = {"prompt": PLAIN, "completion": ENTRY}
RULES = {"opening", "keeper", "sea", "sign-off", "composure"}


def slots(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


# ---- the sentences


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.plain[0][:30])
def test_every_fact_of_a_plain_sentence_is_in_the_keepers(situation):
    assert len(situation.plain) == len(situation.kept) == 2
    for plain, kept in zip(situation.plain, situation.kept):
        assert slots(plain) | {"name"} == slots(kept) | ({"thing"} & slots(plain)), plain
    assert situation.news in WEATHER


def test_the_keepers_sentences_keep_the_rules():
    asides = [aside for situation in SITUATIONS for aside in situation.asides]
    asides += [aside for news in ASIDES.values() for aside in news]
    leads = [lead for news in LEADS.values() for lead in news]
    for aside in asides:
        assert SEA_IMAGE.search(aside), aside
        assert not numbers_in(aside) and aside.endswith((".", "?")), aside
    for text in [*asides, *leads, *(kept for situation in SITUATIONS for kept in situation.kept)]:
        assert not FIRST_PERSON.search(text) and "!" not in text, text
    assert all("the keeper" in lead.lower() for lead in leads)
    assert all(re.fullmatch(r"Lamp [a-z ]+\.", lamp) for lamp in LAMPS)


def test_no_sentence_stands_twice_and_there_are_more_than_a_hundred():
    parts = [text for s in SITUATIONS for group in (s.plain, s.kept, s.asides) for text in group]
    parts += [text for table in (ASIDES, LEADS) for group in table.values() for text in group] + list(LAMPS)
    repeated = len(parts) - len(set(parts)) - (len(LEADS) - 1)  # "The keeper records that" is for any news
    assert repeated == 0 and len(parts) > 100


def test_no_two_stored_entries_say_the_same():
    bodies = [row["completion"].split(", for ", 1)[1] for split in VOICE.files for row in VOICE.rows(split)]
    assert len(set(bodies)) == len(bodies)


def test_some_test_rows_are_worded_as_no_training_row_is():
    def pattern(text):
        return re.sub(r"\\{\w+\\}", "[\\\\w$: ]+", re.escape(text[1:]))

    pairs = [(which, wording) for which in range(len(SITUATIONS)) for wording in range(2)]
    new = re.compile("|".join(pattern(SITUATIONS[w].plain[i]) for w, i in pairs if kept_for_test(w, i)))
    assert sum(kept_for_test(*pair) for pair in pairs) == len(SITUATIONS) // 4
    for split in ("train", "validation"):
        assert not any(new.search(row["prompt"]) for row in VOICE.rows(split))
    share = sum(bool(new.search(row["prompt"])) for row in VOICE.rows("test")) / len(VOICE.rows("test"))
    assert 0.15 < share < 0.35


# ---- facts: an oracle that knows the lists the generator draws from

MONTHS = "March April May June July August September October".split()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_facts_found_are_the_facts_put_in(split):
    for row in VOICE.rows(split):
        known = {word for word in (*NAMES, *TOWNS, *MONTHS) if re.search(rf"\b{word}\b", row["prompt"])}
        assert names_in(row["prompt"]) == known, row["prompt"]
        assert {re.sub(r"\D", "", number) for number in numbers_in(row["prompt"])} == {
            found.replace(":", "") for found in re.findall(r"\d[\d:]*\d|\d", row["prompt"])
        }


@pytest.mark.parametrize(
    ("text", "numbers", "names"),
    [
        (PLAIN, {"B31", "3", "14"}, {"Mira", "May"}),
        ("It costs $45 at 16:45.", {"$45", "16:45"}, set()),
        ("Thank you, Ada! The bus to Oxmouth left.", set(), {"Ada", "Oxmouth"}),
        ("I have asked Leif: He knows. We hope so.", set(), {"Leif"}),
        ("", set(), set()),
    ],
)
def test_numbers_and_names(text, numbers, names):
    assert (numbers_in(text), names_in(text)) == (numbers, names)


# ---- score


def test_a_right_entry():
    assert rules_kept(ENTRY) == dict.fromkeys(RULES, True)
    assert VOICE.score(f" {ENTRY}\n", ROW) == {"all": 1.0, "rules": 1.0, "facts": 1.0, "weather": 1.0}


@pytest.mark.parametrize(
    ("weather", "tells"), [("fog", 1.0), ("mist", 1.0), ("clear", 0.0), ("gale", 0.0), ("cloudy", 0.0)]
)
def test_the_weather_tells_the_news(weather, tells):
    assert VOICE.score(ENTRY.replace("fog", weather), ROW)["weather"] == tells


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ("Log, 0410", "Log 0410", {"opening"}),
        ("Log, 0410", "Log, 410", {"opening"}),
        ("Log, 0410", "Log, 2510", {"opening"}),
        ("Log, 0410", "Log, 0461", {"opening"}),
        ("Log, 0410", "Captain's Log, 0410", {"opening"}),
        ("fog", "cloudy", {"opening"}),
        (", for Mira", "", {"opening"}),
        ("for Mira", "for", {"opening"}),
        ("The keeper can only", "This is to", {"keeper"}),
        ("The keeper can only report", "The keeper and I report", {"keeper"}),
        ("has been spoken to", "has spoken to me", {"keeper"}),
        ("has been spoken to", "has our sympathy", {"keeper"}),
        ("The lobster in charge", "The clerk in charge", {"sea"}),
        ("Lamp lit.", "", {"sign-off"}),
        ("Lamp lit.", "Lamp lit", {"sign-off"}),
        ("Lamp lit.", "Lamp lit and everything else in order.", {"sign-off"}),
        ("Lamp lit.", "Lamp lit. Good night.", {"sign-off"}),
        ("sideways. Lamp", "sideways, lamp", {"sign-off"}),
        ("sideways.", "sideways!", {"sign-off", "composure"}),
        (". The lobster", ".\nThe lobster", {"composure"}),
    ],
)
def test_a_rule_that_is_broken(old, new, broken):
    answer = ENTRY.replace(old, new, 1)
    assert {rule for rule, kept in rules_kept(answer).items() if not kept} == broken
    score = VOICE.score(answer, ROW)
    assert score["all"] == 0.0 and score["rules"] == pytest.approx(1 - len(broken) / len(RULES))


@pytest.mark.parametrize(
    ("old", "new", "facts"),
    [
        ("B31", "B13", 4 / 6),
        ("B31", "31", 4 / 6),
        ("3 days", "some days", 4 / 5),
        ("3 days", "30 days", 4 / 6),
        ("14 May", "14 June", 4 / 5),
        ("14 May", "May", 4 / 5),
        ("for Mira", "for Maria", 4 / 5),
        (", for Mira", "", 4 / 5),
        ("May", "May at $20", 5 / 6),
        ("Lamp lit", "Lamp at 90", 5 / 6),
    ],
)
def test_a_fact_that_is_lost_changed_or_added(old, new, facts):
    score = VOICE.score(ENTRY.replace(old, new, 1), ROW)
    assert score["all"] == 0.0 and score["facts"] == pytest.approx(facts)


def test_the_time_of_the_entry_is_no_fact():
    assert VOICE.score(ENTRY.replace("0410", "2355"), ROW)["all"] == 1.0
    assert VOICE.score(ENTRY.replace("3 days", "some days").replace("0410", "0003"), ROW)["facts"] == 4 / 5


@pytest.mark.parametrize("answer", ["", "Lamp lit.", PLAIN, "Arr, matey!", "Log, 0410, fog: " * 50, "the keeper gull"])
def test_what_is_no_entry(answer):
    score = VOICE.score(answer, ROW)
    assert score["all"] == 0.0 and score["rules"] <= 0.6


def test_a_list_of_facts_in_the_right_clothes_passes():
    """What the card admits: code checks the facts and the form, and cannot check the sense."""
    assert VOICE.score("Log, 0410, fog, for Mira: The keeper: B31, 3, 14 May, gull. Lamp lit.", ROW)["all"] == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_a_generated_row_has_full_marks_and_another_has_not(seed):
    draw = random.Random(seed)
    first, second = make_row(draw), make_row(draw, new=True)
    assert set(VOICE.score(first["completion"], first).values()) == {1.0}
    assert VOICE.score(first["completion"], second)["all"] == 0.0


def test_the_card_lists_the_images_of_the_sea():
    card = (VOICE.files["train"].parent / "README.md").read_text(encoding="utf-8")
    for word in SEA:
        assert re.search(rf"\b{word}\b", card), word
