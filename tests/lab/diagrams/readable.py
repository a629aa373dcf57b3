"""What every drawing owes to its reader: words that are large enough, inside the figure, and apart from each other."""

from matplotlib.figure import Figure
from matplotlib.text import Text


def texts_are_large_enough_and_inside(figure: Figure) -> None:
    frame = figure.bbox
    for text in [text for ax in figure.axes for text in [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label]]:
        if text.get_text():
            box = text.get_window_extent()
            assert text.get_fontsize() >= 9, text
            assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1, text


def no_two_labels_meet(figure: Figure) -> None:
    for ax in figure.axes:
        # the words alone: an annotation's own extent has its line in it, and lines may lead to the same point
        boxes = [Text.get_window_extent(text) for text in ax.texts if text.get_text()]
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
