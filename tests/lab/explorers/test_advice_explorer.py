import io
import struct

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from labkit import ConfigError, advice_explorer, advise
from labkit.lab.explorers import advice as explorer
from labkit.lab.explorers.advice import Asked, advice_picture, caption

pytestmark = pytest.mark.slow  # a simulation or more each

matplotlib.use("agg")

START = Asked("smollm2-135m", "RTX 4090, 24 GB", "classify", 500, 128)


def picture(asked: Asked) -> np.ndarray:
    return imread(io.BytesIO(advice_picture(asked, asked.advice())))[..., :3]


def test_a_choice_is_asked_of_advise_and_the_line_has_its_values():
    found = START.advice()
    assert found == advise("smollm2-135m", "RTX 4090", "classify", 500, tokens=128)
    said = f"LoRA, r = {found['rank'].text}, α = {found['α'].text}, rate {found['learning rate'].text}: ≈"
    assert caption(found).startswith(said) and caption(found).endswith(f"time {found['time'].text}")
    assert caption(Asked(task="facts").advice()).startswith("retrieval")


def test_the_picture_is_as_wide_as_the_page_has_a_line_for_each_choice_and_stays_small():
    found = START.advice()
    png = advice_picture(START, found)
    width, height = struct.unpack(">II", png[16:24])
    lines = len(found.before) + len(found.lines) + len(found.costs)
    assert width == 700 and height == pytest.approx(100 + 23.5 * lines, abs=1) and len(png) < 80_000
    assert advice_picture(Asked(task="facts"), Asked(task="facts").advice())[16:20] == png[16:20]


def test_moving_the_controls_changes_line_and_picture():
    box = explorer._explorer_box(START)
    model, card, task, rows, tokens, use, line, image = box.children
    assert line.value == caption(START.advice()) and image.value == advice_picture(START, START.advice())
    seen = {image.value}
    for control, value in ((rows, 20), (use, "merge"), (card, "T4, 16 GB"), (task, "facts")):
        control.value = value
        assert image.value not in seen
        seen.add(image.value)
    asked = Asked("smollm2-135m", "T4, 16 GB", "facts", 20, 128, "merge")
    assert line.value == caption(asked.advice()) and image.value == advice_picture(asked, asked.advice())


def test_rows_longer_than_the_context_are_cut_and_drawn_once(monkeypatch):
    drawn = []
    box = explorer._explorer_box(Asked("smollm2-135m", "H100, 80 GB", "facts", tokens=8192))
    monkeypatch.setattr(explorer, "advice_picture", lambda asked, advice: drawn.append(asked.tokens) or b"")
    box.children[0].value = "llama-2-7b"
    assert drawn == [4096] and box.children[4].value == 4096


def test_a_plain_run_prints_the_line(capsys):
    advice_explorer("smollm2-135m", "T4, 16 GB", "facts", rows=123)
    said = capsys.readouterr().out
    assert said.startswith("smollm2-135m, T4, 16 GB, facts, 123 rows of 512 tokens: retrieval")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "llama-9"}, "model is one of smollm2-135m.* not 'llama-9'"),
        ({"card": "abacus"}, "card is one of cpu; RTX 4060.* not 'abacus'"),
        ({"task": "poetry"}, "task is one of classify.* not 'poetry'"),
        ({"rows": 0}, "rows must be a whole number"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        advice_explorer(**arguments)
