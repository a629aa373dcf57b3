"""The same code on a CUDA GPU. Skipped, with the reason, where there is none."""

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
