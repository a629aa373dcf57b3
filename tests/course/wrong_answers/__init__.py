'''Wrong answers as people give them, one file a notebook, and how many of them the checks know by name.

``nb03.py`` holds ``WRONG``, a list of tuples:

    ("03.3", "0.25", "half of the half"),
    (
        "03.1",
        """
        def my_update(x, A, B, alpha, r):
            return alpha // r * (x @ A.T @ B.T)
        """,
        "whole numbers divide with //",
        True,
    ),

the exercise; the answer as somebody would type it, a definition or an expression, with torch, nn, F, math and re at
hand; what they think, in a phrase; and True if a known mistake has to recognise it. Without the True, any ✗ will do.

    python tests/course/wrong_answers        prints the share recognised for each exercise, and what isn't
'''

import ast
import importlib
import math
import pkgutil
import re
import textwrap
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from labkit.lab.checking.form import find
from labkit.lab.checking.judging import Verdict, judge


@dataclass(frozen=True)
class Wrong:
    """One wrong answer; the fields are those of a tuple in ``WRONG``."""

    exercise: str
    text: str
    thought: str
    named: bool = False

    def __str__(self) -> str:
        return f"{self.exercise} {self.thought}"

    def answer(self):
        """What the text is worth: the value of an expression, or what its last statement defines."""
        text = textwrap.dedent(self.text).strip()
        names = {"torch": torch, "nn": nn, "F": functional, "math": math, "re": re}
        try:
            return eval(text, names)
        except SyntaxError:
            exec(text, names)
        last = ast.parse(text).body[-1]
        return names[last.targets[0].id if isinstance(last, ast.Assign) else last.name]

    def verdict(self) -> Verdict:
        """What ``check`` says of it."""
        return judge(find(self.exercise), self.answer())

    def recognised(self) -> bool:
        """Whether a known mistake of the exercise is what ``check`` names."""
        return self.verdict().lines[0] in {mistake.symptom for mistake in find(self.exercise).mistakes}


def wrong_answers() -> list[Wrong]:
    """All of them, in the course's order."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name.startswith("nb"))
    return [Wrong(*each) for name in modules for each in importlib.import_module(f"{__name__}.{name}").WRONG]


def summary(answers: list[Wrong]) -> str:
    """For each exercise how many are recognised, and below it those that aren't, with what ``check`` says."""
    lines, known = [], {each: each.recognised() for each in answers}
    for id in dict.fromkeys(each.exercise for each in answers):
        own = [each for each in answers if each.exercise == id]
        lines.append(f"{id:6} {sum(map(known.get, own)):3} of {len(own):3} recognised")
        lines += [f"         {each.thought}: {' '.join(each.verdict().lines[:2])}" for each in own if not known[each]]
    share = sum(known.values()) / max(1, len(known))
    return "\n".join([*lines, f"all    {sum(known.values()):3} of {len(known):3} recognised, {share:.0%}"])
