"""The text of a function or class as its author typed it, and with what else it needs to run somewhere else."""

import ast
import inspect
import linecache
import sys
import textwrap
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType

_PLAIN = (bool, int, float, str, type(None))  # a setting of another cell, such as RANK = 8
_COMES_ALONG = 30  # what an answer uses from other cells; more than that is a program


def text_of(answer) -> str | None:
    """The definition of `answer`, a function or class; None for anything else, or where there's no text.

    A class in a notebook has no file that Python would look in, so it's looked up where its methods are.
    """
    if isinstance(answer, FunctionType):
        try:
            return textwrap.dedent(inspect.getsource(answer))
        except (OSError, TypeError, IndentationError):
            return None
    return _text_of_class(answer) if inspect.isclass(answer) else None


def text_to_keep(answer) -> str | None:
    """The definition of `answer`, below everything of other cells that it uses; None where there's no text to keep."""
    text = text_of(answer)
    if text is None or _defined_name(text) is None:
        return None
    return "\n\n".join([*_used_by(text, _surroundings(answer), {_defined_name(text)}), text.rstrip()]) + "\n"


def last_defined(text: str) -> str:
    """The name that the last statement of `text` defines.

    Raises:
        ValueError: there's none.
        SyntaxError: it's no Python.
    """
    ast.parse(text)
    if (name := _defined_name(text)) is None:
        raise ValueError("it defines nothing")
    return name


def _defined_name(text: str) -> str | None:
    try:
        last = (ast.parse(text).body or [None])[-1]
    except SyntaxError:  # a lambda in the middle of a line that was cut
        return None
    if isinstance(last, ast.Assign) and isinstance(last.value, ast.Lambda) and isinstance(last.targets[0], ast.Name):
        return last.targets[0].id
    return last.name if isinstance(last, (ast.FunctionDef, ast.ClassDef)) else None


def _text_of_class(answer: type) -> str | None:
    for method in _methods(answer):
        lines = linecache.getlines(method.__code__.co_filename)
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            inside = isinstance(node, ast.ClassDef) and node.lineno <= method.__code__.co_firstlineno <= node.end_lineno
            if inside and node.name == answer.__name__:
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                return textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
    return None


def _methods(answer: type) -> Iterator[FunctionType]:
    """The functions written in the body of the class itself."""
    for value in vars(answer).values():
        value = getattr(value, "fget", None) or getattr(value, "__func__", None) or value
        if isinstance(value, FunctionType) and value.__qualname__.startswith(f"{answer.__qualname__}."):
            yield value


def _surroundings(answer) -> Mapping:
    """The global names that `answer` sees."""
    function = answer if isinstance(answer, FunctionType) else next(_methods(answer), None)
    return function.__globals__ if function else vars(sys.modules.get(answer.__module__, ModuleType("nothing")))


def _used_by(text: str, around: Mapping, seen: set[str]) -> Iterator[str]:
    """The definitions, imports and plain settings that `text` needs, each after what it needs itself."""
    names = [node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
    for name in dict.fromkeys(names):
        if name in seen or name not in around or len(seen) > _COMES_ALONG:
            continue
        seen.add(name)
        value = around[name]
        if isinstance(value, ModuleType):
            yield f"import {value.__name__} as {name}"
        elif isinstance(value, _PLAIN):
            yield f"{name} = {value!r}"
        elif callable(value) and getattr(value, "__module__", None) == around.get("__name__"):
            if (needed := text_of(value)) and _defined_name(needed) == name:
                yield from _used_by(needed, around, seen)
                yield needed.rstrip()
        elif (
            getattr(sys.modules.get(getattr(value, "__module__", None)), getattr(value, "__name__", ""), None) is value
        ):
            yield f"from {value.__module__} import {value.__name__} as {name}"
