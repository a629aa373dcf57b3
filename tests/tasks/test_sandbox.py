"""The sandbox is a security boundary: whoever changes it runs this file first."""

import json
import os
import random
import subprocess
import sys

import pytest

import labkit.tasks.sandbox
from labkit.tasks.sandbox import FUNCTIONS, ROWS, SQL_BYTES, QueryRefused, Sandbox

BOATS = [(1, "Ada", 12), (2, "Bob", 3), (3, "Cem", 7), (4, "Ada", 3)]
TABLES = {
    "boats": (["id int", "name text", "crew int"], BOATS),
    "ports": (["id int", "city text"], [(1, "Hull"), (2, "Bergen")]),
}

LONG = "x" * 300
MANY = "boats a, boats b, boats c, boats d, boats e, boats f, boats g, boats h, boats i, boats j"


def copies(name: str, count: int) -> str:
    """`name IN (name, name, …)`: an expression that SQLite copies into whatever names it."""
    return f"{name} IN ({','.join([name] * count)})"


# What somebody might try, each with what the refusal says. Where several SQLite versions say it in several ways,
# the pattern takes each.
ATTEMPTS = {
    # files and settings
    "attach a file": ("ATTACH 'loot.db' AS loot", "begin with SELECT"),
    "attach after a select": ("SELECT 1; ATTACH 'loot.db' AS loot", "one statement"),
    "detach": ("DETACH main", "begin with SELECT"),
    "copy out": ("VACUUM INTO 'loot.db'", "begin with SELECT"),
    "pragma": ("PRAGMA query_only = OFF", "begin with SELECT"),
    "pragma that writes a file": ("PRAGMA journal_mode = DELETE", "begin with SELECT"),
    "pragma as a table": ("SELECT * FROM pragma_database_list", "not authorized|prohibited|no such table"),
    "pragma as a function": ("SELECT 1 FROM pragma_table_info('boats')", "not authorized|prohibited|no such table"),
    "pragma counted only": ("SELECT count(*) FROM pragma_compile_options", "not authorized|prohibited|no such table"),
    "load_extension": ("SELECT load_extension('loot.so')", "not authorized"),
    "readfile": ("SELECT readfile('/etc/passwd')", "no such function|not authorized"),
    "writefile": ("SELECT writefile('loot', 'x')", "no such function|not authorized"),
    "tokenizer address": ("SELECT fts3_tokenizer('simple', x'4141414141414141')", "no such function|not authorized"),
    "explain": ("EXPLAIN SELECT 1", "begin with SELECT"),
    # other tables
    "the schema": ("SELECT sql FROM sqlite_master", "not authorized|prohibited"),
    "the schema by its other name": ("SELECT sql FROM sqlite_schema", "not authorized|prohibited|no such table"),
    "the schema under a known name": ("SELECT boats.sql FROM sqlite_master AS boats", "not authorized|prohibited"),
    "the schema so named, no column": ("SELECT count(*) FROM sqlite_master boats", "not authorized|prohibited"),
    "the schema, no column": ("SELECT count(*) FROM sqlite_master", "not authorized|prohibited"),
    "the temporary schema": ("SELECT * FROM sqlite_temp_master", "not authorized|prohibited"),
    "the schema in a subquery": ("SELECT (SELECT sql FROM sqlite_master)", "not authorized|prohibited"),
    "pages": ("SELECT * FROM dbstat", "no such table|constructor failed|not authorized|prohibited"),
    "json table": ("SELECT value FROM json_each('[1]')", "no such table|constructor failed|not authorized|prohibited"),
    "pages to write": ("SELECT * FROM sqlite_dbpage", "no such table|not authorized|prohibited"),
    "statements of others": ("SELECT * FROM sqlite_stmt", "no such table|constructor failed|not authorized|prohibited"),
    "a folder as a table": ("SELECT * FROM fsdir('/')", "no such table|not authorized|prohibited"),
    "a zip file as a table": ("SELECT * FROM zipfile('loot.zip')", "no such table|not authorized|prohibited"),
    "the schema in brackets": ("SELECT [sql] FROM [sqlite_master]", "not authorized|prohibited"),
    "the schema, dotted": ("SELECT main.sqlite_master.sql FROM main.sqlite_master", "not authorized|prohibited"),
    "the schema beside a table": (
        "SELECT b.id FROM boats b LEFT JOIN sqlite_master m ON m.name = 'boats'",
        "not authorized|prohibited",
    ),
    # programs of the machine, and what tells about it
    "an editor": ("SELECT edit('x', 'sh -c id')", "no such function|not authorized"),
    "the version": ("SELECT sqlite_version()", "not authorized"),
    "how it was built": ("SELECT sqlite_compileoption_get(1)", "not authorized|no such function"),
    "what was written": ("SELECT total_changes()", "not authorized"),
    # writing
    "insert": ("INSERT INTO boats VALUES (9, 'x', 9)", "begin with SELECT"),
    "update": ("UPDATE boats SET crew = 0", "begin with SELECT"),
    "drop": ("SELECT 1; DROP TABLE boats", "one statement"),
    "create": ("CREATE TABLE loot (x)", "begin with SELECT"),
    "update behind a comment": ("/* SELECT */ UPDATE boats SET crew = 0", "begin with SELECT"),
    "insert behind WITH": ("WITH x AS (SELECT 1) INSERT INTO boats SELECT 1, 1, 1", "begin with SELECT"),
    "begin": ("BEGIN EXCLUSIVE", "begin with SELECT"),
    "delete and return": ("DELETE FROM boats RETURNING id", "begin with SELECT"),
    "create behind a select": ("SELECT 1; CREATE TEMP TABLE loot AS SELECT 1", "one statement"),
    "create behind a comment": ("SELECT 1 --\n; DROP TABLE boats", "one statement"),
    "select into": ("SELECT * INTO loot FROM boats", "syntax"),
    "trigger": ("CREATE TRIGGER t AFTER INSERT ON boats BEGIN SELECT 1; END", "begin with SELECT"),
    "full text table": ("CREATE VIRTUAL TABLE loot USING fts5(x)", "begin with SELECT"),
    "savepoint": ("SAVEPOINT s", "begin with SELECT"),
    # time
    "endless recursion": (
        "SELECT * FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n)",
        "WITH",
    ),
    "cross join": (f"SELECT count(*) FROM {MANY}", "instructions"),
    "cross join, nothing found": (f"SELECT 1 FROM {MANY} WHERE a.id + b.id + j.id < 0", "instructions"),
    "cross join in a subquery": (f"SELECT (SELECT max(a.id) FROM {MANY})", "instructions"),
    "cross join in EXISTS": (f"SELECT NOT EXISTS (SELECT 1 FROM {MANY} WHERE a.id + j.id > 99)", "instructions"),
    "64 tables": (f"SELECT count(*) FROM {','.join(['boats'] * 64)}", "instructions"),
    "endless rows": (f"SELECT a.id FROM {MANY}", f"more than {ROWS:,} rows"),
    "window over a cross join": (f"SELECT sum(a.id) OVER (ORDER BY b.id) FROM {MANY}", "instructions"),
    "LIKE with many wildcards": (f"SELECT '{'a' * 200}' LIKE '{'%a' * 100}b'", "not authorized"),
    "GLOB with many wildcards": (f"SELECT '{'a' * 200}' GLOB '{'*a' * 100}b'", "not authorized"),
    "replace": ("SELECT replace('aaaaaaaa', 'a', 'aaaaaaaa')", "not authorized"),
    "instr": (f"SELECT instr('{LONG}', 'xxy')", "not authorized"),
    "window frames": (
        f"SELECT sum(a.id) OVER (ORDER BY b.id ROWS BETWEEN 9 PRECEDING AND 9 FOLLOWING) FROM {MANY}",
        "instructions",
    ),
    "a subquery for each row": (f"SELECT (SELECT count(*) FROM {MANY} WHERE a.id = z.id) FROM boats z", "instructions"),
    "far offset": (f"SELECT a.id FROM {MANY} LIMIT -1 OFFSET 999999999", "instructions"),
    "union of a cross join": (f"SELECT a.id || b.name FROM {MANY} UNION SELECT name FROM boats", "instructions"),
    "a pattern that backtracks": (f"SELECT '{'a' * 99}' REGEXP '(a+)+b'", "no such function|not authorized"),
    "an endless series": ("SELECT count(*) FROM generate_series(1, 1000000000000)", "no such table|not authorized"),
    # memory
    "zeroblob": ("SELECT zeroblob(1000000000)", "not authorized"),
    "hex of zeroblob": ("SELECT hex(zeroblob(500000000))", "not authorized"),
    "randomblob": ("SELECT randomblob(1000000000)", "not authorized"),
    "printf with a width": ("SELECT printf('%1000000000d', 1)", "not authorized"),
    "format with a width": ("SELECT format('%.*c', 1000000000, 'x')", "not authorized|no such function"),
    "group_concat": (f"SELECT group_concat('{LONG}') FROM {MANY}", "not authorized"),
    "string_agg": (f"SELECT string_agg('{LONG}', '') FROM {MANY}", "not authorized|no such function"),
    "json_group_array": (f"SELECT json_group_array('{LONG}') FROM {MANY}", "not authorized|no such function"),
    "a long string": (f"SELECT n||n||n||n FROM (SELECT '{LONG}' n)", "too big"),
    "a long string from a function": (f"SELECT upper(n||n||n||n) FROM (SELECT '{LONG}' n)", "too big"),
    "sort wide rows": (f"SELECT a.name||b.name||c.name||'{LONG}' n FROM {MANY} ORDER BY n", "instructions"),
    "distinct wide rows": (
        f"SELECT count(DISTINCT a.id||b.id||c.id||d.id||e.id||f.id||'{LONG}') FROM {MANY}",
        "instructions",
    ),
    "group wide rows": (
        f"SELECT max('{LONG}'||n) FROM (SELECT a.id||b.id||c.id||d.id||e.id||f.id n FROM {MANY}) GROUP BY n",
        "instructions",
    ),
    "keep a wide subquery": (
        f"SELECT count(*) FROM (SELECT a.id, '{LONG}' n FROM {MANY} LIMIT -1) x, boats y WHERE x.id = y.id",
        "instructions",
    ),
    "quote": ("SELECT quote(name) FROM boats", "not authorized"),
    "hex that doubles": ("SELECT hex(hex(hex(name))) FROM boats", "not authorized"),
    "keep a union": (f"SELECT a.id || '{LONG}' n FROM {MANY} UNION ALL SELECT 1 ORDER BY n", "instructions"),
    "what is not in the other": (f"SELECT a.id || b.id || '{LONG}' FROM {MANY} EXCEPT SELECT 1", "instructions"),
    "distinct stars": (f"SELECT DISTINCT a.*, b.*, c.* FROM {MANY}", "instructions"),
    "json operator": ("SELECT '[1, 2]' -> 1", "not authorized|syntax|unrecognized"),
    "json that nests": ("SELECT json('" + "[" * 400 + "')", "not authorized|no such function"),
    # compiling
    "WITH that doubles": ("SELECT * FROM (WITH a AS (SELECT 1), b AS (SELECT 1 FROM a, a) SELECT 1 FROM b, b)", "WITH"),
    "WITH behind a variable": ("SELECT ?1WITH", "WITH"),
    "VALUES": ("SELECT * FROM (VALUES (1) UNION ALL VALUES (2))", "VALUES"),
    "nested selects": ("SELECT a+a FROM (SELECT a+a a FROM (SELECT id+id a FROM boats))", "SELECT stands more"),
    "deep NOT": ("SELECT " + "NOT " * 120 + "1", "overflow|too large|too complex|depth"),
    "deep sum": ("SELECT " + "1+" * 200 + "1", "too large|depth"),
    "many columns": ("SELECT " + "*," * 200 + "* FROM boats", "too many columns"),
    "long statement": ("SELECT 1" + " " * SQL_BYTES, "longer than"),
    "longer in bytes than in characters": ("SELECT '" + "é" * 400 + "'", "too large|too big|too long"),
    "gigabyte statement": ("SELECT 1" + " " * 10**8, "longer than"),
    "deep CASE": ("SELECT " + "CASE WHEN 1 THEN " * 22 + "1" + " END" * 22, "overflow|too large|depth"),
    "deep minus": ("SELECT " + "- " * 230 + "1", "overflow|too large|depth"),
    "wide row values": ("SELECT (" + "1," * 60 + "1) IN (SELECT " + "1," * 60 + "1)", "too many columns"),
    # oddities
    "nothing": ("", "begin with SELECT"),
    "NUL": ("SELECT 1\0", "null character"),
    "half a character": ("SELECT '\ud800'", "surrogates"),
    "bytes that are no text": ("SELECT CAST(x'ff' AS TEXT)", "UTF-8"),
    "a parameter": ("SELECT ?1", "binding"),
    "a far parameter": ("SELECT ?999999999", "variable number"),
    "prose": ("There are three boats.", "begin with SELECT"),
    "half a query": ("SELECT name FROM", "incomplete|syntax"),
    "no such column": ("SELECT nmae FROM boats", "no such column"),
    "randomness": ("SELECT random()", "not authorized"),
    "the clock": ("SELECT CURRENT_TIMESTAMP", "not authorized"),
}  # fmt: skip

# What costs much to compile in some SQLite versions and little in others: refused or not, it has to end.
HEAVY = {
    "copied expressions": f"SELECT {copies('a', 40)} z FROM (SELECT {copies('id', 40)} a FROM boats) "
    f"ORDER BY {copies('z', 40)}",
    "copied in every clause": f"SELECT {copies('a', 40)} z FROM (SELECT {copies('id', 30)} a FROM boats) "
    f"WHERE {copies('z', 30)} GROUP BY {copies('z', 20)} HAVING {copies('z', 15)}",
    "joins in brackets": "SELECT 1 FROM " + "(" * 30 + "boats" + " JOIN ports)" * 30,
    "full joins": "SELECT 1 FROM " + "(" * 20 + "boats" + " FULL JOIN ports USING (id))" * 10 + ")" * 10,
    "many conditions": f"SELECT 1 FROM {MANY} WHERE " + " AND ".join(["(a.id = b.id OR c.id = d.id)"] * 12),
    "a chain of joins": "SELECT 1 FROM " + ",".join(f"boats b{i}" for i in range(20)) + " WHERE b0.id"
    + "".join(f" = b{i}.id AND b{i}.id" for i in range(1, 15)),
    "a huge list": "SELECT 1 FROM boats WHERE id IN (" + "1," * 220 + "1)",
    "many full joins": "SELECT 1 FROM boats" + "".join(f" NATURAL FULL JOIN boats b{i}" for i in range(14)),
    "right joins": "SELECT 1 FROM boats" + "".join(f" RIGHT JOIN boats b{i} ON 0" for i in range(16)),
    "pairs or pairs": "SELECT 1 FROM boats a, boats b, boats c, boats d WHERE "
    + " OR ".join(f"(a.id = {i} AND b.id = {i})" for i in range(18)),
    "EXISTS over 60 tables": "SELECT 1 FROM boats WHERE EXISTS (SELECT 1 FROM " + ",".join(["boats"] * 60) + ")",
    "casts in casts": "SELECT " + "CAST(" * 30 + "1" + " AS INT)" * 30,
    "brackets": "SELECT " + "(" * 240 + "1" + ")" * 240,
}  # fmt: skip


@pytest.fixture
def sandbox():
    with Sandbox(TABLES) as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_is_refused_and_leaves_everything_as_it_was(sandbox, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sql, reason = ATTEMPTS[name]
    for _ in range(2):  # nor does it wear down
        with pytest.raises(QueryRefused, match=f"(?i){reason}"):
            sandbox.query(sql)
    assert sandbox.query("SELECT * FROM boats") == BOATS
    assert not sandbox._connection.in_transaction and sandbox._connection.total_changes == len(BOATS) + 2
    assert list(tmp_path.iterdir()) == []


MEASURE = """
import importlib.util, json, resource, sys, time
# by its file: labkit.tasks imports much, and the peak of that would hide what comes after
spec = importlib.util.spec_from_file_location("sandbox", sys.argv[1])
sandboxed = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sandboxed)
def peak():  # in bytes
    try:
        with open("/proc/self/status") as status:
            return 1024 * int(next(line for line in status if line.startswith("VmHWM")).split()[1])
    except FileNotFoundError:  # macOS, which counts in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
attempts, tables = json.load(sys.stdin)
first = peak()  # all attempts together: a peak never goes down, so none can hide behind another
for name, sql in attempts.items():
    began = time.perf_counter()
    with sandboxed.Sandbox(tables) as sandbox:
        try:
            sandbox.query(sql)
            refused = False
        except sandboxed.QueryRefused:
            refused = True
    print(json.dumps([name, refused, time.perf_counter() - began, peak() - first]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module to measure with")
def test_every_attempt_ends_soon_in_little_memory_and_without_a_file(tmp_path):
    """In a process of its own: what it costs is measured, and a crash would be seen."""
    attempts = {name: sql for name, (sql, _) in ATTEMPTS.items() if len(sql) < 10_000} | HEAVY
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, labkit.tasks.sandbox.__file__],
        input=json.dumps([attempts, TABLES]),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "SQLITE_TMPDIR": str(tmp_path)},
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, *_ in measured] == list(attempts)
    for name, refused, seconds, extra in measured:
        assert refused or name in HEAVY, name
        assert seconds < 2, (name, seconds)
        assert extra < 64e6, (name, extra)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT name FROM boats WHERE crew > 5", [("Ada",), ("Cem",)]),
        ("select count(*), Avg(crew) from BOATS;", [(4, 6.25)]),
        ("  SELECT DISTINCT name FROM boats ORDER BY name DESC LIMIT 2 -- done", [("Cem",), ("Bob",)]),
        ("SELECT name FROM boats WHERE crew = (SELECT max(crew) FROM boats)", [("Ada",)]),
        ("SELECT b.name, city FROM boats AS b JOIN ports p ON b.id = p.id", [("Ada", "Hull"), ("Bob", "Bergen")]),
        ("SELECT name, sum(crew) FROM boats GROUP BY name HAVING count(*) > 1", [("Ada", 15)]),
        ("SELECT upper(name) FROM boats WHERE name BETWEEN 'B' AND 'D'", [("BOB",), ("CEM",)]),
        ("SELECT id FROM boats UNION SELECT id FROM ports", [(1,), (2,), (3,), (4,)]),
    ],
)
def test_an_honest_query_gives_its_rows(sandbox, sql, rows):
    assert sandbox.query(sql) == rows


def test_an_honest_query_is_far_from_the_limits(sandbox):
    """A join with sorting and groups does not use up a hundredth of what is allowed."""
    sandbox.query(
        "SELECT b.name, count(*) FROM boats b JOIN ports p ON b.id >= p.id WHERE crew > 1 GROUP BY 1 ORDER BY 2"
    )
    assert sandbox._left == 100


def test_a_refusal_names_the_fault_and_the_next_query_has_its_full_budget(sandbox):
    slow = f"SELECT count(*) FROM {MANY}"
    for _ in range(3):
        with pytest.raises(QueryRefused, match="^the query was refused: it takes more than 100,000 instructions$"):
            sandbox.query(slow)
        assert sandbox.query("SELECT count(*) FROM boats a, boats b, boats c, boats d") == [(256,)]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_on_the_list_works_on_small_things_only(sandbox, name):
    """None of them returns more than it was given, so none needs a limit of its own."""
    if name in ("coalesce", "ifnull", "nullif"):
        arguments = "name, 'x'"
    else:
        arguments = "name"
    ((value,),) = sandbox.query(f"SELECT {name}({arguments}) FROM boats LIMIT 1")
    assert len(str(value)) <= 4


def test_tables_that_cannot_be_made_are_refused():
    for columns in (["order int"], ["id int", "id int"], []):
        with pytest.raises(QueryRefused, match="the tables cannot be made"):
            Sandbox({"boats": (columns, [])})


WORDS = (
    "SELECT DISTINCT * , ( ) FROM boats ports a b JOIN LEFT FULL NATURAL USING ON WHERE AND OR NOT IN BETWEEN "
    "LIKE IS NULL EXISTS CASE WHEN THEN ELSE END GROUP BY HAVING ORDER LIMIT OFFSET UNION ALL EXCEPT INTERSECT "
    "WITH RECURSIVE VALUES OVER PARTITION ROWS id name crew rowid count(*) sum( max( avg( upper( random( 1 0 "
    "-1 1e999 'x' \"y\" x'ff' || + / = < <> ; -- /* */ ? :x . AS COLLATE NOCASE CAST( ATTACH PRAGMA "
    "sqlite_master pragma_table_list "
).split()


def test_whatever_is_written_ends_in_rows_or_in_a_refusal(sandbox):
    """Ten thousand random sentences of SQL words: no other error, and the tables are as they were."""
    draw, answered = random.Random(0), 0
    for _ in range(10_000):
        words = draw.choices(WORDS, k=draw.randint(1, 12))
        try:
            sandbox.query(
                " ".join(["SELECT", draw.choice(["*", "id", "1"]), "FROM boats"][: draw.randint(0, 3)] + words)
            )
            answered += 1
        except QueryRefused:
            pass
    assert answered > 50
    assert sandbox.query("SELECT * FROM boats") == BOATS
