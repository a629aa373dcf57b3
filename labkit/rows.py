"""Reading training data: one JSON object a line, each checked before anything is done with any.

A row is ``{"prompt": str, "completion": str, "system": str?}``. Answers that are JSON themselves are
strings here. ``datasets`` alone would turn ISO dates into datetimes and report a broken line without
its number, so every line is validated first and only then handed on.
"""

import json
from pathlib import Path

from datasets import Dataset, Features, Value

from labkit.errors import DataError

_REQUIRED = ("prompt", "completion")
_FEATURES = Features({name: Value("string") for name in (*_REQUIRED, "system", "source")})


def read_rows(path: Path | str) -> Dataset:
    """The rows of a JSONL file, in order.

    Args:
        path: a UTF-8 file with one row a line; blank lines are skipped.

    Returns:
        A dataset with the columns ``prompt``, ``completion``, ``system`` (None where not given) and
        ``source``, which says where the row stood (``train.jsonl:17``) for later messages.

    Raises:
        DataError: with file, line and remedy: no such file, not UTF-8, empty, a line that is no JSON
            object, a field missing, empty, unknown or not a string.
    """
    path = Path(path)
    rows = [_parse(line, f"{path}:{number}") for number, line in _lines(path) if line.strip()]
    if not rows:
        raise DataError(
            "the file has no rows", 'Write one JSON object a line: {"prompt": "…", "completion": "…"}', str(path)
        )
    return Dataset.from_list(rows, features=_FEATURES)


def _lines(path: Path):
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", "Check the path", str(path)) from None
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            yield number, line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"not UTF-8 (byte {line[error.start]:#x} in column {error.start + 1})",
                "Save the file again with the encoding UTF-8",
                f"{path}:{number}",
            ) from None


def _parse(line: str, source: str) -> dict:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        where = f" at column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"not valid JSON{where}", "Each line must be one whole JSON object", source) from None
    if not isinstance(row, dict):
        raise DataError(
            f"expected a JSON object, found {type(row).__name__}",
            'Write {"prompt": "…", "completion": "…"}',
            source,
        )
    for name in _REQUIRED:
        if name not in row:
            raise DataError(f'the field "{name}" is missing', f"Every row needs {' and '.join(_REQUIRED)}", source)
    for name, value in row.items():
        if name not in (*_REQUIRED, "system"):
            raise DataError(
                f'unknown field "{name}"', "A row has prompt, completion and, if you like, system", source
            )
        if value is None and name == "system":
            continue
        if not isinstance(value, str):
            raise DataError(
                f'"{name}" is {type(value).__name__}, not a string',
                "Write it as a string; an answer that is JSON must be quoted: json.dumps(json.dumps(answer))",
                source,
            )
        if not value.strip():
            raise DataError(f'"{name}" is empty', "Fill it in, or remove the row", source)
    return {"prompt": row["prompt"], "completion": row["completion"], "system": row.get("system"), "source": source}
