import json
import random
import re
import subprocess
import sys
from datetime import date

import pytest

from labkit import ConfigError, DataError, Task, load_task, read_rows
from labkit.tasks import distinct_rows, exact_match, task_from_files
from labkit.tasks.make_data import SIZES, as_jsonl, splits
from labkit.tasks.tickets import make_row, same

TICKETS = load_task("tickets")
SPLITS = ("train", "validation", "test")

TICKET = {"name": "Ada", "order": "B31", "product": "R7", "date": "2026-09-25", "amount": 87, "priority": "high"}
ROW = {"prompt": "…", "completion": json.dumps(TICKET)}

# What the message says, worked out a second time and in another way than by the generator.
CODES = dict(kettle="K1", toaster="T2", lamp="L3", heater="H4", fan="F5", blender="B6", radio="R7", clock="C8")
MONTHS = "January February March April May June July August September October November December".split()
DANGER = re.compile(r"\b(smokes|sparks|fire|burned)\b")
HARMLESS = re.compile(r"\b(leaks|rattles|scratched|loud)\b")
NO_NAMES = {*MONTHS, "My", "Order", "It", "On", "Help", "Bought"}


def ticket_of(message: str) -> dict:
    """The ticket a careful reader writes for `message`."""
    (name,) = [word for word in re.findall(r"\b[A-Z][a-z]+\b", message) if word not in NO_NAMES]
    (order,) = re.findall(r"\b[A-H]\d\d\b", message)
    (product,) = [word for word in re.findall(r"[a-z]+", message) if word in CODES]
    month = "|".join(MONTHS)
    (found,) = re.findall(rf"\b(?:(\d\d) ({month})|({month}) (\d\d))\b", message)
    day, month = int(found[0] or found[3]), MONTHS.index(found[1] or found[2]) + 1
    (amount,) = re.findall(r"\$([\d,]*\d)|([\d,]*\d) dollars|USD ([\d,]*\d)", message)
    assert bool(DANGER.search(message)) != bool(HARMLESS.search(message))
    return {
        "name": name,
        "order": order,
        "product": CODES[product],
        "date": date(2026, month, day).isoformat(),
        "amount": int("".join(amount).replace(",", "")),
        "priority": "high" if DANGER.search(message) else "normal",
    }


@pytest.mark.parametrize("split", SPLITS)
def test_stored_rows_follow_from_their_messages(split):
    rows = TICKETS.rows(split)
    assert len(rows) == SIZES[split]
    for row in rows:
        assert row["system"] is None
        assert row["completion"] == json.dumps(ticket_of(row["prompt"]), separators=(",", ":"))


@pytest.mark.parametrize("split", SPLITS)
def test_stored_files_are_what_the_generator_makes(split):
    assert TICKETS.files[split].read_bytes() == as_jsonl(splits(TICKETS)[split]).encode()


def test_splits_share_no_prompt_and_the_test_split_is_large_enough():
    prompts = {split: TICKETS.rows(split)["prompt"] for split in SPLITS}
    assert len(prompts["test"]) >= 200
    assert len({prompt for split in SPLITS for prompt in prompts[split]}) == sum(map(len, prompts.values()))


def test_every_value_of_the_test_split_occurs_in_training():
    """A code that never occurred could not be learned."""
    seen, asked = (
        {field: {json.loads(row["completion"])[field] for row in TICKETS.rows(split)} for field in TICKET}
        for split in ("train", "test")
    )
    for field in ("name", "product", "priority"):
        assert asked[field] <= seen[field]


def test_the_card_says_what_the_data_is():
    card = (TICKETS.files["train"].parent / "README.md").read_text(encoding="utf-8")
    for split, size in SIZES.items():
        assert re.search(rf"`{split}\.jsonl` \| {size} \|", card)
    for field in TICKET:
        assert f"| `{field}` |" in card
    for word in (
        "2026",
        "MIT",
        "invented",
        "python -m labkit.tasks.make_data tickets",
        "exact",
        "field_f1",
        "valid_json",
    ):
        assert word in card
    for product, code in CODES.items():
        assert f"{product} {code}" in card


@pytest.mark.slow
def test_generator_writes_the_same_files_from_the_command_line(tmp_path):
    """Run on a copy, so that the stored files cannot be touched."""
    code = (
        "import runpy, sys, pathlib, labkit.storage.paths as storage\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "storage.course_data_dir = lambda: folder\n"
        "sys.argv = ['generate', 'tickets']\n"
        "runpy.run_module('labkit.tasks.make_data', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{split}: {size} rows" for split, size in SIZES.items()]
    for split in SPLITS:
        assert (tmp_path / "tickets" / f"{split}.jsonl").read_bytes() == TICKETS.files[split].read_bytes()


# ---- score

PERFECT = {"exact": 1.0, "field_f1": 1.0, "valid_json": 1.0}
NOTHING = {"exact": 0.0, "field_f1": 0.0, "valid_json": 0.0}


def answer(**changes) -> str:
    return json.dumps({name: value for name, value in (TICKET | changes).items() if value is not ...})


@pytest.mark.parametrize(
    "given",
    [
        answer(),
        json.dumps(dict(reversed(TICKET.items()))),
        json.dumps(TICKET, separators=(",", ":")),
        "\n " + json.dumps(TICKET, indent=2) + "\n",
        answer(amount=87.0),
        answer().replace("87", "8.7e1"),
    ],
)
def test_right_answers(given):
    assert TICKETS.score(given, ROW) == PERFECT


@pytest.mark.parametrize(
    ("given", "f1"),
    [
        (answer(amount="87"), 5 / 6),
        (answer(amount=88), 5 / 6),
        (answer(amount=True), 5 / 6),
        (answer(amount=None), 5 / 6),
        (answer(amount=[87]), 5 / 6),
        (answer(amount=10**400), 5 / 6),
        (answer(name="ada"), 5 / 6),
        (answer(name="Ada "), 5 / 6),
        (answer(date="25 September"), 5 / 6),
        (answer(city="Paris"), 2 * 6 / 13),
        (answer(name=...), 2 * 5 / 11),
        ("{}", 0.0),
        (json.dumps({"ticket": TICKET}), 0.0),
    ],
)
def test_wrong_answers_that_are_json(given, f1):
    assert TICKETS.score(given, ROW) == {"exact": 0.0, "field_f1": pytest.approx(f1), "valid_json": 1.0}


@pytest.mark.parametrize(
    "given",
    [
        "",
        "I am sorry to hear that.",
        answer()[:-1],
        answer() + answer(),
        "```json\n" + answer() + "\n```",
        f"[{answer()}]",
        "87",
        "null",
        "NaN",
        answer(amount=float("nan")),
        answer(amount=float("-inf")),
        answer().replace("87", "9" * 5000),
        '{"a":' * 100_000,
    ],
)
def test_answers_that_are_no_json_object(given):
    assert TICKETS.score(given, ROW) == NOTHING


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [(1, True, False), (True, 1, False), (True, True, True), (87.0, 87, True), ("87", 87, False), (None, None, True)],
)
def test_same_in_value_and_in_kind(given, wanted, expected):
    assert same(given, wanted) is expected


@pytest.mark.parametrize("seed", range(20))
def test_a_generated_row_scores_full_marks_against_itself_and_not_against_another(seed):
    draw = random.Random(seed)
    first, second = make_row(draw), make_row(draw)
    assert TICKETS.score(first["completion"], first) == PERFECT
    assert TICKETS.score(first["completion"], second)["exact"] == 0.0


# ---- tasks in general


def test_unknown_task_and_split_are_refused():
    with pytest.raises(ConfigError, match="there is no task '../tickets'; there are: tickets"):
        load_task("../tickets")
    with pytest.raises(ConfigError, match="tickets has no split 'dev'; it has train, validation, test"):
        TICKETS.rows("dev")


def test_distinct_rows_says_when_it_cannot():
    rows = distinct_rows(lambda draw: {"prompt": str(draw.randint(1, 3))}, 3, seed=0)
    assert sorted(row["prompt"] for row in rows) == ["1", "2", "3"]
    with pytest.raises(DataError, match="only 3 different prompts came up. Ask for fewer than 4"):
        distinct_rows(lambda draw: {"prompt": str(draw.randint(1, 3))}, 4, seed=0)


def test_a_learners_own_files_make_a_task(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "a", "completion": " b "}\n')
    task = task_from_files({"train": path, "test": str(path)}, system="Be kind")
    assert isinstance(task, Task) and (task.name, task.system, task.score) == ("mine", "Be kind", exact_match)
    assert task.rows("test").to_list() == read_rows(path).to_list()
    assert [exact_match(given, task.rows("test")[0])["exact"] for given in ("b", "b\n", "B", "")] == [
        1.0,
        1.0,
        0.0,
        0.0,
    ]
    with pytest.raises(ConfigError, match="mine has no split 'validation'; it has train, test"):
        task.rows("validation")
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}')
    with pytest.raises(DataError, match='bad.jsonl:1: the field "completion" is missing'):
        task_from_files({"train": path, "test": tmp_path / "bad.jsonl"})
