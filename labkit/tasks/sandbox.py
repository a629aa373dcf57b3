"""A sandbox for SQL that nobody has read: a query runs on a few small tables in memory, or is refused.

What a language model writes is untrusted, like anything from the internet. Four fences, each with its own reason:

- **An allow list.** SQLite asks an authorizer about each thing a statement would do. Reading the tables given and
  calling the functions in :data:`FUNCTIONS` is allowed; all else (files, settings, other tables, writing) is not.
- **A budget of instructions**, not of seconds. The same query gets the same answer on any machine. Only loops are
  checked, which suffices, since a program without loops is short.
- **Small values.** What a single instruction does cannot be interrupted, so it must never have much to do: no value
  is longer than :data:`VALUE_BYTES`, and functions whose work grows faster than their input (``LIKE``, ``replace``,
  ``printf``) are not on the list.
- **Short statements.** Compiling cannot be interrupted either. SQLite puts a copy of a subquery, or of an expression
  named in one, wherever its name stands, so that a few lines that double and double again grow to gigabytes (three
  nested SELECTs in 960 characters took 290 MB). WITH and VALUES are refused, and SELECT may stand twice.

The fences are SQLite's own and stand in this process: a bug in SQLite that corrupts memory would pass them. Who runs
queries of people who mean harm gives each a process of its own on top, with the rights of nobody.

Source: sqlite.org, "Defense Against The Dark Arts", and the documentation of ``sqlite3_set_authorizer``.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from labkit.errors import LabkitError

FUNCTIONS = frozenset("abs avg coalesce count ifnull length lower max min nullif round sum total upper".split())
INSTRUCTIONS = 100_000  # of SQLite's virtual machine; a question on a dozen rows takes a few hundred
VALUE_BYTES = 1_000  # the longest string, and the longest row SQLite may keep aside
SQL_BYTES = 500
ROWS = 1_000
SELECTS = 2

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: VALUE_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: SQL_BYTES,
    sqlite3.SQLITE_LIMIT_COLUMN: 16,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 50,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: SELECTS,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 8,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 1,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_PROGRESS_EVERY = 1_000


class QueryRefused(LabkitError):
    """A query that is not valid SQL for these tables, or that the sandbox will not run."""


class Sandbox:
    """A few tables in memory, to be read by queries nobody has read. Close it, or use it in a ``with``.

    Args:
        tables: name -> (column definitions such as ``"crew int"``, rows). Unlike the queries, these are trusted.

    Raises:
        QueryRefused: SQLite cannot make such tables.
    """

    def __init__(self, tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence]]]):
        self._tables = {name.lower() for name in tables}
        self._left = 0
        # without isolation level the module opens no transactions of its own
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        try:
            for name, (columns, rows) in tables.items():
                self._connection.execute(f'CREATE TABLE "{name}" ({", ".join(columns)})')
                self._connection.executemany(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(columns))})', rows)
        except sqlite3.Error as error:
            self.close()
            raise QueryRefused(f"the tables cannot be made: {error}") from None
        self._connection.execute("PRAGMA temp_store = MEMORY")  # sorting must not write files
        self._connection.execute("PRAGMA query_only = ON")
        for limit, value in _LIMITS.items():
            self._connection.setlimit(limit, value)
        self._connection.set_authorizer(self._authorize)
        self._connection.set_progress_handler(self._spend, _PROGRESS_EVERY)

    def query(self, sql: str) -> list[tuple]:
        """The rows that `sql`, one SELECT statement, gives.

        Raises:
            QueryRefused: it is no such statement, does not fit the tables, or goes beyond what is allowed.
        """
        if len(sql) > SQL_BYTES:
            raise QueryRefused(f"the query is longer than {SQL_BYTES:,} characters")
        # Looked for anywhere in the raw text, strings and names included: what refuses too much lets no trick through
        text = sql.lower()
        if not text.lstrip().startswith("select"):
            raise QueryRefused("the query does not begin with SELECT")
        for word in ("with", "values"):
            if word in text:
                raise QueryRefused(f"{word.upper()} is not allowed")
        if text.count("select") > SELECTS:
            raise QueryRefused(f"SELECT stands more than {SELECTS} times")
        self._left = INSTRUCTIONS // _PROGRESS_EVERY
        try:
            cursor = self._connection.execute(sql)
            try:
                rows = cursor.fetchmany(ROWS + 1)
            finally:
                cursor.close()
        # a second statement is a Warning in Python 3.11, a NUL or half a character a ValueError
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            reason = f"it takes more than {INSTRUCTIONS:,} instructions" if self._left < 0 else error
            raise QueryRefused(f"the query was refused: {reason}") from None
        except MemoryError:  # what SQLite says of a program longer than its limit
            raise QueryRefused("the query was refused: its program is too long") from None
        if len(rows) > ROWS:
            raise QueryRefused(f"the query gives more than {ROWS:,} rows")
        return rows

    def _authorize(self, action: int, first: str | None, second: str | None, *_) -> int:
        allowed = (
            action == sqlite3.SQLITE_SELECT
            or (action == sqlite3.SQLITE_READ and (first or "").lower() in self._tables)
            or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FUNCTIONS)
        )
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    def _spend(self) -> bool:
        self._left -= 1
        return self._left < 0

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_) -> None:
        self.close()
