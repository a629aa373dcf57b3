"""Reading training data: each row checked before anything is done with any.

A row is ``{"prompt": str, "completion": str, "system": str?}``, or a conversation (:mod:`labkit.tasks.conversations`).
Rows as other people write them become one of the two (:mod:`labkit.tasks.formats`). Answers that are JSON themselves
are strings here. Rows that are in memory already are checked by the same function.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from datasets import Dataset, Features, Value

from labkit.errors import DataError, warn
from labkit.tasks.conversations import checked_messages
from labkit.tasks.files import STANDARD_INPUT as STANDARD_INPUT
from labkit.tasks.files import name_of, objects_in
from labkit.tasks.formats import BY_NAME, Format, format_of, in_our_fields, refuse_format
from labkit.tasks.texts import json_type, refuse_unless_text

_COLUMNS = {name: Value("string") for name in ("prompt", "completion", "system", "source")}
_MESSAGES = {"messages": [{"role": Value("string"), "content": Value("string")}]}
_ROW = 'Write {"prompt": "…", "completion": "…"}'
_SAYING = {"system", *(field for format in BY_NAME.values() for field in format.fields)}


def read_rows(path: Path | str, format: str = "auto") -> Dataset:
    """The rows of a file, in order.

    Args:
        path: a UTF-8 file: JSON lines, one JSON array, or CSV whose first line names the columns; or ``-`` for standard
            input. Blank lines are skipped. Fields that a row doesn't need, such as ``id``, are left out, which a
            :class:`labkit.LabkitWarning` says once.
        format: what the fields of a row are: "prompt" (``prompt`` and ``completion``), "messages", "alpaca" or
            "sharegpt"; "auto" looks at each row.

    Returns:
        A dataset with the columns ``prompt``, ``completion``, ``system`` (None where not given) and
        ``source``, which says where the row stood (``train.jsonl:17``) for later messages. Where a row is a
        conversation, there's a column ``messages`` as well, and its prompt and completion are None.

    Raises:
        ConfigError: there's no such `format`.
        DataError: with file, line and remedy: no such file, not UTF-8, empty, a line that is no JSON
            object, a field missing, empty, misspelled, given twice or not a string; messages that are no conversation.
    """
    refuse_format(format)
    name, rows, kinds, left_out = name_of(path), [], {}, set()
    for source, found in objects_in(path):
        if not isinstance(found, Mapping):
            raise DataError(f"expected a JSON object, found {json_type(found)}", _ROW, source)
        kind, row, others = _checked(found, source, format)
        rows.append(row | {"source": source})
        kinds[kind] = None
        left_out |= others
    if not rows:
        raise DataError(
            "the file has no rows", 'Write one JSON object per line: {"prompt": "…", "completion": "…"}', name
        )
    if left_out:
        fields = ", ".join(f'"{field}"' for field in sorted(left_out)[:5])
        needed = ", ".join(field for kind in kinds for field in kind.fields)
        told = f"{name}: rows need {needed} and system; left out: {fields}"
        warn(told)
    columns = _COLUMNS | _MESSAGES if any("messages" in row for row in rows) else _COLUMNS
    return Dataset.from_list([dict.fromkeys(columns) | row for row in rows], features=Features(columns))


def check_rows(rows: Iterable[Mapping], answers: bool = True) -> list[Mapping]:
    """Rows that are in memory, as they are, once each has been checked as a row of a file is.

    Args:
        rows: a list of dicts, a ``datasets.Dataset``, or the like. Fields beyond those of a file's rows stay, and a row
            of Alpaca or ShareGPT becomes one of ours.
        answers: whether completions are needed; else only prompts and system prompts are checked.

    Raises:
        DataError: as :func:`read_rows`, for the first row that isn't as it should be (``row 17``).
    """
    if isinstance(rows, (str, bytes, Path, Mapping)) or not isinstance(rows, Iterable):
        raise DataError(
            f"expected a list of rows, found {json_type(rows)}",
            'Pass [{"prompt": "…", "completion": "…"}, …]; labkit.read_rows(path) reads them from a file',
            "rows",
        )
    checked = []
    for number, row in enumerate(rows, start=1):
        source = row.get("source") if isinstance(row, Mapping) else None
        source = source if source and isinstance(source, str) else f"row {number}"
        if not isinstance(row, Mapping):
            raise DataError(f"expected a dict, found {json_type(row)}", _ROW, source)
        kind, ours, _ = _checked(row, source, "auto", answers)
        if not kind.ours:
            row = {name: held for name, held in row.items() if name not in kind.fields} | ours
        checked.append(row)
    return checked


def _checked(row: Mapping, source: str, format: str, answers: bool = True) -> tuple[Format, dict, set[str]]:
    """A row's format, what it is in our fields, and the names of those that aren't needed."""
    kind = format_of(row, source, format, answers)
    if twice := sorted(getattr(row, "twice", set()) & _SAYING):
        raise DataError(f'the field "{twice[0]}" stands twice', "Keep one of the two", source)
    known = (*kind.fields, "system", "source")
    others = {str(name) for name, held in row.items() if name not in known and held is not None}
    for name in sorted(others):
        head = re.sub(r"[_ -]?(prompt|message|instruction|text)s?$", "", name.lower())
        if difflib.get_close_matches(head, ["system"], cutoff=0.82):
            raise DataError(f'unknown field "{name}"', 'A system prompt of the row\'s own is called "system"', source)
    texts = {name: row[name] for name in kind.needed(answers) if kind.answer}
    for name in (*kind.optional, "system"):
        text = row.get(name)
        empty = isinstance(text, str) and not text.strip() and not kind.ours  # elsewhere, what isn't there is often ""
        if text is not None and not empty:
            texts[name] = text
    for name, text in texts.items():
        refuse_unless_text(text, f'"{name}"', source)
    ours = in_our_fields(row, kind) | {"system": texts.get("system")}
    if "messages" in ours:
        ours["messages"], besides = checked_messages(ours["messages"], source, answers, kind.asked)
        others |= besides
        if ours["system"] and ours["messages"][0]["role"] == "system":
            raise DataError('there are two system prompts: "system", and a message', "Keep one of the two", source)
    return kind, ours, others
