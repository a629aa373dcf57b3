"""Training loops of other libraries are halted after each step, so that they can take turns."""

import pytest

from benchmarks.side_by_side import Halting, in_turn


def test_a_loop_goes_on_by_one_step_a_call():
    done = []

    def loop(halt):
        for step in range(5):
            done.append(step)
            halt(step / 2)

    halting = Halting(loop)
    assert done == [] and halting.losses == []
    for step in range(5):
        halting()
        assert done == list(range(step + 1)) and halting.losses == [number / 2 for number in done]


def test_loops_take_turns():
    order = []

    def loop_of(name):
        def loop(halt):
            while True:
                order.append(name)
                halt(0.0)

        return loop

    times = in_turn({name: Halting(loop_of(name)) for name in "abc"}, rounds=2)
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert all(len(taken) == 2 for taken in times.values())


def test_an_error_in_the_loop_reaches_the_caller():
    def loop(halt):
        halt(1.0)
        raise InterruptedError("in the second step")

    halting = Halting(loop)
    halting()
    with pytest.raises(InterruptedError, match="in the second step"):
        halting()
