"""One line of advice: a choice, why, where it comes from, and how far that carries."""

from dataclasses import dataclass

from labkit.advice.sources import Source, Stored


@dataclass(frozen=True)
class Line:
    """One choice.

    Attributes:
        about: what is chosen.
        value: what's recommended.
        why: the reason, in one sentence.
        source: where it comes from.
        says: what the source says, with its numbers.
        scope: how far that carries.
        date: of a stored result.
        shown: the value as it's printed, where that's more than itself.
    """

    about: str
    value: object
    why: str
    source: Source
    says: str = ""
    scope: str = ""
    date: str | None = None
    shown: str = ""

    @property
    def text(self) -> str:
        """The value as people read it."""
        return self.shown or str(self.value)

    def as_dict(self) -> dict:
        """For JSON."""
        kind = type(self.source).__name__.lower()
        source = {"kind": kind, "where": str(self.source), "says": self.says, "date": self.date}
        if isinstance(self.source, Stored):
            source["study"] = f"python -m {self.source.study}"
        return {"about": self.about, "value": self.value, "text": self.text, "why": self.why, "source": source,
                "scope": self.scope}  # fmt: skip
