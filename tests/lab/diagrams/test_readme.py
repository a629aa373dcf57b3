"""The README's picture is what the code draws, and its two answers are the model's own."""

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import labkit
from labkit.lab.diagrams.readme import ADAPTER, BASE, MESSAGE, PICTURE, picture
from labkit.storage.paths import course_data_dir

ROOT = Path(__file__).parents[3]


def test_the_stored_picture_is_what_the_code_draws():
    drawn = io.BytesIO()
    picture().savefig(drawn, format="png")
    one, other = imread(io.BytesIO(drawn.getvalue())), imread(PICTURE)
    assert one.shape == other.shape, "draw it again: python -m labkit.lab.diagrams.readme"
    # another version of matplotlib may smooth a letter differently
    assert np.abs(one - other).mean() < 0.002, "draw it again: python -m labkit.lab.diagrams.readme"


def test_the_readme_shows_it_with_words_right_after_the_tagline():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    title, tagline, shown = text.split("\n\n")[:3]
    assert title == "# LoRA Lab" and tagline.startswith("**")
    words, path = shown.removeprefix("![").removesuffix(")").split("](")
    assert ROOT / path == PICTURE and len(words.split()) > 20 and PICTURE.stat().st_size < 80_000


@pytest.mark.slow
def test_base_and_adapter_really_answer_so(base):
    model, tokenizer = base
    task = labkit.load_task("tickets")
    assert task.rows("test")[0]["prompt"] == MESSAGE
    asked = ([MESSAGE], task.system, task.max_new_tokens)
    assert labkit.generate(model, tokenizer, *asked) == [BASE]
    adapted, _ = labkit.load_base()
    labkit.load_adapter(adapted, course_data_dir() / "adapters" / "tickets")
    assert labkit.generate(adapted, tokenizer, *asked) == [ADAPTER]
