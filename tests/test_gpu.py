"""The same code on a CUDA GPU. Skipped, with the reason, where there is none."""

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit
from labkit.training.optimizers import make_optimizer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU, and this machine has none"),
]


ROWS = [{"prompt": f"say {i}", "completion": f"ok {i}"} for i in range(16)]
TOKENS = torch.arange(48).view(4, 12) % 90 + 3
DEVICES = ("cpu", "cuda")


def make_model(device: str, lora: bool = True, dropout: float = 0.0, **shape):
    model = make_tiny_llama(**{"vocab_size": 128, "max_position_embeddings": 256} | shape)
    return (give_adapter(model, dropout=dropout) if lora else model).to(device)


def give_adapter(model, seed: int = 1, dropout: float = 0.0):
    torch.manual_seed(seed)
    labkit.inject_lora(model, labkit.LoraConfig(r=4, lora_dropout=dropout, target_modules="all-linear"))
    for _, layer in labkit.lora_layers(model):
        torch.nn.init.normal_(layer.lora_B.weight, std=0.1)
    return model


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(TOKENS.to(model.device)).logits.cpu()


def losses(model, **settings) -> list[float]:
    task = labkit.load_task("tickets")
    config = labkit.TrainConfig(**{"steps": 10, "batch_size": 4, "learning_rate": 1e-2} | settings)
    return labkit.train(model, make_tiny_tokenizer(), task, config, rows=ROWS).losses


def close(on: dict[str, torch.Tensor], atol: float = 1e-4) -> bool:
    return torch.allclose(*on.values(), rtol=1e-3, atol=atol)


@pytest.mark.parametrize(
    "settings",
    [{}, {"gradient_accumulation": 2}, {"share_prefix": True}, {"gradient_checkpointing": True}],
    ids=["plain", "accumulated", "shared prefix", "checkpointed"],
)
def test_training_on_the_gpu_follows_the_cpu(settings):
    found = {device: losses(make_model(device), **settings) for device in DEVICES}
    assert found["cuda"] == pytest.approx(found["cpu"], rel=1e-3)
    assert found["cuda"] == pytest.approx(
        losses(make_model("cuda")), rel=1e-3
    )  # each is the plain step, done otherwise


def test_checkpointing_holds_less():
    held = []
    for checkpointing in (False, True):
        model = make_model("cuda", num_hidden_layers=8, hidden_size=128, intermediate_size=512)
        losses(model, steps=1, gradient_checkpointing=checkpointing)  # what comes once comes now
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_stats()["requested_bytes.all.current"]
        losses(model, steps=1, gradient_checkpointing=checkpointing)
        held.append(torch.cuda.memory_stats()["requested_bytes.all.peak"] - before)
    assert held[1] < 0.7 * held[0]


def test_dropout_falls_on_the_same_numbers_when_layers_are_computed_again():
    again = [losses(make_model("cuda", dropout=0.3), gradient_checkpointing=on) for on in (False, True)]
    assert again[0] == pytest.approx(again[1], rel=1e-4)
    assert again[0] != pytest.approx(losses(make_model("cuda")), rel=1e-4)


def test_training_leaves_the_random_numbers_of_the_gpu_as_they_were():
    before = torch.cuda.get_rng_state()
    losses(make_model("cuda"), steps=1)
    assert torch.cuda.get_rng_state().equal(before)


def test_a_model_on_the_cpu_beside_a_gpu_is_trained_there():
    model = make_model("cpu")
    assert losses(model, steps=2) and {p.device.type for p in model.parameters()} == {"cpu"}


def test_a_base_goes_to_the_gpu_unless_told_otherwise(tmp_path, monkeypatch):
    make_tiny_llama().save_pretrained(tmp_path)
    make_tiny_tokenizer().save_pretrained(tmp_path)
    for said, kind in {"cpu": "cpu", "cuda": "cuda", "cuda:0": "cuda", None: "cuda"}.items():
        monkeypatch.setenv("LABKIT_DEVICE", said) if said else monkeypatch.delenv("LABKIT_DEVICE")
        assert labkit.load_base(tmp_path)[0].device.type == kind
    with pytest.raises(labkit.ConfigError, match="device='cuda:99': this machine has cuda:0"):
        labkit.load_base(tmp_path, device="cuda:99")


def test_a_bank_serves_rows_blends_and_a_model_that_is_moved():
    found = {}
    for device in DEVICES:
        model = make_model("cpu", lora=False)
        bank = labkit.AdapterBank(model)
        for seed, name in enumerate(["one", "two"]):
            bank.add(name, give_adapter(make_model("cpu", lora=False), seed=seed))
        model.to(device)
        with bank.rows(["one", None, "two", {"one": 0.5, "two": 2.0}]):
            rows = logits(model)
        bank.blend({"one": 0.5, "two": -1.0})
        found[device] = torch.cat([rows, logits(model)])
    assert close(found)


@pytest.mark.parametrize("nf4", [False, True], ids=["dense", "NF4"])
def test_merging_and_back(nf4):
    merged, dense = {}, {}
    for device in DEVICES:
        model = make_model(device, lora=False)
        give_adapter(labkit.quantize_model(model) if nf4 else model)
        model.to(device)
        before = logits(model)
        merged[device] = logits(labkit.merge(model))
        assert logits(labkit.unmerge(model)).equal(before)
        dense[device] = logits(labkit.merge_into_dense(model))
    # into four bits per weight may fall on the other side of a boundary
    assert close(merged, atol=0.05 if nf4 else 1e-4) and close(dense)


def test_the_base_answers_alike_on_both():
    answers = {}
    for device in DEVICES:
        model, tokenizer = labkit.load_base(device=device)
        assert model.device.type == device
        prompts = ["What is the capital of Japan?"]
        answers[device] = labkit.generate(model, tokenizer, prompts, "Answer in one short sentence.", 16)
    assert answers["cuda"] == answers["cpu"]


def test_four_bits_on_the_gpu_are_those_of_the_cpu():
    from labkit.quant.bnb import fast_dequantize

    torch.manual_seed(0)
    for shape in [(96, 64), (48, 33), (576, 1536)]:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            weight = torch.randn(shape).to(dtype)
            here, there = labkit.quantize_nf4(weight), labkit.quantize_nf4(weight.cuda())
            assert there.packed.cpu().equal(here.packed) and there.absmax.cpu().equal(here.absmax)
            values = labkit.dequantize_nf4(there)
            assert values.cpu().equal(labkit.dequantize_nf4(here)) and values.equal(fast_dequantize(there))


@pytest.mark.parametrize("double", [False, True])
def test_four_bits_are_those_of_the_cuda_kernel(double):
    """bitsandbytes on a GPU is not its own code for CPUs."""
    functional = pytest.importorskip("bitsandbytes").functional
    torch.manual_seed(0)
    for shape in [(96, 64), (576, 1536)]:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            weight = torch.randn(shape).to("cuda", dtype)
            packed, state = functional.quantize_4bit(weight, blocksize=64, compress_statistics=double, quant_type="nf4")
            ours = labkit.quantize_nf4(weight, double=double)
            assert ours.packed.flatten().equal(packed.flatten())
            theirs = functional.dequantize_4bit(packed, state)
            if double:  # the scales' 8-bit codes may be a neighbor's
                assert torch.allclose(labkit.dequantize_nf4(ours), theirs, rtol=0.02, atol=1e-3)
                assert (ours.absmax.codes.int() - state.absmax.int()).abs().max() <= 2
            else:
                assert ours.absmax.equal(state.absmax) and labkit.dequantize_nf4(ours).equal(theirs)


LARGE = {"hidden_size": 256, "intermediate_size": 512}  # at r = 512 each matrix has more than 100,000 numbers


def test_averages_are_paged_where_paging_is_asked_for():
    """bitsandbytes pages tensors of 100,000 numbers or more, and keeps the smaller ones on the GPU."""
    pytest.importorskip("bitsandbytes")
    for name, wanted in {"adamw8bit": (False, False), "paged_adamw8bit": (True, False)}.items():
        parameters = [torch.nn.Parameter(torch.zeros(size, device="cuda")) for size in (100_352, 8_192)]
        optimizer = make_optimizer(name, parameters, 1e-3, 0.0)
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        assert tuple(getattr(optimizer.state[p]["state1"], "is_paged", False) for p in parameters) == wanted


@pytest.mark.parametrize("backend", ["labkit", "bitsandbytes"])
@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit", "paged_adamw8bit"])
def test_qlora_on_the_gpu_learns_and_resumes(backend, optimizer, tmp_path):
    if backend == "bitsandbytes" or optimizer != "adamw":
        pytest.importorskip("bitsandbytes")
    config = labkit.TrainConfig(steps=8, batch_size=4, learning_rate=1e-3, optimizer=optimizer, checkpoint_every=4)

    def run(folder, until=None, **options):
        def stop(report):
            if report.step == until:
                raise InterruptedError

        model = make_model("cpu", lora=False, **LARGE)
        labkit.quantize_model(model, backend, device="cuda")
        torch.manual_seed(0)
        labkit.inject_lora(model.to("cuda"), labkit.LoraConfig(r=512, target_modules="all-linear"))
        sizes = {p.numel() for p in model.parameters() if p.requires_grad}
        assert max(sizes) >= 100_000, "nothing here is large enough to be paged"
        task = labkit.load_task("tickets")
        return labkit.train(
            model, make_tiny_tokenizer(), task, config, rows=ROWS, output_dir=folder, on_step=stop, **options
        )

    whole = run(tmp_path / "whole")
    assert whole.losses[-1] < whole.losses[0]
    with pytest.raises(InterruptedError):
        run(tmp_path / "cut", until=5)
    resumed = run(tmp_path / "cut", resume=True)
    assert resumed.losses == pytest.approx(whole.losses, rel=1e-3)
