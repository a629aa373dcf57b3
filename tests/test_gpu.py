"""The same code on a CUDA GPU. Skipped, with the reason, where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU, and this machine has none"),
]


def test_training_on_the_gpu_follows_the_cpu():
    task = labkit.load_task("tickets")
    rows = [{"prompt": f"say {i}", "completion": f"ok {i}"} for i in range(16)]
    losses = {}
    for device in ("cpu", "cuda"):
        model = make_tiny_llama(vocab_size=128, max_position_embeddings=256)
        labkit.inject_lora(model, labkit.LoraConfig(r=4, target_modules="all-linear"))
        config = labkit.TrainConfig(steps=10, batch_size=4, learning_rate=1e-2)
        losses[device] = labkit.train(model.to(device), make_tiny_tokenizer(), task, config, rows=rows).losses
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=1e-3)


def test_the_base_answers_alike_on_both():
    answers = {}
    for device in ("cpu", "cuda"):
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


@pytest.mark.parametrize("backend", ["labkit", "bitsandbytes"])
@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit", "paged_adamw8bit"])
def test_qlora_on_the_gpu_learns_and_resumes(backend, optimizer, tmp_path):
    if backend == "bitsandbytes" or optimizer != "adamw":
        pytest.importorskip("bitsandbytes")
    task = labkit.load_task("tickets")
    rows = [{"prompt": f"say {i}", "completion": f"ok {i}"} for i in range(16)]
    config = labkit.TrainConfig(steps=8, batch_size=4, learning_rate=1e-2, optimizer=optimizer, checkpoint_every=4)

    def run(folder, until=8, **options):
        def stop(report):
            if report.step == until:
                raise InterruptedError

        model = make_tiny_llama(vocab_size=128, max_position_embeddings=256, hidden_size=64, intermediate_size=128)
        labkit.quantize_model(model, backend, device="cuda")
        torch.manual_seed(0)
        labkit.inject_lora(model.to("cuda"), labkit.LoraConfig(r=64, target_modules="all-linear"))
        return labkit.train(
            model, make_tiny_tokenizer(), task, config, rows=rows, output_dir=folder, on_step=stop, **options
        )

    whole = run(tmp_path / "whole", until=None)
    assert whole.losses[-1] < whole.losses[0]
    with pytest.raises(InterruptedError):
        run(tmp_path / "cut", until=5)
    resumed = run(tmp_path / "cut", until=None, resume=True)
    assert resumed.losses == pytest.approx(whole.losses, rel=1e-3)


def test_notebook_08_prints_the_same_lines_on_the_gpu():
    """Its outputs were stored on a CPU; nbval compares every line, and only what stands behind ≈ may differ."""
    compared = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", "--nbval-cell-timeout", "180"]
        + ["--nbval-sanitize-with", "tests/nbval-sanitize.cfg", "notebooks/08_qlora.ipynb"],
        cwd=Path(__file__).parents[1],
        env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
        capture_output=True,
        text=True,
    )
    assert compared.returncode == 0, compared.stdout[-4000:] + compared.stderr[-2000:]
