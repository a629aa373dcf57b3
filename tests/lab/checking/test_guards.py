"""Wrong code, in every way: each is survived, and gets a message that says what is wrong."""

import inspect
import random
import sys
import threading
import time

import example_exercises
import pytest
import torch

from labkit.lab.checking import check, judging
from labkit.lab.checking.comparing import difference
from labkit.lab.checking.form import Tolerance
from labkit.lab.checking.guards import TimeLimit, run
from labkit.lab.checking.judging import judge

known = example_exercises.lora_update


def verdict_of(answer):
    return judge(example_exercises.function_exercise, answer)


def test_an_exception_is_shown_with_the_learners_own_line():
    def answer(x, A, B, alpha):
        return x @ x

    verdict = verdict_of(answer)
    assert verdict.mark == "✗" and "RuntimeError: mat1 and mat2 shapes cannot be multiplied" in verdict.lines[0]
    line = inspect.getsourcelines(answer)[1] + 1
    assert verdict.lines[1] == f"It happens in line {line}: return x @ x"
    assert "x of shape (5, 6)" in verdict.lines[2] and "alpha = 16.0" in verdict.lines[2]


def endless(x, A, B, alpha):
    while True:
        pass


def endless_and_stubborn(x, A, B, alpha):
    while True:
        try:
            x = x + 1
        except:  # noqa: E722
            pass


@pytest.mark.parametrize("answer", [endless, endless_and_stubborn])
def test_a_loop_without_end_is_stopped(answer):
    began = time.monotonic()
    outcome = run(answer, (torch.zeros(2), None, None, 1.0), seconds=0.2)
    assert isinstance(outcome.error, TimeLimit)
    assert 0.2 <= time.monotonic() - began < 5


def test_a_loop_is_stopped_in_any_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(run(endless, (None, None, None, None), seconds=0.1)))
    thread.start()
    thread.join(10)
    assert isinstance(found[0].error, TimeLimit)


def test_no_time_limit_is_left_behind():
    for seconds in (0.001, 0.002, 0.003):  # about as long as the call takes, so that the two race
        for _ in range(20):
            run(lambda: time.sleep(0.002), (), seconds=seconds)
    time.sleep(0.05)
    assert not [thread for thread in threading.enumerate() if thread.name == "time limit"]


def test_the_message_about_a_loop_says_so():
    lines = judging.error_lines(TimeLimit(), 5.0)
    assert lines == ["Your code was stopped after 5 seconds.", "Is there a loop that never ends?"]


def test_the_learners_own_interrupt_goes_through():
    def answer(x, A, B, alpha):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("99.1", answer)
    assert sys.stdout is not None and torch.is_grad_enabled()


def recursive(x, A, B, alpha):
    return recursive(x, A, B, alpha)


def exits(x, A, B, alpha):
    sys.exit(1)


def wrong_type(x, A, B, alpha):
    return known(x, A, B, alpha).tolist()


def transposed(x, A, B, alpha):
    return known(x, A, B, alpha).T


def wrong_dtype(x, A, B, alpha):
    return known(x, A, B, alpha).double()


def not_a_number(x, A, B, alpha):
    return known(x, A, B, alpha) / 0 * 0


def sign(x, A, B, alpha):
    return -known(x, A, B, alpha)


def eight_times(x, A, B, alpha):
    return 8 * known(x, A, B, alpha)


def an_eighth(x, A, B, alpha):
    return known(x, A, B, alpha) / 8


def one_wrong(x, A, B, alpha):
    update = known(x, A, B, alpha)
    update[1, 2] += 1
    return update


def all_zero(x, A, B, alpha):
    return torch.zeros(5, 6)


def changes_another_input(x, A, B, alpha):
    update = known(x, A, B, alpha)
    A.mul_(2)
    return update


def too_few(x, A):
    return x


@pytest.mark.parametrize(
    "answer, message",
    [
        (recursive, "calls itself without end"),
        (exits, "asks Python to exit"),
        (wrong_type, "It's a list, and should be a tensor."),
        (transposed, r"Its shape is (6, 5), and should be (5, 6). Is it transposed?"),
        (wrong_dtype, "Its dtype is torch.float64, and should be torch.float32."),
        (not_a_number, "It has NaN values in it."),
        (sign, "All your values have the wrong sign."),
        (eight_times, "All your values are 8 times the expected ones."),
        (an_eighth, "All your values are 0.125 times the expected ones."),
        (one_wrong, "most of all at [1, 2]"),
        (all_zero, "It's zero everywhere."),
        (changes_another_input, "your function changes its input"),
        (too_few, "Your function takes x, A. It's called with x, A, B, alpha."),
        (torch.ones(5, 6), "check needs your function itself"),
    ],
)
def test_each_way_of_being_wrong_has_a_clear_message(answer, message, capsys):
    verdict = verdict_of(answer)
    assert verdict.mark == "✗"
    assert message in " ".join(verdict.lines)
    check("99.1", answer)  # and check prints it, without raising
    assert message in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, message",
    [
        ([True, False, False], None),
        ([True, True, False], "Its values differ, first at [1]: True, and should be False."),
        ([False, False, False], "It's False everywhere."),
        ([True, True, True], "It's True everywhere."),
        ([False, True, True], "True and False are swapped everywhere."),
    ],
)
def test_true_and_false_are_called_by_their_names(answer, message):
    expected = torch.tensor([True, False, False])
    assert difference(torch.tensor(answer), expected, Tolerance()) == message


def test_argument_names_do_not_matter():
    assert verdict_of(lambda a, b, c, d: known(a, b, c, d)).mark == "✔"


def test_a_forgotten_return_is_suspected():
    def answer(x, A, B, alpha):
        update = known(x, A, B, alpha)  # noqa: F841

    assert "Is a return missing?" in verdict_of(answer).lines[1]


def test_a_flood_of_output_is_cut(capsys):
    def answer(x, A, B, alpha):
        print("first\n" + "y" * 10**6)
        print("z\n" * 10**6, file=sys.stderr)
        return known(x, A, B, alpha)

    check("99.1", answer)
    out, err = capsys.readouterr()
    assert out.startswith("✔ 99.1 The update of a LoRA layer") and "  | first" in out
    assert len(out) < 2_000 and not err


def test_settings_are_as_before():
    def answer(x, A, B, alpha):
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(1), random.seed(1), torch.rand(3), random.random()
        return known(x, A, B, alpha)

    torch.manual_seed(7), random.seed(7)
    expected = torch.rand(3), random.random()
    torch.manual_seed(7), random.seed(7)
    assert verdict_of(answer).mark == "✔"
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.rand(3), expected[0]) and random.random() == expected[1]
