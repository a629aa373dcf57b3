"""The advice explorer: choose a model, a card, a task and rows, and see what to begin with, and why."""

from dataclasses import dataclass
from textwrap import shorten

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.advice import Advice, Line, advise
from labkit.advice.situations import CPU, KINDS, USES
from labkit.errors import ConfigError
from labkit.lab.claims import approx
from labkit.lab.explorers.frame import chooser, drawn, explorer_box, show_explorer
from labkit.lab.explorers.step_cost import SEQUENCES
from labkit.lab.plots import COLOURS
from labkit.simulation.cards import CARDS
from labkit.simulation.shapes import PRESETS

CARD_NAMES = (CPU, *(card.name for card in CARDS))
ROWS = (20, 50, 100, 300, 500, 1_000, 2_000, 5_000, 20_000, 100_000)
MARK_COLOURS = {"▣": COLOURS[2], "◇": COLOURS[0], "❝": "black", "○": "gray"}
MARKS = {"▣": "compared here", "◇": "simulated", "❝": "published", "○": "a habit, or used here and not compared"}


@dataclass(frozen=True)
class Asked:
    """What advice is asked for, as for :func:`labkit.advise`."""

    model: str = "llama-3-8b"
    card: str = "RTX 4090, 24 GB"
    task: str = "chat"
    rows: int = 5_000
    tokens: int = 512
    use: str = "either"

    def advice(self) -> Advice:
        return advise(self.model, self.card, self.task, self.rows, tokens=self.tokens, use=self.use)

    def __str__(self) -> str:
        return f"{self.model}, {self.card}, {self.task}, {self.rows:,} rows of {self.tokens:,} tokens"


def caption(advice: Advice) -> str:
    """``LoRA, r = 16, α = 32, rate 3e-4: ≈21.1 GB, 1.3 hours``."""
    if not advice.lines:
        return advice.before[0].text
    values = {line.about: line.text for line in advice.lines}
    adapter = f", r = {values['rank']}" if "rank" in values else ""
    adapter += f", α = {values['α']}" if "α" in values else ""
    fits = "" if advice.fits else ", which doesn't fit"
    return (
        f"{values['method']}{adapter}, rate {values['learning rate']}: "
        f"{approx(advice['peak memory'].value, 'GB')}{fits}, time {advice['time'].text}"
    )


def advice_picture(asked: Asked, advice: Advice) -> bytes:
    """A PNG, 700 pixels wide: each choice with its value and its source, and the peak beside what the card has."""
    lines = [*advice.before, *advice.lines, *advice.costs]
    height = 1.0 + 0.235 * len(lines)

    def draw(figure: Figure) -> None:
        at = lambda inches: 1 - inches / height  # noqa: E731  from the top
        figure.text(0.012, at(0.18), str(asked), fontsize=11, va="center")
        for place, line in enumerate(lines):
            _draw_line(figure, at(0.5 + 0.235 * place), line)
        figure.text(0.012, 0.11 / height, _known(lines), fontsize=8, color="gray", va="bottom")
        if advice.lines:
            figure.text(0.012, 0.42 / height, "memory", color="gray", fontsize=9.5, va="center")
            _draw_memory(figure.add_axes((0.21, 0.36 / height, 0.45, 0.12 / height)), advice)

    return drawn(draw, height)


def _draw_line(figure: Figure, y: float, line: Line) -> None:
    strong = {"fontsize": 9.5, "va": "center"}
    figure.text(0.012, y, line.about, color="gray", **strong)
    figure.text(0.21, y, shorten(line.text, 52, placeholder=" …"), **strong)
    date = f", {line.date}" if line.date else ""
    where = shorten(f"{line.source.mark} {line.source.short}{date}", 34, placeholder=" …")
    figure.text(0.99, y, where, color=MARK_COLOURS[line.source.mark], fontsize=8.5, va="center", ha="right")


def _known(lines: list[Line]) -> str:
    used = dict.fromkeys(line.source.mark for line in lines)
    return " · ".join(f"{mark} {MARKS[mark]}" for mark in MARKS if mark in used)


def _draw_memory(ax: Axes, advice: Advice) -> None:
    """A bar as long as what there is, filled as far as the peak goes."""
    peak, there = advice["peak memory"].value / 1e9, advice.memory / 1e9
    ax.barh([0], [there], color="#e4e4e4")
    ax.barh([0], [peak], color=COLOURS[0] if advice.fits else COLOURS[3], height=0.5)
    ax.set(xlim=(0, max(peak, there)), ylim=(-0.5, 0.5), yticks=[], xticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    said = f"{approx(peak)} of {approx(there)} GB"
    ax.annotate(said, (1.02, 0.5), xycoords="axes fraction", fontsize=8.5, va="center")


def advice_explorer(
    model: str = "llama-3-8b", card: str = "RTX 4090, 24 GB", task: str = "chat", rows: int = 5_000
) -> None:
    """Choose a model, a card, a kind of task and how many rows there are, and see what :func:`labkit.advise` says.

    Each choice stands beside the study, citation or simulation it comes from. The whole page of text, with reasons and
    with what isn't known, is ``print(labkit.advise(…))``. Where there's no kernel, the picture of the first choice is
    shown.

    Args:
        model: which of :data:`labkit.simulation.PRESETS` is shown first.
        card: which of :data:`labkit.simulation.CARDS`, or "cpu", at first.
        task: as for :func:`labkit.advise`, at first.
        rows: of training data, at first.

    Raises:
        ConfigError: an unknown model, card or task, or a number of rows that makes no sense.
    """
    for name, value, known in (("model", model, PRESETS), ("card", card, CARD_NAMES), ("task", task, KINDS)):
        if value not in known:
            raise ConfigError(f"{name} is one of {'; '.join(known)}, not {value!r}")
    asked = Asked(model, card, task, rows)
    advice = asked.advice()
    show_explorer(
        "the advice explorer",
        str(asked),
        lambda: _explorer_box(asked),
        f"{asked}: {caption(advice)}",
        lambda: advice_picture(asked, advice),
    )


def _explorer_box(start: Asked):
    """The controls, the line below them, and the picture."""
    model = chooser("model", PRESETS, start.model)
    card = chooser("card", CARD_NAMES, start.card)
    task = chooser("task", {kind.words: name for name, kind in KINDS.items()}.items(), start.task)
    rows = chooser("rows", sorted({*ROWS, start.rows}), start.rows, slider=True)
    tokens = chooser("tokens", SEQUENCES, start.tokens, slider=True)
    use = chooser("adapter", [(words, name) for name, words in USES.items()], start.use)
    for slider in (rows, tokens):
        slider.continuous_update = False  # an answer may take seconds: one for each move, not on the way

    def fit_in() -> None:
        context = PRESETS[model.value].shape["max_position_embeddings"]
        tokens.value = max(length for length in SEQUENCES if length <= min(tokens.value, context))

    def answer() -> tuple[str, bytes]:
        asked = Asked(model.value, card.value, task.value, rows.value, tokens.value, use.value)
        advice = asked.advice()
        return caption(advice), advice_picture(asked, advice)

    return explorer_box([model, card, task, rows, tokens, use], answer, fit_in)
