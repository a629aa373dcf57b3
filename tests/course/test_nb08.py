"""Right answers to notebook 08's exercises, each in its own way."""

import pytest
from wrong_answers import Wrong, nb08

from labkit.lab.checking.judging import RIGHT


@pytest.mark.parametrize("answer", [Wrong(*each) for each in nb08.RIGHT], ids=str)
def test_a_right_answer_of_an_unusual_make_passes(answer):
    verdict = answer.verdict()
    assert verdict.mark == RIGHT, verdict.lines
