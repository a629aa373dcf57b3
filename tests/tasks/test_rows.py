import io
import json
import os
import sys
import threading

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from labkit import DataError, LabkitWarning, read_rows
from labkit.tasks import task_from_files
from labkit.tasks.rows import check_rows

GOOD = '{"prompt": "Hello", "completion": "World"}'


@pytest.fixture
def write(tmp_path):
    def write(content: bytes | str, name: str = "rows.jsonl"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refused(path, match: str) -> DataError:
    with pytest.raises(DataError, match=match) as caught:
        read_rows(path)
    assert str(path) in str(caught.value) and caught.value.remedy in str(caught.value)
    return caught.value


def test_order_content_and_source(write):
    path = write('{"prompt": "b", "completion": "2"}\n\n  \n{"system": "Be kind", "completion": "1", "prompt": "a"}')
    rows = read_rows(str(path))
    assert rows.column_names == ["prompt", "completion", "system", "source"]
    assert rows.to_list() == [
        {"prompt": "b", "completion": "2", "system": None, "source": f"{path}:1"},
        {"prompt": "a", "completion": "1", "system": "Be kind", "source": f"{path}:4"},
    ]


def test_iso_dates_stay_strings(write):
    """``load_dataset("json")`` makes datetimes of these."""
    row = {"prompt": "2026-09-25", "completion": "2026-09-25T12:00:00Z", "system": "2026-01-01"}
    (read,) = read_rows(write(json.dumps(row)))
    assert {name: read[name] for name in row} == row


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "encode",
    [
        lambda t: MARK + t,
        lambda t: t.replace(b"\n", b"\r\n"),
        lambda t: MARK + t.replace(b"\n\n", b"\n\n" + MARK),  # two files, one behind another
    ],
)
def test_byte_order_mark_and_crlf_change_nothing(write, encode):
    content = f"{GOOD}\n\n{GOOD}\n".encode()
    assert read_rows(write(encode(content))).to_list() == read_rows(write(content)).to_list()


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
awkward = st.sampled_from(["a\u2028b", "\u2029", "a\x85b", "a\rb", "a\r\nb", "\ufeffa", "\0a", "\u001c a", "𝄞"])


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"prompt": text | awkward.filter(str.strip), "completion": text | awkward.filter(str.strip)},
            optional={"system": text},
        ),
        min_size=1,
        max_size=5,
    ),
    ascii_only=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_any_unicode_round_trip(tmp_path_factory, rows, ascii_only, ending):
    path = tmp_path_factory.mktemp("rows") / "any.jsonl"
    path.write_bytes("".join(json.dumps(row, ensure_ascii=ascii_only) + ending for row in rows).encode())
    read = [{name: value for name, value in row.items() if value is not None} for row in read_rows(path)]
    assert [row.pop("source") for row in read] == [f"{path}:{1 + i * ending.count(chr(10))}" for i in range(len(rows))]
    assert read == rows


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"prompt": "a", "completion": "b"', "not valid JSON at column 34: "),
        ('{"prompt": "a", "completion": \'b\'}', "not valid JSON at column 31: "),
        (GOOD + GOOD, "not valid JSON at column 43: Extra data"),
        ("prompt,completion", "not valid JSON at column 1: "),
        ('{"prompt": "a\tb", "completion": "c"}', "not valid JSON at column 14: Invalid control character"),
        ("[" * 100_000, "not valid JSON"),
        ('{"prompt": ' + "9" * 5000 + ', "completion": "b"}', "not valid JSON"),
        ('["a", "b"]', "expected a JSON object, found a list"),
        ("[]", "expected a JSON object, found a list"),
        ('"a"', "expected a JSON object, found a string"),
        ("NaN", "expected a JSON object, found a number"),
        ("null", "expected a JSON object, found null"),
        ('{"prompt": "a"}', 'the field "completion" is missing'),
        ("{}", 'the field "prompt" is missing'),
        ('{"Prompt": "a", "completion": "b"}', 'the field "prompt" is missing'),
        ('{"promt": "a", "completion": "b"}', 'the field "prompt" is missing'),
        ('{"prompt": "a", "completion": "b", "sytem": "c"}', 'unknown field "sytem"'),
        ('{"prompt": "a", "completion": "b", "System": "c"}', 'unknown field "System"'),
        ('{"prompt": "a", "completion": "b", "id": 1, "system_prompt": "c"}', 'unknown field "system_prompt"'),
        ('{"prompt": "a", "completion": "b", "prompt": "c"}', 'the field "prompt" stands twice'),
        ('{"prompt": "a", "completion": {"total": 87}}', '"completion" is an object, not a string'),
        ('{"prompt": ["a"], "completion": "b"}', '"prompt" is a list, not a string'),
        ('{"prompt": "a", "completion": 87}', '"completion" is a number, not a string'),
        ('{"prompt": "a", "completion": NaN}', '"completion" is a number, not a string'),
        ('{"prompt": "a", "completion": true}', '"completion" is true or false, not a string'),
        ('{"prompt": null, "completion": "b"}', '"prompt" is null, not a string'),
        ('{"prompt": "", "completion": "b"}', '"prompt" is empty'),
        ('{"prompt": "a", "completion": " \\n"}', '"completion" is empty'),
        ('{"prompt": "a", "completion": "b", "system": ""}', '"system" is empty'),
        ('{"prompt": "a", "completion": "\\ud800"}', '"completion" holds half a character'),
    ],
)
def test_a_bad_line_17_is_named(write, line, problem):
    path = write("\n".join([GOOD] * 16 + [line] + [GOOD] * 3))
    error = refused(path, f"rows.jsonl:17: {problem}")
    assert error.source == f"{path}:17"


@pytest.mark.parametrize("depth", [10, 100, 10_000])
def test_deep_nesting_is_refused_without_a_crash(write, depth):
    refused(write('{"prompt": "a", "completion": ' + "[" * depth + "]" * depth + "}"), "jsonl:1: ")


def test_the_first_bad_line_is_the_one_reported(write):
    refused(write(f'{GOOD}\n{{"prompt": 1}}\n\xff'.encode("latin-1")), 'jsonl:2: the field "completion" is missing')


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n\t\n\n"])
def test_no_rows(write, content):
    assert refused(write(content), "the file has no rows").source.endswith("rows.jsonl")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b'{"prompt": "caf\xe9", "completion": "b"}', ":1: not UTF-8 .byte 0xe9 in column 16."),
        (f'{GOOD}\n{{"prompt": "é'.encode() + b"\xff", ":2: not UTF-8 .byte 0xff in column 14."),
        (GOOD.encode("utf-16"), ":1: not UTF-8 .byte 0xff in column 1."),
    ],
)
def test_not_utf8_with_line_and_column(write, content, where):
    assert "UTF-8" in refused(write(content), where).remedy


def test_missing_file_and_folder(tmp_path):
    assert refused(tmp_path / "none.jsonl", "cannot be read .No such file").remedy == "Check the path"
    os.mkdir(tmp_path / "folder")
    refused(tmp_path / "folder", "cannot be read")
    with pytest.raises(DataError, match="cannot be read .*null.*Check the path"):
        read_rows(tmp_path / "a\0b")


# ---- fields of other trainers, standard input, rows in memory


def test_fields_that_a_row_does_not_need_are_left_out_and_that_is_said_once(write):
    row = {"prompt": "a", "completion": "b", "id": 7, "metadata": {"category": ["x"]}, "source": "web"}
    path = write("\n".join([json.dumps(row)] * 20 + [GOOD]))
    with pytest.warns(LabkitWarning, match='rows.jsonl: rows need prompt, .*left out: "id", "metadata"') as told:
        rows = read_rows(path)
    assert len(told) == 1 and len(rows) == 21
    assert rows[16] == {"prompt": "a", "completion": "b", "system": None, "source": f"{path}:17"}


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input_is_read_once_and_named(name, monkeypatch):
    def piped(text: str):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    piped(f"{GOOD}\n{GOOD}\n")
    task = task_from_files({"train": name})
    assert task.name == "stdin" and len(task.rows("train")) == len(task.rows("train")) == 2
    assert task.rows("train")[1]["source"] == "<stdin>:2"
    for text, problem in [(f"{GOOD}\n\n{{", "<stdin>:3: not valid JSON"), ("", "<stdin>: the file has no rows")]:
        piped(text)
        with pytest.raises(DataError, match=problem):
            read_rows(name)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match="<stdin>: cannot be read .it isn't open.. Pipe the rows in, or pass a file"):
        read_rows(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(GOOD))
    writer.start()
    task = task_from_files({"test": tmp_path / "pipe"})
    writer.join()
    assert len(task.rows("test")) == len(task.rows("test")) == 1


ROW = json.loads(GOOD)


@pytest.mark.parametrize("kind", [list, iter, tuple, Dataset.from_list])
def test_rows_in_memory_come_back_as_they_are(kind):
    rows = [ROW | {"system": None}, ROW | {"system": "Be kind"}]
    assert check_rows(kind(rows)) == rows
    assert check_rows([ROW | {"db": {"a": 1}}]) == [ROW | {"db": {"a": 1}}], "a score may need more"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"prompt": "a", "completion": 87}, '"completion" is a number, not a string'),
        ({"prompt": float("nan"), "completion": "b"}, '"prompt" is a number, not a string'),
        ({"prompt": "a", "completion": None}, '"completion" is null, not a string'),
        ({"prompt": "a", "completion": b"b"}, '"completion" is bytes, not a string'),
        ({"prompt": "a"}, 'the field "completion" is missing'),
        ({"prompt": "", "completion": "b"}, '"prompt" is empty'),
        (ROW | {"sytem": "c"}, 'unknown field "sytem"'),
        (ROW | {"system": 3}, '"system" is a number, not a string'),
        (ROW | {"completion": "\ud800"}, '"completion" holds half a character'),
    ],
)
def test_a_bad_row_in_memory_is_refused_as_a_line_of_a_file_is(write, row, problem):
    with pytest.raises(DataError, match=f"^row 17: {problem}") as caught:
        check_rows([ROW] * 16 + [row, ROW])
    try:
        line = json.dumps(row)
    except TypeError:
        return
    error = refused(write(line), problem)
    assert (error.problem, error.remedy) == (caught.value.problem, caught.value.remedy)


@pytest.mark.parametrize(("row", "found"), [(None, "null"), ("a", "a string"), (["a", "b"], "a list")])
def test_what_is_no_row_is_refused_in_pythons_words(row, found):
    with pytest.raises(DataError, match=f"^row 2: expected a dict, found {found}. Write"):
        check_rows([ROW, row])


@pytest.mark.parametrize("name", ["operating_system", "ecosystem", "filesystem", "steam", "stem"])
def test_a_field_that_only_sounds_like_system_is_left_out(name):
    assert check_rows([ROW | {name: "x"}]) == [ROW | {name: "x"}]


@pytest.mark.parametrize(
    "name", ["sytem", "systm", "sistem", "sysetm", "SystemPrompt", "system-message", "system_text", "system prompts"]
)
def test_a_field_that_means_system_is_refused(name):
    with pytest.raises(DataError, match=f'unknown field "{name}". A system prompt .* is called "system"'):
        check_rows([ROW | {name: "x"}])


@pytest.mark.parametrize("rows", ["mine.jsonl", ROW, 7, None])
def test_what_is_no_list_of_rows_is_refused(rows):
    with pytest.raises(
        DataError, match="rows: expected a list of rows, found .*read_rows.path. reads them from a file"
    ):
        check_rows(rows)
