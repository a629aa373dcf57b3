"""A loop of your own sees what labkit's sees."""

from types import SimpleNamespace

import torch

from labkit import TrainConfig
from labkit.lab.experiments.loop_batches import batches_in_order
from labkit.step.batch import Example, collate
from labkit.training.schedule import rows_at


def test_the_batches_are_those_of_train():
    examples = [Example([row] * (3 + row % 4), 2) for row in range(10)]
    config = TrainConfig(steps=6, batch_size=3, seed=7)
    batches = batches_in_order(examples, SimpleNamespace(pad_token_id=99), config, "cpu")
    assert len(batches) == 6
    for step, batch in enumerate(batches):
        expected = collate([examples[i] for i in rows_at(step, 10, config)], 99)
        assert torch.equal(batch.input_ids, expected.input_ids) and torch.equal(batch.labels, expected.labels)
