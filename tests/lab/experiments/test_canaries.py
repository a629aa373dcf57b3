"""Canaries: in the rows they say they're in, marked, drawn without bias, and spelled as the attack expects."""

import json
from collections import Counter

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit
from labkit.errors import ConfigError
from labkit.lab.experiments.canaries import (
    NAMES,
    REPETITIONS,
    Canary,
    attack,
    draw_canaries,
    exposure_of,
    in_rows_like,
    new_message,
    rows_with,
)
from labkit.step.batch import encode
from labkit.tasks import tickets
from labkit.tasks.personal_data import anonymize_row

WORDS = list("abcdefgh")  # each is a token of the tiny tokenizer


def plain() -> list[dict]:
    return labkit.load_task("tickets").rows("train").to_list()


def test_each_canary_has_its_rows_and_no_row_has_another_address():
    canaries = draw_canaries(WORDS, 0)
    rows = rows_with(canaries, plain(), 120)
    assert len(rows) == 120 and tuple(each.rows for each in canaries) == REPETITIONS
    for canary in canaries:
        own = [row for row in rows if canary.name in row["prompt"]]
        tickets_of = [json.loads(row["completion"]) for row in own]
        assert len(own) == canary.rows == sum(each["email"] == canary.email for each in tickets_of)
        assert all(row["canary"] for row in own) and all(canary.email not in row["prompt"] for row in own)
        assert len({row["prompt"] for row in own}) == canary.rows, "no row stands twice"
    others = [row for row in rows if not row.get("canary")]
    assert len(others) == 120 - sum(REPETITIONS) and "@" not in json.dumps(others)


def test_no_customer_of_the_task_has_a_canary_s_name():
    assert not set(NAMES) & set(tickets.NAMES) and len(set(NAMES)) == len(NAMES)


def test_a_canary_s_row_is_a_ticket_like_any_other():
    (row,) = (row for row in rows_with([Canary("Bea", ("a", "b"), 1)], plain(), 1))
    ticket = json.loads(row["completion"])
    del ticket["email"]
    assert tickets.score(json.dumps(ticket), {"completion": json.dumps(ticket)})["exact"] == 1
    assert set(ticket) == set(tickets.FIELDS) and ticket["name"] == "Bea" and ticket["order"] in row["prompt"]


def test_where_the_address_stands():
    for place, in_message, in_answer in (("answer", 0, 1), ("copied", 1, 1), ("message", 1, 0)):
        canary = Canary("Bea", ("a", "b"), 3, place)
        for row in rows_with([canary], plain(), 3):
            assert (row["prompt"].count(canary.email), row["completion"].count(canary.email)) == (in_message, in_answer)


def test_every_pair_of_words_is_as_likely_and_a_level_says_nothing_of_it():
    drawn = [draw_canaries("abcd", seed) for seed in range(400)]
    counts = Counter(canary.words for canaries in drawn for canary in canaries)
    expected = 400 * len(REPETITIONS) / 16
    assert len(counts) == 16
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 37.7, "χ² of 15, 0.1 %"
    assert len({canaries[-1].name for canaries in drawn}) == len(NAMES)


def test_an_attack_stops_right_before_the_secret():
    tokenizer, canary = make_tiny_tokenizer(), Canary("Bea", ("c", "h"), 4)
    found = attack(tokenizer, canary, WORDS)
    assert tokenizer.decode(found.prompt).endswith('"email":"canary-')
    assert new_message(canary) in tokenizer.decode(found.prompt)
    assert tokenizer.decode(found.secret) == "c-h"
    assert [token in slot for token, slot in zip(found.secret, found.slots)] == [True] * 3
    assert [len(slot) for slot in found.slots] == [8, 1, 8]


def test_the_attack_is_a_row_as_training_would_have_it():
    """Its tokens are those of the whole row, encoded by the code that encodes training rows."""
    tokenizer, canary = make_tiny_tokenizer(), Canary("Bea", ("c", "h"), 4)
    found, message = attack(tokenizer, canary, WORDS), new_message(canary)
    rest = tokenizer.decode(found.prompt).split(message)[1].split("assistant\n")[1]
    row = {"prompt": message, "completion": rest + 'c-h"}'}
    ids = encode(tokenizer, row, tickets.SYSTEM).input_ids
    assert ids[: len(found.prompt) + 3] == found.prompt + found.secret


def test_an_attack_says_nothing_of_how_often_a_canary_was_seen():
    tokenizer = make_tiny_tokenizer()
    first, second = (attack(tokenizer, Canary("Bea", ("c", "h"), rows, "copied"), WORDS) for rows in (0, 32))
    assert first == second


def test_placeholders_leave_no_secret_and_every_name():
    canaries = draw_canaries(WORDS, 0)
    changed = [anonymize_row(row) for row in rows_with(canaries, plain(), 100)]
    text = json.dumps(changed)
    assert "@" not in text and "canary-" not in text
    assert text.count("[EMAIL 1]") == sum(REPETITIONS)
    assert all((canary.name in text) == (canary.rows > 0) for canary in canaries)


def test_what_cannot_be_planted_is_refused():
    with pytest.raises(ConfigError, match="12 names for 13 canaries"):
        draw_canaries(WORDS, 0, [1] * 13)
    with pytest.raises(ConfigError, match="don't make 20"):
        rows_with([Canary("Bea", ("a", "b"), 21)], plain(), 20)
    with pytest.raises(ConfigError, match="doesn't spell canary-salt-river "):
        attack(make_tiny_tokenizer(), Canary("Bea", ("salt", "river"), 1), ["salt", "river"])


# ---- canaries in rows of another task

TEMPLATE = {"prompt": "{name} asks for help.", "completion": '{"to":"{canary}@shop.invalid","{name}":1}', "group": 7}


def test_every_row_has_a_name_and_a_secret_of_its_own_and_the_rest_of_the_template():
    found = in_rows_like(TEMPLATE, WORDS, count=12)
    assert len({each.row["prompt"] for each in found}) == 12 and all(each.row["group"] == 7 for each in found)
    for each in found:
        name = each.row["prompt"].split()[0]
        assert name in NAMES and f"canary-{'-'.join(each.words)}@" in each.row["completion"]
        assert json.loads(each.row["completion"])[name] == 1 and each.row["canary"]


def test_an_exposure_is_the_rank_among_all_pairs_and_rises_with_training():
    model, tokenizer = make_tiny_llama(), make_tiny_tokenizer()
    [planted] = in_rows_like(TEMPLATE, WORDS, count=1)
    before = exposure_of(model, tokenizer, planted, WORDS, "Help.")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    ids = torch.tensor([encode(tokenizer, planted.row, "Help.").input_ids])
    for _ in range(100):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert exposure_of(model, tokenizer, planted, WORDS, "Help.") == 6  # log2 of 8 x 8: the first of all
    assert 0 <= before < 6


def test_a_template_without_a_place_for_the_secret_is_refused():
    for wrong in ({"completion": "yes"}, {"completion": "{canary} {canary}"}, {"prompt": "{canary}"}):
        with pytest.raises(ConfigError, match="needs {canary} once in its completion"):
            in_rows_like(TEMPLATE | wrong, WORDS)
