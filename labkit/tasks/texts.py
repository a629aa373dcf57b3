"""What a field of a row may hold: text, and what is said where it holds something else."""

from collections.abc import Mapping

from labkit.errors import DataError

_AS_TEXT = 'Put it in quotes; an answer that is JSON itself goes in as text: "{\\"total\\": 87}"'


def refuse_unless_text(value: object, name: str, source: str, remedy: str = _AS_TEXT) -> None:
    """DataError where `value` isn't a string that says something. `name` is what holds it, such as ``"prompt"``."""
    if not isinstance(value, str):
        raise DataError(f"{name} is {json_type(value)}, not a string", remedy, source)
    if not value.strip():
        raise DataError(f"{name} is empty", "Fill it in, or remove the row", source)
    try:
        value.encode()
    except UnicodeEncodeError:
        problem = f"{name} holds half a character (a lone \\ud800 … \\udfff)"
        raise DataError(problem, "Write the character itself", source) from None


def json_type(value: object) -> str:
    """What JSON calls the type of `value`."""
    if isinstance(value, Mapping):
        return "an object"
    names = {list: "a list", tuple: "a list", str: "a string", bool: "true or false"}
    names |= {type(None): "null", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)
