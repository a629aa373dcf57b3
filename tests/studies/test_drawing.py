"""Rows drawn by a seed: balanced, nested, and as wrong as asked."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.drawing import by_label, counts_by_group, drawn, mislabeled, with_copies

ROWS = [{"prompt": f"{label} {number}", "completion": label} for number in range(6) for label in "abcd"]
UNEVEN = [{"prompt": f"row {number}", "completion": "a" if number % 5 else "b"} for number in range(40)]


def labels(rows) -> Counter:
    return Counter(row["completion"] for row in rows)


@given(st.integers(0, 24), st.integers(0, 24), st.integers(0, 99))
def test_fewer_of_the_same_seed_are_among_the_more_and_all_are_balanced(one, other, seed):
    fewer, more = sorted((one, other))
    some, all_ = drawn(ROWS, fewer, seed), drawn(ROWS, more, seed)
    assert all_[:fewer] == some and len({row["prompt"] for row in all_}) == more
    counts = [labels(all_)[label] for label in "abcd"]
    assert max(counts) - min(counts) <= 1


def test_another_seed_draws_other_rows_and_the_same_seed_the_same():
    assert drawn(ROWS, 8, 1) == drawn(ROWS, 8, 1) != drawn(ROWS, 8, 2)


def test_unbalanced_rows_keep_their_shares_and_balanced_ones_lose_them():
    """Of 20 rows, drawn 200 times: 4 of the rarer label on average as they come, and all 8 of it when balanced."""
    as_they_come = [labels(drawn(UNEVEN, 20, seed, balanced=False))["b"] for seed in range(200)]
    assert sum(as_they_come) / 200 == pytest.approx(4, abs=0.4)
    assert labels(drawn(UNEVEN, 20, 0))["b"] == 8
    assert drawn(UNEVEN, 9, 3, balanced=False) == drawn(UNEVEN, 20, 3, balanced=False)[:9]


def test_more_rows_than_there_are_cannot_be_drawn():
    with pytest.raises(ValueError, match="25 rows can't be drawn from 24"):
        drawn(ROWS, 25, 0)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_so_many_labels_are_wrong_and_those_of_a_lower_share_are_among_them(one, other, seed):
    low, high = sorted((one, other))
    few, many = mislabeled(ROWS, low, seed), mislabeled(ROWS, high, seed)
    assert [row["prompt"] for row in many] == [row["prompt"] for row in ROWS]
    wrong = {place for place, row in enumerate(many) if row["completion"] != ROWS[place]["completion"]}
    assert len(wrong) == round(high * len(ROWS))
    for place, row in enumerate(few):
        assert row == ROWS[place] or (place in wrong and row == many[place])


def test_wrong_labels_are_any_of_the_others():
    given_ = Counter(row["completion"] for seed in range(200) for row in mislabeled(ROWS[:4], 1, seed)[:1])
    assert given_.keys() == set("bcd") and all(40 < count < 95 for count in given_.values())


def test_copies_are_of_the_first_rows():
    found = with_copies(ROWS[:8], 2, 3)
    assert len(found) == 14 and Counter(row["prompt"] for row in found).most_common(3)[:2] == [("a 0", 4), ("b 0", 4)]


def test_labels_are_dealt_out_evenly_or_not_at_all():
    names = list(by_label(ROWS))
    found = counts_by_group(names, {"common": 3, "rare": 1}, 0)
    assert Counter(found.values()) == {"common": 2, "rare": 2} and found.keys() == set("abcd")
    assert len({tuple(sorted(counts_by_group(names, {"x": 1, "y": 1}, seed).items())) for seed in range(40)}) == 6
    with pytest.raises(ValueError, match="4 labels can't be dealt out to 3 groups"):
        counts_by_group(names, {"x": 1, "y": 1, "z": 1}, 0)
