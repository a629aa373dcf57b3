import operator
import random
import re
from collections import defaultdict

import pytest

from labkit import DataError, load_task
from labkit.tasks.fillings import fillings, near_misses, same_result
from labkit.tasks.sql import make_row
from labkit.tasks.sql_parts import NEW_SCHEMAS, SCHEMAS

SQL = load_task("sql")
SCHEMA = "boats(name text, flag text, crew int, length int, yard_id int)\nyards(id int, town text, docks int)"
RIGHT = {"execution": 1.0, "valid_sql": 1.0}
WRONG = {"execution": 0.0, "valid_sql": 1.0}
INVALID = {"execution": 0.0, "valid_sql": 0.0}


def asked(completion: str) -> dict:
    return {"prompt": f"{SCHEMA}\n…", "completion": completion}


# ---- the oracle: the question answered a second time, in Python, from its words

SIGNS = {
    "over": operator.gt, "above": operator.gt, "under": operator.lt, "below": operator.lt,
    "at least": operator.ge, "or more": operator.ge, "at most": operator.le, "or less": operator.le,
}  # fmt: skip
AGGREGATES = {
    "average": lambda x: sum(x) / len(x), "mean": lambda x: sum(x) / len(x), "total": sum, "summed": sum,
    "highest": max, "largest": max, "lowest": min, "smallest": min,
}  # fmt: skip


def holds(condition: str, row: dict) -> bool:
    column, rest = condition.split(" ", 1)
    number, words = re.search(r"\d+", rest), re.search("|".join(SIGNS), rest)
    if not words:
        return row[column] == rest
    return SIGNS[words[0]](row[column], int(number[0]))


def answer_in_python(question: str, tables: dict) -> list[tuple]:
    """What a careful reader with the tables in hand answers."""
    (columns, rows), (parent_columns, parent_rows) = tables.values()
    names = [column.split()[0] for column in columns]
    things = [dict(zip(names, row)) for row in rows]
    parents = [dict(zip([column.split()[0] for column in parent_columns], row)) for row in parent_rows]
    key = names[-1]
    text = question.rstrip(".?")
    if found := re.search(r"(?:whose \w+ has|belong to a \w+ with) (.+)", text):
        chosen = {parent["id"] for parent in parents if holds(found[1], parent)}
        return [(thing[names[0]],) for thing in things if thing[key] in chosen]
    if found := re.search(r" (\d) \w+ (?:with|have|that have) the (\w+) (\w+)$", text):
        things.sort(key=lambda thing: thing[found[3]], reverse=found[2] in ("highest", "largest"))
        return [(thing[names[0]],) for thing in things[: int(found[1])]]
    if found := re.search(r"by (\w+)(?:,| with the) (\w+) first", text):
        things.sort(key=lambda thing: thing[found[1]], reverse=found[2] in ("highest", "largest"))
        return [(thing[names[0]],) for thing in things]
    aggregate = re.search(rf"\b({'|'.join(AGGREGATES)}) (\w+)", text)
    if found := re.search(r"(?:for each|per|for every) (\w+)", text, re.IGNORECASE):
        groups = defaultdict(list)
        for thing in things:
            groups[thing[found[1]]].append(thing[aggregate[2]] if aggregate else 1)
        return [(name, (AGGREGATES[aggregate[1]] if aggregate else sum)(group)) for name, group in groups.items()]
    if found := re.search(r"(?:with|have) (.+?)(?:,|$)", text):
        things = [thing for thing in things if holds(found[1], thing)]
    if aggregate:
        return [(AGGREGATES[aggregate[1]]([thing[aggregate[2]] for thing in things]),)]
    if re.match("How many|Count|What is the number|Tell me how many", text):
        return [(len(things),)]
    return [(thing[names[0]],) for thing in things]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_stored_query_gives_what_its_question_asks(split):
    for row in SQL.rows(split):
        question = row["prompt"].splitlines()[-1]
        for tables, wanted in fillings(row["prompt"], row["completion"]):
            by_hand = answer_in_python(question, tables)
            assert same_result(by_hand, wanted, "ORDER BY" in row["completion"]), (question, row["completion"])


def test_half_of_the_test_schemas_are_in_no_training_row():
    seen = {row["prompt"].split("(")[0] for split in ("train", "validation") for row in SQL.rows(split)}
    assert seen == {schema.many for schema in SCHEMAS}
    new = {schema.many for schema in NEW_SCHEMAS}
    asked = [row["prompt"].split("(")[0] for row in SQL.rows("test")]
    assert not new & seen and set(asked) == new | seen
    assert 0.35 < sum(name in new for name in asked) / len(asked) < 0.65


# ---- score


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("SELECT name FROM boats WHERE crew > 12", "select b.NAME as n from boats b where not crew <= 12;"),
        ("SELECT name FROM boats WHERE crew > 12", "SELECT name FROM boats WHERE crew >= 13 ORDER BY name"),
        ("SELECT COUNT(*) FROM boats", "SELECT SUM(1) FROM boats"),
        ("SELECT AVG(crew) FROM boats", "SELECT SUM(crew) * 1.0 / COUNT(crew) FROM boats"),
        ("SELECT MAX(crew) FROM boats", "SELECT crew FROM boats ORDER BY crew DESC LIMIT 1"),
        ("SELECT flag, COUNT(*) FROM boats GROUP BY flag", "SELECT flag, COUNT(name) FROM boats GROUP BY 1 ORDER BY 2"),
        (
            "SELECT name FROM boats JOIN yards ON yard_id = yards.id WHERE town = 'Hull'",
            "SELECT name FROM boats WHERE yard_id IN (SELECT id FROM yards WHERE town = 'Hull')",
        ),
        ("SELECT name FROM boats ORDER BY crew ASC LIMIT 3", "\n SELECT name FROM boats ORDER BY crew LIMIT 3 \n"),
    ],
)
def test_another_way_to_write_the_same_is_right(reference, answer):
    assert SQL.score(answer, asked(reference)) == RIGHT


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("SELECT name FROM boats WHERE crew > 12", "SELECT name FROM boats WHERE crew >= 12"),
        ("SELECT name FROM boats WHERE crew > 12", "SELECT name FROM boats WHERE length > 12"),
        ("SELECT name FROM boats WHERE crew > 12", "SELECT name FROM boats"),
        ("SELECT name FROM boats WHERE crew > 12", "SELECT name, crew FROM boats WHERE crew > 12"),
        ("SELECT name FROM boats WHERE crew > 12", "SELECT flag FROM boats WHERE crew > 12"),
        ("SELECT name FROM boats WHERE flag = 'Malta'", "SELECT DISTINCT name FROM boats WHERE flag = 'Malta'"),
        ("SELECT name FROM boats WHERE flag = 'Malta'", "SELECT name FROM boats WHERE flag = 'malta'"),
        ("SELECT name FROM boats WHERE flag = 'Malta'", "SELECT name FROM boats WHERE name = 'Malta'"),
        ("SELECT COUNT(*) FROM boats", "SELECT COUNT(DISTINCT name) FROM boats"),
        ("SELECT COUNT(*) FROM boats", "SELECT 16 WHERE 0"),
        ("SELECT MAX(crew) FROM boats", "SELECT MAX(length) FROM boats"),
        ("SELECT name FROM boats ORDER BY crew ASC", "SELECT name FROM boats ORDER BY crew DESC"),
        ("SELECT name FROM boats ORDER BY crew ASC", "SELECT name FROM boats"),
        ("SELECT name FROM boats ORDER BY crew ASC LIMIT 3", "SELECT name FROM boats ORDER BY crew LIMIT 4"),
        ("SELECT flag, COUNT(*) FROM boats GROUP BY flag", "SELECT COUNT(*), flag FROM boats GROUP BY flag"),
        ("SELECT flag, COUNT(*) FROM boats GROUP BY flag", "SELECT flag, COUNT(*) FROM boats"),
        (
            "SELECT name FROM boats JOIN yards ON yard_id = yards.id WHERE town = 'Hull'",
            "SELECT name FROM boats, yards WHERE town = 'Hull'",
        ),
    ],
)
def test_a_query_that_runs_and_is_wrong(reference, answer):
    assert SQL.score(answer, asked(reference)) == WRONG


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "There are three boats.",
        "```sql\nSELECT name FROM boats\n```",
        "SELECT name FROM ships",
        "SELECT name FROM boats; SELECT name FROM boats",
        "SELECT name FROM boats UNION ALL SELECT sql FROM sqlite_master",
        "ATTACH 'x.db' AS x",
        "SELECT a.name FROM boats a, boats b, boats c, boats d, boats e",
    ],
)
def test_what_does_not_run_is_neither_right_nor_valid(answer):
    assert SQL.score(answer, asked("SELECT name FROM boats")) == INVALID


def test_a_constant_is_right_on_no_filling_of_another():
    """Knowing how many rows a table has must not help: the tables differ from filling to filling."""
    row = asked("SELECT MAX(crew) FROM boats")
    values = {wanted[0][0] for _, wanted in fillings(**row_key(row))}
    assert len(values) > 1
    assert all(SQL.score(f"SELECT {value}", row) == WRONG for value in values)


def row_key(row: dict) -> dict:
    return {"prompt": row["prompt"], "reference": row["completion"]}


@pytest.mark.parametrize(
    ("given", "wanted", "in_order", "equal"),
    [
        ([(1,), (2,)], [(2,), (1,)], False, True),
        ([(1,), (2,)], [(2,), (1,)], True, False),
        ([(1,), (1,)], [(1,)], False, False),
        ([(2.0,)], [(2,)], True, True),
        ([(0.1 + 0.2,)], [(0.3,)], True, True),
        ([("2",)], [(2,)], False, False),
        ([(None,)], [(0,)], False, False),
        ([(1, "a")], [("a", 1)], False, False),
        ([(float("inf"),)], [(1,)], True, False),
        ([], [], True, True),
    ],
)
def test_same_result(given, wanted, in_order, equal):
    assert same_result(given, wanted, in_order) is equal
    assert same_result(wanted, given, in_order) is equal


@pytest.mark.slow
def test_the_queries_of_other_rows_are_not_taken_for_right():
    """On the same two tables, four thousand pairs; luck would show here."""
    rows, pairs, accepted = list(SQL.rows("test")), 0, 0
    for row in rows:
        for other in rows:
            same_tables = row["prompt"].splitlines()[:2] == other["prompt"].splitlines()[:2]
            if same_tables and other["completion"] != row["completion"]:
                pairs += 1
                accepted += SQL.score(other["completion"], row)["execution"]
    assert pairs > 3000 and accepted / pairs < 0.001


def slips(row: dict) -> set[str]:
    """The row's query with one thing wrong: each column by each other, each function, sign and direction."""
    query, tables = row["completion"], re.findall(r"\((.+)\)$", row["prompt"], re.MULTILINE)
    changed = set()
    for columns in tables:
        names = [column.split()[0] for column in columns.split(", ")]
        changed |= {re.sub(rf"\b{old}\b", new, query) for old in names for new in names}
    for old, new in [
        (r"(?<= )>(?= )", ">="), (">=", ">"), (r"(?<= )<(?= )", "<="), ("<=", "<"), (" WHERE.*", ""), ("DESC", "ASC"),
        ("ASC", "DESC"), (r" LIMIT \d", ""), (r" LIMIT \d", " LIMIT 1"), (" ORDER BY.*", ""), (r" GROUP BY \w+", ""),
        ("AVG", "SUM"), ("AVG", "MAX"), ("SUM", "AVG"), ("SUM", "MAX"), ("MAX", "MIN"), ("MAX", "SUM"), ("MIN", "MAX"),
        (r"COUNT\(\*\)", "*"), (r"'(\w+)'", r"'\1s'"), (r"= '", "<> '"), (r" \w+_id = ", " id = "),
        (r" ON .*WHERE", " WHERE"), (r"SELECT \w+ ", "SELECT * "), (r"\d+$", "10"),
    ]:  # fmt: skip
        changed.add(re.sub(old, new, query))
    return changed - {query}


@pytest.mark.slow
def test_a_query_with_one_slip_is_not_taken_for_right():
    total, accepted = 0, []
    for row in SQL.rows("test"):
        for slip in slips(row):
            total += 1
            if SQL.score(slip, row)["execution"]:
                accepted.append((row["completion"], slip))
    assert total > 3000 and len(accepted) / total < 0.001, accepted


def test_near_misses():
    query = "SELECT flag, COUNT(*) FROM boats WHERE crew > 12 GROUP BY flag"
    assert near_misses(query) == {
        "SELECT flag, COUNT(*) FROM boats GROUP BY flag",
        "SELECT flag, COUNT(*) FROM boats WHERE crew >= 12 GROUP BY flag",
    }
    assert near_misses("SELECT name FROM boats") == {"SELECT DISTINCT name FROM boats"}
    assert near_misses("SELECT MAX(crew) FROM boats") == set()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "How many boats?", "completion": "SELECT 1"}, "the prompt shows no tables"),
        ({"prompt": "boats(id int DEFAULT (1))", "completion": "SELECT 1"}, "the prompt shows no tables"),
        (
            {"prompt": "boats(order int)", "completion": "SELECT 1"},
            "the row's own query does not run: the tables cannot",
        ),
        (asked("SELECT nmae FROM boats"), "the row's own query does not run.*no such column"),
        (
            asked("SELECT name FROM boats WHERE crew > 1 AND crew < 1"),
            "no filling of the tables gives the row's query a clear",
        ),
        (asked("SELECT name FROM boats ORDER BY flag"), "no filling of the tables gives the row's query a clear"),
    ],
)
def test_a_row_that_cannot_be_scored_is_refused(row, message):
    with pytest.raises(DataError, match=message):
        SQL.score("SELECT name FROM boats", row)


def test_a_reference_whose_near_misses_do_not_run_is_scored_all_the_same():
    row = asked("SELECT name FROM boats WHERE crew > (SELECT AVG(crew) FROM boats WHERE length > 20) LIMIT 99999999999")
    assert SQL.score(row["completion"], row) == RIGHT
    assert SQL.score("SELECT name FROM boats WHERE crew > (SELECT AVG(crew) FROM boats)", row) == WRONG


@pytest.mark.parametrize("seed", range(20))
def test_a_generated_row_is_right_for_itself_and_not_for_another(seed):
    draw = random.Random(seed)
    first, second = make_row(draw), make_row(draw, NEW_SCHEMAS)
    assert SQL.score(first["completion"], first) == RIGHT
    assert SQL.score(first["completion"], second) == INVALID
