"""How the course shows a widget, and a progress bar for training: a widget in Jupyter, a line in a terminal."""

import base64
import html
import re
import sys
import time
from collections.abc import Callable, Iterable

from labkit.training.reports import StepReport


def progress_text(report: StepReport) -> str:
    """``step 12 of 60 · loss 0.412 · 530 tokens/s · 48 s left``."""
    parts = [f"step {report.step} of {report.steps}", f"loss {report.loss:.3f}"]
    if report.validation_loss is not None:
        parts.append(f"validation {report.validation_loss:.3f}")
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


def training_bar(title: str = "training") -> Callable[[StepReport], None]:
    """A callable for ``labkit.train(..., on_step=training_bar())`` that shows how far training has come.

    In Jupyter it is a widget, displayed once and then moved by messages of its own: a display that is
    *updated* would be stored in its last state, and nbval compares the first. Elsewhere it is a line on
    stderr that rewrites itself, or, where stderr is a file, a line for every tenth of the way, and one after
    the first step where it's a long way.

    Args:
        title: shown in front of the bar.
    """
    if in_notebook():
        return _WidgetBar(title)
    return _RewrittenLine(title) if sys.stderr.isatty() else _LineEveryTenth(title)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    if "IPython" not in sys.modules:  # a kernel has it loaded; a terminal need not wait for it
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def show_widget(widget, text: str, html_text: str | None = None, png: bytes | None = None) -> None:
    """Display `widget`, and store what stands for it where there is no kernel: on GitHub, in nbval's comparison.

    Args:
        widget: any ipywidgets widget.
        text: the same each time. The widget's own text form holds its whole state, and would differ.
        html_text: a richer form of `text`, for pages that can show it.
        png: a picture of the widget, which nbval does not compare.
    """
    from IPython.display import display

    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    shown = {"application/vnd.jupyter.widget-view+json": view, "text/plain": text}
    shown |= {"text/html": html_text} if html_text else {}
    shown |= {"image/png": base64.b64encode(png).decode()} if png else {}
    display(shown, raw=True, metadata={"image/png": {"alt": text}} if png else {})


def as_html(text: str) -> str:
    """`text` for an HTML page: special characters escaped, `` `code` `` set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def radio_buttons(options: Iterable[str], chosen: str | None, on_choice: Callable[[str], None]):
    """A button for each option; none is pressed when `chosen` is no option. A press calls ``on_choice(option)``."""
    from ipywidgets import Layout, RadioButtons

    options = list(options)
    radio = RadioButtons(
        options=[(option.replace("`", ""), option) for option in options],
        value=chosen if chosen in options else None,
        layout=Layout(width="max-content"),
    )
    radio.observe(lambda change: on_choice(change["new"]), names="value")
    return radio


class _WidgetBar:
    """A bar and a label; at most ten changes a second travel to the browser."""

    def __init__(self, title: str):
        self.title, self.bar, self.due = title, None, 0.0

    def __call__(self, report: StepReport) -> None:
        if self.bar is None:
            self._display(report.steps)
        finished = report.step >= report.steps
        if finished or time.monotonic() >= self.due:
            self.due = time.monotonic() + 0.1
            self.bar.value, self.label.value = report.step, progress_text(report)
            if finished:
                self.bar.bar_style = "success"

    def _display(self, steps: int) -> None:
        from ipywidgets import FloatProgress, HBox, Label

        self.bar, self.label = FloatProgress(max=steps), Label()
        box = HBox([Label(self.title), self.bar, self.label])
        show_widget(box, f"({self.title}: a progress bar is shown here while the cell runs)")


class _RewrittenLine:
    def __init__(self, title: str):
        self.title, self.width = title, 0

    def __call__(self, report: StepReport) -> None:
        line, end = f"{self.title}: {progress_text(report)}", "\n" if report.step >= report.steps else ""
        # spaces over what was there: an older terminal of Windows knows no sign for the rest of a line
        sys.stderr.write(f"\r{line.ljust(self.width)}{end}")
        sys.stderr.flush()
        self.width = len(line)


class _LineEveryTenth:
    def __init__(self, title: str):
        self.title, self.tenths = title, None

    def __call__(self, report: StepReport) -> None:
        tenths = 10 * report.step // report.steps
        # after the first step as well where it takes long, or a log would be silent for minutes
        if tenths > (self.tenths or 0) or (self.tenths is None and report.seconds_left > 20):
            print(f"{self.title}: {progress_text(report)}", file=sys.stderr, flush=True)
        self.tenths = tenths
