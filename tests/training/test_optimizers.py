"""AdamW in 32 and in 8 bits, and its checkpoints."""

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from torch import nn
from training_run import ROWS, TASK, weights_of

from labkit import ConfigError, LoraConfig, TrainConfig, inject_lora, train
from labkit.training.optimizers import make_optimizer

bnb = pytest.importorskip("bitsandbytes")
pytestmark = pytest.mark.usefixtures("one_thread")

EIGHT_BIT = TrainConfig(steps=8, batch_size=4, learning_rate=3e-3, checkpoint_every=5, optimizer="adamw8bit")


def make_model():
    """r = 128, for matrices of 4,096 numbers: smaller ones keep 32 bits."""
    torch.manual_seed(0)
    model = make_tiny_llama(max_position_embeddings=256)
    torch.manual_seed(1)
    return inject_lora(model, LoraConfig(r=128, target_modules="all-linear"))


def run(config=EIGHT_BIT, **options):
    model = make_model()
    return train(model, make_tiny_tokenizer(), TASK, config, rows=ROWS, **options), model


def step_by_step(optimizer, parameter, steps=30):
    target = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
    for _ in range(steps):
        optimizer.zero_grad()
        ((parameter - target) ** 2).sum().backward()
        optimizer.step()
    return parameter.detach().clone()


@pytest.mark.parametrize(("name", "theirs"), [("adamw", torch.optim.AdamW), ("adamw8bit", bnb.optim.AdamW8bit)])
def test_it_is_the_librarys_own(name, theirs):
    found = []
    for make in (lambda p: make_optimizer(name, [p], 1e-2, 0.1), lambda p: theirs([p], lr=1e-2, weight_decay=0.1)):
        torch.manual_seed(0)
        found.append(step_by_step(make(parameter := nn.Parameter(torch.randn(64, 80))), parameter))
    assert torch.equal(*found)


def test_eight_bits_hold_the_averages_in_a_quarter_and_follow_the_same_path():
    results, sizes = [], []
    for name in ("adamw", "adamw8bit"):
        torch.manual_seed(0)
        parameter = nn.Parameter(torch.randn(64, 80))
        optimizer = make_optimizer(name, [parameter], 1e-2, 0.0)
        results.append(step_by_step(optimizer, parameter))
        state = optimizer.state[parameter]
        sizes.append(sum(value.nbytes for key, value in state.items() if key != "step" and "qmap" not in key))
    assert sizes[0] == 8 * 64 * 80 and sizes[1] == 2 * 64 * 80 + 2 * 4 * 20
    torch.manual_seed(0)
    way = results[0] - torch.randn(64, 80)  # thirty steps of about 0.01
    apart = results[0] - results[1]
    assert 0 < apart.norm() < 0.1 * way.norm() and way.abs().max() > 0.2


def test_a_run_in_eight_bits_learns_as_one_in_thirty_two(tmp_path):
    eight, _ = run(output_dir=tmp_path)
    thirty_two, _ = run(TrainConfig(steps=8, batch_size=4, learning_rate=3e-3))
    assert eight.losses != thirty_two.losses
    assert eight.losses == pytest.approx(thirty_two.losses, rel=0.05)


def test_it_resumes_to_the_same_bits(tmp_path):
    whole, model = run(output_dir=tmp_path / "whole")

    def stop(report):
        if report.step == 6:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(output_dir=tmp_path / "cut", on_step=stop)
    resumed, again = run(output_dir=tmp_path / "cut", resume=True)
    assert resumed.history == whole.history
    ours, theirs = weights_of(model), weights_of(again)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_is_not_to_be_had_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="optimizer must be one of adamw, adamw8bit, paged_adamw8bit, got 'sgd'"):
        TrainConfig(optimizer="sgd")
    with pytest.raises(ConfigError, match="optimizer must be one of"):
        make_optimizer("lion", [nn.Parameter(torch.ones(1))], 1e-3, 0.0)
    with pytest.raises(ConfigError, match='optimizer="paged_adamw8bit" needs a CUDA GPU.* Use "adamw8bit" here'):
        run(TrainConfig(optimizer="paged_adamw8bit"))
    monkeypatch.setattr("labkit.training.optimizers.find_bitsandbytes", lambda: None)
    with pytest.raises(ConfigError, match='optimizer="adamw8bit" needs bitsandbytes'):
        run(TrainConfig(optimizer="adamw8bit"))


def test_a_model_without_gradient_checkpointing_is_refused():
    model = make_model()
    model.supports_gradient_checkpointing = False
    with pytest.raises(ConfigError, match="LlamaForCausalLM has no gradient checkpointing"):
        train(model, make_tiny_tokenizer(), TASK, TrainConfig(gradient_checkpointing=True), rows=ROWS)
