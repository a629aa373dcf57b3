"""`tickets` is learned by right training only: the same code with one thing broken stays under 40 %."""

import os

import pytest
import torch

from studies.tickets_controls import RUNS, run

ROWS = 64


@pytest.fixture(autouse=True)
def all_cores():
    """The other tests keep to one thread, which suits tiny models; this is a real one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count())
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RUNS if name != "as it should be"])
def test_broken_training_does_not_learn_tickets(name):
    # notebook 04 shows live that the same settings, unbroken, reach over 85 %
    assert run(name, limit=ROWS)["scores"]["exact"]["mean"] < 0.4
