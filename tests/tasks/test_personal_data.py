"""Placeholders: what published examples and hypothesis' own addresses have to lose, and what other text keeps."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit.lab.experiments.personal_probes import PROBES, changed_rows, sifted
from labkit.tasks.personal_data import anonymize, anonymize_row, count_personal_data, find_personal_data

# Published as examples or for testing: ISO 13616 and the IBAN registry, card schemes, the number often shown as one
PUBLISHED = {
    "GB82 WEST 1234 5698 7654 32": "iban",
    "TR33 0006 1005 1978 6457 8413 26": "iban",
    "DE89370400440532013000": "iban",
    "4111 1111 1111 1111": "card",
    "378282246310005": "card",
    "10000000146": "identity number",
    "+44 20 7946 0958": "phone",
    "0555 010 20 30": "phone",
}


@pytest.mark.parametrize("piece", PUBLISHED)
def test_published_examples_are_found(piece):
    text = f"It is {piece}, thanks."
    (found,) = find_personal_data(text)
    assert found.kind == PUBLISHED[piece] and text[found.start : found.end] == piece
    assert anonymize(text) == f"It is [{PUBLISHED[piece].upper()} 1], thanks."


@pytest.mark.parametrize("piece", [piece for piece, kind in PUBLISHED.items() if kind != "phone"])
def test_with_another_digit_the_check_digits_say_no(piece):
    last = str((int(piece[-1]) + 1) % 10)
    assert not [each for each in find_personal_data(f"It is {piece[:-1]}{last}, thanks.") if each.kind != "phone"]


@given(st.emails())
def test_an_address_of_hypothesis_is_gone_whole(address):
    """They're written from RFC 5322 by people who didn't know these patterns."""
    assert anonymize(f"Write to <{address}>, please") == "Write to <[EMAIL 1]>, please"


@given(st.text())
def test_what_stands_between_the_pieces_stays(text):
    kept, found = [], find_personal_data(text)
    end = 0
    for each in found:
        kept.append(text[end : each.start])
        end = each.end
    pieces = re.split(r"\[(?:EMAIL|IBAN|CARD|IDENTITY NUMBER|PHONE) \d+\]", anonymize(text))
    if not re.search(r"\[[A-Z ]+ \d+\]", text):
        assert pieces == [*kept, text[end:]]


def test_a_piece_has_one_placeholder_in_all_of_a_row():
    row = {
        "prompt": "I'm a@x.invalid. Copy b@x.invalid",
        "completion": '{"to":"b@x.invalid","from":"a@x.invalid"}',
        "system": None,
        "canary": True,
    }
    changed = anonymize_row(row)
    assert changed["prompt"] == "I'm [EMAIL 1]. Copy [EMAIL 2]"
    assert changed["completion"] == '{"to":"[EMAIL 2]","from":"[EMAIL 1]"}'
    assert changed["system"] is None and changed["canary"] and "a@x.invalid" in row["prompt"]
    said = {"messages": [{"role": "user", "content": "b@x.invalid"}, {"role": "assistant", "content": "b@x.invalid?"}]}
    assert [each["content"] for each in anonymize_row(said)["messages"]] == ["[EMAIL 1]", "[EMAIL 1]?"]


def test_what_has_no_form_is_not_found_and_the_module_says_so():
    """Not a wish: these are the misses that the course shows. Who mends one changes this list, and the words there."""
    missed = {piece for each in sifted() for piece in each["missed"]}
    assert {"Zelda", "12 Harbor Lane, Cobblewick", "zelda at shop dot invalid", "7 May 1961"} <= missed
    by_kind = {each["kind"]: (each["found"], each["probes"]) for each in sifted()}
    assert by_kind["e-mail"] == (4, 4) and by_kind["name"][0] == 0
    assert all(probe.piece in probe.text for probe in PROBES)


@pytest.mark.parametrize("task", ["tickets", "sql", "voice", "clauses", "glosses"])
def test_rows_of_the_course_have_nothing_that_is_taken_for_personal_data(task):
    assert changed_rows(labkit.load_task(task).rows("train").to_list()) == []


def test_pieces_are_counted_in_every_text_of_a_row():
    mail = "ada@shop.invalid"
    rows = [
        {"system": None, "prompt": f"{mail} or {mail}", "completion": "+49 30 55501234"},
        {"prompt": None, "completion": None, "messages": [{"role": "user", "content": f"I'm {mail}"}]},
    ]
    assert count_personal_data(rows) == {"email": 3, "phone": 1}
    assert count_personal_data(map(anonymize_row, rows)) == {} == count_personal_data([])
