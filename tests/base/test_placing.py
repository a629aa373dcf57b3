"""Where a model goes, and in which dtype. What needs a second device is in tests/placement."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from labkit import ConfigError, load_base
from labkit.base.placing import chosen_device, chosen_dtype


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


@pytest.mark.parametrize(
    "courses_own, device, dtype", [(True, "meta", "float32"), (False, "meta", "bfloat16"), (False, "cpu", "float32")]
)
def test_without_a_word_a_base_of_your_own_is_in_sixteen_bits_on_a_gpu(courses_own, device, dtype):
    """The meta device stands for one that isn't a CPU: it multiplies, without numbers."""
    assert chosen_dtype(None, torch.device(device), courses_own) == getattr(torch, dtype)
    for asked in ("float16", torch.float64):
        assert chosen_dtype(asked, torch.device(device), courses_own) == getattr(torch, str(asked).split(".")[-1])


class NoHalf(TorchDispatchMode):
    """A device that stores float16 and doesn't multiply in it, as CPUs were in older versions of PyTorch."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if "mm" in str(operation) and args[0].dtype == torch.float16:
            raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'")
        return operation(*args, **(kwargs or {}))


def test_a_dtype_that_the_device_cannot_multiply_in_is_one_sentence():
    with NoHalf():
        assert chosen_dtype("bfloat16", torch.device("cpu"), True) == torch.bfloat16
        with pytest.raises(ConfigError, match="^dtype=float16: cpu can't multiply in it. Use float32$"):
            load_base("nowhere", dtype=torch.float16, device="cpu")  # before anything is looked for or loaded


@pytest.mark.parametrize("asked", ["int8", torch.int8, torch.float8_e4m3fn, "half a float", "nn"])
def test_what_is_no_dtype_for_weights_is_one_sentence(asked):
    with pytest.raises(ConfigError, match="^dtype must be float32, bfloat16, float16 or float64"):
        load_base("nowhere", dtype=asked, device="cpu")
