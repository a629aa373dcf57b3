"""Whether two answers are the same, and if not, in what they differ, in words."""

import inspect
import math
from numbers import Integral, Number, Real

import numpy as np
import torch
from torch import Tensor, nn

from labkit.lab.checking.form import Tolerance
from labkit.lab.checking.wording import told_apart

EXACT = Tolerance(rtol=0, atol=0)


def difference(answer, expected, close: Tolerance, *, tell: bool = True) -> str | None:
    """What's wrong with `answer`, as a sentence or two; None if it's as `expected`.

    Tensors are compared by shape, dtype and values; lists, tuples and dicts item by item; modules by their
    parameters, buffers, gradients, ``requires_grad`` and mode. NaN equals NaN. Where the values came from (device,
    gradient) doesn't matter. Where a number is expected, an int, a float and a tensor of one number are all the same.

    Args:
        answer, expected: any two values.
        close: how close is right.
        tell: whether the sentence may give an expected number or text away.
    """
    if _asks_for_a_number(expected, answer) and _is_number(answer):
        return _number_difference(_number(answer), _number(expected), close, tell)
    if _kind(answer) != _kind(expected):
        return f"It's {_a(answer)}, and should be {_a(expected)}."
    if isinstance(expected, Tensor):
        return _tensor_difference(answer, expected, close)
    if isinstance(expected, (bool, np.bool_)):
        return None if bool(answer) == bool(expected) else f"It's {bool(answer)}, and should be {bool(expected)}."
    if isinstance(expected, Number):
        return None if answer == expected else "It isn't the expected number."
    if isinstance(expected, np.ndarray):
        return _tensor_difference(torch.from_numpy(answer), torch.from_numpy(expected), close)
    if isinstance(expected, str):
        return _text_difference(answer, expected, tell)
    if isinstance(expected, (list, tuple)):
        return _list_difference(answer, expected, close, tell)
    if isinstance(expected, dict):
        return _dict_difference(answer, expected, close, tell)
    if isinstance(expected, type):
        return None if answer is expected else "It isn't the expected class."
    if isinstance(expected, nn.Module):
        return _dict_difference(_contents(answer), _contents(expected), close, tell)
    if hasattr(expected, "state_dict") and not isinstance(expected, type):  # optimizers, schedulers
        return difference(answer.state_dict(), expected.state_dict(), close, tell=tell)
    return None if _same_object(answer, expected) else "It isn't what was expected."


def factors(pairs: list[tuple]) -> str | None:
    """A sentence, if every answer is its expected tensor times a number: one for each case, or the same for all.

    Two numbers always have a ratio, and a few may have one by accident, so only tensors of many different values are
    evidence, and only if it holds in all of `pairs`, answers and expected values.
    """
    found = [_factor(answer, expected) for answer, expected in pairs]
    if None in found or not found:
        return None
    shown = [f"{factor:.3g}" for factor in found]
    if set(shown) == {"1"}:
        return None
    if len(set(shown)) > 1:
        cases = ", ".join(f"{factor} in case {number}" for number, factor in enumerate(shown, start=1))
        return f"All your values are the expected ones times a number: {cases}."
    if shown[0] == "-1":
        return "All your values have the wrong sign."
    return f"All your values are {shown[0]} times the expected ones."


def _factor(answer, expected) -> float | None:
    """`answer` / `expected`, if that's the same for all of many different values."""
    tensors = isinstance(answer, Tensor) and isinstance(expected, Tensor)
    if not tensors or answer.shape != expected.shape or answer.dtype != expected.dtype or answer.is_complex():
        return None
    answer, expected = (values.detach().cpu().double().flatten() for values in (answer, expected))
    if len(expected.unique()) < 4 or not (answer.isfinite().all() and expected.isfinite().all()):
        return None
    factor = ((answer * expected).sum() / expected.square().sum()).item()
    alike = torch.allclose(answer, factor * expected, rtol=1e-4, atol=1e-6 * abs(factor))
    return factor if alike and factor else None


def _asks_for_a_number(expected, answer) -> bool:
    """Whether any kind of number will do. A loss that somebody calls backward on has to be a tensor."""
    if isinstance(expected, (Tensor, np.ndarray)) and expected.ndim:
        return False
    trained = isinstance(expected, Tensor) and expected.requires_grad
    return _is_number(expected) and (isinstance(answer, Tensor) or not trained)


def _is_number(value) -> bool:
    """Whether `value` is one real number: not a truth value, and a tensor only if it's a single number."""
    if isinstance(value, Tensor):
        return value.numel() == 1 and value.dtype != torch.bool and not value.is_complex()
    if isinstance(value, np.ndarray):
        return value.size == 1 and value.dtype.kind in "iuf"
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def _number(value) -> int | float:
    value = value.item() if hasattr(value, "item") else value
    try:
        return int(value) if isinstance(value, Integral) and abs(float(value)) < math.inf else float(value)
    except OverflowError:  # an int beyond all floats
        return math.inf if value > 0 else -math.inf


def _number_difference(answer: int | float, expected: int | float, close: Tolerance, tell: bool) -> str | None:
    whole = isinstance(expected, int)
    if answer == expected or (math.isnan(answer) and math.isnan(expected)):
        return None
    if not math.isfinite(answer) and math.isfinite(expected):
        return f"It's {'NaN, not a number' if math.isnan(answer) else 'infinite'}."
    if not whole and abs(answer - expected) <= close.atol + close.rtol * abs(expected):
        return None
    if not tell:
        return f"It's too {'large' if answer > expected else 'small'}."
    yours, right = told_apart(answer, expected)
    return f"Yours is {yours}; expected {right}."


def _kind(value) -> str:
    """What `value` is to a learner; two answers of different kinds aren't compared further."""
    kinds = [
        (Tensor, "a tensor"),
        ((bool, np.bool_), "True or False"),
        ((complex, np.complexfloating), "a complex number"),
        (Number, "a number"),
        (np.ndarray, "a numpy array"),
        (str, "a text"),
        ((list, tuple), "a list"),
        (dict, "a dict"),
    ]
    for types, kind in kinds:
        if isinstance(value, types):
            return kind
    if value is None or value is ...:
        return "None" if value is None else "still the dots"
    if isinstance(value, type):
        return "a class"
    if inspect.isroutine(value):
        return "a function"
    return f"an object of type {type(value).__name__}"


def _a(value) -> str:
    if isinstance(value, (bool, np.bool_)):
        return f"{bool(value)}"
    return "a tuple" if isinstance(value, tuple) else _kind(value)


def _tensor_difference(answer: Tensor, expected: Tensor, close: Tolerance) -> str | None:
    if answer.shape != expected.shape:
        hint = " Is it transposed?" if answer.ndim == 2 and answer.T.shape == expected.shape else ""
        return f"Its shape is {tuple(answer.shape)}, and should be {tuple(expected.shape)}.{hint}"
    if answer.dtype != expected.dtype:
        return f"Its dtype is {answer.dtype}, and should be {expected.dtype}."
    if expected.dtype == torch.bool:
        return _truth_difference(answer, expected)
    exact = not (expected.is_floating_point() or expected.is_complex())
    return _value_difference(answer.detach(), expected.detach(), EXACT if exact else close)


def _truth_difference(answer: Tensor, expected: Tensor) -> str | None:
    wrong = (answer.cpu() != expected.cpu()).nonzero()
    if not len(wrong):
        return None
    if len(wrong) == answer.numel() > 1:
        return "True and False are swapped everywhere."
    if answer.all() or not answer.any():
        return f"It's {bool(answer.any())}{' everywhere' if answer.numel() > 1 else ''}."
    here = bool(answer[tuple(wrong[0])])
    return f"Its values differ, first at {wrong[0].tolist()}: {here}, and should be {not here}."


def _value_difference(answer: Tensor, expected: Tensor, close: Tolerance) -> str | None:
    answer, expected = (t.to("cpu", torch.complex128 if t.is_complex() else torch.float64) for t in (answer, expected))
    if torch.allclose(answer, expected, rtol=close.rtol, atol=close.atol, equal_nan=True):
        return None
    if not answer.isfinite().all() and expected.isfinite().all():
        return f"It has {'NaN' if answer.isnan().any() else 'infinite'} values in it."
    if answer.is_complex() or not expected.isfinite().all():
        return "Its values aren't the expected ones."
    if not answer.any():
        return "It's zero everywhere."
    worst = (answer - expected).abs().argmax()
    place = [int(i) for i in np.unravel_index(int(worst), answer.shape)]
    here, there = told_apart(answer.flatten()[worst].item(), expected.flatten()[worst].item())
    return f"Its values differ, most of all at {place}: {here}, and should be {there}."


def _text_difference(answer: str, expected: str, tell: bool) -> str | None:
    if answer == expected:
        return None
    both = f" Yours is {answer!r}; expected {expected!r}." if tell and max(len(answer), len(expected)) <= 60 else ""
    if "".join(answer.split()).casefold() == "".join(expected.split()).casefold():
        return f"Only spaces, line breaks or upper and lower case are different.{both}"
    same = next((i for i, (a, b) in enumerate(zip(answer, expected)) if a != b), min(len(answer), len(expected)))
    if same == len(answer):
        return f"The text ends too early.{both}"
    if not same:
        return f"The text differs from its first character on.{both}"
    return f"The text is right up to {answer[max(0, same - 20) : same]!r}, and not after that.{both}"


def _list_difference(answer, expected, close: Tolerance, tell: bool) -> str | None:
    if len(answer) != len(expected):
        return f"Its length is {len(answer)}, and should be {len(expected)}."
    for i, (one, other) in enumerate(zip(answer, expected)):
        if found := difference(one, other, close, tell=tell):
            return f"Look at its item [{i}]. {found}"
    return None


def _dict_difference(answer: dict, expected: dict, close: Tolerance, tell: bool) -> str | None:
    for problem, keys in (
        ("lacks", expected.keys() - answer.keys()),
        ("has a surplus", answer.keys() - expected.keys()),
    ):
        if keys:
            return f"It {problem} {', '.join(sorted(repr(key) for key in keys)[:5])}."
    for key in expected:
        if found := difference(answer[key], expected[key], close, tell=tell):
            # what `observe` saw has a phrase for its name: "the answer before training"
            place = f"Look at {key}." if isinstance(key, str) and " " in key else f"Look at its {key!r}."
            return f"{place} {found}"
    return None


def _contents(module: nn.Module) -> dict:
    state = {name: value.detach() for name, value in module.state_dict(keep_vars=True).items()}
    trained = {f"{name}.requires_grad": p.requires_grad for name, p in module.named_parameters()}
    grads = {f"{name}.grad": p.grad for name, p in module.named_parameters()}
    modes = {f"{name or 'model'}.training": part.training for name, part in module.named_modules()}
    return {**state, **trained, **grads, **modes}


def _same_object(answer, expected) -> bool:
    if type(expected).__eq__ is not object.__eq__:
        return bool(answer == expected)
    # copies of an object without an equality of its own are the same if what they hold is
    return answer is expected or (
        hasattr(expected, "__dict__") and difference(vars(answer), vars(expected), EXACT) is None
    )
