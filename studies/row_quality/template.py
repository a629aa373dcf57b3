"""Rows for `glosses` from a template: a few beginnings and a few endings for each category, put together in every way.

    a tool used for + lifting heavy stones → artifact

They were written by a language model in a few minutes, for this study and before its first run, with the names of the
categories and a look at some training rows; of the test rows it had seen one. Nobody tuned them. That's how such rows
are often made: fast, fluent, right in their way, and all alike. As with the real rows, none names its own category, and
what's nearly the same as a validation or test row is left out. Many begin as real training rows do ("a unit of").
"""

import random
from functools import lru_cache

import labkit
from studies.drawing import Row
from studies.near_duplicates import Seen

PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "act": (
        ("the practice of", "the business of", "an attempt at", "the work of"),
        ("repairing old roofs", "teaching children to swim", "selling fruit at a market", "copying letters by hand",
         "digging a deep well"),
    ),
    "animal": (
        ("a small", "a large wild", "a nocturnal", "a brightly colored"),
        ("rodent that lives in burrows", "bird with long legs", "fish of warm rivers", "insect that feeds on leaves",
         "mammal with thick fur"),
    ),
    "artifact": (
        ("a device for", "a tool used for", "a wooden frame for", "a machine for"),
        ("cutting thick paper", "lifting heavy stones", "drying wet clothes", "storing empty bottles",
         "measuring how deep water is"),
    ),
    "attribute": (
        ("the quality of being", "the trait of being", "the property of being", "the appearance of being"),
        ("easy to break", "always late for work", "rough to the touch", "too proud to ask", "pleasant to look at"),
    ),
    "body": (
        ("the part of the leg that", "a muscle that", "a small bone that", "a gland that"),
        ("lies behind the knee", "moves with the jaw", "protects the heart", "is connected to the spine",
         "is found near the neck"),
    ),
    "cognition": (
        ("a belief that", "the theory that", "a general idea that", "the opinion that"),
        ("everything has a cause", "numbers describe the world", "people learn by imitation",
         "the future can be known", "old methods are the best"),
    ),
    "communication": (
        ("a written message that", "a short speech that", "a letter that", "a sign that"),
        ("thanks a guest", "announces a wedding", "warns of danger", "asks for money", "explains the rules"),
    ),
    "event": (
        ("a sudden", "a loud", "an unexpected", "the first"),
        ("crash of two trucks", "fall from a roof", "victory in a contest", "burst of a water pipe",
         "meeting of old rivals"),
    ),
    "feeling": (
        ("a strong sense of", "a touch of", "deep and lasting", "mild but real"),
        ("sadness after a loss", "joy at good news", "fear of the dark", "longing for home", "anger at an insult"),
    ),
    "food": (
        ("a dish of", "a thick soup of", "a sweet cake with", "a cold salad of"),
        ("boiled beans and rice", "apples and cinnamon", "minced meat and onions", "potatoes and cheese",
         "nuts and honey"),
    ),
    "group": (
        ("an organization of", "a band of", "a crowd of", "a collection of"),
        ("retired sailors", "traveling musicians", "old coins and medals", "owners of bakeries",
         "soldiers on horseback"),
    ),
    "location": (
        ("a region", "a district", "the place", "a town"),
        ("in the north of the country", "where two rivers meet", "near the border", "on the southern coast",
         "where farmers sell their goods"),
    ),
    "object": (
        ("a rocky", "a narrow", "a steep", "a deep natural"),
        ("hill beside the sea", "valley between mountains", "cave under a cliff", "stream that ends in a lake",
         "island in a wide river"),
    ),
    "person": (
        ("someone who", "a man who", "a worker who", "a scholar who"),
        ("repairs old clocks", "writes about music", "looks after horses", "travels without money",
         "studies dead languages"),
    ),
    "phenomenon": (
        ("a bright light", "an electric current", "a strong wind", "a flow of heat"),
        ("caused by a storm", "that comes from the ground", "seen at night", "produced by friction",
         "that follows a change of pressure"),
    ),
    "plant": (
        ("a tall shrub", "a climbing vine", "an evergreen tree", "a wild herb"),
        ("with small yellow flowers", "having red berries", "that grows in wet soil", "of tropical islands",
         "with narrow fragrant leaves"),
    ),
    "possession": (
        ("money", "a sum", "property", "a tax"),
        ("paid for the use of land", "that a widow receives", "lent by a bank", "collected at the harbor",
         "given to support a student"),
    ),
    "process": (
        ("the gradual", "the natural", "the slow", "the chemical"),
        ("decay of dead leaves", "growth of a crystal", "change of a liquid into a gas", "loss of water from a cell",
         "breakdown of sugar"),
    ),
    "quantity": (
        ("a unit of", "a measure of", "a small amount of", "a metric unit of"),
        ("electric charge", "length equal to a hand", "weight used for gold", "volume for dry grain",
         "heat in a furnace"),
    ),
    "relation": (
        ("the connection between", "a ratio between", "a mutual dependence of", "the correspondence of"),
        ("a cause and its effect", "two sides of a triangle", "a word and its meaning", "parents and children",
         "supply and demand"),
    ),
    "shape": (
        ("a curve", "a flat figure", "a solid", "a line"),
        ("with four equal sides", "that bends back on itself", "like the letter S", "with a round base and a point",
         "that touches a circle once"),
    ),
    "state": (
        ("a disorder", "the condition of a patient", "a bad situation", "a disease"),
        ("marked by high fever", "in which nobody can sleep", "caused by a lack of iron",
         "that makes work impossible", "in which the skin turns red"),
    ),
    "substance": (
        ("a white powder", "a poisonous gas", "a hard metal", "a sticky liquid"),
        ("used in making glass", "obtained from tree bark", "that dissolves in alcohol", "used to clean floors",
         "found in sea salt"),
    ),
    "time": (
        ("the period", "the season", "the days", "the years"),
        ("before the harvest", "between two wars", "when schools are closed", "in which a king rules",
         "after a long winter"),
    ),
}  # fmt: skip


def made(each: int, seed: int) -> list[Row]:
    """`each` rows of every category, all different, in random order.

    Raises:
        ValueError: a category hasn't that many.
    """
    draw, rows = random.Random(seed), []
    for label, (beginnings, endings) in PARTS.items():
        texts = [f"{beginning} {ending}" for beginning in beginnings for ending in endings]
        texts = [text for text in texts if not _held_back().like(text)]
        rows += [{"prompt": text, "completion": label} for text in draw.sample(texts, each)]
    return draw.sample(rows, len(rows))


@lru_cache(maxsize=1)
def _held_back() -> Seen:
    """The rows that no training row may be nearly the same as."""
    seen, task = Seen(), labkit.load_task("glosses")
    for split in ("validation", "test"):
        for row in task.rows(split):
            seen.add(row["prompt"])
    return seen
