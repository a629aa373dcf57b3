"""Which layers a config means: by their names, or by regular expressions, matched as PEFT matches them.

A config may be a stranger's, and name a hundred thousand layers. So a name is looked up, which takes the same time
however many there are; a regular expression is compiled once, and how much of them there may be has a bound.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Generic, TypeVar

from labkit.errors import ConfigError

Value = TypeVar("Value")

MOST_NAMES = 100_000  # a large mixture of experts has some 40,000 linear layers
MOST_CHARACTERS = 10_000  # of regular expressions; the slowest to compile take five seconds then
_MOST_FORMS = 1_000

_PLAIN = re.compile(r"\^?(?:[\w-]|\\?\.)+\$?")
_PARTS = re.compile(r"\\?(.)")


def endings(name: str) -> Iterator[str]:
    """`name`, and what follows each ``.`` in it: the names that mean it in a list."""
    yield name
    for at, character in enumerate(name):
        if character == ".":
            yield name[at + 1 :]


class Names:
    """A list of names, each of which means every layer that is called so or ends so, from a ``.`` on.

    Raises:
        ConfigError: beginning with `where`; there are more than :data:`MOST_NAMES`.
    """

    def __init__(self, names: Collection[str], where: str):
        _refuse_too_many(names, where)
        self._names = frozenset(names)

    def match(self, name: str) -> bool:
        return any(ending in self._names for ending in endings(name))

    def names_in_full(self, name: str) -> bool:
        return name in self._names


class Expression:
    """A regular expression for the whole of a name.

    Raises:
        ConfigError: beginning with `where`; it is none, or longer than :data:`MOST_CHARACTERS`.
    """

    def __init__(self, pattern: str, where: str):
        self._compiled = compiled(pattern, pattern, where)

    def match(self, name: str) -> bool:
        return self._compiled.fullmatch(name) is not None

    def names_in_full(self, name: str) -> bool:
        return False


def names_or_expression(given: list[str] | str | None, where: str) -> Names | Expression:
    """What `given` means: a list of names, or a regular expression. Nothing means no layer."""
    return Expression(given, where) if isinstance(given, str) and given else Names(given or [], where)


class ByKey(Generic[Value]):
    """Values for the layers whose name, or what follows a ``.`` in it, is matched by their key, a regular expression.

    Most keys are names, where only ``.`` stands for any character (``\\.`` for itself), perhaps behind a ``^``. Those
    of one form (as long, and any characters at the same places) are found in a dictionary by the characters between.

    Raises:
        ConfigError: beginning with `where`; a key is no regular expression, or there are too many.
    """

    def __init__(self, values: Mapping[str, Value], where: str):
        _refuse_too_many(values, where)
        self._of_length: dict[int, dict[tuple[int, ...], dict[tuple[str, bool], list[Value]]]] = defaultdict(dict)
        self._compiled: list[tuple[re.Pattern, Value]] = []
        self.expressions: dict[str, str] = {}  # those keys that are more than names: what is matched for them
        forms = set()
        for key, value in values.items():
            parts = [part[0] for part in _PARTS.finditer(key.removeprefix("^").removesuffix("$"))]
            anywhere = tuple(at for at, part in enumerate(parts) if part == ".")
            form = (len(parts), anywhere)
            if _PLAIN.fullmatch(key) and (form in forms or len(forms) < _MOST_FORMS):
                forms.add(form)
                found = "".join(part[-1] for part in parts if part != "."), key.startswith("^")
                self._of_length[len(parts)].setdefault(anywhere, {}).setdefault(found, []).append(value)
            else:
                self.expressions[key] = rf"(.*\.)?({key})$"
        refuse_too_long(self.expressions, where)
        for key, pattern in self.expressions.items():
            self._compiled.append((compiled(pattern, key, where), values[key]))

    def match(self, name: str) -> set[Value]:
        """The values of all keys that match `name`."""
        found = {value for pattern, value in self._compiled if pattern.match(name)}
        for ending in endings(name):
            for anywhere, values in self._of_length.get(len(ending), {}).items():
                starts = [0, *(at + 1 for at in anywhere)]
                between = "".join(ending[start:stop] for start, stop in zip(starts, (*anywhere, len(ending))))
                found.update(values.get((between, False), ()))
                if len(ending) == len(name):
                    found.update(values.get((between, True), ()))
        return found


def compiled(pattern: str, given: str, where: str) -> re.Pattern:
    """`pattern`, which was made of what was `given`; ConfigError, beginning with `where`, when it cannot be."""
    refuse_too_long([given], where)
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{where}: {given!r} is not a regular expression ({error})") from None


def is_name(pattern: str) -> bool:
    """Whether `pattern` has nothing of a regular expression but dots, and so cannot take long to match."""
    return _PLAIN.fullmatch(pattern) is not None


def refuse_too_long(patterns: Collection[str], where: str) -> None:
    """ConfigError, beginning with `where`, for more than :data:`MOST_CHARACTERS` of regular expressions."""
    if (length := sum(map(len, patterns))) > MOST_CHARACTERS:
        raise ConfigError(
            f"{where} has {length:,} characters of regular expressions, more than {MOST_CHARACTERS:,}. "
            "Name the layers instead"
        )


def _refuse_too_many(names: Collection[str], where: str) -> None:
    if len(names) > MOST_NAMES:
        raise ConfigError(
            f"{where} has {len(names):,} entries, more than {MOST_NAMES:,}. Name only layers of the model"
        )
