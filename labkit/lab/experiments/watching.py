"""Batches that show how far a loop has come: a bar for a training loop that knows nothing of bars."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from labkit.lab.widgets import in_notebook, show_widget

Batch = TypeVar("Batch")


class Watched(Sequence):
    """The same batches, in the same order. When one is asked for, the step before it is over: the bar moves.

    Args:
        batches: one per step.
        title: shown in front of the bar.
        look: called with how many steps are done, each time a step has ended and once at the start. The end of the
            last step can only be seen by a loop that asks for one batch more, as ``for`` does.
    """

    def __init__(self, batches: Sequence[Batch], title: str = "training", look: Callable[[int], Any] | None = None):
        self._batches, self._look, self._done = batches, look, -1
        self._bar = _bar(title, len(batches))

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step):
        """As a list's. Raises IndexError past the end."""
        if isinstance(step, int):
            self._steps_done(step + len(self) if step < 0 else step)
        return self._batches[step]

    def _steps_done(self, done: int) -> None:
        if self._done < done <= len(self):
            self._done = done
            self._bar(done)
            if self._look:
                self._look(done)


def _bar(title: str, steps: int) -> Callable[[int], None]:
    if not in_notebook():
        return lambda done: None
    from ipywidgets import FloatProgress, HBox, Label

    bar, label, began = FloatProgress(max=steps), Label(), time.monotonic()
    show_widget(HBox([Label(title), bar, label]), f"({title}: a progress bar is shown here while the cell runs)")

    def move(done: int) -> None:
        left = (time.monotonic() - began) / max(1, done) * (steps - done)
        bar.value, label.value = done, f"step {done} of {steps}" + (f" · {left:.0f} s left" if 0 < done < steps else "")
        bar.bar_style = "success" if done == steps else ""

    return move
