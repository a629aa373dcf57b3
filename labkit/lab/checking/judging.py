"""The verdict on an answer: not attempted, right, or wrong and why."""

import dis
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labkit.lab.checking.comparing import difference, factors
from labkit.lab.checking.explaining import (
    class_error_lines,
    class_problem,
    describe_call,
    error_lines,
    signature_problem,
)
from labkit.lab.checking.form import Case, Exercise, Mistake
from labkit.lab.checking.guards import Outcome, TimeLimit, restored_state, run
from labkit.lab.checking.typed import text_of

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
    if answer is None or answer is ... or (isinstance(answer, (list, tuple)) and {*map(id, answer)} == {id(...)}):
        return _not_attempted(exercise)
    if exercise.cases is None:
        return _judge_value(exercise, answer)
    if inspect.isclass(answer) and _is_stub_class(answer):
        return _not_attempted(exercise)
    if problem := _wrong_kind(exercise, answer):
        return problem
    with restored_state():
        cases = exercise.cases()
    if problem := signature_problem(answer, exercise.solution, cases[0].args):
        return _wrong(problem)
    first = _run(exercise, answer, cases[0])
    if _is_stub(answer, first):
        return _not_attempted(exercise, first.printed)
    if isinstance(first.error, TimeLimit):  # the other cases would only take as long again
        return _wrong(*error_lines(first.error, exercise.seconds), printed=first.printed)
    outcomes = [first, *(_run(exercise, answer, case) for case in cases[1:])]
    return _judge_outcomes(exercise, answer, outcomes, cases)


def _wrong_kind(exercise: Exercise, answer) -> Verdict | None:
    """What to say if the answer isn't a function where one is needed, or a class."""
    name = exercise.solution.__name__
    if inspect.isclass(exercise.solution):
        if not inspect.isclass(answer):
            what = "function" if inspect.isroutine(answer) else "object made from it"
            return _wrong(f"check needs your class itself, not {_an(what)}:", f'check("{exercise.id}", {name})')
        problem = class_problem(answer, exercise.solution)
        return _wrong(problem) if problem else None
    if not callable(answer):
        return _wrong("check needs your function itself, not what it returns:", f'check("{exercise.id}", {name})')
    return None


def _an(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _judge_outcomes(exercise: Exercise, answer: Callable, outcomes: list[Outcome], cases: list[Case]) -> Verdict:
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
    help = f'For help: labkit.hint("{exercise.id}")'
    if outcome.error is not None and inspect.isclass(answer):
        return _wrong(*class_error_lines(outcome.error, answer, exercise.seconds), where, help, printed=printed)
    if outcome.error is not None:
        return _wrong(*error_lines(outcome.error, exercise.seconds), where, help, printed=printed)
    if outcome.value is None:
        symptom = "Your function returns nothing" + (", and changes nothing." if exercise.observe else ".")
        return _wrong(symptom, "Is a return missing? print only shows a value.", printed=printed)
    found = difference(outcome.value, expected.value, exercise.close)
    in_place = "Operations such as +=, those ending in _, and methods such as sort or pop work in place."
    if found is None:
        advice = f"The caller still needs it as it was. {in_place}"
        return _wrong("What you return is right, but your function changes its input.", advice, printed=printed)
    also = [f"Besides, your function changes its input. {in_place}"] if outcome.changed else []
    everywhere = factors([(o.value, _run(exercise, exercise.solution, c).value) for o, c in zip(outcomes, cases)])
    return _wrong("Your answer isn't right yet.", everywhere or found, where, *also, help, printed=printed)


def _judge_value(exercise: Exercise, answer) -> Verdict:
    if inspect.isroutine(answer) or inspect.isclass(answer):
        call = f'If a function of yours works it out, call it: check("{exercise.id}", my_function(…))'
        return _wrong("check needs a value here, not a function.", call)
    found = difference(answer, _value(exercise.solution), exercise.close, tell=False)
    if found is None:
        return _right(exercise)
    for mistake in exercise.mistakes:
        if difference(answer, _value(mistake.answer), exercise.close) is None:
            return _recognised(mistake)
    return _wrong("Your answer isn't right yet.", found)


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


def _is_stub(function: Callable, outcome: Outcome) -> bool:
    """Whether the learner has not begun: the dots still stand, or there is nothing that computes."""
    if outcome.error is not None:
        return isinstance(outcome.error, NotImplementedError) and _raised_on_purpose(outcome.error)
    if outcome.value is ...:
        return True
    return outcome.value is None and (_dots_stand(function) or not _computes(function))


def _raised_on_purpose(error: BaseException) -> bool:
    """Whether a ``raise`` statement raised it. torch has the same error for what a dtype cannot do."""
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    return last.tb_frame.f_code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _dots_stand(function: Callable) -> bool:
    return any(line.split("#")[0].strip() == "..." for line in (text_of(function) or "").splitlines())


def _is_stub_class(answer: type) -> bool:
    """Whether dots still stand in a class, or there's nothing in it."""
    return _dots_stand(answer) or not set(vars(answer)) - {"__module__", "__doc__", "__dict__", "__weakref__"}


def _computes(function: Callable) -> bool:
    """Whether the function does more than return a constant, as its byte code tells."""
    idle = {"RESUME", "NOP", "CACHE", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "COPY_FREE_VARS", "MAKE_CELL"}
    code = getattr(function, "__code__", None)
    return code is not None and any(step.opname not in idle for step in dis.get_instructions(code))


def _not_attempted(exercise: Exercise, printed: str = "") -> Verdict:
    return Verdict(NOT_ATTEMPTED, (f"not attempted yet. Hint: {exercise.hints[0]}",), printed)


def _right(exercise: Exercise, printed: str = "") -> Verdict:
    return Verdict(RIGHT, (exercise.title, *([exercise.shows] if exercise.shows else [])), printed)


def _recognised(mistake: Mistake, printed: str = "") -> Verdict:
    return _wrong(mistake.symptom, mistake.misconception, mistake.look, printed=printed)


def _wrong(*lines: str, printed: str = "") -> Verdict:
    return Verdict(WRONG, lines, printed)
