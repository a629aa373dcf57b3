import itertools

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import pytest

from labkit.lab.diagrams.boxes import box, canvas
from labkit.lab.diagrams.first_training import base_and_adapter
from labkit.lab.diagrams.readme import picture


@pytest.mark.parametrize("draw", [base_and_adapter, picture])
def test_words_are_readable_apart_and_on_the_page(draw):
    figure = draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    placed = [text.get_window_extent() for text in texts]
    assert min(text.get_fontsize() for text in texts) >= 9
    assert not any(one.overlaps(other) for one, other in itertools.combinations(placed, 2))
    assert all(figure.bbox.x0 <= at.x0 and at.x1 <= figure.bbox.x1 and at.y0 >= 0 for at in placed)
    plt.close(figure)


def test_a_box_has_its_middle_where_it_was_put():
    ax = canvas(2)
    box(ax, 3, 1, 2, 0.5, "$ and words")
    [patch] = ax.patches
    assert patch.get_extents().transformed(ax.transData.inverted()).bounds == pytest.approx((2, 0.75, 2, 0.5))
    assert ax.texts[0].get_text() == "$ and words" and ax.figure.get_size_inches().tolist() == [7, 2]
    plt.close(ax.figure)
