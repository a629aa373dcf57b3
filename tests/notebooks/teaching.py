"""How a notebook teaches: how much of it is plumbing, which words it avoids, which answers it gives away."""

import ast
import re
from collections.abc import Iterator

PLUMBING = {"claim", "predict", "reveal", "check", "hint", "solution", "yours"}

# What nobody would say at a whiteboard, as regular expressions, and what we say instead.
AVOIDED = {
    "whoever": "you, or who",
    "somebody who|nobody who": "you, or a person who",
    "anew": "again",
    "by lot": "random",
    "fore(tell|tells|told)": "predict",
    "the very (bits?|same|numbers?|weights?)": "bit for bit, the same",
    "is right here": "expected",
    "to be had": "available",
    "stands? there": "is shown, is there",
    "(comes?|came) past": "runs, is met",
    "lets? go": "frees",
    "runs? on and on": "won't stop",
    "what it is was|the same it is not": "plain word order",
    "(is|are) to be (divided|had|asked|quoted|seen|found)": "an active verb",
    "must be asked": "an active verb",
    "who compares": "compare … and",
    r"(bits?|loss|bytes|seconds?|tokens|numbers|minutes|milliseconds|mistakes?) (a|to a) "
    "(weight|token|step|row|block|number|second|parameter|layer|process|run)": "per",
}

_READS = re.compile(r"\bresults\b.*\.json|\.json\b.*\bresults\b")
_SMALL = 10  # numbers below it are all over a page, and give nothing away


def called(node: ast.AST) -> str:
    """The last name of what a call calls: ``claim`` for ``labkit.claim(…)``."""
    return ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""


def code_lines(source: str) -> int:
    """The lines of a cell that are code: not empty, no comment."""
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines())


def plumbing_lines(tree: ast.Module) -> int:
    """The lines of statements that only claim, predict, reveal, check, hint, solve or go on with an answer."""
    statements = [node for node in ast.walk(tree) if isinstance(node, (ast.Expr, ast.Assign))]
    return sum(node.end_lineno - node.lineno + 1 for node in statements if called(node.value) in PLUMBING)


def avoided_in(text: str) -> Iterator[tuple[str, str]]:
    """Each word or phrase in `text` that the course doesn't use, with what it says instead."""
    for phrase, instead in AVOIDED.items():
        if found := re.search(rf"\b({phrase})\b", text, re.IGNORECASE):
            yield found[0].lower(), instead


def predictions(tree: ast.Module) -> Iterator[tuple[str, str, list[str]]]:
    """The id, question and options of each prediction that is written out."""
    for node in ast.walk(tree):
        if called(node) == "predict" and node.args:
            given = dict(zip(("question", "options", "id"), node.args)) | {
                word.arg: word.value for word in node.keywords
            }
            question, options = given["question"], given.get("options")
            texts = options.keys if isinstance(options, ast.Dict) else getattr(options, "elts", [])
            id = getattr(given.get("id", question), "value", "")
            yield id, getattr(question, "value", ""), [getattr(text, "value", "") for text in texts]


def given_away(right: str, options: list[str], above: str) -> bool:
    """Whether the markdown `above` a prediction says what comes out.

    The right option has to be in it as it's written, and must be a phrase or a number that isn't just any number. If
    the other options are there as well, the text lists what is asked, and gives nothing away.
    """
    number = re.search(r"\d[\d,.]*", right)
    telling = len(right.split()) > 1 if not number else float(re.sub(r"[^\d.]|\.$", "", number[0]) or 0) >= _SMALL
    return telling and _said(right, above) and not all(_said(option, above) for option in options)


def _said(option: str, text: str) -> bool:
    option, text = (re.sub(r"[`*]", "", each) for each in (option, text))
    plain = r"\s*".join(map(re.escape, option.split()))
    return bool(re.search(rf"(?<![\w.,]){plain}(?!\w|[.,]\d)", text, re.IGNORECASE))


def unmarked_claims(trees: list[ast.Module]) -> Iterator[str]:
    """The claims about what a notebook read from a stored study that don't say so, and those that say so of nothing.

    A value counts as read if all names in it are of what a cell read from data/results; compared with something
    measured now, it's a measurement.
    """
    stored: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                names = {
                    name.id
                    for target in getattr(node, "targets", [getattr(node, "target", None)])
                    for name in _names(target)
                }
                if _READS.search(ast.unparse(node.value)) or _all_stored(node.value, stored):
                    stored |= names
                else:
                    stored -= names
        for node in ast.walk(tree):
            if called(node) != "claim" or len(node.args) < 2:
                continue
            origins = {word.arg for word in node.keywords}
            if _all_stored(node.args[1], stored) and not origins & {"stored", "simulated"}:
                yield f"{ast.unparse(node.args[0])} was read from a stored study: claim(…, stored=the day of it)"
            if "stored" in origins and not stored:
                yield f"{ast.unparse(node.args[0])} is said to be stored, but no cell above reads data/results"


def _names(node: ast.AST) -> list[ast.Name]:
    return [each for each in ast.walk(node) if isinstance(each, ast.Name)] if node is not None else []


def _all_stored(value: ast.AST, stored: set[str]) -> bool:
    functions = {name.id for call in ast.walk(value) if isinstance(call, ast.Call) for name in _names(call.func)}
    inner = {name.id for part in ast.walk(value) if isinstance(part, ast.comprehension) for name in _names(part.target)}
    names = {name.id for name in _names(value)}
    methods = {name for name in names & functions if name in stored}  # stored.values() is about `stored`
    names = (names - functions - inner) | methods
    return bool(names) and names <= stored
