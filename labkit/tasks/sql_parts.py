"""What `sql` asks about and how: invented schemas, and the wordings of questions. Written by hand for this course."""

import re
from dataclasses import dataclass


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
