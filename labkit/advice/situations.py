"""What advice is asked for: a model, a card, a kind of task, how many rows, and what happens to the adapter."""

import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers import PretrainedConfig

from labkit.errors import ConfigError
from labkit.simulation.cards import CARDS, Card, cards_named
from labkit.simulation.options import MOST, counted_tokens
from labkit.simulation.shapes import PRESETS, config_of

OWN = "smollm2-135m"  # the course's base, as the planner calls it
CPU = "cpu"
TOKENS = 512  # of a row, where nothing is said: what `labkit plan` takes


@dataclass(frozen=True)
class Kind:
    """A kind of task.

    Attributes:
        words: what it is, as the answer to "500 rows of …".
        court: tasks of the court of variants that are nearest to it; all of them where none is near.
        adapter: the shipped adapter of such a task, if there is one.
    """

    words: str
    court: tuple[str, ...] = ("sql", "glosses")
    adapter: str | None = None


KINDS = {
    "classify": Kind("a label for each text", ("glosses",), "clauses"),
    "extract": Kind("text into a fixed format", ("sql",), "tickets"),
    "style": Kind("a style or a voice", adapter="voice"),
    "code": Kind("questions into SQL or other code", ("sql",), "sql"),
    "chat": Kind("conversations"),
    "facts": Kind("facts to be known"),
}
USES = {
    "either": "kept apart or merged",
    "swap": "must stay swappable",
    "merge": "must be merged",
}


@dataclass(frozen=True)
class Situation:
    """A situation that makes sense; :func:`situation` makes it from what people say.

    Attributes:
        name: of the model, as it was given.
        config: of the model.
        card: None is this machine's CPU.
        task: a key of :data:`KINDS`.
        rows: of training data.
        tokens: of a row; the longest one counts for memory.
        assumed: whether nothing was said of the tokens.
        labelled: how many of them the loss counts, as for :func:`labkit.simulate`.
        use: a key of :data:`USES`.
        alike: the other cards that were meant as well by what was said ("24 GB").
    """

    name: str
    config: PretrainedConfig
    card: Card | None
    task: str
    rows: int
    tokens: int
    labelled: float | int
    use: str
    assumed: bool = False
    alike: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        return KINDS[self.task]

    @cached_property
    def own(self) -> bool:
        """Whether it's the course's base, which nearly all studies here are about: by its shape."""
        shape = PRESETS[OWN].shape
        return all(getattr(self.config, name, None) == size for name, size in shape.items())

    @property
    def all_count(self) -> bool:
        """Whether the loss counts all of a row's tokens, as is assumed where nothing is said."""
        return self.counted == self.rows * counted_tokens(1.0, self.tokens)

    @property
    def counted(self) -> int:
        """Tokens that the loss counts in all rows together."""
        return self.rows * counted_tokens(self.labelled, self.tokens)

    def __str__(self) -> str:
        where = self.card.name + (" (assumed)" if self.alike else "") if self.card else "this machine's CPU"
        use = "" if self.use == "either" or self.task == "facts" else f"; the adapter {USES[self.use]}"
        tokens = f"{self.tokens:,} tokens" + (" (assumed)" if self.assumed else "")
        return f"{self.name} on {where}, {self.rows:,} rows of {tokens}: {self.kind.words}{use}"


def situation(
    model: str | Path | PretrainedConfig,
    card: str | Card,
    task: str,
    rows: int,
    tokens: int | None = None,
    labelled: float | int = 1.0,
    use: str = "either",
) -> Situation:
    """A :class:`Situation`, or the reason why there is none.

    Raises:
        ConfigError: an unknown model, card, task or use, or a number that makes no sense.
    """
    for name, value, known in (("task", task, KINDS), ("use", use, USES)):
        if value not in known:
            said = "; ".join(f"{each} ({getattr(what, 'words', what)})" for each, what in known.items())
            raise ConfigError(f"{name}={value!r} isn't known; known are {said}")
    assumed, tokens = tokens is None, TOKENS if tokens is None else tokens
    for name, value, least in (("rows", rows, 1), ("tokens", tokens, 2)):
        if type(value) is not int or not least <= value <= MOST:
            raise ConfigError(f"{name} must be a whole number from {least} to {MOST:,}, got {value!r}")
    counted_tokens(labelled, tokens)
    config = config_of(model)
    name = config.model_type if isinstance(model, PretrainedConfig) else str(model)
    taken, alike = _card(card)
    return Situation(name, config, taken, task, rows, tokens, labelled, use, assumed, alike)


def _card(card: str | Card) -> tuple[Card | None, tuple[str, ...]]:
    """The card that's taken, or None for this machine's CPU; and the names of others that may be meant."""
    if isinstance(card, Card):
        return card, ()
    name = re.sub(r"\bcard\b", " ", str(card), flags=re.IGNORECASE)
    if name.strip().lower() == CPU:
        return None, ()
    if found := cards_named(name):
        return found[0], tuple(each.name for each in found[1:])
    known = "; ".join(each.name for each in CARDS)
    raise ConfigError(f"no card is known as {card!r}; known are {CPU}; {known}")


def size_in_words(numbers: float) -> str:
    """``135 million``, ``8.03 billion``."""
    unit, name = (1e9, "billion") if numbers >= 1e9 else (1e6, "million") if numbers >= 1e6 else (1, "")
    digits = max(0, 2 - math.floor(math.log10(numbers / unit))) if unit > 1 else 0
    return f"{numbers / unit:,.{digits}f} {name}".strip()
