"""Reading training data: one JSON object a line, each checked before anything is done with any.

A row is ``{"prompt": str, "completion": str, "system": str?}``. Answers that are JSON themselves are
strings here. ``datasets`` alone would turn ISO dates into datetimes and report a broken line without
its number, so every line is validated first and only then handed on.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset, Features, Value

from labkit.errors import DataError, printable

_REQUIRED = ("prompt", "completion")
_ALLOWED = (*_REQUIRED, "system")
_FEATURES = Features({name: Value("string") for name in (*_ALLOWED, "source")})


def read_rows(path: Path | str) -> Dataset:
    """The rows of a JSONL file, in order.

    Args:
        path: a UTF-8 file with one row a line; blank lines are skipped.

    Returns:
        A dataset with the columns ``prompt``, ``completion``, ``system`` (None where not given) and
        ``source``, which says where the row stood (``train.jsonl:17``) for later messages.

    Raises:
        DataError: with file, line and remedy: no such file, not UTF-8, empty, a line that is no JSON
            object, a field missing, empty, unknown, given twice or not a string.
    """
    path = Path(path)
    rows = [_parse(line, printable(f"{path}:{number}")) for number, line in _lines(path) if line.strip()]
    if not rows:
        raise DataError(
            "the file has no rows", 'Write one JSON object a line: {"prompt": "…", "completion": "…"}', str(path)
        )
    return Dataset.from_list(rows, features=_FEATURES)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", "Check the path", str(path)) from None
    # only "\n" ends a line: JSON strings may hold U+2028 and others that str.splitlines() splits at
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"not UTF-8 (byte {line[error.start]:#x} in column {len(line[: error.start].decode()) + 1})",
                "Save the file again with the encoding UTF-8",
                f"{path}:{number}",
            ) from None


def _parse(line: str, source: str) -> dict:
    try:
        pairs = json.loads(line, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        where = f" at column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"not valid JSON{where}", "Each line must be one whole JSON object", source) from None
    if not isinstance(pairs, _Pairs):
        raise DataError(
            f"expected a JSON object, found {_json_type(pairs)}", 'Write {"prompt": "…", "completion": "…"}', source
        )
    row = dict(pairs)
    for name in _REQUIRED:
        if name not in row:
            raise DataError(f'the field "{name}" is missing', f"Every row needs {' and '.join(_REQUIRED)}", source)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f'the field "{twice}" stands twice', "Keep one of the two", source)
    for name, value in row.items():
        if name not in _ALLOWED:
            raise DataError(f'unknown field "{name}"', "A row has prompt, completion and, if you like, system", source)
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
    return {"prompt": row["prompt"], "completion": row["completion"], "system": row.get("system"), "source": source}


class _Pairs(list):
    """A JSON object as its (name, value) pairs: a dict would silently keep the last of two equal names."""


def _json_type(value: object) -> str:
    names = {_Pairs: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
