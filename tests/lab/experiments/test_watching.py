"""Batches that tell how far a loop has come, whichever way it goes through them."""

import pytest

from labkit.lab.experiments.watching import Watched


def for_each(batches):
    yield from batches


def by_number(batches):
    for step in range(len(batches)):
        yield batches[step]


def counted(batches):
    for _, batch in enumerate(batches):
        yield batch


@pytest.mark.parametrize("loop", [for_each, by_number, counted])
def test_a_loop_gets_the_batches_and_the_looks_come_between_its_steps(loop):
    happened = []
    watched = Watched("abc", look=lambda done: happened.append(f"{done} done"))
    for batch in loop(watched):
        happened.append(batch)
    last = ["3 done"] if loop is not by_number else []  # it asks for no fourth batch
    assert happened == ["0 done", "a", "1 done", "b", "2 done", "c", *last]


def test_a_batch_asked_for_twice_is_no_further_step():
    looks = []
    watched = Watched([[1, 2], [3, 4]], look=looks.append)
    assert [watched[0][0], watched[0][1], watched[1][0], watched[0][0]] == [1, 2, 3, 1]
    assert looks == [0, 1]


def test_it_is_as_long_as_the_batches_and_ends_like_a_list():
    watched = Watched("abc")
    assert len(watched) == 3 and list(watched) == list("abc") and watched[-1] == "c" and watched[:2] == "ab"
    with pytest.raises(IndexError):
        watched[3]


def test_in_a_notebook_the_bar_follows(monkeypatch):
    boxes = []
    monkeypatch.setattr("labkit.lab.experiments.watching.in_notebook", lambda: True)
    monkeypatch.setattr("labkit.lab.experiments.watching.show_widget", lambda box, text: boxes.append((box, text)))
    watched = Watched("abcd", title="yours")
    [(box, text)] = boxes
    title, bar, label = box.children
    assert title.value == "yours" and "yours: a progress bar" in text
    watched[0], watched[1]
    assert bar.value == 1 and label.value.startswith("step 1 of 4 · ") and bar.bar_style == ""
    assert list(watched) == list("abcd")
    assert bar.value == 4 and label.value == "step 4 of 4" and bar.bar_style == "success"
