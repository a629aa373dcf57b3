import io
import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from labkit.errors import showable
from labkit.lab.conversation.showing import (
    Answer,
    Conversation,
    _wrapped,
    conversation_html,
    conversation_png,
    conversation_text,
    effort,
)

BASE = Answer("The base", "It costs $5,\nor $6.", 9, 0.62)
ADAPTED = Answer("With the adapter", '{"amount":5}', 12, 1.04, cut=True)
BOTH = Conversation("How much?", (BASE, ADAPTED))


class Page(HTMLParser):
    """What a browser would make of a page: its tags, and its text with a line for each <br>."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.text += "\n" if tag == "br" else ""

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(
    "answer, said",
    [
        (BASE, "9 tokens · 0.6 s"),
        (ADAPTED, "12 tokens · 1.0 s · cut off at the limit"),
        (Answer("x", "", 1, 0.0), "1 token · 0.0 s"),
    ],
)
def test_effort(answer, said):
    assert effort(answer) == said
    assert effort(answer, seconds=False) == re.sub(r" · \d\.\d s", "", said)


def test_as_text():
    assert conversation_text(BOTH) == (
        "You: How much?\nThe base: It costs $5,\nor $6.\n  (9 tokens)\n"
        'With the adapter: {"amount":5}\n  (12 tokens · cut off at the limit)'
    )
    assert conversation_text(Conversation("", remark="Type a sentence.")) == "Type a sentence."


def test_as_a_page_each_answer_has_its_column():
    page = Page(conversation_html(BOTH))
    assert page.tags.count("th") == 2 and page.tags.count("tr") == 3 and page.tags.count("td") == 4
    for said in (BOTH.question, BASE.who, BASE.text, effort(BASE), ADAPTED.who, ADAPTED.text, effort(ADAPTED)):
        assert said in page.text
    assert " s" not in Page(conversation_html(Conversation("?", (BASE,)), seconds=False)).text


@pytest.mark.parametrize(
    "written",
    ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a < b && c > d", "</td></table><h1>", "&lt;b&gt;"],
)
def test_markup_is_shown_as_it_was_written(written):
    """By whomever: question, answer and remark all come from outside."""
    harmless = Page(conversation_html(Conversation("q", (Answer("m", "a", 1),), "r")))
    page = Page(conversation_html(Conversation(written, (Answer("m", written, 1),), written)))
    assert page.tags == harmless.tags
    assert page.text.count(written) == 3


def test_the_same_each_time():
    assert conversation_html(BOTH) == conversation_html(BOTH)
    assert conversation_png(BOTH) == conversation_png(BOTH)


def test_a_long_question_is_shown_in_part_and_a_short_one_whole():
    long = Conversation("fox " * 5000, remark="That is too long.")
    for shown in (conversation_text(long), conversation_html(long)):
        assert len(shown) < 600 and "…" in shown and "too long" in shown
    assert "…" not in conversation_html(Conversation("fox " * 90))


def test_as_a_picture_it_grows_with_the_answer_and_stays_small():
    long = Answer("The base", "one word after another " * 40, 160)
    short_picture, long_picture = (
        imread(io.BytesIO(conversation_png(Conversation("?", (one, ADAPTED))))) for one in (BASE, long)
    )
    assert short_picture.shape[1] == long_picture.shape[1] == 700
    assert short_picture.shape[0] < long_picture.shape[0] < 900
    assert len(conversation_png(Conversation("?", (long, long)))) < 80_000
    ink = 1 - long_picture
    left, right = ink[:, :350].sum(), ink[:, 350:].sum()
    assert left > 3 * right > 0, "each answer has its own half"
    assert ink[:, -3:].max() == 0 and ink[-3:].max() == 0, "nothing is cut off at the edges"


def test_a_ticket_is_wrapped_at_its_commas_and_only_a_long_word_is_cut():
    ticket = '{"name":"Lena","amount":2,371,"priority":"high"}'
    assert _wrapped(ticket, 18) == ['{"name":"Lena",', '"amount":2,371,', '"priority":"high"}']
    assert _wrapped("one two\n\nthree", 5) == ["one", "two", "", "three"]
    assert _wrapped("abcdefgh", 5) == ["abcde", "fgh"]
    assert ',<wbr>"amount":2,371,<wbr>"priority"' in conversation_html(Conversation("", (Answer("m", ticket),)))


def test_formulas_and_emoji_are_drawn_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strange = Answer("m", "$\\frac{$ costs $5_x ğüşıöçİ 🌳 \x00", 3)
        assert np.asarray(imread(io.BytesIO(conversation_png(Conversation("$ 🌳", (strange, strange)))))).size


def test_an_answer_moves_no_cursor_and_turns_no_line_around():
    answer = Answer("sql\x1b[1m", "a\x1b[2J\x9b2Jb\u202ec\r\n\td 👩\u200d🔧 نمی\u200cخواهم")
    shown = "a\\x1b[2J\\x9b2Jb\\u202ec\\r\n\td 👩\u200d🔧 نمی\u200cخواهم"
    assert showable(answer.text) == shown
    conversation = Conversation("?\x1b[2J", (answer,))
    assert shown in conversation_text(conversation) and "\x1b" not in conversation_text(conversation)
    assert shown.replace("\n", "<br>") in conversation_html(conversation) and "\x1b" not in conversation_html(
        conversation
    )
