"""Before training: what the step of a live model would take, what is free, and what is refused."""

import copy
import warnings

import psutil
import pytest
import torch
from conftest import make_tiny_llama
from test_measuring import prepared
from training_run import ROWS, TASK
from transformers import GPT2Config, GPT2LMHeadModel

from labkit import ConfigError, LabkitWarning, TrainConfig, adapt, inject_lora, measure, quantize_model, train
from labkit.family.registry import METHODS
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
@pytest.mark.parametrize("layers", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_what_a_live_model_will_take_is_what_it_takes(method, checkpointing, layers):
    model, batch = prepared(make_tiny_llama(num_hidden_layers=layers), method, False), empty_batch(3, 40, 20)
    foreseen = memory_check._needed(model, batch, Way(3, checkpointing, "adamw"))
    if checkpointing:
        checkpoint_layers(model)
    assert sum(foreseen.values()) == taken(model, batch)


@pytest.mark.parametrize("name", METHODS)
def test_the_peak_of_a_step_is_what_it_is_with_every_method_of_the_family(name):
    model, batch = make_tiny_llama(num_hidden_layers=4), empty_batch(3, 30, 20)
    torch.manual_seed(0)
    adapt(model, name)
    assert memory_check.peak_of_step(model, batch) == measure(model, batch).peak


@pytest.mark.parametrize("name", sorted({*METHODS} - {"full", "spectrum"}))
def test_what_a_method_adds_is_told_apart_from_its_base_and_stays_dense_on_four_bits(name):
    batch, settings = empty_batch(3, 30, 20), {"r": 4} if name in ("lora", "dora", "pissa", "vera") else {}
    dense, packed = make_tiny_llama(num_hidden_layers=4), quantize_model(make_tiny_llama(num_hidden_layers=4))
    base = sum(tensor.nbytes for tensor in (*dense.parameters(), *dense.buffers()))
    for model in (dense, packed):
        torch.manual_seed(0)
        adapt(model, name, **settings)
    loaded = measure(dense, batch).phases["loaded"]
    assert loaded["weights"] == base and loaded["adapters"] >= 4 * sum(
        p.numel() for p in dense.parameters() if p.requires_grad
    )
    assert sum(memory_check._needed(dense, batch, Way(3, False, "adamw", nf4=True)).values()) == (
        measure(packed, batch).peak - sum(loaded.values())
    )


def test_lora_is_the_remedy_where_weights_of_the_base_learn():
    batch, way = empty_batch(1, 30, 20), Way(1, False, "adamw", lora=True)
    base, full, part = (make_tiny_llama(num_hidden_layers=4) for _ in range(3))
    adapt(full, "full"), adapt(part, "spectrum")
    lora = memory_check._needed(base, batch, way)
    assert memory_check._needed(full, batch, way) == memory_check._needed(part, batch, way) == lora
    assert "LoRA (labkit.inject_lora)" in message(full, batch, sum(lora.values()), may_checkpoint=False)


def test_layers_that_are_not_alike_all_count():
    model, batch = make_tiny_llama(num_hidden_layers=6), empty_batch(2, 32, 16)
    inject_lora(model, LoraConfig(r=2, target_modules=["q_proj"], rank_pattern={"layers.5.self_attn.q_proj": 30}))
    assert sum(memory_check._needed(model, batch, Way(2, False, "adamw")).values()) == taken(model, batch)


@pytest.mark.slow
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
    model, batch = make_tiny_llama(num_hidden_layers=3, hidden_size=64), empty_batch(8, 64, 32)
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
    for method, told in {"full": True, "lora": False}.items():
        ways = memory_check._lighter_ways(Way(2, False, "adamw"), prepared(make_tiny_llama(), method, False))
        assert any(way.lora for way in ways) is told


@pytest.mark.slow
def test_the_numbers_are_those_of_the_step():
    model, batch = make_tiny_llama(hidden_size=256, intermediate_size=512, vocab_size=4000), empty_batch(8, 64, 63)
    assert f"a step takes {taken(model, batch) / 1e9:.2f} GB more" in message(model, batch, 20_000_000)
    assert "0.02 GB are free" in message(model, batch, 20_000_000)


def test_what_cannot_be_simulated_is_not_refused_and_that_is_said_once():
    with pytest.warns(LabkitWarning, match="Whether a step of Linear fits .*: .*config.* Training starts anyway$"):
        refuse_what_cannot_fit(torch.nn.Linear(3, 3), empty_batch(1, 8, 4), free=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refuse_what_cannot_fit(torch.nn.Linear(5, 5), empty_batch(1, 8, 4), free=1)


def test_layers_of_bitsandbytes_count_as_labkits_which_take_the_same_bytes():
    pytest.importorskip("bitsandbytes")
    batch, found = empty_batch(2, 16, 8), {}
    for backend in ("labkit", "bitsandbytes"):
        model = quantize_model(make_tiny_llama(hidden_size=64, intermediate_size=64), backend, double=True)
        inject_lora(model, LoraConfig(target_modules="all-linear"))
        found[backend] = memory_check._needed(model, batch, Way(2, False, "adamw"))
    assert found["bitsandbytes"] == found["labkit"]
    assert sum(found["labkit"].values()) == pytest.approx(taken(model, batch), rel=0.02)
    assert not any(way.nf4 for way in memory_check._lighter_ways(Way(2, False, "adamw"), model))


WIDE = {"hidden_size": 128, "intermediate_size": 512, "vocab_size": 96, "num_hidden_layers": 3}


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_base_in_four_bits_frees_what_it_says(method):
    """Of this model the base is nearly all there is."""
    model, batch = prepared(make_tiny_llama(**WIDE), method, False), empty_batch(1, 8, 1)
    way = Way(1, False, "adamw", lora=method == "full", nf4=True)
    like = quantize_model(make_tiny_llama(**WIDE))
    cost = measure(inject_lora(like, LoraConfig(r=8, target_modules="all-linear")), batch)
    held = sum({t.data_ptr(): t.nbytes for t in (*model.parameters(), *model.buffers())}.values())
    assert sum(memory_check._needed(model, batch, way).values()) == cost.peak - held < 0


@pytest.mark.slow
def test_four_bits_are_proposed_where_nothing_less_fits():
    said = [
        message(prepared(make_tiny_llama(**WIDE), method, False), empty_batch(1, 8, 1), 9)
        for method in ("full", "lora")
    ]
    assert 'It fits with a base in four bits (load it with quantize="nf4") and LoRA' in said[0]
    assert 'It fits with a base in four bits (load it with quantize="nf4"): less than the model takes now' in said[1]


def test_the_part_with_the_most_labels_counts_as_well_as_the_one_with_the_longest_row(tiny_tokenizer, monkeypatch):
    """The longest row here has one label; the widest tensors, logits, belong to a row half as long."""
    asked = []
    monkeypatch.setattr(
        "labkit.training.refusals.refuse_what_cannot_fit", lambda _, batches, *a, **k: asked.append(batches)
    )
    long = [{"prompt": "a" * 150, "completion": "b"}] * 2
    wide = [{"prompt": "a" * 20, "completion": "b" * 80}] * 2
    model = prepared(make_tiny_llama(max_position_embeddings=256, vocab_size=3000), "lora", False)
    train(model, tiny_tokenizer, TASK, TrainConfig(steps=4, batch_size=1), rows=[*long, *wide])
    (batches,) = asked
    assert [len(batch.positions) for batch in batches] == [2, 81]
    assert batches[0].input_ids.shape[1] > batches[1].input_ids.shape[1]
    first, second = (sum(memory_check._needed(model, b, Way(1, False, "adamw")).values()) for b in batches)
    assert taken(model, batches[1]) == second > first == taken(model, batches[0])
    monkeypatch.setattr(memory_check, "_lighter_ways", lambda *_: iter(()))
    with pytest.raises(ConfigError, match=f"a step takes {second / 1e9:.2f} GB"):
        refuse_what_cannot_fit(model, batches, free=second - 1)
    refuse_what_cannot_fit(model, batches, free=second)  # though a batch with the most of both wouldn't fit


def test_of_fewer_rows_those_with_the_most_labels_count():
    ids = torch.zeros(3, 16, dtype=torch.int64)
    labels = torch.stack([ids[0].where(torch.arange(16) >= 16 - n, IGNORED) for n in (1, 9, 4)])
    model = prepared(make_tiny_llama(), "lora", False)
    sizes = [memory_check._needed(model, Batch(ids, labels), Way(rows, False, "adamw")) for rows in (1, 2)]
    wanted = [
        memory_check._needed(model, Batch(ids[:n], labels[where]), Way(n, False, "adamw"))
        for n, where in ((1, [1]), (2, [1, 2]))
    ]
    assert sizes == wanted


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
    monkeypatch.setattr(memory_check, "_lighter_ways", lambda *_: iter(()))
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
        "labkit.training.refusals.refuse_what_cannot_fit", lambda model, batches, *_, **__: asked.extend(batches)
    )
    model = prepared(make_tiny_llama(max_position_embeddings=256), "lora", False)
    rows = [*ROWS, {"prompt": "Add 1 to one hundred and twenty-three.", "completion": "one hundred and twenty-four"}]
    train(model, tiny_tokenizer, TASK, TrainConfig(steps=len(rows), batch_size=4, gradient_accumulation=2), rows=rows)
    train(model, tiny_tokenizer, TASK, TrainConfig(steps=len(rows), batch_size=4, share_prefix=True), rows=rows)
    assert asked[0].input_ids.shape[0] == 2 and asked[1].input_ids.shape[0] == 4
    assert asked[0].input_ids.shape[1] > asked[1].input_ids.shape[1] > 20
    assert len(asked[0].positions) < len(asked[1].positions)


def test_what_auto_chose_is_what_is_asked_about(tiny_tokenizer, monkeypatch):
    """Where nothing is shared, as with checkpointing or a row alone, rows count whole."""
    asked = []
    ask = "labkit.training.refusals.refuse_what_cannot_fit"
    monkeypatch.setattr(ask, lambda model, batches, *_, **more: asked.append((*batches, more)))
    for changed in ({}, {"share_prefix": True}, {"gradient_checkpointing": True}, {"share_prefix": False}):
        model = prepared(make_tiny_llama(max_position_embeddings=256), "lora", False)
        train(model, tiny_tokenizer, TASK, TrainConfig(steps=1, batch_size=4, **changed), rows=ROWS)
    lengths = [batch.input_ids.shape[1] for batch, _ in asked]
    assert lengths[0] == lengths[1] < lengths[2] == lengths[3]
    assert [more["may_checkpoint"] for _, more in asked] == [True, False, True, True]
    assert {more["whole"][0].input_ids.shape[1] for _, more in asked} == {lengths[3]}


def test_a_way_in_which_nothing_is_shared_is_tried_on_whole_rows():
    model = prepared(make_tiny_llama(max_position_embeddings=256), "lora", False)
    whole, cut = (Batch(torch.ones(4, n, dtype=torch.long), torch.ones(4, n, dtype=torch.long)) for n in (64, 56))
    free = sum(memory_check._needed(model, whole, Way(4, True, "adamw")).values())
    assert sum(memory_check._needed(model, cut, Way(4, False, "adamw")).values()) > free
    with pytest.raises(ConfigError, match="It fits with gradient_checkpointing=True: "):
        refuse_what_cannot_fit(model, cut, free=free, whole=[whole])
    with pytest.raises(ConfigError, match="It fits with one row at a time"):
        refuse_what_cannot_fit(model, cut, free=free - 1, whole=[whole])


def test_with_a_shared_prefix_no_checkpointing_is_recommended_and_a_row_alone_counts_whole(tiny_tokenizer, monkeypatch):
    model = prepared(make_tiny_llama(max_position_embeddings=256), "lora", False)
    asked = []
    ask = "labkit.training.refusals.refuse_what_cannot_fit"
    monkeypatch.setattr(ask, lambda model, batches, *_, **more: asked.append((*batches, more)))
    train(model, tiny_tokenizer, TASK, TrainConfig(steps=1, batch_size=1, share_prefix=True), rows=ROWS[:1])
    train(model, tiny_tokenizer, TASK, TrainConfig(steps=1, batch_size=1), rows=ROWS[:1])
    (shared, more), (plain, _) = asked
    assert shared.input_ids.equal(plain.input_ids) and not more["may_checkpoint"]
    batch = Batch(torch.ones(4, 64, dtype=torch.long), torch.ones(4, 64, dtype=torch.long))
    either = max(
        sum(memory_check._needed(model, batch, Way(*way, "adamw")).values()) for way in ((1, False), (4, True))
    )
    with pytest.raises(ConfigError, match="It fits with gradient_checkpointing=True"):
        refuse_what_cannot_fit(model, batch, free=either)
    with pytest.raises(ConfigError, match="It fits with one row at a time"):
        refuse_what_cannot_fit(model, batch, free=either, may_checkpoint=False)


@pytest.mark.slow
def test_what_cannot_be_tried_is_left_out_of_the_advice():
    """GPT-2's layers are no linear ones, so that LoRA is no remedy; the refusal stands all the same."""
    model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64))
    batch = Batch(torch.ones(2, 16, dtype=torch.long), torch.ones(2, 16, dtype=torch.long))
    with pytest.raises(ConfigError, match="Nothing tried here fits"):
        refuse_what_cannot_fit(model, batch, free=1000)
