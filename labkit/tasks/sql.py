"""SQL: a question and a small schema → one SELECT statement.

The schema stands in the prompt, so that the answer can be worked out; the house's conventions (which column stands
for "the boats", what "over" and "at least" become) are learned from examples. A query is right when it gives what the
reference gives on several tables filled for the purpose. Half of the test rows, about, are on schemas that no training
row has.
"""

import random
from collections.abc import Mapping

from labkit.tasks import Task, course_files
from labkit.tasks.fillings import fillings, same_result
from labkit.tasks.sandbox import QueryRefused, Sandbox
from labkit.tasks.sql_parts import AGGREGATES, COMPARISONS, NEW_SCHEMAS, SCHEMAS, SHARES, WORDING, Schema

SYSTEM = "Question to SQL."


def make_row(draw: random.Random, schemas: tuple[Schema, ...] = SCHEMAS) -> dict:
    """A question about one of `schemas` and its query."""
    schema, (kind,) = draw.choice(schemas), draw.choices(list(SHARES), list(SHARES.values()))
    many, column = schema.many, draw.choice(schema.numbers)
    function = draw.choice(list(AGGREGATES))
    k, descending = draw.randint(2, 5), draw.random() < 0.5
    if kind in ("top", "sort"):
        word = draw.choice(AGGREGATES["MAX" if descending else "MIN"])
    else:
        word = draw.choice(AGGREGATES[function])
    if kind == "join":
        about = (schema.parent_text, schema.parent_values, schema.parent_number)
        condition, where = _condition(draw, *about)
    else:
        other = schema.numbers[column == schema.numbers[0]]  # the highest price under 40 would be no question
        condition, where = _condition(draw, schema.text, schema.values, other)
    direction = "DESC" if descending else "ASC"
    query = {
        "list": f"SELECT {schema.label} FROM {many} WHERE {where}",
        "count": f"SELECT COUNT(*) FROM {many} WHERE {where}",
        "aggregate": f"SELECT {function}({column}) FROM {many}",
        "aggregate some": f"SELECT {function}({column}) FROM {many} WHERE {where}",
        "top": f"SELECT {schema.label} FROM {many} ORDER BY {column} {direction} LIMIT {k}",
        "sort": f"SELECT {schema.label} FROM {many} ORDER BY {column} {direction}",
        "count each": f"SELECT {schema.text}, COUNT(*) FROM {many} GROUP BY {schema.text}",
        "aggregate each": f"SELECT {schema.text}, {function}({column}) FROM {many} GROUP BY {schema.text}",
        "join": f"SELECT {schema.label} FROM {many} JOIN {schema.parents} ON {schema.parent}_id = {schema.parents}.id "
        f"WHERE {where}",
    }[kind]
    question = draw.choice(WORDING[kind]).format(
        many=many, one=schema.one, label=schema.label, text=schema.text, parent=schema.parent,
        column=column, word=word, k=k, condition=condition,
    )  # fmt: skip
    return {"prompt": f"{schema.tables()}\n{question}", "completion": query}


def _condition(draw: random.Random, text: str, values: tuple[str, ...], number: str) -> tuple[str, str]:
    """A condition in words and in SQL."""
    if draw.random() < 0.4:
        value = draw.choice(values)
        return f"{text} {value}", f"{text} = '{value}'"
    sign, n = draw.choice(list(COMPARISONS)), draw.randint(11, 99)
    return draw.choice(COMPARISONS[sign]).format(column=number, n=n), f"{number} {sign} {n}"


def make_test_row(draw: random.Random) -> dict:
    """As :func:`make_row`; every second question, about, is on a schema that no training row has."""
    return make_row(draw, SCHEMAS if draw.random() < 0.5 else NEW_SCHEMAS)


# ---- score


def score(answer: str, row: Mapping) -> dict[str, float]:
    """Does the answer's query give what the reference gives?

    Rows count as often as they come; their order counts if the reference sorts. Columns count by their place, and
    their names do not. The query runs in :class:`labkit.tasks.sandbox.Sandbox`.

    Returns:
        ``execution``: 1 when it gives the same on every filling of the tables.
        ``valid_sql``: 1 when it runs at all.

    Raises:
        DataError: the row shows no tables, or its own query does not run on them.
    """
    in_order = "order by" in row["completion"].lower()
    right = True
    for tables, wanted in fillings(row["prompt"], row["completion"]):
        with Sandbox(tables) as sandbox:
            try:
                given = sandbox.query(answer.strip())
            except QueryRefused:
                return {"execution": 0.0, "valid_sql": 0.0}
        right = right and same_result(given, wanted, in_order)
    return {"execution": float(right), "valid_sql": 1.0}


TASK = Task("sql", SYSTEM, score, course_files("sql"), make_row, make_test_row=make_test_row, max_new_tokens=36)
