"""What the course's explorers share: controls, and below them a line and a picture that follow."""

import io
from collections.abc import Callable, Iterable, Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from labkit.lab.plots import STYLE
from labkit.lab.widgets import in_notebook, show_widget


def drawn(draw: Callable[[Figure], None], height: float) -> bytes:
    """A PNG in the course's style, 700 pixels wide.

    Args:
        draw: draws on the empty figure it is given. It finds a place for each part itself, so that nothing jumps when
            a label grows from one picture to the next.
        height: in units of 100 pixels.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(7, height), dpi=100, layout="none")
        draw(figure)
        with_alpha, png = io.BytesIO(), io.BytesIO()
        figure.savefig(with_alpha, format="png")
    # A tenth smaller without transparency. A palette, as figures have it, would change what stays from one to the next.
    Image.open(with_alpha).convert("RGB").save(png, "png")
    return png.getvalue()


def chooser(description: str, options: Iterable, value=None, slider: bool = False):
    """A control that holds one of some options, the first if none is said: a list to drop down, or a slider."""
    from ipywidgets import Dropdown, Layout, SelectionSlider

    options = list(options)
    kind = SelectionSlider if slider else Dropdown
    wide = {"style": {"description_width": "80px"}, "layout": Layout(width="500px")}
    return kind(options=options, value=options[0] if value is None else value, description=description, **wide)


def explorer_box(controls: Sequence, answer: Callable[[], tuple[str, bytes]], adapt: Callable[[], None] | None = None):
    """The controls, one below the other, then the line and the picture that `answer` gives after each change.

    Args:
        controls: widgets with a value.
        answer: what belongs to the values that the controls have now: a line, and a PNG.
        adapt: called before it, to bring the controls into line with each other. What it changes makes no picture of
            its own.
    """
    from ipywidgets import Image, Label, Layout, VBox

    line, image = Label(), Image(format="png", layout=Layout(width="700px"))
    adapting = False

    def follow(_=None) -> None:
        nonlocal adapting
        if adapting:
            return
        adapting = True
        try:
            if adapt:
                adapt()
        finally:
            adapting = False
        line.value, image.value = answer()

    for control in controls:
        control.observe(follow, names="value")
    follow()
    return VBox([*controls, line, image])


def show_explorer(name: str, start: str, box: Callable[[], object], line: str, png: Callable[[], bytes]) -> None:
    """Show an explorer; where there is no kernel, the picture of how it starts; in a plain run, a line.

    Args:
        name: what it is, as in "a slider for the rank".
        start: what its first picture shows.
        box: makes the widget.
        line: what a plain run prints.
        png: draws the first picture.
    """
    if in_notebook():
        show_widget(box(), f"({name} is shown here; the picture is {start})", png=png())
    else:
        print(line)
