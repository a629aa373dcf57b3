"""The trap works where it's sprung, and nothing that's careful springs it: torch's safe loader, PEFT, labkit."""

import pickle
import re

import pytest
import torch
from conftest import make_tiny_llama
from safetensors.torch import load_file

from labkit.errors import AdapterError, ConfigError
from labkit.lab.experiments.pickle_trap import named_in, strangers_in, trapped
from labkit.lab.experiments.quiet_peft import peft
from labkit.lora.config import LoraConfig
from labkit.lora.files import CONFIG_FILE, WEIGHTS_FILE, load_adapter, save_adapter
from labkit.lora.inject import inject_lora, lora_layers


@pytest.fixture
def safe(tmp_path):
    model = inject_lora(make_tiny_llama(), LoraConfig(target_modules=["q_proj"]))
    return save_adapter(model, tmp_path / "safe")


@pytest.fixture
def trap(safe, tmp_path):
    """The pickle, and the file that opening it would make."""
    marker = tmp_path / "it ran"
    return trapped(safe, tmp_path / "trapped", marker), marker


def test_opening_it_the_old_way_runs_the_program_and_gives_the_right_weights(safe, trap):
    file, marker = trap
    assert not marker.exists(), "making it runs nothing"
    weights = torch.load(file, weights_only=False)
    assert marker.exists() and marker.read_bytes() == b""
    assert all(torch.equal(weights[name], tensor) for name, tensor in load_file(safe / WEIGHTS_FILE).items())


def test_the_safe_way_refuses_it(trap):
    file, marker = trap
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(file, weights_only=True)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file)  # that's the default now
    assert not marker.exists()


def test_labkit_refuses_the_folder_in_one_sentence_and_leaves_the_model_alone(trap):
    file, marker = trap
    model = make_tiny_llama()
    refusal = rf"{re.escape(str(file.parent / WEIGHTS_FILE))}: only pickled weights are here; they are never opened"
    with pytest.raises(AdapterError, match=f"^{refusal}$"):
        load_adapter(model, file.parent)
    assert not marker.exists() and not list(lora_layers(model))


def test_peft_opens_it_the_safe_way_and_refuses_as_well(trap):
    file, marker = trap
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        peft.PeftModel.from_pretrained(make_tiny_llama(), file.parent)
    assert not marker.exists()


def test_peft_takes_a_pickle_that_holds_nothing_but_tensors_and_labkit_does_not(safe, tmp_path):
    folder = tmp_path / "only tensors"
    folder.mkdir()
    (folder / CONFIG_FILE).write_bytes((safe / CONFIG_FILE).read_bytes())
    torch.save(load_file(safe / WEIGHTS_FILE), folder / "adapter_model.bin")
    assert strangers_in(folder / "adapter_model.bin") == []
    peft.PeftModel.from_pretrained(make_tiny_llama(), folder)
    with pytest.raises(AdapterError, match="only pickled weights are here; they are never opened"):
        load_adapter(make_tiny_llama(), folder)


def test_what_it_would_call_can_be_read_without_running_it(trap):
    file, marker = trap
    assert "torch._utils._rebuild_tensor_v2" in named_in(file)
    assert "pathlib.Path" in strangers_in(file)
    assert not marker.exists()


def test_what_can_show_nothing_is_refused(safe, tmp_path):
    (tmp_path / "there").touch()
    for marker in (tmp_path / "there", tmp_path / "no folder" / "mark"):
        with pytest.raises(ConfigError, match="must be a new name in a folder that's there"):
            trapped(safe, tmp_path / "trapped", marker)
    with pytest.raises(ConfigError, match="not a file that torch.save has written"):
        named_in(safe / WEIGHTS_FILE)
