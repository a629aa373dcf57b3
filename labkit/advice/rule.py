"""A rule: in which situation, what is recommended, why, where that comes from, and how far it carries."""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.advice.cases import Case, Found
from labkit.advice.sources import Source, Stored


@dataclass(frozen=True)
class Rule:
    """One recommendation.

    Attributes:
        about: which choice it's about.
        why: the reason, in one sentence.
        source: where it comes from.
        scope: how far that carries.
        find: what it recommends; None where it has nothing to say. It's given the content of a stored source, or None.
        when: in which situations; everywhere if nothing is said.
        replaces: whether it replaces a choice that has been made.
        missing: what isn't known as long as the stored source isn't there.
        beside: more stored sources, each with the sentence that's read from it, where it's there.
    """

    about: str
    why: str
    source: Source
    scope: str
    find: Callable[[dict | None, Case], Found | None]
    when: Callable[[Case], bool] = lambda case: True
    replaces: bool = False
    missing: str = ""
    beside: tuple[tuple[Stored, Callable[[dict, Case], str | None]], ...] = ()


def always(value) -> Callable:
    """Finds the same in every situation."""
    return lambda _, case: Found(value)


def own(case: Case) -> bool:
    """It's about the course's base, on which the studies ran."""
    return case.situation.own


def with_rank(case: Case) -> bool:
    """The chosen method has a rank."""
    return case.chosen["method"] in ("lora", "rslora", "lora+", "lora-fa", "dora", "pissa", "vera")


def with_alpha(case: Case) -> bool:
    """It has an α as well."""
    return with_rank(case) and case.chosen["method"] != "vera"


def our_rank(case: Case) -> bool:
    """A method with a rank, on the course's base."""
    return own(case) and with_rank(case)


def our_alpha(case: Case) -> bool:
    """A method with an α, on the course's base."""
    return own(case) and with_alpha(case)


def our_lora(case: Case) -> bool:
    """LoRA itself, on the course's base."""
    return own(case) and plain(case)


def large(case: Case) -> bool:
    """30 billion parameters and more, where published runs took lower rates."""
    return case.parameters >= LARGE


def plain(case: Case) -> bool:
    """LoRA itself, which the studies of single choices are about."""
    return case.chosen["method"] == "lora"


LARGE = 30e9  # parameters
DIRECTIONS = "The adapter can change each weight in this many directions."  # what a rank is
ONLY_OURS = "measured on a 135M model only"
TICKETS = f"{ONLY_OURS}, on tickets, an easy task of templates"
COURT_SCOPE = f"{ONLY_OURS}, in 60 steps, on sql and glosses"
RANKS_SCOPE = f"{ONLY_OURS}, in 60 steps, on sql"
