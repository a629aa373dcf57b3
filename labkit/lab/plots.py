"""The one style of the course's figures: readable in colour, in grayscale and to colour-blind eyes."""

import base64
import io
import logging

# Matplotlib says so through a warning, on stderr and so in a notebook's output, the first time it runs on a
# slow machine. The record is dropped before the module that makes it is imported.
logging.getLogger("matplotlib.font_manager").addFilter(lambda record: "building the font cache" not in record.msg)

import matplotlib.pyplot as plt  # noqa: E402
from cycler import cycler  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from PIL import Image  # noqa: E402

from labkit.errors import ConfigError  # noqa: E402
from labkit.lab.widgets import as_html, in_notebook  # noqa: E402

# From dark to light in even steps of lightness, so that they stay apart where hue is lost.
COLOURS = ("#1d1147", "#7a1f6b", "#0b6fb3", "#e0562b", "#2fa58b", "#e3a21a")
LINESTYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")

STYLE = {
    "figure.figsize": (7, 3.2),  # inches; 700 × 320 pixels fit JupyterLab's default width
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",  # comes with matplotlib, has α, √ and ≈
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=LINESTYLES) + cycler(marker=MARKERS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "image.cmap": "viridis",
}


def use_style() -> None:
    """Draw everything from here on in the course's style."""
    plt.rcParams.update(STYLE)


def axes(title: str, xlabel: str, ylabel: str, *, height: float = 3.2, **settings) -> Axes:
    """A new figure with one set of axes, labelled.

    Args:
        title: what the figure shows.
        xlabel, ylabel: the quantity with its unit, as in ``"memory (GB)"``.
        height: of the figure, in inches; it is 7 wide.
        settings: passed to :meth:`matplotlib.axes.Axes.set`: ``xscale="log"``, ``ylim=(0, 1)``.

    Raises:
        ConfigError: a label is empty.
    """
    if not (title and xlabel and ylabel):
        raise ConfigError("a figure needs a title and a label with its unit on both axes")
    use_style()
    _, ax = plt.subplots(figsize=(7, height))
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel, **settings)
    return ax


def show(figure: Figure | Axes, *, alt: str) -> None:
    """Show `figure` as a picture, with what's to be seen in it as words, and close it.

    The words go where a screen reader finds them: below the picture, behind a fold (JupyterLab gives its pictures no
    alternative text), and into the picture's metadata, from which a page made by nbconvert takes them. Outside a
    notebook the words are printed.

    Args:
        figure: a matplotlib figure, or axes of it.
        alt: what the figure shows, in a sentence or two. nbval compares it to the letter, so measured digits stay out.

    Raises:
        ConfigError: the words are missing, or it is no figure.
    """
    figure = figure.get_figure(root=True) if isinstance(figure, Axes) else figure
    if not isinstance(figure, Figure):
        raise ConfigError(f"show() takes a figure or its axes, got {type(figure).__name__}")
    if not (isinstance(alt, str) and alt.strip()):
        raise ConfigError("a figure needs words for those who can't see it: show(figure, alt='…')")
    words = " ".join(alt.split())
    if in_notebook():
        from IPython.display import HTML, display

        width, height = (round(STYLE["figure.dpi"] * inches) for inches in figure.get_size_inches())
        picture = {"image/png": base64.b64encode(_sharp(figure)).decode(), "text/plain": f"Figure: {words}"}
        display(picture, raw=True, metadata={"image/png": {"alt": words, "width": width, "height": height}})
        display(HTML(f"<details><summary>The picture in words</summary>{as_html(words)}</details>"))
    else:
        print(f"Figure: {words}")
    plt.close(figure)


def _sharp(figure: Figure) -> bytes:
    """`figure` as PNG with more pixels than the page shows, for projectors and fine screens.

    With 128 colors instead of millions it is smaller all the same.
    """
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=1.6 * STYLE["figure.dpi"])
    Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(packed, "png", optimize=True)
    return packed.getvalue()
