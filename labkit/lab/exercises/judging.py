"""The verdict on an answer: not attempted, right, or wrong and why."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labkit.lab.exercises.comparing import difference
from labkit.lab.exercises.explaining import describe_call, error_lines, signature_problem
from labkit.lab.exercises.form import Case, Exercise, Mistake
from labkit.lab.exercises.guards import Outcome, TimeLimit, restored_state, run

NOT_ATTEMPTED, RIGHT, WRONG = "○", "✔", "✗"


@dataclass(frozen=True)
class Verdict:
    """A mark, the lines beside and below it, and the beginning of what the learner's code printed."""

    mark: str
    lines: tuple[str, ...]
    printed: str = ""


def judge(exercise: Exercise, answer) -> Verdict:
    """Compare `answer` with the solution; if it is wrong, recognise a known mistake.

    Args:
        exercise: the exercise.
        answer: the learner's function, or value.

    Raises:
        KeyboardInterrupt: the learner's own, only.
    """
    if answer is None or answer is ...:
        return _not_attempted(exercise)
    if exercise.cases is None:
        return _judge_value(exercise, answer)
    if not callable(answer):
        return _wrong("check needs your function itself, not what it returns:", f'check("{exercise.id}", my_function)')
    with restored_state():
        cases = exercise.cases()
    if problem := signature_problem(answer, exercise.solution, cases[0].args):
        return _wrong(problem)
    first = _run(exercise, answer, cases[0])
    if _is_stub(first):
        return _not_attempted(exercise, answer)
    if isinstance(first.error, TimeLimit):  # the other cases would only take as long again
        return _wrong(*error_lines(first.error, exercise.seconds), printed=first.printed)
    outcomes = [first, *(_run(exercise, answer, case) for case in cases[1:])]
    return _judge_outcomes(exercise, outcomes, cases)


def _judge_outcomes(exercise: Exercise, outcomes: list[Outcome], cases: list[Case]) -> Verdict:
    def agrees(function: Callable) -> Iterator[bool]:
        """Case by case, whether `function` does what the learner's did."""
        return (_alike(outcome, _run(exercise, function, case), exercise) for outcome, case in zip(outcomes, cases))

    printed, right = outcomes[0].printed, list(agrees(exercise.solution))
    if all(right):
        return _right(exercise, printed)
    for mistake in exercise.mistakes:
        if all(agrees(mistake.answer)):
            return _recognised(mistake, printed)
    wrong = right.index(False)
    outcome, case = outcomes[wrong], cases[wrong]
    expected = _run(exercise, exercise.solution, case)
    where = describe_call(exercise.solution, case.args, f"case {wrong + 1} of {len(cases)}")
    if outcome.error is not None:
        return _wrong(*error_lines(outcome.error, exercise.seconds), where, printed=printed)
    found = difference(outcome.value, expected.value, exercise.close)
    if found is None:
        advice = "The caller still needs it as it was. Operations such as += and those ending in _ work in place."
        return _wrong("What you return is right, but your function changes its input.", advice, printed=printed)
    return _wrong("Your answer is not right yet.", found, where, printed=printed)


def _judge_value(exercise: Exercise, answer) -> Verdict:
    if inspect.isroutine(answer) or inspect.isclass(answer):
        return _wrong("check needs the value here, not a function:", f'check("{exercise.id}", my_function(…))')
    found = difference(answer, _value(exercise.solution), exercise.close)
    if found is None:
        return _right(exercise)
    for mistake in exercise.mistakes:
        if difference(answer, _value(mistake.answer), exercise.close) is None:
            return _recognised(mistake)
    return _wrong("Your answer is not right yet.", found)


def _value(answer):
    if not callable(answer):
        return answer
    with restored_state():
        return answer()


def _run(exercise: Exercise, function: Callable, case: Case) -> Outcome:
    return run(function, case.args, exercise.observe, exercise.seconds)


def _alike(outcome: Outcome, other: Outcome, exercise: Exercise) -> bool:
    if repr(outcome.error) != repr(other.error) or outcome.changed != other.changed:
        return False
    return outcome.error is not None or difference(outcome.value, other.value, exercise.close) is None


def _is_stub(outcome: Outcome) -> bool:
    if outcome.error is not None:
        return isinstance(outcome.error, NotImplementedError)
    return outcome.value is None or outcome.value is ...


def _not_attempted(exercise: Exercise, function: Callable | None = None) -> Verdict:
    lines = [f"not attempted yet. Hint: {exercise.hints[0]}"]
    code = getattr(function, "__code__", None)
    if code is not None and code.co_nlocals > code.co_argcount:
        lines.append("If you have written it: your function returns None. Is a return missing?")
    return Verdict(NOT_ATTEMPTED, tuple(lines))


def _right(exercise: Exercise, printed: str = "") -> Verdict:
    return Verdict(RIGHT, (exercise.title, *([exercise.shows] if exercise.shows else [])), printed)


def _recognised(mistake: Mistake, printed: str = "") -> Verdict:
    return _wrong(mistake.symptom, mistake.misconception, f"Where to look: {mistake.look}", printed=printed)


def _wrong(*lines: str, printed: str = "") -> Verdict:
    return Verdict(WRONG, lines, printed)
