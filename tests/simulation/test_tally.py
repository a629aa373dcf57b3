import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from labkit import ConfigError
from labkit.simulation.idle_optimizers import StateOfAdamW8bit, make_optimizer, prime
from labkit.simulation.tally import Tally


def highest(sections, phase):
    return next(sum(section.peak.values()) for section in sections if section.name[0] == phase)


@pytest.mark.parametrize("fake", [False, True])
def test_counts_what_is_alive_and_a_view_once(fake):
    with FakeTensorMode() if fake else torch.no_grad():
        kept = torch.ones(100)
        tally = Tally()
        tally.register("weights", [kept, kept.view(10, 10), kept[3:]])
        with tally:
            tally.enter("one", "all")
            a = torch.ones(1000)  # 4,000 bytes
            b = a.view(10, 100).t()
            del a
            c = b + 1  # another 4,000
            del b, c
            tally.enter("two", "all")
            torch.ones(500)
        sections = tally.finished()
    assert [highest(sections, phase) for phase in ("loaded", "one", "two")] == [400, 8400, 2400]


def test_kinds_blocks_and_workspaces():
    tally = Tally(round_to=512, workspace_of=lambda operation, inputs: 7 if "mm" in str(operation) else 0)
    weight = torch.ones(10, 10)
    tally.register("weights", [weight])
    with tally:
        tally.enter("forward", "all")
        product = weight @ weight
        tally.keep_as("activations", born_in="forward")
    peak = tally.finished()[-1].peak
    assert (peak["weights"], peak["activations"], peak["rounding"], peak["workspace"]) == (400, 400, 2 * 112, 7)
    assert tally.sections[-1][1].flops == 2 * 10**3 and product.shape == (10, 10)


def test_what_is_discounted_never_was():
    tally = Tally()
    kept, dropped = torch.ones(10), torch.ones(100)
    tally.register("optimizer", [kept, dropped])
    with tally:
        tally.enter("forward", "all")
        torch.ones(1)
    tally.discount([kept, dropped])
    tally.register("optimizer", [kept])
    assert [sum(section.peak.values()) for section in tally.finished()] == [40, 44]


@pytest.mark.parametrize("size", [(100, 30), (4095,), (64, 64), (257, 100)])
def test_the_state_of_8_bit_adamw_is_bitsandbytes_own(size):
    theirs_of = pytest.importorskip("bitsandbytes").optim.AdamW8bit

    def state_bytes(optimizer, parameter):
        tensors = (t for t in optimizer.state[parameter].values() if torch.is_tensor(t))
        return sum(t.untyped_storage().nbytes() for t in tensors)

    parameter = torch.nn.Parameter(torch.randn(size))
    ours, theirs = StateOfAdamW8bit([parameter]), theirs_of([parameter], lr=0.0)
    prime(ours, [parameter])
    prime(theirs, [parameter])
    assert state_bytes(ours, parameter) == state_bytes(theirs, parameter)


@pytest.mark.parametrize("name", ["adamw", "adamw8bit", "sgd"])
def test_an_optimizer_that_is_costed_changes_nothing(name):
    parameter = torch.nn.Parameter(torch.randn(64, 65))
    before = parameter.detach().clone()
    optimizer = make_optimizer(name, [parameter])
    prime(optimizer, [parameter])
    parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    assert parameter.equal(before)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ConfigError, match="'lion' is not known; choose one of adamw, adamw8bit, sgd"):
        make_optimizer("lion", [torch.nn.Parameter(torch.ones(1))])
