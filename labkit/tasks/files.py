"""A file of rows, cut into its objects: JSON lines, one JSON array, or CSV. Which it is, its beginning says.

Each object comes with the line it begins in (``train.jsonl:17``), and nothing in it is taken for anything else: text
that looks like a date or a number stays text. (``datasets`` would make datetimes of ISO dates, and report a broken line
without its number.)
"""

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from labkit.errors import DataError, printable

STANDARD_INPUT = ("-", "/dev/stdin")
_MARK = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\r\n]*")  # what JSON takes for white space
_LONGEST_CELL = 2**31 - 1  # characters; of more, csv makes an error
# how a file begins that holds rows, but no text -> what it is, and how it's written as JSON lines
_NO_TEXT = {
    b"PAR1": ("Parquet", "Dataset.from_parquet"),
    b"ARROW1": ("an Arrow file", "Dataset.from_file"),
    b"PK\x03\x04": ("a zip file or an Excel workbook", None),
    b"\x1f\x8b": ("compressed by gzip", None),
}


class Object(dict):
    """A JSON object that knows which names it was given twice: a dict alone silently keeps the last of them."""

    def __init__(self, pairs: list[tuple[str, object]]):
        super().__init__(pairs)
        self.twice = set()
        if len(self) < len(pairs):
            names = [name for name, _ in pairs]
            self.twice = {name for name in names if names.count(name) > 1}


def name_of(path: Path | str) -> str:
    """What a file is called in messages."""
    return "<stdin>" if str(path) in STANDARD_INPUT else printable(str(Path(path)))


def objects_in(path: Path | str) -> Iterator[tuple[str, object]]:
    """What stands in the file, each with its place, such as ``train.jsonl:17``.

    Raises:
        DataError: with file, line and remedy: no such file, not UTF-8, a line that isn't JSON, a line of CSV with more
            cells than columns.
    """
    name = name_of(path)
    lines = _lines(path, name)
    before = []  # blank lines
    for number, line in lines:
        before.append((number, line))
        if line.strip():
            break
    first = before[-1][1] if before else ""

    def again() -> Iterator[tuple[int, str]]:
        yield from before
        yield from lines

    if first.lstrip().startswith("["):
        return _array("\n".join(line for _, line in again()), name)
    suffix = Path(path).suffix.lower()
    delimiter = None if first.lstrip().startswith("{") else _delimiter(first, sure=suffix in (".csv", ".tsv"))
    if delimiter:
        return _table("\n".join(line for _, line in again()), delimiter, name)
    return ((f"{name}:{number}", _parsed(line, f"{name}:{number}")) for number, line in again() if line.strip())


def _lines(path: Path | str, name: str) -> Iterator[tuple[int, str]]:
    try:
        content = sys.stdin.buffer.read() if name == "<stdin>" else Path(path).read_bytes()
    except (OSError, AttributeError, ValueError) as error:  # there may be no standard input, or a closed one
        reason = getattr(error, "strerror", None) or ("it isn't open" if name == "<stdin>" else error)
        remedy = "Pipe the rows in, or pass a file" if name == "<stdin>" else "Check the path"
        raise DataError(f"cannot be read ({reason})", remedy, name) from None
    for beginning, (what, reader) in _NO_TEXT.items():
        if content.startswith(beginning):
            remedy = "Unpack it, or save its rows as CSV (UTF-8)"
            if reader:
                remedy = f'Write it as JSON lines: datasets.{reader}("{Path(name).name}").to_json("rows.jsonl")'
            raise DataError(f"isn't text, but {what}", remedy, name)
    # only "\n" ends a line: JSON strings may hold U+2028 and others that str.splitlines() splits at
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            # a byte order mark also begins a later line, where files were put one behind another
            yield number, line.removeprefix(_MARK).decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"not UTF-8 (byte {line[error.start]:#x} in column {len(line[: error.start].decode()) + 1})",
                "Save the file again with the encoding UTF-8 (Excel calls it CSV UTF-8)",
                f"{name}:{number}",
            ) from None


def _parsed(line: str, source: str) -> object:
    try:
        return json.loads(line, object_pairs_hook=Object)
    except (ValueError, RecursionError) as error:
        where = f" at column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"not valid JSON{where}", "Each line must be one whole JSON object", source) from None


def _array(text: str, name: str) -> Iterator[tuple[str, object]]:
    """The elements of one JSON array, each with the line that it begins in."""
    read, line, counted = json.JSONDecoder(object_pairs_hook=Object).raw_decode, 1, 0

    def sign(place: int, allowed: str) -> int:
        """Where the next sign stands, white space aside, which must be one of `allowed`."""
        place = _SPACE.match(text, place).end()
        if text[place : place + 1] not in tuple(allowed):
            raise json.JSONDecodeError(f"Expecting {' or '.join(allowed)}", text, place)
        return place

    try:
        place = _SPACE.match(text, sign(0, "[") + 1).end()
        while text[place : place + 1] != "]":
            line, counted = line + text.count("\n", counted, place), place
            element, place = read(text, place)
            yield f"{name}:{line}", element
            place = sign(place, ",]")
            if text[place] == ",":
                place = _SPACE.match(text, place + 1).end()
                if text[place : place + 1] == "]":
                    raise json.JSONDecodeError("Expecting value", text, place)
        if (place := _SPACE.match(text, place + 1).end()) < len(text):
            raise json.JSONDecodeError("Extra data", text, place)
    except (ValueError, RecursionError) as error:
        broken = isinstance(error, json.JSONDecodeError)
        where = f" at column {error.colno}: {error.msg}" if broken else ""
        remedy = "A file that begins with [ is one JSON array, closed by ]"
        raise DataError(f"not valid JSON{where}", remedy, f"{name}:{error.lineno if broken else line}") from None


def _delimiter(header: str, sure: bool) -> str | None:
    """What stands between the names of columns, where `header` is a table's first line."""
    found = {sign: _names(header, sign) for sign in ",;\t"}
    for sign, names in found.items():
        if {"prompt", "completion"} <= names or {"instruction", "output"} <= names:
            return sign
    return max(found, key=lambda sign: len(found[sign])) if sure else None


def _names(header: str, delimiter: str) -> set[str]:
    try:
        return {name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])}
    except csv.Error:
        return set()


def _table(text: str, delimiter: str, name: str) -> Iterator[tuple[str, object]]:
    """The rows of a table as objects, each with the line that it begins in. An empty cell is none."""
    reader, columns, line = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), None, 1
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        for cells in reader:
            source, line = f"{name}:{line}", reader.line_num + 1
            if columns is None and cells:
                columns = [cell.strip() for cell in cells]
            elif any(cells):
                if len(cells) > len(columns):
                    raise DataError(
                        f"{len(cells)} cells, but the table has {len(columns)} columns",
                        f'Put text that holds {delimiter!r} in quotes: "…"',
                        source,
                    )
                yield source, Object([(column, cell) for column, cell in zip(columns, cells) if cell])
    except csv.Error as error:
        remedy = 'A quote inside of quotes is written twice: "say ""hi"""'
        raise DataError(f"not valid CSV ({error})", remedy, f"{name}:{line}") from None
    finally:
        csv.field_size_limit(limit)
