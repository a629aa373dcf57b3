"""A progress bar for training: a widget in Jupyter, a line in a terminal."""

import sys
import time
from collections.abc import Callable
from typing import Protocol


class Report(Protocol):
    """What training says after each step.

    Attributes:
        step: steps done, from 1.
        steps: steps in all.
        loss: of this step, in nats per token.
        tokens_per_second: pace.
        seconds_left: estimated.
    """

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    seconds_left: float


def progress_text(report: Report) -> str:
    """``step 12 of 60 · loss 0.412 · 530 tokens/s · 48 s left``."""
    parts = [f"step {report.step} of {report.steps}", f"loss {report.loss:.3f}"]
    parts.append(f"{report.tokens_per_second:,.0f} tokens/s")
    if report.step < report.steps:
        parts.append(f"{_duration(report.seconds_left)} left")
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def training_bar(title: str = "training") -> Callable[[Report], None]:
    """A callable for ``labkit.train(..., on_step=training_bar())`` that shows how far training has come.

    In Jupyter it is a widget, displayed once and then moved by messages of its own: a display that is
    *updated* would be stored in its last state, and nbval compares the first. Elsewhere it is a line on
    stderr that rewrites itself, or, where stderr is a file, a line for every tenth of the way.

    Args:
        title: shown in front of the bar.
    """
    if _in_notebook():
        return _WidgetBar(title)
    return _RewrittenLine(title) if sys.stderr.isatty() else _LineEveryTenth(title)


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:  # a kernel has it loaded; a terminal need not wait for it
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class _WidgetBar:
    """A bar and a label; at most ten changes a second travel to the browser."""

    def __init__(self, title: str):
        self.title, self.bar, self.due = title, None, 0.0

    def __call__(self, report: Report) -> None:
        if self.bar is None:
            self._display(report.steps)
        finished = report.step >= report.steps
        if finished or time.monotonic() >= self.due:
            self.due = time.monotonic() + 0.1
            self.bar.value, self.label.value = report.step, progress_text(report)
            if finished:
                self.bar.bar_style = "success"

    def _display(self, steps: int) -> None:
        from IPython.display import display
        from ipywidgets import FloatProgress, HBox, Label

        self.bar, self.label = FloatProgress(max=steps), Label()
        box = HBox([Label(self.title), self.bar, self.label])
        # the widget's own text form holds its whole state, the loss included, and would differ each time
        view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
        text = f"({self.title}: a progress bar is shown here while the cell runs)"
        display({"application/vnd.jupyter.widget-view+json": view, "text/plain": text}, raw=True)


class _RewrittenLine:
    def __init__(self, title: str):
        self.title = title

    def __call__(self, report: Report) -> None:
        end = "\n" if report.step >= report.steps else ""
        sys.stderr.write(f"\r{self.title}: {progress_text(report)}\x1b[K{end}")
        sys.stderr.flush()


class _LineEveryTenth:
    def __init__(self, title: str):
        self.title, self.tenths = title, 0

    def __call__(self, report: Report) -> None:
        tenths = 10 * report.step // report.steps
        if tenths > self.tenths:
            self.tenths = tenths
            print(f"{self.title}: {progress_text(report)}", file=sys.stderr, flush=True)
