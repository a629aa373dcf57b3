"""Reading training data: one JSON object per line, each checked before anything is done with any.

A row is ``{"prompt": str, "completion": str, "system": str?}``. Answers that are JSON themselves are
strings here. ``datasets`` alone would turn ISO dates into datetimes and report a broken line without
its number, so every line is validated first and only then handed on. Rows that are in memory already are
checked by the same function.
"""

import difflib
import json
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from datasets import Dataset, Features, Value

from labkit.errors import DataError, LabkitWarning, printable

_REQUIRED = ("prompt", "completion")
_ALLOWED = (*_REQUIRED, "system")
_FEATURES = Features({name: Value("string") for name in (*_ALLOWED, "source")})
_ROW = 'Write {"prompt": "…", "completion": "…"}'
STANDARD_INPUT = ("-", "/dev/stdin")


def read_rows(path: Path | str) -> Dataset:
    """The rows of a JSONL file, in order.

    Args:
        path: a UTF-8 file with one row per line, or ``-`` for standard input; blank lines are skipped. Fields that a
            row doesn't need, such as ``id``, are left out, which a :class:`labkit.LabkitWarning` says once.

    Returns:
        A dataset with the columns ``prompt``, ``completion``, ``system`` (None where not given) and
        ``source``, which says where the row stood (``train.jsonl:17``) for later messages.

    Raises:
        DataError: with file, line and remedy: no such file, not UTF-8, empty, a line that is no JSON
            object, a field missing, empty, misspelled, given twice or not a string.
    """
    name = "<stdin>" if str(path) in STANDARD_INPUT else printable(str(Path(path)))
    rows, left_out = [], set()
    for number, line in _lines(path, name):
        if line.strip():
            row, others = _checked(_parsed(line, f"{name}:{number}"), f"{name}:{number}")
            rows.append(row)
            left_out |= others
    if not rows:
        raise DataError(
            "the file has no rows", 'Write one JSON object per line: {"prompt": "…", "completion": "…"}', name
        )
    if left_out:
        fields = ", ".join(f'"{field}"' for field in sorted(left_out)[:5])
        told = f"{name}: rows need prompt, completion and system; left out: {fields}"
        warnings.warn(told, LabkitWarning, stacklevel=2)
    return Dataset.from_list(rows, features=_FEATURES)


def check_rows(rows: Iterable[Mapping], answers: bool = True) -> list[Mapping]:
    """Rows that are in memory, as they are, once each has been checked as a row of a file is.

    Args:
        rows: a list of dicts, a ``datasets.Dataset``, or the like. Fields beyond those of a file's rows stay.
        answers: whether completions are needed; else only prompts and system prompts are checked.

    Raises:
        DataError: as :func:`read_rows`, for the first row that isn't as it should be (``row 17``).
    """
    if isinstance(rows, (str, bytes, Path, Mapping)) or not isinstance(rows, Iterable):
        raise DataError(
            f"expected a list of rows, found {_json_type(rows)}",
            'Pass [{"prompt": "…", "completion": "…"}, …]; labkit.read_rows(path) reads them from a file',
            "rows",
        )
    rows = list(rows)
    for number, row in enumerate(rows, start=1):
        source = row.get("source") if isinstance(row, Mapping) else None
        source = source if source and isinstance(source, str) else f"row {number}"
        if not isinstance(row, Mapping):
            raise DataError(f"expected a dict, found {_json_type(row)}", _ROW, source)
        _checked(row if answers else {**row, "completion": "none is looked at"}, source)
    return rows


def _lines(path: Path | str, name: str) -> Iterator[tuple[int, str]]:
    try:
        content = sys.stdin.buffer.read() if name == "<stdin>" else Path(path).read_bytes()
    except (OSError, AttributeError, ValueError) as error:  # there may be no standard input, or a closed one
        reason = getattr(error, "strerror", None) or ("it isn't open" if name == "<stdin>" else error)
        remedy = "Pipe the rows in, or pass a file" if name == "<stdin>" else "Check the path"
        raise DataError(f"cannot be read ({reason})", remedy, name) from None
    # only "\n" ends a line: JSON strings may hold U+2028 and others that str.splitlines() splits at
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            # a byte order mark also begins a later line, where files were put one behind another
            yield number, line.removeprefix(b"\xef\xbb\xbf").decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"not UTF-8 (byte {line[error.start]:#x} in column {len(line[: error.start].decode()) + 1})",
                "Save the file again with the encoding UTF-8",
                f"{name}:{number}",
            ) from None


def _parsed(line: str, source: str) -> Mapping:
    try:
        pairs = json.loads(line, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        where = f" at column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"not valid JSON{where}", "Each line must be one whole JSON object", source) from None
    if not isinstance(pairs, _Pairs):
        return pairs
    names = [name for name, _ in pairs]
    if twice := [name for name in _ALLOWED if names.count(name) > 1]:
        raise DataError(f'the field "{twice[0]}" stands twice', "Keep one of the two", source)
    return dict(pairs)


def _checked(row: object, source: str) -> tuple[dict, set[str]]:
    """A row's fields, and the names of those that aren't needed."""
    if not isinstance(row, Mapping):
        raise DataError(f"expected a JSON object, found {_json_type(row)}", _ROW, source)
    for name in _REQUIRED:
        if name not in row:
            raise DataError(f'the field "{name}" is missing', f"Every row needs {' and '.join(_REQUIRED)}", source)
    others = {str(name) for name in row if name not in (*_ALLOWED, "source")}
    for name in sorted(others):
        head = re.sub(r"[_ -]?(prompt|message|instruction|text)s?$", "", name.lower())
        if difflib.get_close_matches(head, ["system"], cutoff=0.82):
            raise DataError(f'unknown field "{name}"', 'A system prompt of the row\'s own is called "system"', source)
    for name in _ALLOWED:
        value = row.get(name)
        if value is None and name == "system":
            continue
        if not isinstance(value, str):
            raise DataError(
                f'"{name}" is {_json_type(value)}, not a string',
                'Put it in quotes; an answer that is JSON itself goes in as text: "{\\"total\\": 87}"',
                source,
            )
        if not value.strip():
            raise DataError(f'"{name}" is empty', "Fill it in, or remove the row", source)
        if not _is_unicode(value):
            raise DataError(
                f'"{name}" holds half a character (a lone \\ud800 … \\udfff)', "Write the character itself", source
            )
    return {name: row.get(name) for name in _ALLOWED} | {"source": source}, others


class _Pairs(list):
    """A JSON object as its (name, value) pairs: a dict would silently keep the last of two equal names."""


def _json_type(value: object) -> str:
    names = {_Pairs: "an object", dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    names |= {type(None): "null", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
