"""Right answers to notebook 06's exercises, each in its own way; and what they compute, by other means."""

import pytest
import torch
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import f1_score
from wrong_answers import Wrong, nb06

from labkit.course.nb06.exercises import my_interval, my_leaks, my_macro_f1, my_tfidf
from labkit.evaluation.comparing import paired_difference
from labkit.lab.checking.judging import RIGHT
from labkit.tasks.clauses import macro_f1
from studies.near_duplicates import Seen, triples


@pytest.mark.parametrize("answer", [Wrong(*each) for each in nb06.RIGHT], ids=str)
def test_a_right_answer_of_an_unusual_make_passes(answer):
    verdict = answer.verdict()
    assert verdict.mark == RIGHT, verdict.lines


def test_tfidf_is_scikit_learns():
    torch.manual_seed(0)
    known, asked = (torch.poisson(torch.full((rows, 12), 0.6)) for rows in (30, 8))
    asked[3] = 0
    theirs = TfidfTransformer(sublinear_tf=True).fit(known.numpy())
    for counts in (known, asked):
        expected = torch.from_numpy(theirs.transform(counts.numpy()).toarray()).float()
        assert torch.allclose(my_tfidf(counts, known), expected, atol=1e-6)


def test_the_interval_is_near_that_of_labkit_which_draws_other_rows():
    torch.manual_seed(0)
    ours, theirs = (torch.rand(200) < 0.6).float(), (torch.rand(200) < 0.5).float()
    low, high = my_interval(ours, theirs, torch.randint(200, (20_000, 200)))
    found = paired_difference(ours[None], theirs[None])
    assert (low.item(), high.item()) == pytest.approx((found.low, found.high), abs=0.015)


def test_leaks_are_the_near_duplicates_that_the_studies_keep_out():
    train = [
        "any polyhedron having eight plane faces",
        "a cat in a hat",
        "the decade from 1820 to 1829",
        "short",
        "a b c d",
    ]
    test = [
        "any polyhedron having plane faces",
        "my cat in a box",
        "the decade from 1930 to 1939",
        "short",
        "x y z b c",
    ]
    seen = Seen()
    for text in train:
        seen.add(text)
    by_studies = [number for number, text in enumerate(test) if seen.like(text)]
    assert my_leaks(list(map(triples, train)), list(map(triples, test))) == by_studies == [0, 1, 2, 3]


def test_macro_f1_is_scikit_learns_and_labkits():
    torch.manual_seed(0)
    wanted = ["abcd"[place] for place in torch.randint(4, (60,))]
    answers = [right if place % 3 else "abcde"[place % 5] for place, right in enumerate(wanted)]
    expected = f1_score(wanted, answers, labels=sorted(set(wanted)), average="macro", zero_division=0)
    assert my_macro_f1(answers, wanted) == pytest.approx(expected) == macro_f1(answers, wanted)
