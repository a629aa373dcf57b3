"""SQL: a question and a small schema → one SELECT statement.

The schema stands in the prompt, so that the answer can be worked out; the house's conventions (which column stands
for "the boats", what "over" and "at least" become) are learned from examples. A query is right when it gives what the
reference gives on several tables filled for the purpose. Half of the test rows ask about schemas that no training row
has.

Source: execution on several fillings, chosen to tell queries apart: Zhong, Yu and Klein 2020, arXiv 2010.02840.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from labkit.errors import DataError
from labkit.tasks import Task, course_files
from labkit.tasks.sandbox import QueryRefused, Sandbox

SYSTEM = "Question to SQL."


@dataclass(frozen=True)
class Schema:
    """Two tables: things, and what each of them belongs to.

    Attributes:
        one, many: "boat" and the table's name, "boats".
        label: the column that names a thing; it stands for the thing in a list.
        text, values: a column of words, and words for it.
        numbers: two columns of whole numbers.
        parent, parents: "yard" and the other table's name, "yards"; things point there with ``yard_id``.
        parent_text, parent_values, parent_number: its columns beside ``id``.
    """

    one: str
    many: str
    label: str
    text: str
    values: tuple[str, ...]
    numbers: tuple[str, str]
    parent: str
    parents: str
    parent_text: str
    parent_values: tuple[str, ...]
    parent_number: str

    def tables(self) -> str:
        """Both tables, as a prompt shows them."""
        first, second = self.numbers
        return (
            f"{self.many}({self.label} text, {self.text} text, {first} int, {second} int, {self.parent}_id int)\n"
            f"{self.parents}(id int, {self.parent_text} text, {self.parent_number} int)"
        )


_FORM = re.compile(r"(\w+) (\w+): (\w+), (\w+) \((.+?)\), (\w+), (\w+) -> (\w+) (\w+): (\w+) \((.+?)\), (\w+)")


def _schemas(lines: str) -> tuple[Schema, ...]:
    """``one many: label, text (values), number, number -> parent parents: text (values), number``, one a line."""
    made = []
    for line in lines.strip().splitlines():
        one, many, label, text, values, *numbers, parent, parents, parent_text, parent_values, parent_number = (
            _FORM.fullmatch(line.strip()).groups()
        )
        own = (one, many, label, text, tuple(values.split()), tuple(numbers))
        made.append(Schema(*own, parent, parents, parent_text, tuple(parent_values.split()), parent_number))
    return tuple(made)


SCHEMAS = _schemas("""
    boat boats: name, flag (Malta Chile Norway Panama Japan), crew, length -> yard yards: town (Bergen Gdansk Cadiz Hull), docks
    hive hives: label, colour (blue yellow white green), bees, honey -> garden gardens: village (Alby Thorn Sele Moorby), trees
    train trains: name, line (coastal northern valley central), seats, speed -> depot depots: city (Lyon Graz Turin Leeds), tracks
    recipe recipes: title, course (soup salad dessert starter), minutes, cost -> cook cooks: country (Peru Italy Turkey India), age
    book books: title, genre (crime poetry travel history), pages, year -> case cases: room (attic hall cellar study), height
    robot robots: model, colour (red silver black orange), arms, weight -> lab labs: town (Delft Espoo Brno Ghent), staff
    cat cats: name, breed (Siamese Persian Bengal Birman), age, weight -> shelter shelters: street (Elm Oak Mill Station), beds
    song songs: title, style (jazz folk blues tango), seconds, plays -> band bands: home (Porto Austin Dakar Osaka), members
    tower towers: name, material (brick stone steel timber), floors, height -> district districts: side (north south east west), parks
    plant plants: species, light (shade sun indirect bright), height, price -> house houses: climate (tropical arid alpine humid), benches
    player players: name, position (goalkeeper defender striker winger), goals, caps -> team teams: league (first second third youth), points
    planet planets: name, kind (rocky gas ice ocean), moons, mass -> star stars: colour (white amber crimson violet), age
    cheese cheeses: name, milk (goat sheep cow buffalo), months, price -> farm farms: region (Jura Galicia Tirol Wales), cows
    course courses: title, subject (maths music biology drama), hours, fee -> teacher teachers: campus (river hill park harbour), years
    lamp lamps: model, shade (glass linen paper metal), watts, price -> shop shops: quarter (old market canal museum), rooms
    horse horses: name, coat (bay grey chestnut roan), races, wins -> stable stables: county (Kerry Devon Fife Norfolk), stalls
""")  # noqa: E501
NEW_SCHEMAS = _schemas("""
    ghost ghosts: name, mood (gloomy cheerful shy furious), age, scares -> castle castles: land (Bohemia Tuscany Saxony Burgundy), halls
    kite kites: name, shape (delta diamond box dragon), tail, price -> maker makers: island (Samoa Crete Madeira Bali), medals
    parcel parcels: code, size (small medium large giant), weight, fee -> van vans: driver (Ines Otto Yara Milan), miles
    goat goats: name, coat (fine coarse curly straight), age, jumps -> field fields: valley (Glen Ruhr Loire Swat), gates
    pastry pastries: name, filling (apple cherry custard almond), grams, price -> baker bakers: town (Vigo Bruges Siena Lund), ovens
    comet comets: name, tail (dust ion double faint), period, speed -> finder finders: country (Chile Kenya Canada Nepal), finds
""")  # noqa: E501

COMPARISONS = {
    ">": ("{column} over {n}", "{column} above {n}"),
    "<": ("{column} under {n}", "{column} below {n}"),
    ">=": ("{column} of at least {n}", "{column} of {n} or more"),
    "<=": ("{column} of at most {n}", "{column} of {n} or less"),
}
AGGREGATES = {
    "AVG": ("average", "mean"),
    "SUM": ("total", "summed"),
    "MAX": ("highest", "largest"),
    "MIN": ("lowest", "smallest"),
}
WORDING = {
    "list": (
        "Which {many} have {condition}?",
        "List the {many} with {condition}.",
        "Show me {many} that have {condition}.",
        "Give the {label} of every {one} with {condition}.",
        "I want to see all {many} with {condition}.",
    ),
    "count": (
        "How many {many} have {condition}?",
        "Count the {many} with {condition}.",
        "What is the number of {many} with {condition}?",
        "Tell me how many {many} there are with {condition}.",
    ),
    "aggregate": (
        "What is the {word} {column} of all {many}?",
        "Tell me the {word} {column} among the {many}.",
        "Find the {word} {column} of the {many}.",
    ),
    "aggregate some": (
        "What is the {word} {column} of {many} with {condition}?",
        "Find the {word} {column} among {many} that have {condition}.",
        "For {many} with {condition}, what is the {word} {column}?",
    ),
    "top": (
        "Which {k} {many} have the {word} {column}?",
        "Show the {k} {many} with the {word} {column}.",
        "I need the {k} {many} that have the {word} {column}.",
    ),
    "sort": (
        "List all {many} by {column}, {word} first.",
        "Show every {one}, sorted by {column}, {word} first.",
        "Order the {many} by {column} with the {word} first.",
    ),
    "count each": (
        "How many {many} are there for each {text}?",
        "Count the {many} per {text}.",
        "For every {text}, how many {many} are there?",
    ),
    "aggregate each": (
        "What is the {word} {column} for each {text}?",
        "Show the {word} {column} of {many} per {text}.",
        "For every {text}, find the {word} {column} of {many}.",
    ),
    "join": (
        "Which {many} belong to a {parent} with {condition}?",
        "List the {many} whose {parent} has {condition}.",
        "Show all {many} whose {parent} has {condition}.",
    ),
}

# the harder ones come more often
SHARES = dict.fromkeys(WORDING, 1) | {"list": 2, "count": 2, "top": 2, "join": 3}


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

FILLINGS = 4  # at least; a wrong query must give the right result on each of them to be taken for right
THINGS, PARENTS = 16, 6  # rows in a table that points to others, and in one that does not
WORDS = ("Ararat", "Brine", "Copper", "Dune")


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
    for tables, wanted in _fillings(row["prompt"], row["completion"]):
        with Sandbox(tables) as sandbox:
            try:
                given = sandbox.query(answer.strip())
            except QueryRefused:
                return {"execution": 0.0, "valid_sql": 0.0}
        right = right and same_result(given, wanted, in_order)
    return {"execution": float(right), "valid_sql": 1.0}


def same_result(given: list[tuple], wanted: list[tuple], in_order: bool) -> bool:
    """Equal rows, equally often, and in the same order if that was asked; 2 and 2.0 are equal, 2 and '2' are not."""
    # sums of the same numbers in another order differ in their last digits
    given, wanted = (
        [tuple(float(f"{value:.9g}") if isinstance(value, int | float) else value for value in row) for row in rows]
        for rows in (given, wanted)
    )
    return given == wanted if in_order else Counter(given) == Counter(wanted)


@lru_cache(maxsize=1024)
def _fillings(prompt: str, reference: str) -> list[tuple[dict, list[tuple]]]:
    """Tables filled for this row, each with what the reference gives: not nothing, and the same in any order of rows.

    There are as many as it takes for each near miss of the reference to give something else on one of them.
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
                missed = {miss for miss in misses if same_result(sandbox.query(miss), wanted, in_order)}
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
    """The query without its WHERE, with ``>`` and ``>=``, or ``<`` and ``<=``, exchanged, and a list without repeats."""
    exchanged = re.sub(r" ([<>])(=?) ", lambda found: f" {found[1]}{'' if found[2] else '='} ", query)
    everything = re.sub(r" WHERE .*?(?= GROUP BY| ORDER BY|$)", "", query)
    no_repeats = query if "(" in query else query.replace("SELECT ", "SELECT DISTINCT ", 1)
    return {everything, exchanged, no_repeats} - {query}


def _fill(prompt: str, reference: str, draw: random.Random) -> dict[str, tuple[list[str], list[tuple]]]:
    shown = {name: columns.split(", ") for name, columns in re.findall(r"^(\w+)\((.+)\)$", prompt, re.MULTILINE)}
    if not shown:
        raise DataError("the prompt shows no tables", "Write each on a line: boats(name text, crew int)", "row")
    numbers = {int(n) + d for n in re.findall(r"\b\d+\b", reference) for d in (-1, 0, 1)}
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


TASK = Task("sql", SYSTEM, score, course_files("sql"), make_row, make_test_row=make_test_row, max_new_tokens=56)
