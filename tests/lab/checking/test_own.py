"""The learner's own answer goes on: in this session, in another process, and never in the notebook's way."""

import json
import subprocess
import sys

import example_exercises
import pytest
from IPython.core.interactiveshell import InteractiveShell

from labkit.lab.checking import check, own, yours
from labkit.lab.checking.typed import text_of, text_to_keep
from labkit.lab.learner_record import note_try, read_record, record_path

Scaled = example_exercises.Scaled
SOLVED = "✔ 99.4 is solved: from here on, the code is yours.\n"

CELLS = [
    "import torch\nfrom torch import nn\nfrom math import prod as product\nSTRETCH = 1.0",
    "def times(a, b):\n    return STRETCH * product([a]) * b",
    "class Mine(nn.Module):\n    def wrong(self):\n        pass",
    "class Mine(nn.Module):\n    def __init__(self, base, factor):\n        super().__init__()\n"
    "        self.base, self.factor = base, factor\n\n    def forward(self, x):\n"
    "        return times(self.factor, self.base(x))  # all my own",
]


class Otherwise:
    pass


@pytest.fixture(autouse=True)
def new_session():
    own._passed.clear()
    yield
    own._passed.clear()


@pytest.fixture
def notebook(monkeypatch):
    """Runs cells as a kernel does, where a class has no file; gives back what they define."""
    shell = InteractiveShell()
    monkeypatch.setattr("sys.displayhook", sys.__displayhook__)

    def run(*cells):
        for number, cell in enumerate(cells):
            shell.compile.cache(cell, number)
            assert shell.run_cell(cell, store_history=True).success
        return shell.user_ns

    saved = sys.modules["__main__"]
    yield run
    sys.modules["__main__"] = saved


def test_what_is_not_solved_goes_on_with_the_other(capsys):
    assert yours("99.4", otherwise=Otherwise) is Otherwise
    check("99.4", example_exercises.class_exercise.mistakes[0].answer)
    assert yours("99.4", otherwise=Otherwise) is Otherwise
    assert yours("99.99", otherwise=Otherwise) is Otherwise
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("○ 99.4 isn't solved yet, so we go on with Otherwise.") == 2
    assert lines[-1] == "○ There's no exercise '99.99', so we go on with Otherwise."


def test_in_the_same_session_it_is_the_very_class(capsys):
    check("99.4", Scaled)
    check("99.4", example_exercises.class_exercise.mistakes[0].answer)  # a later try doesn't take it back
    assert yours("99.4", otherwise=Otherwise) is Scaled
    assert capsys.readouterr().out.endswith(SOLVED)


def test_a_right_answer_that_would_hold_up_the_notebook_is_left_out(monkeypatch, capsys):
    def forever(mine):
        while True:
            pass

    monkeypatch.setattr(own, "_TRIAL_SECONDS", 0.2)
    check("99.4", Scaled)
    assert yours("99.4", otherwise=Otherwise, trial=lambda mine: print(mine)) is Scaled
    assert yours("99.4", otherwise=Otherwise, trial=forever) is Otherwise
    assert yours("99.4", otherwise=Otherwise, trial=lambda mine: 1 / 0) is Otherwise
    slow, failing = capsys.readouterr().out.splitlines()[-2:]
    assert slow.startswith("○ Your 99.4 is right, but takes more than 0.2 seconds with the next cells' numbers, so ")
    assert failing.startswith("○ Your 99.4 is right, but fails with the next cells' numbers (ZeroDivisionError")


def test_a_class_typed_in_a_notebook_is_kept_with_what_it_uses(notebook):
    mine = notebook(*CELLS)["Mine"]
    assert text_of(mine).rstrip() == CELLS[3]
    kept = text_to_keep(mine)
    assert kept.endswith(CELLS[3] + "\n") and "def wrong" not in kept
    assert "import torch.nn as nn" in kept and "from math import prod as product" in kept
    assert kept.index("STRETCH") < kept.index("def times") < kept.index("class Mine")


@pytest.mark.slow
def test_another_process_goes_on_with_the_text(notebook, capsys):
    check("99.4", notebook(*CELLS)["Mine"])
    program = (
        "import sys; sys.path.insert(0, 'tests/lab/checking'); import example_exercises, torch\n"
        "from labkit import yours; mine = yours('99.4', otherwise=int)\n"
        "print(mine.__name__, mine(torch.nn.Identity(), 3)(torch.ones(1)).item())\n"
        "import inspect; print('all my own' in inspect.getsource(mine.forward))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{SOLVED}Mine 3.0\nTrue\n"


def passed(source):
    note_try("99.4", passed=True, source=source)


WHOLE = "class Scaled(nn.Module):\n    def __init__(self, base, factor):\n        super().__init__()\n        {}\n"


@pytest.mark.parametrize(
    "source, why",
    [
        (None, "passed, but its text wasn't kept"),
        ("", "passed, but its text wasn't kept"),
        ("class Scaled(nn.Module:", r"doesn't run by itself (SyntaxError: "),
        ("x = 1", "doesn't run by itself (ValueError: it defines nothing)"),
        ("print('hello')\nhelper()\nclass A: pass", "doesn't run by itself (NameError: name 'helper' is not defined)"),
        ("raise SystemExit\nclass A: pass", "doesn't run by itself (SystemExit)"),
        ("while True:\n    pass\nclass A: pass", "was stopped after 0.2 seconds"),
        (WHOLE.format("pass"), "doesn't pass outside its own notebook"),
        (WHOLE.format("self.missing"), "doesn't pass outside its own notebook"),
    ],
)
def test_a_text_that_does_not_do_is_said_in_one_line(source, why, monkeypatch, capsys):
    monkeypatch.setattr(own, "_SECONDS", 0.2)
    passed(source)
    assert yours("99.4", otherwise=Otherwise) is Otherwise
    out, err = capsys.readouterr()
    assert out.startswith(f"○ Your 99.4 {why}") and out.endswith(", so we go on with Otherwise.\n")
    assert out.count("\n") == 1 and not err


def test_the_learners_own_interrupt_goes_through():
    passed("raise KeyboardInterrupt\nclass A: pass")
    with pytest.raises(KeyboardInterrupt):
        yours("99.4", otherwise=Otherwise)


def test_a_record_from_before_texts_were_kept_still_loads(capsys):
    record_path().parent.mkdir(parents=True)
    entry = {"state": "passed", "tries": 2, "passed_on": "2026-11-01"}
    old = {"version": 1, "exercises": {"99.4": entry}, "predictions": {}, "quizzes": {}}
    record_path().write_text(json.dumps(old))
    assert yours("99.4", otherwise=Otherwise) is Otherwise
    check("99.4", Scaled)
    now = read_record().exercises["99.4"]
    assert now.tries == 2 and now.passed_on == "2026-11-01" and "class Scaled(nn.Module):" in now.source


def test_check_keeps_the_text_of_what_passed_and_of_nothing_else():
    check("99.1", example_exercises._without_scaling)
    check("99.2", example_exercises.share_trained())
    check("99.4", Scaled, record=False)
    exercises = read_record().exercises
    assert "99.4" not in exercises and exercises["99.1"].source is None and exercises["99.2"].source is None
    check("99.1", example_exercises.lora_update)
    assert read_record().exercises["99.1"].source.startswith("def lora_update(x, A, B, alpha):\n")


def test_a_function_in_the_middle_of_a_line_has_no_text():
    assert text_to_keep(lambda x: x) is None
    named = lambda x: x  # noqa: E731
    assert text_to_keep(named) == "named = lambda x: x  # noqa: E731\n"
    assert text_to_keep(len) is text_to_keep(3) is text_of(int) is None


def test_a_class_made_without_text_has_none():
    made = {}
    exec("class Made:\n    def f(self): pass", made)
    assert text_of(made["Made"]) is None
