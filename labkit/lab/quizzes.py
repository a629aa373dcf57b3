"""Quick checks: a few questions at the end of a notebook, answered at once with the reason why.

One folder a notebook: ``labkit/course/nb03/questions.py`` holds its questions, and its cell says ``quiz("03")``.
"""

import re
from dataclasses import dataclass
from string import ascii_lowercase

from labkit.errors import ConfigError
from labkit.lab import content
from labkit.lab.learner_record import note_quiz_answer, read_record
from labkit.lab.widgets import as_html, in_notebook, radio_buttons, show_widget

__all__ = ["Question", "questions", "quiz"]

_REGISTRY: dict[str, list["Question"]] = {}


@dataclass(frozen=True)
class Question:
    """One question of a quick check. `` `code` `` may be used in all its texts.

    Args:
        text: the question.
        options: for each option why it is right, or what may have been thought when it is not, in the order shown.
        right: the letter of the right option, ``"a"`` for the first.

    Raises:
        ConfigError: fewer than two options, a reason missing, or a letter that is none of theirs.
    """

    text: str
    options: dict[str, str]
    right: str

    def __post_init__(self):
        if not self.text or len(self.options) < 2 or not all([*self.options, *self.options.values()]):
            raise ConfigError(f"question {self.text!r} needs a text and two options or more, each with its reason")
        if self.right not in tuple(ascii_lowercase[: len(self.options)]):
            letters = ", ".join(ascii_lowercase[: len(self.options)])
            raise ConfigError(f"question {self.text!r}: right is one of {letters}, got {self.right!r}")

    @property
    def right_option(self) -> str:
        """The option that `right` names."""
        return list(self.options)[ascii_lowercase.index(self.right)]


def questions(notebook: str, asked: list[Question]) -> None:
    """Make the quick check of a notebook known: ``questions("03", [Question(…), …])``."""
    _REGISTRY[notebook] = asked


def quiz(id: str, questions: list[Question] | None = None) -> None:
    """Ask the quick check of a notebook; each answer gets its reason at once, and is recorded.

    Where there is no kernel, you see the questions as text, with answers to open.

    Args:
        id: the notebook, ``"03"``; with ``questions``, any name.
        questions: the teacher's own questions, in place of the course's.

    Raises:
        ConfigError: there is no quiz `id`, or no question in it.
    """
    questions = _questions(id) if questions is None else list(questions)
    if not questions:
        raise ConfigError(f"quiz {id!r} has no questions")
    if in_notebook():
        show_widget(_quiz_box(id, questions), quiz_text(questions), quiz_html(questions))
    else:
        print(quiz_text(questions))


def feedback(question: Question, chosen: str) -> str:
    """``✔`` or ``✗``, and the reason that belongs to the option `chosen`."""
    return f"{'✔' if chosen == question.right_option else '✗'} {question.options[chosen]}"


def quiz_text(questions: list[Question]) -> str:
    """The questions and their options as text, without the answers."""
    lines = []
    for number, question in enumerate(questions, start=1):
        lines += ["", f"{number}. {question.text}"]
        lines += [f"   {letter}) {option}" for letter, option in zip(ascii_lowercase, question.options)]
    return "\n".join(lines[1:])


def quiz_html(questions: list[Question]) -> str:
    """The questions as HTML, each answer behind a line that opens it. No ids and no scripts: nbval compares it."""
    parts = []
    for number, question in enumerate(questions, start=1):
        # letters as text: of a list, some pages make numbers
        options = "<br>".join(f"{letter}) {as_html(o)}" for letter, o in zip(ascii_lowercase, question.options))
        parts.append(
            f"<p><b>{number}. {as_html(question.text)}</b><br>{options}</p>\n"
            f"<details><summary>Answer</summary><p>{question.right}) {as_html(question.right_option)}<br>"
            f"{as_html(question.options[question.right_option])}</p></details>"
        )
    return "\n".join(parts)


def _questions(id: str) -> list[Question]:
    """The questions of the course's notebook `id`."""
    id = str(id)
    if re.fullmatch(r"\d\d", id):
        content.load(id)
    if id not in _REGISTRY:
        raise ConfigError(f'there is no quiz {id!r}. Write the number of a notebook in two digits, as in quiz("03")')
    return _REGISTRY[id]


def _quiz_box(id: str, questions: list[Question]):
    from ipywidgets import VBox

    answers = read_record().quizzes.get(id, {})
    boxes = []
    for number, question in enumerate(questions, start=1):
        answer = answers.get(question.text)
        boxes.append(_question_box(id, number, question, answer.said if answer else None))
    return VBox(boxes)


def _question_box(id: str, number: int, question: Question, said: str | None):
    """The question, a radio button for each option, and below them the reason for the one chosen."""
    from ipywidgets import HTML, VBox

    reason = HTML(as_html(feedback(question, said)) if said in question.options else "")

    def choose(option: str) -> None:
        reason.value = as_html(feedback(question, option))
        note_quiz_answer(id, question.text, option, option == question.right_option)

    buttons = radio_buttons(question.options, said, choose)
    return VBox([HTML(f"<b>{number}. {as_html(question.text)}</b>"), buttons, reason])
