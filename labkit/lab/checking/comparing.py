"""Whether two answers are the same, and if not, in what they differ, in words."""

from numbers import Integral, Number

import numpy as np
import torch
from torch import Tensor, nn

from labkit.lab.checking.form import Tolerance

EXACT = Tolerance(rtol=0, atol=0)


def difference(answer, expected, close: Tolerance) -> str | None:
    """What is wrong with `answer`, as a sentence or two; None if it is as `expected`.

    Tensors are compared by shape, dtype and values; lists, tuples and dicts item by item; modules by their
    parameters, buffers, gradients, ``requires_grad`` and mode. NaN equals NaN. Where the values came from (device,
    gradient) does not matter.
    """
    if _kind(answer) != _kind(expected):
        number_wanted = _kind(expected) == "a number" and isinstance(answer, Tensor)
        advice = " The method .item() makes a number of a tensor." if number_wanted else ""
        return f"It is {_a(answer)}, and should be {_a(expected)}.{advice}"
    if isinstance(expected, Tensor):
        return _tensor_difference(answer, expected, close)
    if isinstance(expected, (bool, np.bool_)):
        return None if bool(answer) == bool(expected) else f"It is {bool(answer)}, and should be {bool(expected)}."
    if isinstance(expected, Number):
        return _value_difference(
            _as_tensor(answer), _as_tensor(expected), EXACT if isinstance(expected, Integral) else close
        )
    if isinstance(expected, np.ndarray):
        return _tensor_difference(torch.from_numpy(answer), torch.from_numpy(expected), close)
    if isinstance(expected, str):
        return _text_difference(answer, expected)
    if isinstance(expected, (list, tuple)):
        return _list_difference(answer, expected, close)
    if isinstance(expected, dict):
        return _dict_difference(answer, expected, close)
    if isinstance(expected, nn.Module):
        return _dict_difference(_contents(answer), _contents(expected), close)
    if hasattr(expected, "state_dict") and not isinstance(
        expected, type
    ):  # optimizers, schedulers; a class has none yet
        return difference(answer.state_dict(), expected.state_dict(), close)
    return None if _same_object(answer, expected) else "It is not what was expected."


def _as_tensor(number) -> Tensor:
    """`number` in double precision, where counts up to 2⁵³ are exact."""
    if isinstance(number, complex):
        return torch.tensor(number, dtype=torch.complex128)
    return torch.tensor(float(number), dtype=torch.float64)


def _kind(value) -> str:
    """What `value` is to a learner; two answers of different kinds are not compared further."""
    kinds = [
        (Tensor, "a tensor"),
        ((bool, np.bool_), "True or False"),
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
    return f"an object of type {type(value).__name__}"


def _a(value) -> str:
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
        return "True and False are the wrong way round, everywhere."
    if answer.all() or not answer.any():
        return f"It is {bool(answer.any())}{' everywhere' if answer.numel() > 1 else ''}."
    here = bool(answer[tuple(wrong[0])])
    return f"Its values differ, first at {wrong[0].tolist()}: {here}, and should be {not here}."


def _value_difference(answer: Tensor, expected: Tensor, close: Tolerance) -> str | None:
    answer, expected = (t.to("cpu", torch.complex128 if t.is_complex() else torch.float64) for t in (answer, expected))
    if torch.allclose(answer, expected, rtol=close.rtol, atol=close.atol, equal_nan=True):
        return None
    if not answer.isfinite().all() and expected.isfinite().all():
        return f"It has {'NaN' if answer.isnan().any() else 'infinite'} values in it."
    single = answer.numel() == 1
    if answer.is_complex() or not expected.isfinite().all():
        return "Its values are not the expected ones."
    if not answer.any():
        return "It is zero." if single else "It is zero everywhere."
    factor = _constant_factor(answer, expected)
    if factor is not None:
        whole = "It is" if single else "All its values are"
        return f"{whole} {factor} the expected {'value' if single else 'ones'}."
    if single:
        return f"It is too {'large' if answer > expected else 'small'}."
    worst = (answer - expected).abs().argmax()
    place = [int(i) for i in np.unravel_index(int(worst), answer.shape)]
    here, there = answer.flatten()[worst].item(), expected.flatten()[worst].item()
    return f"Its values differ, most of all at {place}: {here:.4g}, and should be {there:.4g}."


def _constant_factor(answer: Tensor, expected: Tensor) -> str | None:
    """ "minus", "8 times" or "1/8 of", if that is how `answer` relates to `expected` everywhere."""
    factor = ((answer * expected).sum() / expected.square().sum()).item()
    if not abs(factor) > 0 or not torch.allclose(answer, factor * expected, rtol=1e-4, atol=1e-6 * abs(factor)):
        return None
    if abs(factor + 1) < 1e-4:
        return "minus"
    if abs(factor - 1) < 1e-3:  # nearly right, but not by a factor
        return None
    for amount, words in ((factor, "{} times"), (1 / factor, "1/{} of")):
        if round(amount) and abs(amount / round(amount) - 1) < 1e-4 and abs(amount) < 1e7:
            return words.format(round(amount))
    # any two numbers have some ratio: for one alone, only a round ratio says something
    return f"{factor:.3g} times" if answer.numel() > 1 else None


def _text_difference(answer: str, expected: str) -> str | None:
    if answer == expected:
        return None
    if "".join(answer.split()).casefold() == "".join(expected.split()).casefold():
        return "Only spaces, line breaks or upper and lower case are different."
    same = next((i for i, (a, b) in enumerate(zip(answer, expected)) if a != b), min(len(answer), len(expected)))
    if same == len(answer):
        return "The text ends too early."
    if not same:
        return "The text differs from its first character on."
    return f"The text is right up to {answer[max(0, same - 20) : same]!r}, and not after that."


def _list_difference(answer, expected, close: Tolerance) -> str | None:
    if len(answer) != len(expected):
        return f"Its length is {len(answer)}, and should be {len(expected)}."
    for i, (one, other) in enumerate(zip(answer, expected)):
        if found := difference(one, other, close):
            return f"Look at its item [{i}]. {found}"
    return None


def _dict_difference(answer: dict, expected: dict, close: Tolerance) -> str | None:
    for problem, keys in (
        ("lacks", expected.keys() - answer.keys()),
        ("has a surplus", answer.keys() - expected.keys()),
    ):
        if keys:
            return f"It {problem} {', '.join(sorted(repr(key) for key in keys)[:5])}."
    for key in expected:
        if found := difference(answer[key], expected[key], close):
            return f"Look at its {key!r}. {found}"
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
