"""Losses are those of training, the ROC is scikit-learn's, and an interval covers what it says."""

import pytest
import torch
from conftest import make_tiny_llama
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from labkit.errors import ConfigError
from labkit.forensics.membership import auc, auc_score, caught_at, right_of_ten, roc, row_losses, rows_seen
from labkit.lora.config import LoraConfig
from labkit.lora.inject import disable_adapter, inject_lora, lora_layers
from labkit.step.batch import collate, encode
from labkit.step.loss import CompletionLoss
from labkit.training.config import TrainConfig
from labkit.training.schedule import rows_at

ROWS = [
    {"prompt": "a", "completion": "bc"},
    {"prompt": "abcdef", "completion": "x"},
    {"prompt": "z", "completion": "1234"},
]
scores = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)


def test_a_rows_losses_are_those_that_training_has(tiny_tokenizer):
    model = inject_lora(make_tiny_llama(), LoraConfig(r=2, target_modules="all-linear"))
    with torch.no_grad():
        for _, layer in lora_layers(model):
            layer.lora_B.weight.normal_(0, 0.3)
    for size in (1, 2, 16):
        found = row_losses(model.train(), tiny_tokenizer, ROWS, "s", batch_size=size)
        assert model.training
        for row, losses in zip(ROWS, found):
            batch = collate([encode(tiny_tokenizer, row, "s")], 2)
            for loss, block in ((losses.adapted, None), (losses.silenced, disable_adapter(model))):
                with torch.no_grad():
                    if block is None:
                        summed, count = CompletionLoss(model)(batch)
                    else:
                        with block:
                            summed, count = CompletionLoss(model)(batch)
                assert loss == pytest.approx(summed.item() / count, abs=1e-5)
            assert losses.adapted != losses.silenced


@given(scores, scores)
def test_the_curve_and_its_area_are_those_of_scikit_learn(seen, unseen):
    truth = [1] * len(seen) + [0] * len(unseen)
    assert auc(seen, unseen) == pytest.approx(roc_auc_score(truth, seen + unseen))
    wrong, right = roc(seen, unseen)
    theirs = roc_curve(truth, seen + unseen, drop_intermediate=False)
    torch.testing.assert_close(wrong, torch.tensor(theirs[0]))
    torch.testing.assert_close(right, torch.tensor(theirs[1]))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Seen rows from N(0.5, 1), unseen from N(0, 1): the true area is Φ(0.5 / √2)."""
    truth = torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(0.5 / 2**0.5)).item()
    draw, covered = torch.Generator().manual_seed(0), 0
    for trial in range(100):
        seen, unseen = torch.randn(40, generator=draw) + 0.5, torch.randn(40, generator=draw)
        found = auc_score(seen, unseen, resamples=300, seed=trial)
        covered += found.low <= truth <= found.high
    assert 88 <= covered <= 100


def test_certainty_has_an_interval_with_a_width():
    found = auc_score([3, 4, 5], [0, 1])
    assert (found.mean, found.high) == (1.0, 1.0) and found.low == pytest.approx(0.025**0.5)
    assert auc_score([0], [1, 2]).high == pytest.approx(1 - 0.025)


def test_of_ten_rows_five_are_right_by_chance_and_ten_by_certainty():
    assert right_of_ten(list(range(10, 20)), list(range(10))) == 10
    assert right_of_ten(list(range(10)), list(range(10, 20))) == 0
    assert right_of_ten([1.0] * 10, [1.0] * 10) == pytest.approx(5, abs=0.1)  # ties are no help to anybody


def test_what_is_caught_at_a_rate_of_false_alarms():
    seen, unseen = [5, 3, 2, 1], [4, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert caught_at(seen, unseen, 0.0) == 0.25 and caught_at(seen, unseen, 0.1) == 1.0


def test_the_rows_that_a_run_has_seen():
    config = TrainConfig(steps=3, batch_size=4, seed=5)
    assert rows_seen(20, config) == {row for step in range(3) for row in rows_at(step, 20, config)}
    assert len(rows_seen(20, config)) == 12 and rows_seen(10, config) == set(range(10))


@pytest.mark.parametrize("measure", [roc, auc, auc_score])
def test_one_kind_of_rows_is_refused(measure):
    with pytest.raises(ConfigError, match="there must be seen rows and unseen ones"):
        measure([1.0], [])


def test_too_few_for_ten_are_refused():
    with pytest.raises(ConfigError, match="there must be 5 rows of each kind"):
        right_of_ten([1.0] * 4, [0.0] * 9)
