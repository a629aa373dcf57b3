"""An advice as a page of plain text, at most 96 columns wide."""

import re
import textwrap

from labkit.advice.lines import Line
from labkit.advice.sources import Cited

WIDTH, LABEL = 96, 20
SYMBOLS = {"rank": "r", "α": "α"}
UNITS = "%|[GM]B|[TG]FLOPS?|rows?|tokens?|steps?|hours?|minutes|seconds|bits?|[mbtr]+illion|points?|times|passes|of|="
TOGETHER = re.compile(
    rf"(?:(?<=[\d→])|(?<=illion)) (?=(?:{UNITS})(?!\w))|(?<=[rα/]) (?==)|(?<==) (?=\d)|(?<=\d) (?=→)|(?<=[▣○◇❝]) "
)
MARKS = (
    "▣ compared in a study of this repository · ◇ simulated · ❝ published · ○ a habit, or used and not compared · "
    "↳ how far it carries"
)


def as_text(advice) -> str:
    """The page."""
    parts = [_wrapped(str(advice.situation), ""), *_in_short(advice)]
    if advice.before:
        parts += ["", "Before you train" if advice.lines else "Don't train for that"]
        parts += [_line(line) for line in advice.before]
    if advice.lines:
        parts += ["", "To begin with", *map(_line, advice.lines), "", "What it takes", *map(_line, advice.costs)]
    if advice.how:
        parts += ["", "As something to type", *map(_to_type, advice.how.splitlines())]
        parts += [_wrapped(f"- {note}", "  ", "    ") for note in advice.notes]
    parts += ["", "What isn't known", *(_wrapped(f"- {line}", "  ", "    ") for line in advice.unknown)]
    sources = {line.source for line in (*advice.before, *advice.lines) if isinstance(line.source, Cited)}
    if references := sorted({str(source) for source in sources}):
        parts += ["", "Published", *(_wrapped(each, "  ", "    ") for each in references)]
    return "\n".join([*parts, "", _wrapped(MARKS, "")])


def _in_short(advice) -> list[str]:
    """The settings as a table."""
    if not advice.lines:
        return []
    said = {line.about: line.text for line in (*advice.lines, *advice.costs)}
    trained = [said["method"], *(f"{name} = {said[about]}" for about, name in SYMBOLS.items() if about in said)]
    trained += [f"layers: {said['layers']}"] if "layers" in said else []
    steps = f"{said['steps']}, of {said['batch size']} rows each ({said['at once']})"
    there = f"{said['peak memory']} of {advice.memory / 1e9:.1f} GB{'' if advice.fits else ', so it does not fit'}"
    asked = advice.situation
    assumed = f". Rows of {asked.tokens:,} tokens are assumed: --data counts yours" if asked.assumed else ""
    rows = {
        "trains": ", ".join(trained),
        "base": said.get("weights"),
        "steps": f"{steps}, learning rate {said['learning rate']}",
        "takes": f"{there}; time: {said['time']}; a file of {said['file']}{assumed}",
    }
    indent = " " * (LABEL + 2)
    return ["", "In short", *(_wrapped(f"  {name:<{LABEL}}{text}", "", indent) for name, text in rows.items() if text)]


def _line(line: Line) -> str:
    """The choice, and below it why, where from, and how far that carries."""
    indent = " " * (LABEL + 2)
    source = line.source.short + (f", {line.date}" if line.date else "")
    where = f"{line.source.mark} {source}" + (f": {line.says}" if line.says else "")
    below = [_wrapped(line.why, indent), _wrapped(where, indent, indent + "  ")]
    below += [_wrapped(f"↳ {line.scope}", indent, indent + "  ")] if line.scope else []
    return "\n".join([_wrapped(f"  {line.about:<{LABEL}}{_glued(line.text)}", "", indent), *below])


def _to_type(line: str) -> str:
    """A command over several lines that a shell takes for one; a line of Python as it is."""
    if not line.startswith("labkit "):
        return f"  {line}"
    return _wrapped(_glued(line), "  ", "      ", WIDTH - 2).replace("\n", " \\\n")


def _glued(command: str) -> str:
    """Each option beside its value."""
    return re.sub(r"(--[\w-]+) (?!--)(?=\S)", "\\1\N{NO-BREAK SPACE}", command)


def _wrapped(text: str, first: str, then: str | None = None, width: int = WIDTH) -> str:
    """`text` in lines, which never begin with a unit."""
    wrapped = textwrap.fill(
        TOGETHER.sub("\N{NO-BREAK SPACE}", text),
        width,
        initial_indent=first,
        subsequent_indent=first if then is None else then,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapped.replace("\N{NO-BREAK SPACE}", " ")
