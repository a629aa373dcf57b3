"""Rows as other people write them. Each is read as what a person would write in its place."""

import json
import shutil
import subprocess

import pytest

from labkit import ConfigError, DataError, LabkitWarning, read_rows
from labkit.tasks import task_from_files
from labkit.tasks.formats import FORMATS
from labkit.tasks.rows import check_rows

MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
SYSTEM = {"role": "system", "content": "Be kind"}
TALK = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}
OURS = {
    "prompt": ({"prompt": "Hi", "completion": "Ho"}, {"prompt": "Hi", "completion": "Ho"}),
    "messages": ({"messages": MESSAGES}, {"messages": MESSAGES}),
    "messages, system first": ({"messages": [SYSTEM, *MESSAGES]}, {"messages": [SYSTEM, *MESSAGES]}),
    "messages, with a prompt beside them": ({"prompt": "Hi", "messages": MESSAGES}, {"messages": MESSAGES}),
    "alpaca": ({"instruction": "Hi", "input": "", "output": "Ho"}, {"prompt": "Hi", "completion": "Ho"}),
    "alpaca, with input": ({"instruction": "a", "input": "b", "output": "c"}, {"prompt": "a\n\nb", "completion": "c"}),
    "alpaca, without input": ({"instruction": "a", "output": "c", "system": ""}, {"prompt": "a", "completion": "c"}),
    "alpaca, with a system prompt": (
        {"instruction": "a", "output": "c", "system": "Be kind"},
        {"prompt": "a", "completion": "c", "system": "Be kind"},
    ),
    "sharegpt": (TALK, {"messages": MESSAGES}),
    "sharegpt, system apart": (TALK | {"system": "Be kind"}, {"messages": MESSAGES, "system": "Be kind"}),
    "sharegpt, system first": (
        {"conversations": [{"from": "system", "value": "Be kind"}, *TALK["conversations"]]},
        {"messages": [SYSTEM, *MESSAGES]},
    ),
    "sharegpt, in other words": ({"conversations": MESSAGES}, {"messages": MESSAGES}),
}


@pytest.fixture
def write(tmp_path):
    def write(*rows: dict, name: str = "rows.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


def held(row: dict) -> dict:
    return {name: value for name, value in row.items() if value is not None}


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.parametrize("name", OURS)
def test_each_format_is_known_by_itself_from_a_file_and_in_memory(write, name):
    theirs, ours = OURS[name]
    path = write(theirs)
    assert [held(row) for row in read_rows(path)] == [ours | {"source": f"{path}:1"}]
    assert [held(row) for row in read_rows(path, name.split(",")[0])] == [ours | {"source": f"{path}:1"}]
    (row,) = check_rows([theirs | {"db": 3}])
    assert {field: row.get(field) for field in ours} == ours and row["db"] == 3
    assert check_rows([row]) == [row]


@pytest.mark.filterwarnings("ignore:.*left out")
def test_one_file_may_mix_them_and_knows_which_is_which(write):
    path = write(*(theirs for theirs, _ in OURS.values()))
    rows = read_rows(path)
    assert [held(row) for row in rows] == [
        ours | {"source": f"{path}:{line}"} for line, (_, ours) in enumerate(OURS.values(), 1)
    ]
    assert rows.column_names == ["prompt", "completion", "system", "source", "messages"]
    assert check_rows(rows) == rows.to_list()


def test_what_is_left_out_is_said_in_the_fields_of_the_format(write):
    extra = [{**MESSAGES[0], "name": "Ann", "tool_calls": None}, MESSAGES[1]]
    with pytest.warns(LabkitWarning, match='rows need messages and system; left out: "id", "messages.name"$'):
        read_rows(write({"messages": extra, "id": 3}))
    with pytest.warns(LabkitWarning, match='rows need instruction, output, input and system; left out: "id"$'):
        read_rows(write({"instruction": "a", "output": "b", "id": 3}))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"instruction": "a"}, 'the field "output" is missing. Every row needs instruction and output'),
        ({"instruction": "a", "output": {"a": 1}}, '"output" is an object, not a string. Put it in quotes'),
        ({"instruction": "", "output": "b"}, '"instruction" is empty'),
        ({"instruction": "a", "input": ["b"], "output": "b"}, '"input" is a list, not a string'),
        (
            {"instruction": "a", "output": "b", "history": [["a", "b"]]},
            'the field "history" is a part of what was said',
        ),
        ({"instruction": "a", "output": "b", "prompt": "a", "completion": "b"}, "could be read as prompt or as alpaca"),
        (
            {"messages": MESSAGES, "prompt": "a", "completion": "b"},
            'as prompt or as messages. Say which, with format="',
        ),
        ({"messages": MESSAGES, "tools": [{"name": "f"}]}, 'the field "tools" is a part of what was said'),
        ({"messages": [SYSTEM, *MESSAGES], "system": "Hm"}, 'there are two system prompts: "system", and a message'),
        ({"conversations": "Hi"}, '"conversations" is a string, not a list'),
        ({"conversations": [{"value": "Hi"}]}, 'message 1 has no "role"'),
        ({"conversations": [{"from": "tool", "value": "Hi"}]}, "message 1 is a tool call, or what a tool answers"),
        ({"conversations": [{"from": "narrator", "value": "Hi"}]}, 'message 1 has the role "narrator"'),
        ({"conversations": [{"from": "human"}]}, 'message 1 has no "content"'),
        (
            {"prompt": MESSAGES[:1], "completion": MESSAGES[1:]},
            '"prompt" is a list, not a string. Write one list, "mess',
        ),
        (
            {"question": "a", "answer": "b"},
            "Rename the fields. For JSON lines, that's: jq -c '{prompt: .question, compl",
        ),
        ({"text": "a"}, 'the field "prompt" is missing. Every row needs prompt and completion'),
    ],
)
def test_what_is_not_read_is_refused_with_its_remedy(write, row, problem):
    with pytest.raises(DataError, match=f"rows.jsonl:2: .*{problem}") as caught:
        read_rows(write(MESSAGES and {"prompt": "a", "completion": "b"}, row))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=f"row 1: .*{problem}"):
        check_rows([row])


def test_where_two_formats_are_there_the_one_named_is_read(write):
    path = write({"messages": MESSAGES, "prompt": "a", "completion": "b"})
    with pytest.warns(LabkitWarning, match='left out: "completion", "prompt"$'):
        assert held(read_rows(path, "messages")[0]).keys() == {"messages", "source"}
    with pytest.warns(LabkitWarning, match='left out: "messages"$'):
        assert read_rows(path, "prompt")[0]["prompt"] == "a"
    with pytest.raises(DataError, match='jsonl:1: the field "instruction" is missing'):
        read_rows(path, "alpaca")
    with pytest.raises(ConfigError, match="format must be one of auto, prompt, messages, alpaca, sharegpt, got 'csv'"):
        read_rows(path, "csv")


def test_a_field_that_stands_twice_is_refused_wherever_it_counts(tmp_path):
    path = tmp_path / "rows.jsonl"
    for line, problem in [
        ('{"messages": [], "messages": []}', 'the field "messages" stands twice'),
        (
            '{"messages": [{"role": "user", "role": "user", "content": "a"}]}',
            'the field "role" stands twice in message 1',
        ),
        ('{"instruction": "a", "output": "b", "output": "c"}', 'the field "output" stands twice'),
    ]:
        path.write_text(line)
        with pytest.raises(DataError, match=f"jsonl:1: {problem}. Keep one of the two"):
            read_rows(path)


@pytest.mark.skipif(not shutil.which("jq"), reason="needs jq")
def test_the_line_that_renames_makes_rows_that_can_be_read(write, tmp_path):
    path = write({"question": "a", "answer": "b"})
    with pytest.raises(DataError) as caught:
        read_rows(path)
    line = caught.value.remedy.partition("that's: ")[2].replace("FILE", "rows.jsonl").replace("> rows", "> new")
    subprocess.run(line, shell=True, check=True, cwd=tmp_path)
    assert read_rows(tmp_path / "new.jsonl")[0]["completion"] == "b"


# ---- a task of such rows


def test_a_task_takes_the_system_prompt_that_all_its_rows_bring(write):
    same = write({"messages": [SYSTEM, *MESSAGES]}, {"prompt": "a", "completion": "b", "system": "Be kind"})
    assert task_from_files({"train": same}).system == "Be kind"
    assert task_from_files({"train": same}, "Be brief").system == "Be brief"
    other = write({"messages": MESSAGES}, {"messages": [SYSTEM, *MESSAGES]}, name="other.jsonl")
    assert task_from_files({"train": other}).system == "Answer the user."
    assert task_from_files({"train": same, "test": other}).system == "Answer the user."


def test_the_command_line_has_the_same_formats():
    from labkit.cli.parser import _parser

    options = _parser().parse_args(["train", "--data", "a"])
    assert options.format == "auto" and options.turns == "all"
    for name in FORMATS:
        assert _parser().parse_args(["evaluate", "--data", "a", "--format", name]).format == name
