"""Where a model goes. What needs a second device is in tests/placement."""

import pytest
import torch

from labkit import ConfigError, load_base
from labkit.base.placing import chosen_device


@pytest.mark.parametrize("asked", ["cpu", "cpu:0", torch.device("cpu")])
def test_what_is_said_counts_more_than_the_variable(monkeypatch, asked):
    monkeypatch.setenv("LABKIT_DEVICE", "cuda:5")
    assert chosen_device(asked).type == "cpu"


@pytest.mark.parametrize("asked", ["", "gpu", "cuda:x", "meta:", "0.5", "CPU"])
def test_no_device_at_all_is_one_sentence(monkeypatch, asked):
    with pytest.raises(ConfigError, match=f"^device='{asked}': there's no such device. Use cpu, cuda, or cuda:1"):
        chosen_device(asked)
    monkeypatch.setenv("LABKIT_DEVICE", asked)
    if not asked:  # as if it weren't set
        return chosen_device()
    with pytest.raises(ConfigError, match=f"^LABKIT_DEVICE={asked}: there's no such device"):
        load_base("nowhere")  # before anything is looked for or loaded


@pytest.mark.skipif(torch.accelerator.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("asked", ["cuda", "cuda:99", "mps", "meta"])
def test_a_device_that_is_not_here_is_one_sentence(monkeypatch, asked):
    monkeypatch.setenv("LABKIT_DEVICE", asked)
    with pytest.raises(
        ConfigError, match=f"^LABKIT_DEVICE={asked}: this machine has no GPU that PyTorch can use. Use cpu"
    ):
        chosen_device()


def test_without_a_word_it_is_a_gpu_if_there_is_one(monkeypatch):
    monkeypatch.delenv("LABKIT_DEVICE")
    assert chosen_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert chosen_device() == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "3")  # of two processes on each of two machines, the last
    assert chosen_device() == torch.device("cuda:1") and chosen_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(ConfigError, match="device='cuda:2': the GPUs here are cuda:0 to cuda:1"):
        chosen_device("cuda:2")
