"""The exercises of notebook 11: right answers of another make pass."""

import pytest
import torch

from labkit.lab.checking.form import find
from labkit.lab.checking.judging import RIGHT, judge


def by_index(B, heads):
    d = len(B) // heads
    return B[[head * d + i + half * d // 2 for head in range(heads) for i in range(d // 2) for half in (0, 1)]]


def by_assignment(B, heads):
    new, d = torch.empty_like(B), len(B) // heads
    for head in range(heads):
        rows = B[head * d : (head + 1) * d]
        new[head * d : (head + 1) * d : 2], new[head * d + 1 : (head + 1) * d : 2] = rows[: d // 2], rows[d // 2 :]
    return new


RIGHT_ANSWERS = [
    ("11.1", by_index),
    ("11.1", by_assignment),
    ("11.1", lambda B, heads: torch.cat([torch.stack(head.chunk(2), 1).flatten(0, 1) for head in B.chunk(heads)])),
    ("11.1", lambda B, heads: B.view(heads, 2, -1, B.shape[1]).permute(0, 2, 1, 3).reshape_as(B)),
    ("11.2", lambda summed, counts, me: summed / counts.mean()),
    ("11.2", lambda summed, counts, me: len(counts) * summed / sum(counts)),
    ("11.2", lambda summed, counts, me: summed / counts[me] * counts[me] * counts.numel() / counts.sum()),
    ("11.2", lambda summed, counts, me: summed * (counts.shape[0] / counts.sum().item())),
    ("11.3", lambda alpha, r, layer_alpha, layer_r: alpha * layer_r / (r * layer_alpha)),
    ("11.3", lambda alpha, r, layer_alpha, layer_r: alpha / r / (layer_alpha / layer_r)),
    ("11.3", lambda alpha, r, layer_alpha, layer_r: torch.tensor(alpha / r * layer_r / layer_alpha)),
]


@pytest.mark.parametrize(("id", "answer"), RIGHT_ANSWERS)
def test_right_in_another_form(id, answer):
    assert judge(find(id), answer).mark == RIGHT
