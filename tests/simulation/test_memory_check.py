"""Before training: what the step of a live model would take, what is free, and what is refused."""

import copy

import psutil
import pytest
import torch
from conftest import make_tiny_llama
from test_measuring import prepared
from training_run import ROWS, TASK
from transformers import GPT2Config, GPT2LMHeadModel

from labkit import ConfigError, TrainConfig, inject_lora, measure, quantize_model, train
from labkit.lora.config import LoraConfig
from labkit.simulation import memory_check
from labkit.simulation.memory_check import Way, free_bytes, refuse_what_cannot_fit
from labkit.simulation.simulating import empty_batch
from labkit.step.batch import IGNORED, Batch
from labkit.step.gradient_checkpointing import checkpoint_layers

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.memory_check]
CPU = torch.device("cpu")


def taken(model, batch) -> int:
    """Bytes that a step of `model` really takes, besides what it holds itself."""
    cost = measure(model, batch)
    return cost.peak - cost.phases["loaded"]["weights"] - cost.phases["loaded"]["adapters"]


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("layers", [2, pytest.param(7, marks=pytest.mark.slow)])
def test_what_a_live_model_will_take_is_what_it_takes(method, checkpointing, layers):
    model, batch = prepared(make_tiny_llama(num_hidden_layers=layers), method, False), empty_batch(3, 40, 20)
    foreseen = memory_check._needed(model, batch, Way(3, checkpointing, "adamw"))
    if checkpointing:
        checkpoint_layers(model)
    assert sum(foreseen.values()) == taken(model, batch)


def test_layers_that_are_not_alike_all_count():
    model, batch = make_tiny_llama(num_hidden_layers=6), empty_batch(2, 32, 16)
    inject_lora(model, LoraConfig(r=2, target_modules=["q_proj"], rank_pattern={"layers.5.self_attn.q_proj": 30}))
    assert sum(memory_check._needed(model, batch, Way(2, False, "adamw")).values()) == taken(model, batch)


def test_a_lighter_way_is_what_it_says():
    model, ids = make_tiny_llama(num_hidden_layers=5), torch.zeros(4, 32, dtype=torch.int64)
    labels = ids.where(torch.arange(32) >= 16, IGNORED)
    one_row_of_lora = sum(memory_check._needed(model, Batch(ids, labels), Way(1, True, "adamw", lora=True)).values())
    like = checkpoint_layers(prepared(copy.deepcopy(model), "lora", False))
    cost = measure(like, Batch(ids[:1].clone(), labels[:1].clone()))
    assert one_row_of_lora == cost.peak - cost.phases["loaded"]["weights"]


def test_the_model_is_left_as_it_was():
    model = prepared(make_tiny_llama(num_hidden_layers=5), "lora", False).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    refuse_what_cannot_fit(model, empty_batch(2, 16, 8))
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    assert len(model.model.layers) == model.config.num_hidden_layers == 5 and not model.training


def message(model, batch, free, **step) -> str:
    with pytest.raises(ConfigError, match=r"GB more than the model itself .* force=True") as refusal:
        refuse_what_cannot_fit(model, batch, free=free, **step)
    return str(refusal.value)


@pytest.mark.slow
def test_what_it_names_does_fit_and_is_tried_in_order():
    model, batch = make_tiny_llama(num_hidden_layers=6, hidden_size=64), empty_batch(8, 64, 32)
    ways = (Way(8, False, "adamw"), Way(8, True, "adamw"))
    plain, checkpointed = (sum(memory_check._needed(model, batch, way).values()) for way in ways)
    refuse_what_cannot_fit(model, batch, free=plain)
    assert "It fits with gradient_checkpointing=True:" in message(model, batch, plain - 1)
    assert "It fits with one row at a time" in message(model, batch, checkpointed - 1)
    refuse_what_cannot_fit(model, batch, checkpointing=True, free=checkpointed)
    least = sum(memory_check._needed(model, batch, Way(1, True, "adamw", lora=True)).values())
    assert "LoRA (labkit.inject_lora)" in message(model, batch, least)
    assert "Nothing tried here fits; the lightest takes" in message(model, batch, 1000)


def test_a_lora_is_not_told_to_become_one():
    model = prepared(make_tiny_llama(), "lora", False)
    assert "inject_lora" not in message(model, empty_batch(2, 16, 8), 1000)


def test_the_numbers_are_those_of_the_step():
    model, batch = make_tiny_llama(hidden_size=256, intermediate_size=512, vocab_size=4000), empty_batch(8, 64, 63)
    assert f"a step takes {taken(model, batch) / 1e9:.2f} GB more" in message(model, batch, 20_000_000)
    assert "0.02 GB are free" in message(model, batch, 20_000_000)


def test_what_cannot_be_simulated_is_not_refused():
    model = make_tiny_llama(hidden_size=64, intermediate_size=64)
    quantize_model(model, backend="bitsandbytes")
    refuse_what_cannot_fit(inject_lora(model, LoraConfig(target_modules="all-linear")), empty_batch(1, 8, 4), free=1)
    refuse_what_cannot_fit(torch.nn.Linear(3, 3), empty_batch(1, 8, 4), free=1)


def test_free_is_what_is_free():
    assert 0 < free_bytes(CPU) <= psutil.virtual_memory().total


@pytest.mark.parametrize(("limit", "left"), [("5000000\n", [5_000_000 - 3_000_000 + 1_000_000]), ("max\n", [])])
def test_a_containers_limit_counts(tmp_path, limit, left):
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 2000000\nfile 1000000\nkernel 5\n")
    assert memory_check._left_in_container(tmp_path) == left
    assert memory_check._left_in_container(tmp_path / "nowhere") == []


def test_train_asks_first_and_can_be_forced(tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(memory_check, "free_bytes", lambda device: 10_000)
    model = prepared(make_tiny_llama(max_position_embeddings=256), "lora", False)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    config = TrainConfig(steps=2, batch_size=4)
    with pytest.raises(ConfigError, match=r"0\.00 GB are free\. .* force=True"):
        train(model, tiny_tokenizer, TASK, config, rows=ROWS)
    assert all(p.equal(before[name]) for name, p in model.named_parameters())
    assert len(train(model, tiny_tokenizer, TASK, config, rows=ROWS, force=True).losses) == 2


def test_the_batch_that_train_asks_about_is_the_longest(tiny_tokenizer, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "labkit.training.refusals.refuse_what_cannot_fit", lambda model, batch, *_, **__: asked.append(batch)
    )
    model = prepared(make_tiny_llama(max_position_embeddings=256), "lora", False)
    rows = [*ROWS, {"prompt": "Add 1 to one hundred and twenty-three.", "completion": "one hundred and twenty-four"}]
    train(model, tiny_tokenizer, TASK, TrainConfig(steps=len(rows), batch_size=4, gradient_accumulation=2), rows=rows)
    train(model, tiny_tokenizer, TASK, TrainConfig(steps=len(rows), batch_size=4, share_prefix=True), rows=rows)
    assert asked[0].input_ids.shape[0] == 2 and asked[1].input_ids.shape[0] == 4
    assert asked[0].input_ids.shape[1] > asked[1].input_ids.shape[1] > 20
    assert len(asked[0].positions) < len(asked[1].positions)


def test_with_a_shared_prefix_no_checkpointing_is_recommended_and_a_row_alone_counts_whole(tiny_tokenizer, monkeypatch):
    model = prepared(make_tiny_llama(max_position_embeddings=256), "lora", False)
    asked = []
    ask = "labkit.training.refusals.refuse_what_cannot_fit"
    monkeypatch.setattr(ask, lambda model, batch, *_, **more: asked.append((batch, more)))
    train(model, tiny_tokenizer, TASK, TrainConfig(steps=1, batch_size=1, share_prefix=True), rows=ROWS[:1])
    train(model, tiny_tokenizer, TASK, TrainConfig(steps=1, batch_size=1), rows=ROWS[:1])
    (shared, more), (plain, _) = asked
    assert shared.input_ids.equal(plain.input_ids) and more == {"may_checkpoint": False}
    batch = Batch(torch.ones(4, 64, dtype=torch.long), torch.ones(4, 64, dtype=torch.long))
    either = max(
        sum(memory_check._needed(model, batch, Way(*way, "adamw")).values()) for way in ((1, False), (4, True))
    )
    with pytest.raises(ConfigError, match="It fits with gradient_checkpointing=True"):
        refuse_what_cannot_fit(model, batch, free=either)
    with pytest.raises(ConfigError, match="It fits with one row at a time"):
        refuse_what_cannot_fit(model, batch, free=either, may_checkpoint=False)


def test_what_cannot_be_tried_is_left_out_of_the_advice():
    """GPT-2's layers are no linear ones, so that LoRA is no remedy; the refusal stands all the same."""
    model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64))
    batch = Batch(torch.ones(2, 16, dtype=torch.long), torch.ones(2, 16, dtype=torch.long))
    with pytest.raises(ConfigError, match="Nothing tried here fits"):
        refuse_what_cannot_fit(model, batch, free=1000)
