"""labkit on a device that is not the CPU: the same results, and nothing left behind.

Not collected by itself, since the device comes for good: ``pytest tests/placement/on_second_device.py`` runs it.
"""

from types import SimpleNamespace

import pytest
import second_device
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import labkit
from labkit.base.placing import chosen_device
from labkit.base.rereading import refuse_unlike
from labkit.cli.chat import Chat
from labkit.lab.checking.comparing import EXACT, difference
from labkit.lab.conversation.answering import ask
from labkit.lab.explorers.quantization_error import Quantizer, error_picture, take_sample
from labkit.lab.explorers.rank import rank_picture, take_apart
from labkit.lora.adapter import adapter_state
from labkit.quant.codebooks import dynamic_codebook, fp4_codebook, nf4_codebook
from labkit.simulation.idle_optimizers import make_optimizer, prime
from labkit.simulation.memory_check import Way, _needed, free_bytes, refuse_what_cannot_fit
from labkit.step.batch import Batch
from labkit.tasks import exact_match
from labkit.training.refusals import _heaviest_batches

TOKENS = torch.tensor([[1, 5, 9, 33, 2, 7], [7, 8, 60, 4, 11, 3]])
ROWS = [{"prompt": f"Add 1 to {i}.", "completion": str(i + 1)} for i in (1, 20, 333, 4)]
TASK = labkit.Task("adding", "Add.", exact_match, {}, max_new_tokens=4)
LORA = labkit.LoraConfig(r=4, target_modules="all-linear")
DEVICES = ("cpu", "second")


@pytest.fixture(autouse=True)
def same_sums(one_thread):
    """On a device that was taught to it torch computes attention by its definition, so here the CPU does the same."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


def make_model(device: str, nf4: bool = False, double: bool = True, lora: bool = True) -> nn.Module:
    model = make_tiny_llama(num_hidden_layers=1, max_position_embeddings=256)
    if nf4:
        labkit.quantize_model(model, double=double)
    model.to(device)
    if lora:
        give_adapter(model)
    return model


def give_adapter(model: nn.Module, seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    labkit.inject_lora(model, LORA)
    for _, layer in labkit.lora_layers(model):
        nn.init.normal_(layer.lora_B.weight, std=0.1)
    return model


def train(model: nn.Module, config: labkit.TrainConfig, **options):
    return labkit.train(model, make_tiny_tokenizer(), TASK, config, rows=ROWS, force=True, **options)


def lies_on(thing, device: str) -> bool:
    tensors = thing.values() if isinstance(thing, dict) else [*thing.parameters(), *thing.buffers()]
    return {tensor.device.type for tensor in tensors} == {device}


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(TOKENS.to(model.device)).logits


def close(first: torch.Tensor, second: torch.Tensor, atol: float = 1e-5) -> bool:
    return torch.allclose(first.cpu(), second.cpu(), rtol=1e-4, atol=atol)


def same(on: dict[str, torch.Tensor]) -> bool:
    """Whether there is the same on both devices, and each result where it was made."""
    assert [tensor.device.type for tensor in on.values()] == list(on)
    return close(*on.values())


# ---- the device itself refuses what a GPU refuses


def test_the_device_computes_what_the_cpu_does_and_refuses_what_is_elsewhere():
    here = torch.arange(6.0).view(2, 3)
    there = here.to("second")
    assert (there @ there.T).cpu().equal(here @ here.T) and there.tolist() == here.tolist()
    assert there[torch.tensor([1])].cpu().equal(here[1:]) and (there * torch.tensor(2.0)).sum().item() == 30
    mixed = [
        lambda: there + here,
        lambda: torch.cat([there, here]),
        lambda: there.index_select(0, torch.tensor([0])),
        lambda: here[torch.tensor([0], device="second")],
        lambda: torch.zeros(()).add_(there.sum()),
        lambda: nn.functional.linear(here, there),
    ]
    for operation in mixed:
        with pytest.raises((RuntimeError, IndexError), match="device"):
            operation()


# ---- four bits


@pytest.mark.parametrize("double", [False, True])
def test_a_tensor_is_quantized_where_it_is(double):
    torch.manual_seed(0)
    here = torch.randn(48, 33)
    quantized = {device: labkit.quantize_nf4(here.to(device), double=double) for device in DEVICES}
    assert quantized["second"].packed.cpu().equal(quantized["cpu"].packed)
    assert same({device: labkit.dequantize_nf4(weight) for device, weight in quantized.items()})


def test_a_code_book_is_made_where_it_is_asked_for():
    for book in (nf4_codebook, fp4_codebook, dynamic_codebook):
        assert book("second").device.type == "second" and book("second").cpu().equal(book())


def test_layers_are_quantized_on_the_device_they_go_to():
    on = {}
    for device in DEVICES:
        model = make_tiny_llama(num_hidden_layers=1)
        second_device.copied.clear()
        labkit.quantize_model(model, device=device)
        assert {m.packed.device.type for m in model.modules() if isinstance(m, labkit.NF4Linear)} == {device}
        assert torch.uint8 not in second_device.copied, "packed elsewhere, then moved"
        on[device] = logits(model.to(device))
    assert same(on)


def test_bitsandbytes_is_told_the_device_and_draws_no_weight(monkeypatch):
    """Its layers do not move to a device that torch was taught, so this looks at what they are told."""
    bnb, told = pytest.importorskip("bitsandbytes"), []
    real_to = bnb.nn.Params4bit.to
    monkeypatch.setattr(bnb.nn.Params4bit, "to", lambda self, device: told.append(str(device)) or real_to(self, "cpu"))
    linear, drawn = nn.Linear(64, 32), torch.get_rng_state()
    for device in ("second", None):
        model = labkit.quantize_model(nn.Sequential(linear), "bitsandbytes", device=device)
        assert close(model[0].dense_weight(), linear.weight, atol=0.2)
    assert told == ["second", "cpu"]
    assert torch.get_rng_state().equal(drawn), "a weight was drawn only to be thrown away"


def test_a_layer_moves_and_is_cast_at_once_and_its_scales_are_not_rounded():
    layer = labkit.NF4Linear(nn.Linear(64, 32), double=True)
    before = layer.dense_weight()
    layer.to("second", torch.float16)
    assert lies_on(layer, "second") and layer.dense_weight().cpu().equal(before.half())


def test_a_base_is_loaded_to_the_device(tmp_path):
    make_tiny_llama(num_hidden_layers=1).save_pretrained(tmp_path)
    make_tiny_tokenizer().save_pretrained(tmp_path)
    for quantize in (None, "nf4"):
        second_device.copied.clear()
        model, _ = labkit.load_base(tmp_path, device="second", quantize=quantize)
        assert lies_on(model, "second") and model.dtype == torch.bfloat16, "a base of one's own, not on a CPU"
        assert torch.uint8 not in second_device.copied, "packed elsewhere, then moved"


def test_a_base_goes_where_it_is_told_and_one_that_is_not_there_is_one_sentence(tmp_path, monkeypatch):
    make_tiny_llama(num_hidden_layers=1).save_pretrained(tmp_path)
    make_tiny_tokenizer().save_pretrained(tmp_path)
    monkeypatch.setenv("LABKIT_DEVICE", "second:0")
    assert lies_on(labkit.load_base(tmp_path)[0], "second") and lies_on(
        labkit.load_base(tmp_path, device="cpu")[0], "cpu"
    )
    for asked, message in {
        "cuda": "this machine has second and no cuda. Use cpu or second",
        "second:1": "the only GPU here is second:0",
    }.items():
        with pytest.raises(labkit.ConfigError, match=f"device='{asked}': {message}"):
            chosen_device(asked)
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert chosen_device("second") == torch.device("second:1") and chosen_device("second:0") == torch.device("second:0")


# ---- adapters


def test_an_adapter_goes_to_a_file_and_back(tmp_path):
    trained = make_model("second")
    assert lies_on(adapter_state(trained), "cpu")
    labkit.save_adapter(trained, tmp_path / "adapter")
    loaded = {device: labkit.load_adapter(make_model(device, lora=False), tmp_path / "adapter") for device in DEVICES}
    assert lies_on(loaded["second"], "second")
    assert same({device: logits(model) for device, model in loaded.items()})


def test_a_bank_serves_adapters_from_anywhere(tmp_path):
    labkit.save_adapter(make_model("cpu"), tmp_path / "folder")
    choices, on = (["folder", {"folder": 0.5, "model": 2.0}], ["model", None]), {}
    for device in DEVICES:
        bank = labkit.AdapterBank(make_model(device, lora=False))
        bank.add("folder", tmp_path / "folder")
        bank.add("model", give_adapter(make_model("cpu", lora=False), seed=2))
        held = [pair for route in bank._adapters.values() for pair in route.updates.values()]
        assert {matrix.device.type for pair in held for matrix in pair} == {device}, (
            "it would be moved at its first use"
        )
        found = []
        for rows in choices:
            with bank.rows(rows) as model:
                found.append(logits(model))
        bank.blend({"folder": 0.5, "model": -1.0})
        on[device] = torch.cat([*found, logits(bank.model)])
    assert same(on)


def test_a_bank_follows_its_model():
    model, found = make_model("cpu", lora=False), {}
    bank = labkit.AdapterBank(model)
    for seed, name in enumerate(["one", "two", "three"]):
        bank.add(name, give_adapter(make_model("cpu", lora=False), seed))
    for device in DEVICES:
        model.to(device)
        bank.activate("one")
        answers = [logits(model)]
        bank.blend({"one": 0.5, "two": 1.0})  # one of them has followed, the other not yet
        answers.append(logits(model))
        with bank.rows(["three", {"one": 1.0, "two": 1.0}]):
            answers.append(logits(model))
        found[device] = torch.cat(answers)
    assert same(found)
    with bank.rows(["three", "one"]):  # moved inside of the block
        assert close(logits(model.to("cpu")), logits(model.to("second")))


@pytest.mark.parametrize("double", [None, False, True], ids=["dense", "NF4", "double"])
def test_merging_and_back(double):
    merged, dense = {}, {}
    for device in DEVICES:
        model = make_model(device, nf4=double is not None, double=bool(double))
        before, drawn = logits(model), torch.get_rng_state()
        merged[device] = logits(labkit.merge(model))
        assert lies_on(model, device)
        assert logits(labkit.unmerge(model)).equal(before)
        dense[device] = logits(labkit.merge_into_dense(model))
        assert lies_on(model, device)
        assert torch.get_rng_state().equal(drawn), "a weight was drawn only to be thrown away"
    assert same(merged) and same(dense)


# ---- what a learner shows and hands in


@pytest.mark.parametrize("wanted", [torch.tensor([1.0, 2.0]), torch.tensor([True, False])])
def test_answers_are_compared_across_devices(wanted):
    for answer, expected in [(wanted.to("second"), wanted), (wanted, wanted.to("second"))]:
        assert difference(answer, expected, EXACT) is None
        assert difference(answer * 0, expected, EXACT)


def test_explorers_draw_a_matrix_of_another_device():
    torch.manual_seed(0)
    here = torch.randn(16, 12)
    there = here.to("second")
    assert rank_picture(take_apart(there), 4) == rank_picture(take_apart(here), 4)
    book = Quantizer("FP4")
    assert error_picture(take_sample(there, 0.1), book) == error_picture(take_sample(here, 0.1), book)


# ---- answers


def test_answers_scores_and_perplexity_are_those_of_the_cpu():
    tokenizer, found = make_tiny_tokenizer(), []
    for device in DEVICES:
        model = make_model(device)
        answers = labkit.evaluate(model, tokenizer, TASK, ROWS).predictions
        found.append((answers, labkit.perplexity(model, tokenizer, "To be or not to be" * 9, windows=1, window=32)))
    assert found[0][0] == found[1][0] and found[0][1] == pytest.approx(found[1][1], rel=1e-5)


def test_no_token_is_copied_as_it_comes():
    model, copies = make_model("second"), []
    for tokens in (2, 6):
        second_device.copied.clear()
        labkit.generate(model, make_tiny_tokenizer(), ["1", "12"], "Add.", tokens)
        copies.append(len(second_device.copied))
    assert copies[0] == copies[1]


def test_an_answer_is_followed_and_a_chat_goes_on(tmp_path, capsys):
    labkit.save_adapter(make_model("cpu"), tmp_path / "adapter")
    heard = []
    for device in DEVICES:
        chat = Chat(make_model(device, lora=False), make_tiny_tokenizer(), max_new_tokens=4)
        for line in ("1", f"/use {tmp_path / 'adapter'}", "1", f"/mix {tmp_path / 'adapter'}=0.5", "1"):
            chat.hear(line)
        heard.append([line for line in capsys.readouterr().out.splitlines() if "tokens" not in line])
    assert heard[0] == heard[1] and sum("answers now" in line for line in heard[0]) == 2

    said = []
    for device in DEVICES:
        model = make_model(device)
        said.append([answer.text for answer in ask(model, make_tiny_tokenizer(), "1", "Add.", 4, lambda _: None)])
    assert said[0] == said[1] and len(said[0]) == 2  # the base's and the adapter's


def test_a_blend_of_the_mixer_answers_as_on_the_cpu(capsys):
    row, shown = {"add": {"prompt": "1", "system": "Add.", "completion": "2"}}, []
    for device in DEVICES:
        bank = labkit.AdapterBank(make_model(device, lora=False))
        bank.add("one", give_adapter(make_model("cpu", lora=False)))
        labkit.adapter_mixer(bank.model, make_tiny_tokenizer(), row, weights={"one": 0.5}, max_new_tokens=4)
        shown.append([line for line in capsys.readouterr().out.splitlines() if "tokens" not in line])
    assert shown[0] == shown[1]


# ---- training


@pytest.mark.parametrize(
    "nf4, options",
    [
        (False, {"gradient_accumulation": 2}),
        (False, {"share_prefix": True}),
        (True, {"gradient_checkpointing": True}),
    ],
    ids=["lora", "shared prefix", "QLoRA, checkpointed"],
)
def test_training_goes_as_on_the_cpu(nf4, options):
    config = labkit.TrainConfig(steps=2, batch_size=4, learning_rate=1e-2, **options)
    models = {device: make_model(device, nf4) for device in DEVICES}
    runs = {device: train(model, config, validation=ROWS[:3]) for device, model in models.items()}
    assert runs["second"].losses == pytest.approx(runs["cpu"].losses, rel=1e-5)
    assert runs["second"].best == pytest.approx(runs["cpu"].best, rel=1e-5)
    assert lies_on(models["second"], "second")
    assert same({device: logits(model) for device, model in models.items()})


def test_a_resumed_run_ends_as_one_that_was_not_stopped(tmp_path):
    config = labkit.TrainConfig(steps=3, batch_size=2, learning_rate=1e-2, checkpoint_every=1)

    def run(name, until=None, **options):
        def stop(report):
            if report.step == until:
                raise InterruptedError

        model = make_model("second")
        train(model, config, validation=ROWS[:3], output_dir=tmp_path / name, on_step=stop, **options)
        return logits(model)

    whole = run("whole")
    with pytest.raises(InterruptedError):
        run("cut", until=2)
    assert run("cut", resume=True).equal(whole)


@pytest.fixture
def one_of_two(monkeypatch):
    """The first of two processes, whose device is the second; what it would send to the other, by where that lies."""
    import accelerate

    sent = []
    monkeypatch.setattr("atexit.register", lambda *_: None)
    for name, value in {"num_processes": 2, "device": torch.device("second"), "process_index": 0}.items():
        monkeypatch.setattr(accelerate.Accelerator, name, property(lambda self, value=value: value))
    for name in ("broadcast", "all_reduce"):
        monkeypatch.setattr(torch.distributed, name, lambda tensor, *_: sent.append(tensor.device.type))
    gathered = lambda self, tensor: sent.append(tensor.device.type) or tensor  # noqa: E731
    monkeypatch.setattr(accelerate.Accelerator, "gather", gathered)
    return sent


def test_one_of_several_processes_trains_on_its_own_device(one_of_two):
    model = make_model("cpu")
    train(model, labkit.TrainConfig(steps=1, batch_size=2))
    assert lies_on(model, "second") and set(one_of_two) == {"second"}


def test_one_of_several_processes_that_is_refused_leaves_its_model_where_it_was(one_of_two, tmp_path):
    config = labkit.TrainConfig(steps=1, batch_size=2, checkpoint_every=1)
    train(make_model("cpu"), config, output_dir=tmp_path)
    other = labkit.TrainConfig(steps=1, batch_size=2, checkpoint_every=1, seed=1)
    refused = [
        (labkit.TrainingError, "another run", other, {"output_dir": tmp_path, "resume": True}),
        (labkit.ConfigError, "paged_adamw8bit", labkit.TrainConfig(optimizer="paged_adamw8bit"), {}),
        (labkit.ConfigError, "split into 2", labkit.TrainConfig(batch_size=1), {}),
    ]
    for error, message, config, options in refused:
        model = make_model("cpu")
        with pytest.raises(error, match=message):
            train(model, config, **options)
        assert lies_on(model, "cpu")


@pytest.mark.memory_check
def test_one_of_several_processes_asks_for_the_memory_of_where_it_goes(one_of_two, monkeypatch):
    """There its model isn't yet, so that counts as well."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    model, config = make_model("cpu"), labkit.TrainConfig(steps=1, batch_size=2)
    held = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))

    def attempt(free):
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free))
        labkit.train(model, make_tiny_tokenizer(), TASK, config, rows=ROWS)

    batch = _heaviest_batches([labkit.encode(make_tiny_tokenizer(), row, TASK.system) for row in ROWS], config, 2, 2)
    step = max(sum(_needed(model, b, Way(1, False, "adamw")).values()) for b in batch)
    with pytest.raises(labkit.ConfigError, match="a step takes"):
        attempt(step + held - 1)
    attempt(step + held)
    assert lies_on(model, "second") and set(one_of_two) == {"second"}


def test_the_devices_own_generator_is_seeded_in_each_step():
    second_device.generator.seeded.clear()
    train(make_model("second"), labkit.TrainConfig(steps=3, batch_size=2, seed=7))
    assert second_device.generator.seeded == [7, 8, 9]
    train(make_model("cpu"), labkit.TrainConfig(steps=3, batch_size=2, seed=7))
    assert second_device.generator.seeded == [7, 8, 9]


# ---- what a step costs


def test_a_step_is_measured_where_the_model_is():
    costs = [labkit.measure(make_model(device), optimizer="adamw8bit", sequence=8) for device in DEVICES]
    assert costs[0].phases["loaded"] == costs[1].phases["loaded"]


def test_an_idle_optimizer_keeps_its_state_beside_what_it_trains():
    weights = [nn.Parameter(torch.zeros(64, 64, device="second")), nn.Parameter(torch.zeros(3, device="second"))]
    optimizer = make_optimizer("adamw8bit", weights)
    prime(optimizer, weights)
    for weight in weights:
        assert lies_on(optimizer.state[weight], "second")


def test_a_step_that_cannot_fit_is_refused_on_any_device(monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1))
    with pytest.raises(labkit.ConfigError, match="a step takes"):
        refuse_what_cannot_fit(make_model("second"), Batch(TOKENS, TOKENS))


def test_what_is_free_is_asked_of_the_gpu_the_model_is_on(monkeypatch):
    told = {"memory_reserved": 5, "memory_allocated": 3, "mem_get_info": (7, 9)}
    for name, answer in told.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, answer=answer: {"cuda:1": answer}[str(device)])
    assert free_bytes(torch.device("cuda:1")) == 7 + 5 - 3


def test_a_simulation_is_of_the_device_asked_for():
    config = make_tiny_llama(num_hidden_layers=1).config
    cpu, gpu = (set(labkit.simulate(config, sequence=8, device=device).assumptions) for device in ("cpu", "cuda"))
    assert cpu < gpu


def test_a_merged_model_is_compared_with_what_is_read_again(tmp_path):
    models = {device: labkit.merge_into_dense(make_model(device, nf4=True)) for device in DEVICES}
    models["cpu"].save_pretrained(tmp_path)
    for model in models.values():
        refuse_unlike(tmp_path, model, tmp_path)
    with torch.no_grad():
        models["second"].model.norm.weight.mul_(2)
    with pytest.raises(labkit.BaseModelError, match="model.norm.weight differs"):
        refuse_unlike(tmp_path, models["second"], tmp_path)


def test_what_is_packed_follows_a_cast():
    weights = {}
    for device in DEVICES:
        model = make_model(device, nf4=True, lora=False).bfloat16()
        weights[device] = model.model.layers[0].mlp.up_proj.dense_weight()
        assert weights[device].dtype == torch.bfloat16
    assert weights["second"].device.type != "cpu" and weights["second"].cpu().equal(weights["cpu"])
