"""The notebook contract as rules. Each takes a notebook and yields what is wrong; none runs anything.

`problems` applies all of them. A rule's docstring says why it is there; test_lint.py plants a violation of each.
"""

import ast
import base64
import contextlib
import copy
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import prose
import teaching
from nbformat import NotebookNode

from labkit.course import COURSE
from labkit.lab.checking.form import find, known_ids
from labkit.lab.claims import MARKS
from labkit.lab.outputs import normalise

CELL_LINES = 25
FIGURE_BYTES = 80_000
NOTEBOOK_SECONDS, COURSE_SECONDS = 150, 1_200
CLAIMS, PLUMBING_SHARE, WORDS_FIRST = 20, 0.20, 150

Rule = Callable[[NotebookNode, str], Iterator[str]]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    RULES[function.__name__] = function
    return function


def problems(notebook: NotebookNode, number: str) -> list[str]:
    """Every violation in `notebook`, the course's notebook `number` ("04"), as ``rule: cell: what``."""
    return [f"{name}: {problem}" for name, check in RULES.items() for problem in check(notebook, number)]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def markdown(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def output_texts(cell: NotebookNode) -> list[str]:
    """Everything textual that a cell shows, tracebacks included."""
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        texts += [output.get("text", ""), *output.get("traceback", [])]
        texts += [value for kind, value in data.items() if isinstance(value, str) and kind != "image/png"]
    return texts


def calls_in(cell: NotebookNode) -> list[ast.Call]:
    """Every call in a code cell; none where it is not plain Python, which `plain_python` reports."""
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def trees(notebook: NotebookNode) -> list[ast.Module]:
    """The code cells, parsed; those that aren't plain Python are left to `plain_python`."""
    parsed = []
    for cell in code_cells(notebook):
        with contextlib.suppress(SyntaxError):
            parsed.append(ast.parse(cell.source))
    return parsed


@rule
def executed(notebook, number):
    """nbval passes a never-executed cell without comparing anything."""
    for cell in code_cells(notebook):
        if cell.execution_count is None:
            yield f"{cell.id} was never executed"


@rule
def counted_from_one(notebook, number):
    """Other counts mean that cells were run out of order, or twice."""
    counts = [cell.execution_count for cell in code_cells(notebook) if cell.execution_count is not None]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}, not 1, 2, 3 …"


@rule
def no_nbval_exceptions(notebook, number):
    """Every output is compared. A marker with text after it would be ignored, one without would hide a change."""
    for cell in code_cells(notebook):
        if re.search(r"NBVAL_|PYTEST_VALIDATE", cell.source):
            yield f"{cell.id} has an nbval marker"
        tags = set(cell.metadata.get("tags", []))
        for tag in sorted(tags):
            if tag.startswith("nbval") or tag in ("raises-exception", "skip-execution"):
                yield f"{cell.id} is tagged {tag}, which passes when it should not"


@rule
def plain_python(notebook, number):
    """No magics, no shell, no installs: a cell means the same in every Python."""
    for cell in code_cells(notebook):
        try:
            compile(cell.source, cell.id, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
        except SyntaxError as error:
            yield f"{cell.id} is not plain Python: {error.text and error.text.strip()}"
        if re.search(r"\bpip3? install\b|get_ipython\(", cell.source):
            yield f"{cell.id} installs something, or reaches for IPython"


@rule
def no_semicolon(notebook, number):
    """A trailing `;` hides a result from the display, and then nbval fails."""
    ends = (tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER)
    for cell in code_cells(notebook):
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(cell.source).readline))
        except (tokenize.TokenError, SyntaxError):
            continue  # plain_python reports it
        if any(one.string == ";" and after.type in ends for one, after in zip(tokens, tokens[1:])):
            yield f"{cell.id} has a trailing ;"


@rule
def no_errors_stored(notebook, number):
    """stderr differs between machines, and an error is not what a learner should meet first."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                yield f"{cell.id} stores {output.get('ename', 'stderr output')}"


@rule
def no_display_updates(notebook, number):
    """nbval compares the first state of a display with the stored last one."""
    for cell in code_cells(notebook):
        if found := re.search(r"\b(update_display|clear_output|display_id)\b", cell.source):
            yield f"{cell.id} uses {found[0]}; a widget can change without it"
        if any("\r" in text for text in output_texts(cell)):
            yield f"{cell.id} redraws a line (carriage return)"


@rule
def stable_outputs(notebook, number):
    """nbval compares SVG and HTML to the letter: what has random ids or addresses in it never passes twice."""
    for cell in code_cells(notebook):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        for kind in sorted(kinds & {"image/svg+xml", "application/javascript"}):
            yield f"{cell.id} shows {kind}; use a PNG"
        for text in output_texts(cell):
            if found := re.search(r"\bat 0x[0-9a-f]{6,}|\bid=[\"']?[\w-]*[0-9a-f]{8}", text):
                yield f"{cell.id} shows something random: {found[0]}"


@rule
def no_traces(notebook, number):
    """Nothing of the machine or the moment of one run: no absolute path (with a user's name in it), no time stamp."""
    path = r"(?<![\w./:~-])/(?:home|Users|root|tmp|var|opt|mnt|private|work)/[\w.-]+|\b[A-Z]:\\\w+"
    stamp = r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d"
    for cell in notebook.cells:
        for text in [cell.source, *(output_texts(cell) if cell.cell_type == "code" else [])]:
            if found := re.search(f"{path}|{stamp}", text):
                yield f"{cell.id} has {found[0]}"


@rule
def normal_form(notebook, number):
    """One form: no widget state, no timing, no editor's metadata, so that a diff shows only what changed."""
    normal = copy.deepcopy(notebook)
    normalise(normal)
    if normal != notebook:
        yield "not in its normal form (widget state, metadata, ids, cut streams): make refresh"


@rule
def small_figures(notebook, number):
    """The repository stays small, and a notebook opens at once."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            size = len(base64.b64decode(output.get("data", {}).get("image/png", "")))
            if size > FIGURE_BYTES:
                yield f"{cell.id} has a figure of {size:,} bytes; {FIGURE_BYTES:,} are allowed"


@rule
def measured_values_marked(notebook, number):
    """A decimal number with a measured unit differs on the next machine unless ≈ lets nbval know.

    Left out: lines of claims, whose marks say how exact they are, and lines with quotation marks, where a text stands.
    """
    bare = r"(?<![≈\d.,])(?<!≈[ +−-])\d[\d,]*\.\d+ ?(?:%|ms|s|min|MB|GB|tokens/s)(?!\w)"
    for cell in code_cells(notebook):
        for line in "\n".join(output_texts(cell)).splitlines():
            if line.lstrip().startswith(tuple(MARKS)) or re.search(r"[\"'“”‘’<]", line):
                continue
            if found := re.search(bare, line):
                yield f"{cell.id} shows {found[0]!r} without ≈"


@rule
def short_cells(notebook, number):
    """A learner's screen holds one idea."""
    for cell in code_cells(notebook):
        if (lines := len(cell.source.splitlines())) > CELL_LINES:
            yield f"{cell.id} has {lines} lines of code; {CELL_LINES} are allowed"


@rule
def budget_stated(notebook, number):
    """A learner and a teacher can plan, and a slower notebook is noticed."""
    seconds = notebook.metadata.get("labkit", {}).get("budget_seconds")
    if not isinstance(seconds, (int, float)):
        yield "metadata.labkit.budget_seconds is missing"
    elif not 0 < seconds <= NOTEBOOK_SECONDS:
        yield f"a budget of {seconds:g} s; up to {NOTEBOOK_SECONDS} are allowed"


@rule
def skeleton(notebook, number):
    """The same parts in the same order in every notebook: a learner who knows one knows them all."""
    if not notebook.cells or not re.match(r"# \S", notebook.cells[0].source):
        yield "the first cell is not a title (# …)"
    text = markdown(notebook)
    stated = re.search(r"^About (\d+) minutes", notebook.cells[0].source, re.MULTILINE) if notebook.cells else None
    if not stated:
        yield "the first cell does not say 'About … minutes'"
    elif (minutes := {each.number: each.minutes for each in COURSE}.get(number)) != int(stated[1]):
        yield f"it says {stated[1]} minutes, and COURSE in labkit/course {minutes}"
    elif exercises := sum(find(id).minutes for id in known_ids() if id[:2] == number):
        if f"and {exercises} for the exercises" not in notebook.cells[0].source:
            yield f"the first cell does not say 'and {exercises} for the exercises', which is what theirs add up to"
    place = 0
    for part in (
        "You will be able to",
        "Break it",
        "Exercises",
        "Quick check",
        "Common misconceptions",
        "Key takeaways",
        "Sources",
    ):
        found = re.compile(rf"^(#+ |\*\*).*{part}", re.IGNORECASE | re.MULTILINE).search(text, place)
        if not found:
            yield f"no heading {part!r} (or not in its place)"
        else:
            place = found.end()
    if not re.search(r"\]\(\d\d_\w+\.ipynb\)", notebook.cells[-1].source):
        yield "the last cell does not link to another notebook"


@rule
def exercises_known(notebook, number):
    """A `check` that names no exercise would greet a learner with an error; three to five keep a notebook practical."""
    called = {
        id
        for cell in code_cells(notebook)
        for id in re.findall(r"\b(?:check|hint|solution)\(\s*[\"']([^\"']*)[\"']", cell.source)
    }
    known = set(known_ids())
    for id in sorted(called):
        if id not in known:
            yield f"exercise {id} is not in labkit.lab.checking"
        elif not id.startswith(f"{number}."):
            yield f"exercise {id} belongs to another notebook"
    if not 3 <= len(called) <= 5:
        yield f"{len(called)} exercises; three to five are asked for"


@rule
def predictions_revealed(notebook, number):
    """A learner who has said what to expect is told what came out, further down, and is asked at least once."""
    asked, revealed = {}, {}
    for place, cell in enumerate(code_cells(notebook)):
        for call in calls_in(cell):
            name = ast.unparse(call.func).split(".")[-1]
            if name in ("predict", "reveal"):
                named = [word.value for word in call.keywords if word.arg == "id"] or call.args[:1]
                id = getattr(named[0], "value", ast.unparse(named[0])) if named else ""
                (asked if name == "predict" else revealed)[id] = place
    if not asked:
        yield "nothing is predicted"
    for id, place in asked.items():
        if revealed.get(id, -1) <= place:
            yield f"prediction {id!r} is not revealed in a later cell"
    for id in revealed.keys() - asked:
        yield f"{id!r} is revealed, but was never predicted"


@rule
def quiz_asked(notebook, number):
    """The quick check is the notebook's own, once."""
    asked = [
        ast.unparse(call.args[0])
        for cell in code_cells(notebook)
        for call in calls_in(cell)
        if ast.unparse(call.func).split(".")[-1] == "quiz" and call.args
    ]
    if asked != [repr(number)]:
        yield f"the quizzes asked are {asked}; quiz({number!r}) is meant, once"


@rule
def takeaways_name_claims(notebook, number):
    """No sentence has to be believed: what a learner takes along was measured here, and says where."""
    bullets = prose.takeaways(markdown(notebook))
    if bullets is None:
        return  # skeleton reports it
    if not bullets:
        yield 'there is no list under Key takeaways (- … *(claim "…")*)'
    made = []
    for cell in code_cells(notebook):
        with contextlib.suppress(SyntaxError):  # plain_python reports it
            made += prose.claims_made(cell.source)
    for bullet in bullets:
        named = prose.claims_named(bullet)
        if not named:
            yield f"the takeaway {bullet!r} names no claim"
        for name in named:
            if not any(pattern.fullmatch(name) for pattern in made):
                yield f"no cell claims {name!r}, which a takeaway names"


@rule
def numbers_measured(notebook, number):
    """A number in prose is one that a cell holds or shows, or has its source beside it: author and year, or arXiv."""
    shown = prose.numbers_shown(text for cell in code_cells(notebook) for text in [cell.source, *output_texts(cell)])
    sections, ids = prose.section_numbers(markdown(notebook)), known_ids()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for stated, unit in dict.fromkeys(prose.numbers_stated(cell.source, sections, ids)):
                if not prose.is_shown(stated, unit, shown):
                    yield f"{cell.id} says {f'{stated} {unit}'.strip()!r}, which no cell shows and no source backs"


@rule
def few_claims(notebook, number):
    """A claim is something that would be missed. Who meets fifty reads none."""
    made = sum(teaching.called(node) == "claim" for tree in trees(notebook) for node in ast.walk(tree))
    if made > CLAIMS:
        yield f"{made} claims; {CLAIMS} are allowed. Print what is only arithmetic"


@rule
def little_plumbing(notebook, number):
    """A learner reads what is computed, and not how it's asked, compared and formatted."""
    lines = sum(teaching.code_lines(cell.source) for cell in code_cells(notebook))
    plumbing = sum(map(teaching.plumbing_lines, trees(notebook)))
    if plumbing >= PLUMBING_SHARE * lines:
        yield f"{plumbing} of {lines} lines of code only claim, predict, reveal or check: {PLUMBING_SHARE:.0%} or more"


@rule
def something_happens(notebook, number):
    """A picture, an answer or a surprising number comes first, and makes the reader want the words."""
    words = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            words += len(cell.source.split())
        elif any(text.strip() for text in output_texts(cell)):
            break
    if words > WORDS_FIRST:
        yield f"{words} words before the first output; {WORDS_FIRST} are allowed"


@rule
def figures_in_words(notebook, number):
    """Those who can't see a figure are told what is to be seen: show(figure, alt="…")."""
    for cell in code_cells(notebook):
        if re.search(r"\bplt\.show\(", cell.source):
            yield f"{cell.id} calls plt.show(); show(figure, alt='…') shows it with its words"
        for output in cell.outputs:
            if "image/png" in output.get("data", {}) and not output.metadata.get("image/png", {}).get("alt"):
                yield f"{cell.id} has a picture without words: show(figure, alt='…')"


@rule
def predictions_open(notebook, number):
    """A question whose answer stands above it asks nothing."""
    revealed = {}
    for cell in code_cells(notebook):
        said = re.findall(
            r"(?:Measured|Stored|Simulated): (.*?)\. (?:\(You made|As you|A surprise)", "\n".join(output_texts(cell))
        )
        ids = [getattr(c.args[0], "value", "") for c in calls_in(cell) if teaching.called(c) == "reveal" and c.args]
        revealed |= dict(zip(ids, said)) if len(ids) == len(said) else {}
    above = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            above += f"\n\n{cell.source}"
            continue
        with contextlib.suppress(SyntaxError):
            for id, _, options in teaching.predictions(ast.parse(cell.source)):
                if id in revealed and teaching.given_away(revealed[id], options, above):
                    yield f"{cell.id} asks {id!r}, but {revealed[id]!r} stands above it"


@rule
def origins_marked(notebook, number):
    """✔ is what was measured just now. What comes from a stored study has its own mark, and its day."""
    yield from teaching.unmarked_claims(trees(notebook))


@rule
def plain_words(notebook, number):
    """Everyday words: what you'd never say at a whiteboard, a learner has to read twice."""
    for cell in notebook.cells:
        for phrase, instead in teaching.avoided_in(cell.source):
            yield f"{cell.id} says {phrase!r}; say {instead}"


def asked_again(notebooks: dict[str, NotebookNode]) -> list[str]:
    """The predictions that more than one cell of the course asks, by id or by question. ``notebooks`` by number."""
    seen, found = {}, []
    for number, notebook in notebooks.items():
        for tree in trees(notebook):
            for id, question, _ in teaching.predictions(tree):
                for said in {id, question.casefold()} - {""}:
                    if said in seen:
                        found.append(f"{number} asks {said!r}, as {seen[said]} does")
                for said in {id, question.casefold()} - {""}:
                    seen.setdefault(said, number)
    return found


if __name__ == "__main__":  # for the git hook: the notebooks to look at
    paths = [Path(name) for name in sys.argv[1:]]
    found = [f"{path.name}: {one}" for path in paths for one in problems(nbformat.read(path, 4), path.name[:2])]
    sys.exit("\n".join(found) or 0)
