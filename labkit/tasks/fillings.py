"""Tables filled so that a query that is not the reference gives something else than the reference gives.

Source: execution on several fillings, chosen to tell queries apart: Zhong, Yu and Klein 2020, arXiv 2010.02840.
"""

import random
import re
from collections import Counter
from functools import lru_cache

from labkit.errors import DataError
from labkit.tasks.sandbox import QueryRefused, Sandbox

FILLINGS = 4  # at least; a wrong query must give the right result on each of them to be taken for right
THINGS, PARENTS = 16, 6  # rows in a table that points to others, and in one that does not
WORDS = ("Ararat", "Brine", "Copper", "Dune")


def same_result(given: list[tuple], wanted: list[tuple], in_order: bool) -> bool:
    """Equal rows, equally often, and in the same order if that was asked; 2 and 2.0 are equal, 2 and '2' are not."""
    # sums of the same numbers in another order differ in their last digits
    given, wanted = (
        [tuple(float(f"{value:.9g}") if isinstance(value, int | float) else value for value in row) for row in rows]
        for rows in (given, wanted)
    )
    return given == wanted if in_order else Counter(given) == Counter(wanted)


@lru_cache(maxsize=1024)
def fillings(prompt: str, reference: str) -> list[tuple[dict, list[tuple]]]:
    """Tables filled for this row, each with what the reference gives: not nothing, and the same in any order of rows.

    There are as many as it takes for each near miss of the reference to give something else on one of them.

    Args:
        prompt: shows the tables, each on a line: ``boats(name text, crew int)``.
        reference: the query that is right.

    Returns:
        For each filling its tables, as :class:`labkit.tasks.sandbox.Sandbox` takes them, and the rows wanted.

    Raises:
        DataError: the prompt shows no tables, or the query does not run on them, or never gives a clear result.
    """
    in_order = "order by" in reference.lower()
    misses, found = near_misses(reference), []
    for attempt in range(500):
        draw = random.Random(f"{attempt} {reference} {prompt}")
        tables = _fill(prompt, reference, draw)
        backwards = {name: (columns, rows[::-1]) for name, (columns, rows) in tables.items()}
        try:
            with Sandbox(tables) as sandbox, Sandbox(backwards) as other:
                wanted, again = sandbox.query(reference), other.query(reference)
                missed = {miss for miss in misses if _gives(sandbox, miss, wanted, in_order)}
        except QueryRefused as error:
            raise DataError(f"the row's own query does not run: {error}", f"Mend it: {reference}", "row") from None
        if wanted in ([], [(0,)], [(None,)]) or not same_result(again, wanted, in_order):
            continue
        if len(found) < FILLINGS or missed != misses:
            found.append((tables, wanted))
            misses = missed
        if len(found) >= FILLINGS and not misses:
            break
    if not found:
        raise DataError("no filling of the tables gives the row's query a clear result", f"Mend it: {reference}", "row")
    return found


def near_misses(query: str) -> set[str]:
    """The query without its WHERE; with ``>`` and ``>=``, ``<`` and ``<=`` exchanged; a list without repeats."""
    exchanged = re.sub(r" ([<>])(=?) ", lambda found: f" {found[1]}{'' if found[2] else '='} ", query)
    everything = re.sub(r" WHERE .*?(?= GROUP BY| ORDER BY|$)", "", query)
    no_repeats = query if "(" in query else query.replace("SELECT ", "SELECT DISTINCT ", 1)
    return {everything, exchanged, no_repeats} - {query}


def _gives(sandbox: Sandbox, query: str, wanted: list[tuple], in_order: bool) -> bool:
    try:
        return same_result(sandbox.query(query), wanted, in_order)
    except QueryRefused:
        return False


_TABLE = re.compile(r"^(\w+)\((\w+ (?:text|int)(?:, \w+ (?:text|int))*)\)$", re.MULTILINE)


def _fill(prompt: str, reference: str, draw: random.Random) -> dict[str, tuple[list[str], list[tuple]]]:
    shown = {name: columns.split(", ") for name, columns in _TABLE.findall(prompt)}
    if not shown:
        raise DataError("the prompt shows no tables", "Write each on a line: boats(name text, crew int)", "row")
    numbers = {int(n) + d for n in re.findall(r"\b\d{1,9}\b", reference) for d in (-1, 0, 1)}
    words = [*re.findall(r"'([^']*)'", reference), *WORDS]
    ids = {name: draw.sample(range(1, 50), PARENTS) for name, columns in shown.items() if "id int" in columns}
    tables = {}
    for name, columns in shown.items():
        count = PARENTS if name in ids else THINGS
        filled = []
        for column in columns:
            title, _, kind = column.partition(" ")
            parents = [rows for other, rows in ids.items() if title.endswith("_id") and other.startswith(title[:-3])]
            if title == "id":
                values = ids[name]
            elif parents:
                values = parents[0] + draw.choices(parents[0], k=count - PARENTS)  # each parent has children
                draw.shuffle(values)
            elif kind == "int":  # all different, so that nothing ties for the highest
                near = sorted(numbers)[: count // 2]
                far = draw.sample([n for n in range(1, 200) if n not in numbers], count - len(near))
                values = draw.sample(near + far, count)
            else:
                values = draw.choices(words, k=count)
            filled.append(values)
        tables[name] = (columns, list(zip(*filled)))
    return tables
