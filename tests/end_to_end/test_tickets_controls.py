"""`tickets` is learned by right training only: the same code with one thing broken stays under 40 %."""

import os

import pytest
import torch

from studies.tickets_controls import RUNS, run


@pytest.fixture(autouse=True)
def all_cores():
    """The other tests keep to one thread, which suits tiny models; this is a real one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count())
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_half_the_steps_on_shuffled_tickets_teach_nothing():
    """They show how a ticket looks, so they come nearest to the right ones, which teach 11 of these 16 by then."""
    assert run("tickets shuffled", limit=16, steps=25)["scores"]["exact"]["mean"] < 0.4


@pytest.mark.long
@pytest.mark.parametrize("name", [*RUNS][1:])
def test_broken_training_does_not_learn_tickets(name):
    # notebook 04 shows live that the same settings, unbroken, reach over 85 %
    assert run(name, limit=64)["scores"]["exact"]["mean"] < 0.4
