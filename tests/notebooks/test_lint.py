"""The notebooks keep the course's contract, and the lint that says so catches a planted violation of every rule."""

import base64
import re
import runpy
import sys
from pathlib import Path

import lint
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbval.plugin import get_sanitize_patterns
from prose import is_shown, numbers_shown, numbers_stated
from teaching import avoided_in, given_away

from labkit.lab.claims import APPROX_PATTERN
from labkit.lab.outputs import normalise

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SANITIZE = ROOT / "tests" / "nbval-sanitize.cfg"

TITLE = "# Train\n\nAbout 45 minutes, and 23 for the exercises."

PROSE = """## You will be able to
measure
## Break it
## Exercises
## Quick check
## Common misconceptions
## Key takeaways
- It was seen. *(claims "seen", "ratio of step 3")*
## Sources
[Next: LoRA by hand](03_lora_layer.ipynb)"""


@pytest.fixture
def planted_exercises(monkeypatch):
    """The planted notebooks name exercises that are there whatever the course has."""
    monkeypatch.setattr(lint, "known_ids", lambda: ["04.1", "04.2", "04.3", "05.1"])


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def shown(**data):
    """Stands for display(): a keyword such as text__plain is the kind text/plain."""
    return new_output("display_data", {kind.replace("__", "/"): value for kind, value in data.items()})


COMPUTES = "\ny = x"  # a line that's no plumbing


def clean():
    """A small notebook 04 that keeps every rule."""
    source = (
        "claim('seen', x)\nlabkit.claim(f'ratio of step {n}', x)\nprint(check('04.1'), check('04.2'), check('04.3'))"
    )
    source += "\npredict('More?', ['yes', 'no'], id='more')\nquiz('04')" + 20 * COMPUTES
    code = new_code_cell(source, execution_count=1)
    code.outputs = [stream("✔ seen: 12.5 %\n≈1.3 s for 60 steps\nthe model says “2.5 GB”\nratio 0.25\n")]
    code.outputs[0].text += "▣ share: 12.5 % (stored, 2026-11-22)\n◇ peak: 2.5 GB (simulated)\n"
    cells = [new_markdown_cell(TITLE), code, new_code_cell("x = 'a; b;'\nreveal('more', 'no')", execution_count=2)]
    notebook = new_notebook(cells=[*cells, new_markdown_cell(PROSE)], metadata={"labkit": {"budget_seconds": 60}})
    normalise(notebook)
    return notebook


def source(text):
    return lambda notebook: notebook.cells[2].update(source=text)


def outputs(*planted):
    return lambda notebook: notebook.cells[2].update(outputs=list(planted))


def tag(name):
    return lambda notebook: notebook.cells[2].metadata.update(tags=[name])


def without(part):
    return instead(part, "")


def instead(part, other):
    return lambda notebook: notebook.cells[3].update(source=PROSE.replace(part, other))


def says(prose):
    return lambda notebook: notebook.cells[0].update(source=f"{TITLE}\n\n{prose}")


def asked_below(*markdown):
    """A prediction about the loss, what came out, and text above it."""

    def plant(notebook):
        says(" ".join(markdown))(notebook)
        code_with("['yes', 'no']", "['twice the loss', '**no** loss', '640 tokens']")(notebook)
        outputs(stream("Measured: **no** loss. (You made no prediction.)\n"))(notebook)

    return plant


def code_with(old, new):
    return lambda notebook: notebook.cells[1].update(source=notebook.cells[1].source.replace(old, new))


READ = "study = json.loads(Path('../data/results/study.json').read_text())"

# rule, what plants a violation, what the message must say
PLANTED = [
    ("executed", lambda notebook: notebook.cells[2].update(execution_count=None), "cell-03 was never executed"),
    ("counted_from_one", lambda notebook: notebook.cells[2].update(execution_count=7), r"\[1, 7\]"),
    ("no_nbval_exceptions", source("# NBVAL_IGNORE_OUTPUT"), "marker"),
    ("no_nbval_exceptions", source("# NBVAL_IGNORE_OUTPUT because it is random\nx = 1"), "marker"),
    ("no_nbval_exceptions", source("# NBVAL_SKIP"), "marker"),
    ("no_nbval_exceptions", tag("raises-exception"), "raises-exception"),
    ("no_nbval_exceptions", tag("nbval-ignore-output"), "nbval-ignore-output"),
    ("plain_python", source("%matplotlib inline"), "%matplotlib"),
    ("plain_python", source("!ls"), "!ls"),
    ("plain_python", source("run('pip install torch')"), "installs"),
    ("no_semicolon", source("plot(x);"), "trailing ;"),
    ("no_semicolon", source("plot(x);  # quiet"), "trailing ;"),
    ("no_errors_stored", outputs(stream("warning", name="stderr")), "stderr"),
    ("no_errors_stored", outputs(new_output("error", ename="KeyError", evalue="x", traceback=[])), "KeyError"),
    ("no_display_updates", source("clear_output()"), "clear_output"),
    ("no_display_updates", source("display(x, display_id='bar')"), "display_id"),
    ("no_display_updates", outputs(stream("10 steps\r20 steps")), "carriage return"),
    ("stable_outputs", outputs(shown(**{"image/svg+xml": "<svg/>"})), "svg"),
    ("stable_outputs", outputs(shown(text__html='<table id="T_1a2b3c4d5">')), "T_1a2b3c4d"),
    ("stable_outputs", outputs(shown(text__plain="<Bar object at 0x7f12ab34cd>")), "at 0x7f12ab34cd"),
    ("no_traces", outputs(stream("saved to /home/ada/runs")), "/home/ada"),
    ("no_traces", source("load('/Users/ada/x')"), "/Users/ada"),
    ("no_traces", outputs(stream(r"C:\Users\ada")), "C:"),
    ("no_traces", outputs(stream("2026-01-05T10:11:12")), "10:11:12"),
    ("normal_form", lambda notebook: notebook.metadata.update(widgets={"state": {}}), "make refresh"),
    ("normal_form", lambda notebook: notebook.cells[1].metadata.update(execution={"t": "0"}), "make refresh"),
    ("normal_form", lambda notebook: notebook.cells[1].update(id="b7c1"), "make refresh"),
    ("small_figures", outputs(shown(image__png=base64.b64encode(bytes(80_001)).decode())), "80,001 bytes"),
    ("measured_values_marked", outputs(stream("took 1.3 s")), "1.3 s"),
    ("measured_values_marked", outputs(shown(text__plain="| 12.34 % | ≈1.0 s |")), "12.34 %"),
    ("measured_values_marked", outputs(stream("speed: 1,034.5 tokens/s")), "1,034.5 tokens/s"),
    ("short_cells", source("x = 1\n" * 26), "26 lines"),
    ("budget_stated", lambda notebook: notebook.metadata.pop("labkit"), "missing"),
    ("budget_stated", lambda notebook: notebook.metadata.labkit.update(budget_seconds=181), "181 s"),
    ("budget_stated", lambda notebook: notebook.metadata.labkit.update(budget_seconds=151), "up to 150"),
    ("few_claims", source("claim('a', x)\n" * 19), "21 claims; 20"),
    ("little_plumbing", code_with(COMPUTES, ""), "4 of 7 lines"),
    ("something_happens", says("word " * 150), "words before the first output"),
    ("figures_in_words", source("plt.show()"), "calls plt.show"),
    ("figures_in_words", outputs(shown(image__png="")), "picture without words"),
    ("predictions_open", asked_below("There's no loss at all."), "'more', but .* stands above it"),
    ("origins_marked", source(f"{READ}\nclaim('a share', study['x'], below=1)"), "'a share' was read from a stored"),
    ("origins_marked", source(f"{READ}\nbest = max(study['x'])\nclaim('a', best, below=1)"), "'a' was read"),
    ("origins_marked", source("claim('a share', x, below=1, stored='2026-11-22')"), "no cell above reads"),
    ("plain_words", says("Whoever reads this."), "'whoever'; say you"),
    ("plain_words", source("# drawn anew"), "'anew'"),
    ("skeleton", lambda notebook: notebook.cells[0].update(source="Train"), "title"),
    ("skeleton", lambda notebook: notebook.cells[0].update(source="# Train"), "does not say 'About … minutes'"),
    ("skeleton", lambda notebook: notebook.cells[0].update(source="# Train\n\nAbout 7 minutes."), "COURSE"),
    ("skeleton", lambda notebook: notebook.cells[0].update(source="# Train\n\nAbout 45 minutes."), "and 23 for"),
    ("skeleton", without("## Break it"), "Break it"),
    ("skeleton", without("## Quick check"), "Quick check"),
    ("skeleton", without("[Next: LoRA by hand](03_lora_layer.ipynb)"), "link"),
    ("exercises_known", source("check('04.9', x)"), "04.9 is not in"),
    ("exercises_known", source("check('05.1', x)"), "belongs to another"),
    ("exercises_known", lambda notebook: notebook.cells[1].update(source="check('04.1')"), "1 exercises"),
    ("predictions_revealed", code_with("predict(", "print("), "nothing is predicted"),
    ("predictions_revealed", code_with("id='more'", "id='less'"), "'less' is not revealed in a later cell"),
    ("predictions_revealed", code_with("id='more'", "id='less'"), "'more' is revealed, but was never predicted"),
    ("predictions_revealed", source("x = 1"), "'more' is not revealed"),
    ("quiz_asked", code_with("quiz('04')", "quiz('03')"), "'03'"),
    ("quiz_asked", code_with("quiz('04')", ""), "quiz.'04'. is meant"),
    ("takeaways_name_claims", instead('"seen"', '"foreseen"'), "no cell claims 'foreseen'"),
    ("takeaways_name_claims", instead("step 3", ""), "no cell claims 'ratio of '"),
    ("takeaways_name_claims", instead("seen. ", "seen.\n- It is believed.\n- "), "'- It is believed.' names no claim"),
    ("takeaways_name_claims", instead("*(claims", "(claims"), "names no claim"),
    ("takeaways_name_claims", instead("- It", "It"), "no list under Key takeaways"),
    ("numbers_measured", says("It took 13 steps."), "cell-01 says '13'"),
    ("numbers_measured", says("**It has 1,234,567 numbers.**"), "'1,234,567'"),
    ("numbers_measured", says("- A share of 12.6 %"), "'12.6 %'"),
    ("numbers_measured", says("| trained | 0.31 |"), "'0.31'"),
    ("numbers_measured", says("13 steps say nothing.\n\nLoRA does (Hu et al., 2021)."), "'13'"),
    ("numbers_measured", says("- LoRA: Hu et al., 2021\n- It took 13 steps."), "'13'"),
    ("numbers_measured", says("Since May 2021 it took 13 steps."), "'13'"),
    ("numbers_measured", says("It took 13 steps, see [part 13](04_train_lora.ipynb)."), "'13'"),
    ("numbers_measured", says("It falls by −0.13 in 13 minutes."), "'0.13'"),
]


@pytest.mark.parametrize("name, plant, message", PLANTED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_planted_violation_is_found(planted_exercises, name, plant, message):
    notebook = clean()
    plant(notebook)
    found = [problem for problem in lint.problems(notebook, "04") if problem.startswith(f"{name}: ")]
    assert any(re.search(message, problem) for problem in found), found


def test_a_clean_notebook_has_no_problems(planted_exercises):
    assert lint.problems(clean(), "04") == []


@pytest.mark.parametrize(
    "prose",
    [
        "It is 12.5 %, a share of 0.125, and took 60 steps and 1.3 s.",
        "Its ratio is 0.250, a quarter, and one of four.",
        "SmolLM2 is a model like Llama-3.1-8B or Phi-3, in Q4_1, with `r = 13` and <code>13</code>.",
        "See section 13, Sections 13.1 and 14, notebook 07, notebooks 07 to 13, [part 13](04_train_lora.ipynb#13).",
        "Hu and others (2021) trained 13 layers.",
        "They trained 13 layers, see arXiv 2106.09685.",
        "They trained 13 layers ([Hu et al., 2021](04_train_lora.ipynb)).",
        "- Eckart, Young: *The approximation of one matrix by another of lower rank*, 1936, p. 211",
        "About 13 minutes. ★\n\n**04.1 · What counts** (13 minutes, easy).\n\nDifficulty ●● · about 13 minutes",
        "1. One\n2. Two\n\n<details><summary>13 · Why?</summary>Because.</details>",
        "| notebook | minutes |\n|---|---|\n| Start | 13 |",
        "```\n13\n```",
        "## 13.1 · A heading\n\nAs was shown (13.1).",
    ],
)
def test_numbers_that_are_shown_cited_or_no_statement_are_left_alone(planted_exercises, prose):
    notebook = clean()
    says(prose)(notebook)
    assert lint.problems(notebook, "04") == []


@pytest.mark.parametrize(
    "number, unit, shown, found",
    [
        ("16.8", "million", "16,777,216", True),
        ("16.7", "million", "16,777,216", False),
        ("20", "million", "20_971_520", False),
        ("21", "million", "20_971_520", True),
        ("50", "%", "above=0.5", True),
        ("50", "", "above=0.5", False),
        ("0.125", "", "12.5 %", True),
        ("0.125", "", "12.5 s", False),
        ("0.002", "", "lr=2e-3", True),
        ("2", "", "SmolLM2", False),
        ("7", "", "x7 = 17", False),
    ],
)
def test_a_number_counts_as_shown_in_another_spelling_only(number, unit, shown, found):
    assert is_shown(number, unit, numbers_shown([shown])) is found


def test_a_range_has_one_unit_for_both_numbers():
    assert list(numbers_stated("16.8 or 20 million, 3 to 5 %")) == [
        ("16.8", "million"),
        ("20", "million"),
        ("3", "%"),
        ("5", "%"),
    ]


@pytest.mark.parametrize(
    "plant",
    [
        asked_below("Is there twice the loss, no loss, or 640 tokens?"),
        asked_below("The loss is no longer the question."),
        asked_below(),
        source(f"{READ}\nclaim('a', x - study['x'], below=1)\nclaim('b', study['x'], below=1, stored=study['date'])"),
        source(f"{READ}\nx = measure(study)\ny = 0.5\nclaim('a', y, below=1)"),
        outputs(new_output("display_data", {"image/png": ""}, metadata={"image/png": {"alt": "A line falls."}})),
    ],
)
def test_what_the_rules_of_teaching_leave_alone(planted_exercises, plant):
    notebook = clean()
    plant(notebook)
    new = ("predictions_open", "origins_marked", "figures_in_words")
    assert [problem for problem in lint.problems(notebook, "04") if problem.startswith(new)] == []


@pytest.mark.parametrize("right", ["yes", "B", "8 layers", "3", "(4, 2)"])
def test_a_word_or_a_small_number_gives_nothing_away(right):
    assert not given_away(right, [right, "something else"], f"Is it {right}?")


@pytest.mark.parametrize("right", ["24 GB", "about 80 %", "1,024", "only its last layer"])
def test_a_phrase_or_a_number_gives_it_away(right):
    assert given_away(right, [right, "something else"], f"## We need {right.upper()}.")
    assert not given_away(right, [right, "something else"], f"## We need 1{right}0.")


def test_a_prediction_is_asked_once_in_the_course():
    def asks(*arguments):
        return new_notebook(cells=[new_code_cell(f"predict({argument})") for argument in arguments])

    first = asks("'More?', ['yes', 'no'], id='00.more'", "'Less?', {'a': (0, 1), 'b': (1, 2)}")
    again = asks("'more?', ['yes', 'no'], id='01.more'")
    same = asks("'Why?', ['yes', 'no'], id='00.more'")
    assert lint.asked_again({"00": first, "01": asks("'Why?', ['yes', 'no'], id='01.why'")}) == []
    assert lint.asked_again({"00": first, "01": again}) == ["01 asks 'more?', as 00 does"]
    assert lint.asked_again({"00": first, "01": same}) == ["01 asks '00.more', as 00 does"]


def test_no_notebook_asks_what_another_asked():
    assert lint.asked_again({path.name[:2]: nbformat.read(path, as_version=4) for path in NOTEBOOKS}) == []


READ_BY_PEOPLE = [
    path
    for pattern in ("*.md", "labkit/**/*.py", "data/**/*.md", "studies/*.*", "benchmarks/**/*.*")
    for path in sorted(ROOT.glob(pattern))
    if path.suffix in (".py", ".md")
]


def test_what_people_read_besides_notebooks_uses_everyday_words():
    """Messages, --help, docstrings, comments, cards, and the pages beside them; a phrase may run over two lines."""
    texts = {path: re.sub(r'\s*\n\s*[#"]?\s*', " ", path.read_text(encoding="utf-8")) for path in READ_BY_PEOPLE}
    found = {str(path.relative_to(ROOT)): list(avoided_in(text)) for path, text in texts.items()}
    assert len(found) > 200 and {path: words for path, words in found.items() if words} == {}


def test_every_rule_has_a_planted_violation():
    assert {name for name, _, _ in PLANTED} == set(lint.RULES)


def test_run_as_a_program_it_names_what_it_refuses(tmp_path, monkeypatch):
    def status(*paths):
        monkeypatch.setattr(sys, "argv", ["lint.py", *map(str, paths)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(lint.__file__, run_name="__main__")
        return ended.value.code

    bad = tmp_path / "04_planted.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell(TITLE)]), bad)
    assert status(NOTEBOOKS[0]) == 0
    assert "04_planted.ipynb: skeleton: " in status(NOTEBOOKS[0], bad)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_every_rule(path):
    found = lint.problems(nbformat.read(path, as_version=4), path.name[:2])
    assert found == [], "\n".join(["", *found])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_to_other_files_lead_somewhere(path):
    prose = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", prose)
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_readme_and_the_first_notebook_know_of_it(path):
    readme, start = (ROOT / "README.md").read_text(encoding="utf-8"), nbformat.read(NOTEBOOKS[0], as_version=4)
    assert f"\n| {path.name[:2]} " in readme, "take the brackets off its line in README"
    assert path == NOTEBOOKS[0] or f"]({path.name})" in lint.markdown(start), "link it in notebook 00"


def test_all_notebooks_fit_the_course_budget():
    budgets = [nbformat.read(path, as_version=4).metadata.labkit.budget_seconds for path in NOTEBOOKS]
    assert sum(budgets) <= lint.COURSE_SECONDS


def test_nbval_reads_the_one_rule_that_claims_define():
    assert get_sanitize_patterns(SANITIZE.read_text(encoding="utf-8")) == [(APPROX_PATTERN, "≈")]


@pytest.mark.parametrize(
    "one, other",
    [
        ("share: ≈0.34 %", "share: ≈12.1 %"),
        ("|   ≈0.34 % | r=8", "| ≈1,234.5 % | r=8"),
        ("≈1.3 s in all", "≈900 ms in all"),
    ],
)
def test_measured_values_of_any_width_compare_as_equal(one, other):
    [(pattern, replacement)] = get_sanitize_patterns(SANITIZE.read_text(encoding="utf-8"))
    assert re.sub(pattern, replacement, one) == re.sub(pattern, replacement, other)


def test_exact_values_still_differ():
    [(pattern, replacement)] = get_sanitize_patterns(SANITIZE.read_text(encoding="utf-8"))
    assert re.sub(pattern, replacement, "≈1.3 s, 921,600") != re.sub(pattern, replacement, "≈1.3 s, 921,601")
