"""The advice itself: the rules are asked in their order, and the step is fitted on the card."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from transformers import PretrainedConfig

from labkit.advice.cases import Case
from labkit.advice.commands import how_to_train, notes
from labkit.advice.costs import cost_lines, fit_line
from labkit.advice.figures import rate
from labkit.advice.lines import Line
from labkit.advice.rule import Rule
from labkit.advice.rules import RULES
from labkit.advice.rules_before import BEFORE
from labkit.advice.rules_fitted import FITTED, LEANER
from labkit.advice.situations import Situation, situation
from labkit.advice.sources import Shelf, Stored, reading
from labkit.advice.unknowns import unknowns
from labkit.advice.wording import as_text
from labkit.simulation.cards import Card

ORDER = ("method", "weights", "rank", "α", "layers", "learning rate", "batch size", "at once", "steps", "afterwards")
NAMES = {"lora": "LoRA", "full": "full fine-tuning", "rslora": "rsLoRA", "lora+": "LoRA+", "dora": "DoRA"}
SHOWN = {  # how a choice is printed, where not as it is
    "method": lambda name: NAMES.get(name, name),
    "learning rate": rate,
    "α": lambda alpha: f"{alpha:g}",
    "steps": lambda steps: f"{steps:,}",
}


@dataclass(frozen=True)
class Advice:
    """What to begin with, and what's known about it.

    Attributes:
        situation: what was asked.
        before: what to try before training; the only advice there is where training isn't the answer.
        lines: the choices, in the order in which they're read.
        costs: memory, time, and the size of what's left, simulated.
        fits: whether the step fits on the card; None where nothing is trained.
        memory: bytes that the card has, or that were free here.
        unknown: what isn't known.
        notes: what to know of the command.
        how: the command, or the lines of Python, that train so.
    """

    situation: Situation
    before: list[Line]
    lines: list[Line] = field(default_factory=list)
    costs: list[Line] = field(default_factory=list)
    fits: bool | None = None
    memory: int = 0
    unknown: list[str] = field(default_factory=list)
    how: str = ""
    notes: list[str] = field(default_factory=list)

    def __getitem__(self, about: str) -> Line:
        """The line about a choice: ``advice["rank"].value``.

        Raises:
            KeyError: there's none about it.
        """
        return {line.about: line for line in (*self.before, *self.lines, *self.costs)}[about]

    def as_dict(self) -> dict:
        """Everything, for JSON."""
        asked = self.situation
        names = ("name", "task", "rows", "tokens", "labelled", "use")
        card = asked.card.name if asked.card else "cpu"
        lines = {part: [line.as_dict() for line in getattr(self, part)] for part in ("before", "lines", "costs")}
        given = {name: getattr(asked, name) for name in names}
        return {
            "asked": {**given, "card": card},
            **lines,
            "fits": self.fits,
            "memory": self.memory,
            "unknown": self.unknown,
            "how": self.how,
            "notes": self.notes,
        }

    def __str__(self) -> str:
        return as_text(self)


def advise(
    model: str | Path | PretrainedConfig = "smollm2-135m",
    card: str | Card = "cpu",
    task: str = "extract",
    rows: int = 500,
    *,
    tokens: int | None = None,
    labelled: float | int = 1.0,
    use: str = "either",
    data: Path | str | None = None,
) -> Advice:
    """Which method and settings to begin with, each with its source, what it takes, and what isn't known.

    Figures come from the repository's stored results, as they are now. Where a study isn't there (yet), its rule gives
    way to the next one, most often a citation, and what's missing is listed.

    Args:
        model: as for :func:`labkit.simulate`; the course's base is ``"smollm2-135m"``.
        card: a GPU of :data:`labkit.simulation.CARDS` (``"RTX 4090"``), or ``"cpu"`` for this machine.
        task: "classify", "extract", "style", "code", "chat" or "facts".
        rows: of training data.
        tokens: of the longest row; 512 are assumed where nothing is said.
        labelled: how many of them the loss counts, as for :func:`labkit.simulate`.
        use: "swap" where the adapter must stay swappable, "merge" where it must be merged, else "either".
        data: another folder in the place of the repository's ``data/``.

    Returns:
        The advice; printed, it's a page of text.

    Raises:
        ConfigError: an unknown model, card, task or use; a number that makes no sense; a model that can't be simulated,
            or has no linear layers; a stored result in another form than this labkit reads.
    """
    asked = situation(model, card, task, rows, tokens, labelled, use)
    shelf = Shelf() if data is None else Shelf(Path(data))
    case = Case(asked, shelf)
    before = [line for rule in BEFORE if (line := _line(rule, case))]
    if task == "facts":
        return Advice(asked, before, unknown=unknowns(case, BEFORE))
    lines = _chosen(RULES, case)
    case.fit = case.step().fit(case.memory)
    if leaner := _chosen(LEANER, case):
        lines |= leaner
        case.fit = case.step().fit(case.memory)
    lines |= _chosen(FITTED, case) | {"at once": fit_line(case)}
    return Advice(
        asked,
        before,
        [lines[about] for about in ORDER if about in lines],
        cost_lines(case),
        case.fit.room != "none",
        case.memory,
        unknowns(case, (*BEFORE, *RULES, *FITTED)),
        how_to_train(case),
        notes(case),
    )


def _chosen(rules: Iterable[Rule], case: Case) -> dict[str, Line]:
    """The lines of the first rule for each choice, which go into the case as they're found."""
    lines = {}
    for rule in rules:
        if rule.about in case.chosen and not rule.replaces:
            continue
        if line := _line(rule, case):
            case.chosen[rule.about], lines[rule.about] = line.value, line
    return lines


def _line(rule: Rule, case: Case) -> Line | None:
    """What a rule says in this case; None where it doesn't apply, or its source isn't there."""
    if not rule.when(case):
        return None
    content = case.shelf.read(rule.source)
    if content is None and isinstance(rule.source, Stored):
        return None
    found = reading(rule.source, lambda: rule.find(content, case))
    if found is None:
        return None
    said = [found.says or getattr(rule.source, "says", "")]
    for source, read in rule.beside:
        if (other := case.shelf.read(source)) and (beside := reading(source, partial(read, other, case))):
            stored = ", ".join(filter(None, (source.short.rpartition(": ")[2], other.get("date"))))
            said.append(f"{beside} ({source.mark} {stored})")
    date, shown = (content or {}).get("date"), SHOWN.get(rule.about, str)(found.value)
    return Line(rule.about, found.value, rule.why, rule.source, "; ".join(filter(None, said)), rule.scope, date, shown)
