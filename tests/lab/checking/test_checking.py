import ast
import importlib
import inspect
from fractions import Fraction
from pathlib import Path

import example_exercises
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from labkit.errors import ConfigError
from labkit.lab import content
from labkit.lab.checking import all_exercises, check, exercise, guards, hint, solution
from labkit.lab.checking.comparing import EXACT, difference, factors
from labkit.lab.checking.explaining import describe_call
from labkit.lab.checking.form import Tolerance
from labkit.lab.checking.judging import judge
from labkit.lab.checking.wording import told_apart

every_exercise = pytest.mark.parametrize(
    "each", [*all_exercises(), *example_exercises.EVERY_KIND], ids=lambda each: each.id
)
known = example_exercises.lora_update


def value_of(answer, each):
    """A value exercise may give its answers as functions that compute them."""
    return answer() if each.cases is None and callable(answer) else answer


# every exercise of the course, whatever it is


@every_exercise
def test_the_solution_passes(each):
    verdict = judge(each, value_of(each.solution, each))
    assert verdict.mark == "✔" and verdict.lines[0] == each.title


@pytest.mark.parametrize("each", all_exercises(), ids=lambda each: each.id)
def test_no_solution_fails_in_a_case_since_every_answer_that_fails_alike_would_be_right(each):
    for case in each.cases() if each.cases else ():
        assert guards.run(each.solution, case.args, each.observe, each.seconds).error is None


@every_exercise
def test_a_stub_is_not_attempted(each):
    def stub(*args): ...

    def unfinished(*args):
        raise NotImplementedError

    class Untouched(nn.Module):
        def __init__(self, *args):
            super().__init__()
            ...

    class Empty(nn.Module): ...

    functions = [] if each.cases is None or isinstance(each.solution, type) else [stub, unfinished, lambda *args: ...]
    stubs = [None, ..., *functions, *([Untouched, Empty] if isinstance(each.solution, type) else [])]
    for answer in stubs:
        verdict = judge(each, answer)
        assert verdict.mark == "○" and each.hints[0] in verdict.lines[0]


@every_exercise
def test_each_known_mistake_is_told_by_its_own_message(each):
    verdicts = [judge(each, value_of(mistake.answer, each)) for mistake in each.mistakes]
    for mistake, verdict in zip(each.mistakes, verdicts):
        told = f"the cases do not tell {mistake.answer} apart: it gets {verdict.lines[0]!r}"
        assert verdict.mark == "✗" and verdict.lines[0] == mistake.symptom, told
    texts = {(mistake.symptom, mistake.misconception, mistake.look) for mistake in each.mistakes}  # some share theirs
    assert len({verdict.lines for verdict in verdicts}) == len(texts) >= 3


@every_exercise
def test_messages_are_whole_sentences(each):
    for mistake in each.mistakes:
        for said in (mistake.symptom, mistake.misconception, mistake.look):
            assert said[-1] in ".?!", f"it has no end: {said!r}"
            assert "where to look" not in said.lower(), f"the look is the place itself: {said!r}"
        for said in (mistake.symptom, mistake.look):  # `code` keeps its own case
            assert said[0].isupper() or said[0] == "`", f"it has no capital letter: {said!r}"
        assert " " in mistake.look, f"it's no sentence: {mistake.look!r}"


@pytest.mark.parametrize("notebook", content.notebooks())
def test_each_mistake_is_beside_its_message(notebook):
    """Its code is in the Mistake, or right below @mistake: none is defined in one place and described in another."""
    path = Path(importlib.import_module(f"labkit.course.nb{notebook}").__file__).with_name("exercises.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Mistake"]
    answers = [call.args[0] if call.args else call.keywords[0].value for call in calls]
    far = [answer.id for answer in answers if isinstance(answer, ast.Name) and answer.id in functions]
    assert far == [], "put @mistake(…) above each"


@every_exercise
def test_inputs_are_fresh_and_the_same_each_time(each):
    if each.cases is None:
        return
    with guards.restored_state():
        first = each.cases()
    with guards.restored_state():
        second = each.cases()
    for one, other in zip(first, second, strict=True):
        assert difference(one.args, other.args, EXACT) is None
        assert not any(a is b for a, b in zip(one.args, other.args) if isinstance(a, torch.Tensor))


@every_exercise
def test_the_prompt_does_not_give_the_solution_away_and_hints_go_deeper(each):
    assert each.prompt and len(set(each.hints)) == len(each.hints) >= 2


def worked_out_but_not_returned(x, A, B, alpha):
    print(alpha / A.shape[0] * (x @ A.T @ B.T))


def a_bare_line(x, A, B, alpha):
    alpha / A.shape[0] * (x @ A.T @ B.T)


def a_line_above_the_dots(x, A, B, alpha):
    r = A.shape[0]  # noqa: F841
    ...


@pytest.mark.parametrize("answer", [worked_out_but_not_returned, a_bare_line])
def test_work_that_is_not_returned_is_no_stub(answer):
    verdict = judge(example_exercises.function_exercise, answer)
    assert verdict.mark == "✗" and verdict.lines[0] == "Your function returns nothing."
    assert ("tensor(" in verdict.printed) == (answer is worked_out_but_not_returned)


def test_as_long_as_the_dots_stand_nothing_is_wrong():
    assert judge(example_exercises.function_exercise, a_line_above_the_dots).mark == "○"
    assert judge(example_exercises.value_exercise, [..., ...]).mark == "○"


def test_what_torch_cannot_do_is_no_stub():
    def squared(x, A, B, alpha):
        return x ^ 2

    verdict = judge(example_exercises.function_exercise, squared)
    assert verdict.mark == "✗" and "bitwise_xor" in verdict.lines[0] and "return x ^ 2" in verdict.lines[1]


def test_an_unknown_wrong_number_is_shown_beside_the_expected_one():
    each = next(each for each in all_exercises() if each.id == "00.1")
    verdict = judge(each, lambda trained, total: trained / total + 7)
    assert verdict.lines[:2] == ("Your answer isn't right yet.", "Yours is 7.25; expected 0.25.")
    assert verdict.lines[-1] == 'For help: labkit.hint("00.1")'


def test_an_input_changed_besides_a_wrong_answer_is_told_as_well():
    def sorts(x, A, B, alpha):
        x.zero_()
        return B @ A

    verdict = judge(example_exercises.function_exercise, sorts)
    assert verdict.mark == "✗" and any(line.startswith("Besides, your function changes") for line in verdict.lines)


def test_the_exercise_comes_first(capsys):
    check(known, "99.1")
    assert capsys.readouterr().out == 'The exercise comes first, as a text: check("00.1", my_answer).\n'


def test_a_wrong_value_is_described_without_giving_the_right_one_away():
    right = example_exercises.share_trained()
    for answer, message in [
        (right * 1.3, "It's too large."),
        (right / 8, "It's too small."),
        (torch.tensor(right / 8), "It's too small."),
        ("0.0034", "It's a text, and should be a number."),
        (right + 0j, "It's a complex number, and should be a number."),
        (True, "It's True, and should be a number."),
        (torch.tensor([right, right]), "It's a tensor, and should be a number."),
        (float("nan"), "NaN"),
        (lambda: right, "not a function"),
    ]:
        verdict = judge(example_exercises.value_exercise, answer)
        assert verdict.mark == "✗" and message in " ".join(verdict.lines)
        assert "0.0034256" not in " ".join(verdict.lines)


# what is printed


def test_a_wrong_answer_in_full(capsys):
    check("99.1", example_exercises._not_divided_by_r)
    assert capsys.readouterr().out == (
        "✗ 99.1 Your update is r times too large.\n  alpha is not the scaling.\n  Use alpha / r.\n"
    )


def test_without_an_answer_in_full(capsys):
    assert check("99.1") is None
    assert capsys.readouterr().out == "○ 99.1 not attempted yet. Hint: Which of A and B comes first?\n"


def test_hints_go_deeper(capsys):
    for _ in range(3):
        hint("99.2")
    first, second, last, *_ = capsys.readouterr().out.split("Hint ")[1:]
    assert first == "1 of 2: Count A and B of one layer.\n"
    assert second == last and "last hint" in last


def test_the_solution_shows_source_and_explanation(capsys):
    solution("99.1")
    out = capsys.readouterr().out
    assert inspect.getsource(known).strip() in out and example_exercises.function_exercise.explanation in out
    shown = {}
    exec(out.split("\n\n")[0], shown)  # what is shown, typed in, passes
    assert judge(example_exercises.function_exercise, shown["lora_update"]).mark == "✔"


@pytest.mark.parametrize("unknown", ["03.999", "98.1", "nonsense", "", None, 3.1, []])
def test_an_unknown_id_lists_the_known_ones(unknown, capsys):
    check(unknown, 1)
    hint(unknown)
    solution(unknown)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(line.startswith("There's no exercise") for line in lines)
    assert all(each.id in lines[0] for each in all_exercises())


def test_an_answer_that_cannot_be_compared_does_not_raise(capsys):
    class Hostile(float):
        def __float__(self):
            raise ZeroDivisionError

    check("99.2", Hostile(1))
    assert "can't be judged" in capsys.readouterr().out


# the comparison


@pytest.mark.parametrize(
    "answer, expected, message",
    [
        (460_801, 460_800, "Yours is 460,801; expected 460,800."),
        (256, 256.04, "Yours is 256; expected 256.04."),
        (134_515_008.5, 134_515_008, "Yours is 134,515,008.5; expected 134,515,008."),
        (1e-9, 0.001, "Yours is 1e-09; expected 0.001."),
        (10**400, 3, "It's infinite."),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), "differ"),
        ([1, [2, "a"]], [1, [2, "b"]], "item [1]. Look at its item [1]."),
        ({"a": 1}, {"a": 1, "b": 2}, "lacks 'b'"),
        ({"a": 1, "b": 2}, {"a": 1}, "surplus 'b'"),
        ("q_proj ", "q_proj", "Only spaces"),
        ("q_prod", "q_proj", "right up to 'q_pro', and not after that. Yours is 'q_prod'; expected 'q_proj'."),
        ({"the answer before training": 1}, {"the answer before training": 2}, "Look at the answer before training."),
        (1, True, "It's a number, and should be True."),
        (nn.ReLU, nn.Linear, "It isn't the expected class."),
        (True, False, "should be False"),
        (float("inf"), 1.0, "infinite"),
        (nn.Linear(2, 2), nn.Linear(2, 2), "Look at its 'weight'"),
    ],
)
def test_difference_in_words(answer, expected, message):
    assert message in difference(answer, expected, Tolerance())
    assert difference(expected, expected, EXACT) is None


@pytest.mark.parametrize("right", [3, 3.0, np.int64(3), np.float32(3), torch.tensor(3), torch.tensor(3.0)])
def test_whatever_holds_one_number_is_accepted(right):
    for answer in (3, 3.0, np.float64(3), np.ones(1) * 3, torch.tensor(3), torch.tensor([[3.0]]), Fraction(3)):
        assert difference(answer, right, Tolerance()) is None
    for answer in (True, "3", 3j, torch.tensor(True), torch.tensor(3j), torch.tensor([3, 3]), [3], None):
        assert "should be" in difference(answer, right, Tolerance()) or isinstance(right, torch.Tensor)
        assert difference(answer, right, Tolerance()) is not None


def test_whole_numbers_are_exact_and_others_close():
    assert difference(1_000_000.5, 1_000_000, Tolerance()) is not None
    assert difference(1_000_000.5, 1_000_000.0, Tolerance()) is None


def test_a_loss_to_train_on_has_to_stay_a_tensor():
    loss = torch.tensor(3.0, requires_grad=True)
    assert difference(3.0, loss, Tolerance()) == "It's a number, and should be a tensor."
    assert difference(loss, 3.0, Tolerance()) is None


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_two_numbers_are_shown_with_digits_enough_to_differ(one, other):
    shown = told_apart(one, other)
    assert (shown[0] != shown[1]) == (repr(one) != repr(other)) or one == other
    assert all(
        float(text.replace(",", "")) == pytest.approx(number, rel=1e-3) for text, number in zip(shown, (one, other))
    )


# a factor is named only where it's no coincidence


def times(*factors):
    return [(factor * (values := torch.randn(5, 6)), values) for factor in factors]


@pytest.mark.parametrize(
    "pairs, message",
    [
        (times(8, 8), "All your values are 8 times the expected ones."),
        (times(0.125), "All your values are 0.125 times the expected ones."),
        (times(1, 1), None),
        (times(-1, -1), "All your values have the wrong sign."),
        (times(2, 8), "All your values are the expected ones times a number: 2 in case 1, 8 in case 2."),
        ([*times(8), (torch.randn(5, 6), torch.randn(5, 6))], None),
        ([(2.0, 1.0), (2.0, 1.0)], None),
        ([(torch.tensor([2.0, 4]), torch.tensor([1.0, 2]))], None),
        ([(torch.full((9,), 2.0), torch.ones(9))], None),
        ([(torch.zeros(9), torch.arange(9.0))], None),
        ([(torch.full((9,), torch.nan), torch.arange(9.0))], None),
        ([], None),
    ],
)
def test_a_factor_is_named_only_if_it_holds_for_many_values_in_every_case(pairs, message):
    assert factors(pairs) == message


def test_a_number_that_happens_to_be_a_multiple_is_no_factor():
    each = next(each for each in all_exercises() if each.id == "00.1")
    assert "times" not in " ".join(judge(each, lambda trained, total: 8 * trained / total).lines)


def test_a_frozen_parameter_a_mode_and_a_gradient_are_differences():
    def layer():
        torch.manual_seed(0)
        return nn.Linear(2, 2)

    frozen, used = layer().requires_grad_(False), layer()
    used(torch.ones(1, 2)).sum().backward()
    assert difference(layer(), layer(), EXACT) is None
    for changed in (frozen, used, layer().eval()):
        assert difference(changed, layer(), EXACT) is not None


# the form


@pytest.mark.parametrize(
    "change, message",
    [
        ({"id": "3.1"}, "notebook.number"),
        ({"title": "Another"}, "there already"),
        ({"difficulty": 6}, "1 to 5"),
        ({"mistakes": []}, "at least three"),
        ({"hints": []}, "must not be empty"),
    ],
)
def test_an_incomplete_exercise_is_refused(change, message):
    fields = {
        name: getattr(example_exercises.value_exercise, name) for name in example_exercises.value_exercise.__dict__
    }
    with pytest.raises(ConfigError, match=message):
        exercise(**{**fields, **change})
    assert exercise(**fields) == example_exercises.value_exercise


def test_the_input_is_told_by_its_shapes():
    def blend(adapters, weights, x):
        return None

    adapters = [(torch.randn(2, 5), torch.randn(4, 2), 0.5)] * 2
    assert describe_call(blend, (adapters, [0.3, -0.4], torch.ones(3, 5)), "case 1 of 2") == (
        "With adapters = [(2×5 tensor, 4×2 tensor, 0.5), (2×5 tensor, 4×2 tensor, 0.5)], weights = [0.3, -0.4], "
        "x of shape (3, 5) (case 1 of 2)."
    )
    assert "adapters (a list)" in describe_call(blend, (adapters * 5, [], 1), "case 2 of 2")
