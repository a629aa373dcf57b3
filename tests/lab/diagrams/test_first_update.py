"""The curves of notebook 03's scaling section: all begin at 1, each with its name at its end."""

import io

import matplotlib.pyplot as plt

from labkit.lab.diagrams.first_update import update_against_rank


def test_the_curves_begin_at_one_and_are_named():
    figure = update_against_rank([1, 2, 4], {"B A": [3, 6, 12], "B A / r": [0.2, 0.2, 0.1]})
    [ax], picture = figure.axes, io.BytesIO()
    figure.savefig(picture, format="png")
    drawn = [list(line.get_ydata()) for line in ax.get_lines()]
    names = [text.get_text() for text in ax.texts]
    frames = [text.get_window_extent() for text in ax.texts]
    plt.close(figure)
    assert drawn == [[1, 2, 4], [1, 1, 0.5]] and names == ["B A", "B A / r"]
    assert all(frame.x1 <= figure.bbox.x1 for frame in frames) and not frames[0].overlaps(frames[1])
    assert figure.get_figwidth() == 7 and len(picture.getvalue()) < 80_000
