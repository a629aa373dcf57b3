"""What a notebook's prose says in numbers, and which claims it refers to, as text to compare with code and outputs."""

import ast
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

# A number as a reader sees one: not the 2 of SmolLM2, the 4 of Q4_1, the 3.1 of Llama-3.1 or the 7 of 7B, which
# are parts of names. The sign is left out: "falls by 3" may be printed as -3.
_NUMBER = r"(?<!\w)(?<!\w[-.])\d++(?:[,_]\d{3}(?!\d))*+(?:\.\d++)?+(?:e[-+]?\d++)?+(?![A-Za-z_])"
_UNIT = r"\s*(%|thousand|million|billion)(?!\w)"  # a range has one for both: "16.8 or 20 million"
_PROSE_NUMBER = re.compile(rf"({_NUMBER})(?:(?={_UNIT})|(?=(?: or | to | and |–){_NUMBER}{_UNIT}))?")
_SCALE = {"thousand": 10**3, "million": 10**6, "billion": 10**9}

# The number of a preprint; a title and a year; or "Hayou et al., 2024", "Allal and others (2025)", "Hayou (2024)"
_CITATION = re.compile(
    r"(?i:arxiv)|\*, (?:19|20)\d\d\b|\b[A-Z][\w-]+(?: et al\.| and others| and [A-Z][\w-]+)?(?:,? \(|, )(?:19|20)\d\d\b"
)
_MONTHS = "January February March April May June July August September October November December".split()

_LINK = r"!?\[[^\]]*\]\([^)]*\)|https?://\S+"
_NOT_PROSE = [
    r"(?s:```.*?```)",
    r"`[^`\n]+`|<code>.*?</code>",
    r"^#+ .*$",  # headings
    r"\*\(claims? .*?\)\*",  # the names of claims
    r"^(?:\*\*Time|About \d+ min|Difficulty\b).*$|\(\d+ min[^)]*\)",  # what a learner plans with
    r"^\|[^\n]*\bminutes\b[^\n]*\n(?:\|[^\n]*(?:\n|\Z))+",  # a table of it
    r"\b(?:[Ss]ection|[Nn]otebook)s? \d+(?:\.\d+)?(?:(?:, | and | to |–)\d+(?:\.\d+)?)*",
    r"^\s*(?:[-*] )?(?:\*\*)?\d+[.)] |<summary>\d+ · ",  # the numbers of a list
    r"</?\w[^>]*>",
]


def paragraphs(markdown: str) -> list[str]:
    """The paragraphs; each item of a list and each row of a table is one of its own."""
    return [part for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) |\|)", markdown) if part.strip()]


def cites(paragraph: str) -> bool:
    """Whether `paragraph` names a source: author and year, or arXiv."""
    return any(found[0].split()[0].rstrip(",") not in _MONTHS for found in _CITATION.finditer(paragraph))


def section_numbers(markdown: str) -> list[str]:
    """The numbers of the notebook's sections, from headings such as ``## 4.10 · Break it``."""
    return re.findall(r"^#+ (\d+\.\d+)\b", markdown, re.MULTILINE)


def numbers_stated(markdown: str, sections: Iterable[str] = (), ids: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """Every number that the prose itself answers for, with its unit, as ``("16.8", "million")``.

    Args:
        markdown: one or more markdown cells, with blank lines between.
        sections: what refers to a section when it stands in parentheses, as in ``(4.10)``.
        ids: of exercises, which are no numbers anywhere.
    """
    markdown = re.sub(_LINK, lambda link: "arXiv" if cites(link[0]) else " ", markdown)
    references = [rf"\({re.escape(section)}\)" for section in sections]
    for pattern in [*_NOT_PROSE, *references]:
        markdown = re.sub(pattern, " ", markdown, flags=re.MULTILINE)
    ids = set(ids)
    for paragraph in paragraphs(markdown):
        if not cites(paragraph):
            for number, unit, units in _PROSE_NUMBER.findall(paragraph):
                if number not in ids:
                    yield number, unit or units


def numbers_shown(texts: Iterable[str]) -> set[Decimal]:
    """The values of all numbers in `texts`, a notebook's code and outputs; 12.5 % counts as 0.125 as well."""
    shown = set()
    for number, percent in re.findall(rf"({_NUMBER})(\s?%)?", "\n".join(texts)):
        shown |= {_value(number)} | ({_value(number) / 100} if percent else set())
    return shown


def is_shown(number: str, unit: str, shown: set[Decimal]) -> bool:
    """Whether a stated number is among those shown: ``50 %`` may be 0.5, and ``16.8 million`` 16,777,216."""
    value = _value(number)
    if unit == "%":
        return value in shown or value / 100 in shown
    if unit in _SCALE:
        last_digit = Decimal(1).scaleb(value.as_tuple().exponent)
        return any(2 * abs(each / _SCALE[unit] - value) <= last_digit for each in shown)
    return value in shown


def _value(number: str) -> Decimal:
    return Decimal(re.sub("[,_]", "", number))


def takeaways(markdown: str) -> list[str] | None:
    """The bullets under "Key takeaways"; None without such a heading."""
    section = re.search(r"^(?:#+ |\*\*).*Key takeaways.*\n((?:(?!#+ ).*\n?)*)", markdown, re.MULTILINE | re.IGNORECASE)
    return section and [part.strip() for part in paragraphs(section[1]) if re.match(r"\s*[-*] ", part)]


def claims_named(bullet: str) -> list[str]:
    """The names in ``*(claim "…")*`` and ``*(claims "…", "…")*``."""
    lists = re.findall(r"\*\(claims? (\"[^\"]+\"(?:, \"[^\"]+\")*)\)\*", bullet)
    return [name for names in lists for name in re.findall(r"\"([^\"]+)\"", names)]


def claims_made(source: str) -> Iterator[re.Pattern]:
    """What each call of `claim` in a cell says; the parts of an f-string that vary match anything."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args or ast.unparse(node.func).split(".")[-1] != "claim":
            continue
        said = node.args[0]
        parts = said.values if isinstance(said, ast.JoinedStr) else [said]
        if all(isinstance(part, (ast.Constant, ast.FormattedValue)) for part in parts):
            yield re.compile("".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in parts))
