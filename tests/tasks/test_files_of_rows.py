"""The oracles are Python's json and csv: the same rows, written by them in any way, are read as the same."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import DataError, read_rows
from labkit.tasks.rows import check_rows

ROWS = [{"prompt": "Hello, you", "completion": 'He said "hi"'}, {"prompt": "2026-09-25", "completion": '{"total": 87}'}]


@pytest.fixture
def write(tmp_path):
    def write(content: bytes | str, name: str = "rows.jsonl"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(path) -> list[dict]:
    return [{name: held for name, held in row.items() if held is not None} for row in read_rows(path)]


def table(rows: list[dict], **options) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), **options)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def refused(path, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        read_rows(path)
    assert "\n" not in str(caught.value) and caught.value.remedy


# ---- a JSON array


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_read_and_each_row_knows_its_line(write, indent):
    path = write("\n" + json.dumps(ROWS, indent=indent), "rows.json")
    lines = [2, 2] if indent is None else [3, 7]
    assert read(path) == [row | {"source": f"{path}:{line}"} for row, line in zip(ROWS, lines)]


def test_an_array_may_have_a_byte_order_mark_and_any_name(write):
    content = b"\xef\xbb\xbf" + json.dumps(ROWS).encode()
    assert [row["prompt"] for row in read(write(content, "rows.txt"))] == [row["prompt"] for row in ROWS]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            '[{"prompt": "a",\n"completion": "b"}\n{"prompt": "c"}]',
            "rows.jsonl:3: not valid JSON at column 1: Expecting",
        ),
        ('[{"prompt": "a", "completion": "b"},\n]', "rows.jsonl:2: not valid JSON at column 1: Expecting value"),
        ('[{"prompt": "a", "completion": "b"}', "rows.jsonl:1: not valid JSON at column 36: Expecting , or ]"),
        ('[{"prompt": "a", "completion": "b"},', "rows.jsonl:1: not valid JSON at column 37: Expecting value"),
        ('[{"prompt": "a", "completion": "b"}] 1', "rows.jsonl:1: not valid JSON at column 38: Extra data"),
        ('[\n\n"a"]', "rows.jsonl:3: expected a JSON object, found a string"),
        ('[\n{"prompt": "a"}]', 'rows.jsonl:2: the field "completion" is missing'),
        ("[" * 100_000, "rows.jsonl:1: (not valid JSON|expected)"),
        ("[" + "9" * 5000 + "]", "rows.jsonl:1: not valid JSON"),
        ("[]", "rows.jsonl: the file has no rows"),
    ],
)
def test_a_broken_array_is_refused_with_its_line(write, content, problem):
    refused(write(content), problem)


# ---- CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_table_is_read_however_it_was_saved(write, delimiter, mark, quoting):
    content = table(ROWS, delimiter=delimiter, quoting=quoting)
    for ending in ("\r\n", "\n"):
        path = write(mark + content.replace("\r\n", ending).encode(), "rows.csv")
        assert read(path) == [row | {"source": f"{path}:{line}"} for line, row in enumerate(ROWS, 2)]


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), min_size=1).filter(str.strip)


@given(rows=st.lists(st.fixed_dictionaries({"prompt": text, "completion": text}), min_size=1, max_size=4))
def test_any_text_round_trips_through_csv_and_json(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    for name, content in [("a.csv", table(rows)), ("a.json", json.dumps(rows)), ("b.json", json.dumps(rows, indent=1))]:
        (folder / name).write_bytes(content.encode())
        found = read(folder / name)
        assert [{key: row[key] for key in ("prompt", "completion")} for row in found] == rows


def test_a_row_of_several_lines_is_named_by_its_first_and_numbers_and_dates_stay_text(write):
    path = write(table([{"completion": "007", "prompt": "a\nb\nc"}, {"completion": "2026-01-01", "prompt": "1e5"}]))
    assert read(path) == [
        {"prompt": "a\nb\nc", "completion": "007", "source": f"{path}:2"},
        {"prompt": "1e5", "completion": "2026-01-01", "source": f"{path}:5"},
    ]


def test_an_empty_cell_is_none_and_a_column_without_a_name_is_no_field(write):
    path = write('prompt,completion,system,,\nA,B,,,\nC,D,Be kind,,\n,,,,\n\n"E",F\n', "rows.csv")
    assert [row.get("system") for row in read(path)] == [None, "Be kind", None]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("prompt,completion\na,b\nHello, you,c\n", "rows.csv:3: 3 cells, but the table has 2 columns. Put text that"),
        ('prompt,completion\na,"b\nc,d\n', "rows.csv:2: not valid CSV .unexpected end of data.. A quote"),
        ('prompt,completion\na,"b"c\n', "rows.csv:2: not valid CSV .*A quote inside of quotes is written twice"),
        ("prompt,completion\na\n", 'rows.csv:2: the field "completion" is missing'),
        ("prompt,completion\na, \n", 'rows.csv:2: "completion" is empty'),
        ("prompt,completion,prompt\na,b,c\n", 'rows.csv:2: the field "prompt" stands twice'),
        ("question,answer\na,b\n", 'rows.csv:2: the field "prompt" is missing. Rename the fields'),
        ("a;b\n1;2\n", 'rows.csv:2: the field "prompt" is missing. Every row needs prompt and completion'),
        ("prompt,completion\n", "rows.csv: the file has no rows"),
        ("prompt,completion\na,caf\xe9\n".encode("latin-1"), "rows.csv:2: not UTF-8 .byte 0xe9 in column 6.*CSV UTF-8"),
        ("prompt,completion\n".encode("utf-16"), "rows.csv:1: not UTF-8 .byte 0xff"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(write, content, problem):
    refused(write(content, "rows.csv"), problem)


def test_a_cell_may_be_long(write):
    rows = [{"prompt": "a" * 200_000, "completion": "b"}]
    limit = csv.field_size_limit()
    assert len(read(write(table(rows)))[0]["prompt"]) == 200_000 and csv.field_size_limit() == limit


# ---- files that hold no text


@pytest.mark.parametrize("kind", ["parquet", "zip"])
def test_a_file_that_is_no_text_is_refused_with_what_makes_it_one(tmp_path, kind):
    from datasets import Dataset

    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        Dataset.from_list(ROWS).to_parquet(path)
        refused(
            path, r"rows.parquet: isn't text, but Parquet. .*datasets.Dataset.from_parquet\(\"rows.parquet\"\).to_json"
        )
        Dataset.from_parquet(str(path)).to_json(tmp_path / "rows.jsonl")  # what the message says
        assert [row["completion"] for row in read(tmp_path / "rows.jsonl")] == [row["completion"] for row in ROWS]
    else:
        path.write_bytes(b"PK\x03\x04 and so on")
        refused(path, "isn't text, but a zip file or an Excel workbook. Unpack it, or save its rows as CSV")


# ---- anything at all

_ROW, _TURN = '{"prompt": "a", "completion": "b"}', '{"role": "user", "content": "a"}'
_NAMES = ["prompt,completion", '{"messages": [', '"conversations"', '"from"', "null", "1"]
pieces = st.sampled_from([_ROW, _TURN, *_NAMES, *'[]{},;:"\t\n\r\0 \ufeff'])
anything = st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=12).map(lambda some: "".join(some).encode()))


@given(content=anything, name=st.sampled_from(["rows.jsonl", "rows.csv", "rows.tsv", "rows"]))
@pytest.mark.filterwarnings("ignore:.*left out")
def test_any_file_is_rows_or_one_sentence(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(content)
    try:
        assert len(read_rows(path))
    except DataError as error:
        assert error.source.startswith(str(path)) and error.remedy


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.sampled_from(["user", "assistant", "human", "gpt"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "text", "tool_calls"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
fields = [
    "prompt",
    "completion",
    "system",
    "messages",
    "conversations",
    "instruction",
    "input",
    "output",
    "tools",
    "id",
]


@given(row=st.dictionaries(st.sampled_from(fields), json_values, max_size=5))
@pytest.mark.filterwarnings("ignore:.*left out")
def test_any_row_is_one_of_ours_or_one_sentence(tmp_path_factory, row):
    path = tmp_path_factory.mktemp("any") / "rows.jsonl"
    path.write_text(json.dumps(row))
    try:
        (read,) = read_rows(path)
    except DataError as error:
        assert error.source == f"{path}:1" and error.remedy
        with pytest.raises(DataError):
            check_rows([row])
    else:
        assert isinstance(read["completion"], str) or read["messages"][-1]
        assert check_rows([row])
