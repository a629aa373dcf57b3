"""The drawings of notebook 11: the order of rows is the one that `labkit.export` writes, and shares are as given."""

import torch

from labkit.export.gguf import neighbors
from labkit.lab.diagrams.served import KINDS, strengths
from labkit.lab.diagrams.turned_rows import turned_rows


def test_the_rows_on_the_right_are_in_the_order_of_the_file():
    words = [text.get_text() for text in turned_rows().axes[0].texts]
    rows = [int(word.removeprefix("row ")) for word in words if word.startswith("row ")]
    assert rows[:8] == list(range(8))
    assert rows[8:] == neighbors(torch.arange(8.0).reshape(8, 1), heads=1).flatten().tolist()


def test_a_share_for_each_kind_that_is_adapted():
    found = {"one": {"q_proj": 1.0, "v_proj": 0.375}, "two": dict.fromkeys(KINDS, 0.25)}
    words = [text.get_text() for text in strengths(found, "What is left").axes[0].texts]
    assert [word for word in words if word.endswith("%")] == ["100 %", "37.5 %"] + ["25 %"] * 7
    assert {"What is left", "one", "two", *KINDS} <= set(words)
