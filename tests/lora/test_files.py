import hashlib
import json
import os

import pytest
import torch
from adapted import adapted, logits
from conftest import make_tiny_llama
from safetensors import safe_open

from labkit.errors import AdapterError
from labkit.lora import files
from labkit.lora.config import LoraConfig
from labkit.lora.files import ABOUT_FILE, CONFIG_FILE, WEIGHTS_FILE, load_adapter, read_about, save_adapter
from labkit.lora.inject import inject_lora, lora_layers
from labkit.lora.merging import merge, merge_and_unload
from labkit.model_facts import note


def test_there_and_back_to_the_bit(tmp_path):
    model = adapted(LoraConfig(target_modules=["q_proj", "up_proj"], r=3, lora_alpha=5, rank_pattern={"q_proj": 2}))
    assert save_adapter(model, tmp_path / "new" / "adapter") == tmp_path / "new" / "adapter"
    fresh = make_tiny_llama()
    assert load_adapter(fresh, tmp_path / "new" / "adapter") is fresh
    assert fresh.labkit.adapter == model.labkit.adapter
    assert torch.equal(logits(fresh), logits(model))
    assert {name for name, p in fresh.named_parameters() if p.requires_grad} == {
        f"{name}.{part}.weight" for name, _ in lora_layers(model) for part in ("lora_A", "lora_B")
    }


def test_what_is_in_the_folder(tmp_path):
    model = adapted(LoraConfig(target_modules=["v_proj", "q_proj"])).to(torch.bfloat16)
    note(model, base_name="someone/model", fingerprint="abc")
    save_adapter(model, tmp_path / "a", about={"task": "tickets", "system_prompt": "Ça va ✔"})
    assert sorted(os.listdir(tmp_path / "a")) == sorted([CONFIG_FILE, WEIGHTS_FILE, ABOUT_FILE])
    with safe_open(tmp_path / "a" / WEIGHTS_FILE, framework="pt") as weights:
        assert weights.metadata() == {"format": "pt"}
        assert set(weights.keys()) == {
            f"base_model.model.model.layers.{i}.self_attn.{name}.{part}.weight"
            for i in range(2)
            for name in ("q_proj", "v_proj")
            for part in ("lora_A", "lora_B")
        }
        assert {weights.get_tensor(key).dtype for key in weights.keys()} == {torch.float32}
    config = json.loads((tmp_path / "a" / CONFIG_FILE).read_text())
    assert config["target_modules"] == ["q_proj", "v_proj"]
    assert config["base_model_name_or_path"] == "someone/model"
    assert not [value for value in config.values() if isinstance(value, str) and value.startswith("/")]
    assert read_about(tmp_path / "a") == {
        "base": {"name": "someone/model", "fingerprint": "abc", "dtype": "bfloat16"},
        "task": "tickets",
        "system_prompt": "Ça va ✔",
        "sha256": {
            name: hashlib.sha256((tmp_path / "a" / name).read_bytes()).hexdigest()
            for name in (CONFIG_FILE, WEIGHTS_FILE)
        },
    }


def test_other_line_ends_are_no_damage(tmp_path):
    save_adapter(adapted(), tmp_path)
    for name in (CONFIG_FILE, ABOUT_FILE):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes().replace(b"\n", b"\r\n"))
    assert torch.equal(logits(load_adapter(make_tiny_llama(), tmp_path)), logits(adapted()))


def test_no_path_of_this_machine_is_written(tmp_path):
    make_tiny_llama().save_pretrained(tmp_path / "base")
    model = inject_lora(type(make_tiny_llama()).from_pretrained(tmp_path / "base"), LoraConfig())
    save_adapter(model, tmp_path / "adapter")
    for name in (CONFIG_FILE, ABOUT_FILE, WEIGHTS_FILE):
        assert str(tmp_path).encode() not in (tmp_path / "adapter" / name).read_bytes()


def test_a_merged_model_saves_the_same_adapter(tmp_path):
    model = adapted()
    save_adapter(model, tmp_path / "apart")
    save_adapter(merge(model), tmp_path / "merged")
    for name in (CONFIG_FILE, WEIGHTS_FILE, ABOUT_FILE):
        assert (tmp_path / "apart" / name).read_bytes() == (tmp_path / "merged" / name).read_bytes()


def test_an_adapter_replaces_an_older_one_whole(tmp_path):
    save_adapter(adapted(), tmp_path / "a", about={"task": "old"})
    newer = adapted(LoraConfig(target_modules=["q_proj"]), seed=1)
    save_adapter(newer, tmp_path / "a")
    assert "task" not in read_about(tmp_path / "a")
    assert torch.equal(logits(load_adapter(make_tiny_llama(), tmp_path / "a")), logits(newer))
    assert os.listdir(tmp_path) == ["a"]


def test_a_crash_leaves_the_older_adapter_whole(tmp_path, monkeypatch):
    def half_a_file(state, path, metadata):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    save_adapter(adapted(seed=1), tmp_path / "a")
    before = {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()}
    monkeypatch.setattr(files, "save_file", half_a_file)
    for path in (tmp_path / "a", tmp_path / "new"):
        with pytest.raises(OSError, match="No space left"):
            save_adapter(adapted(seed=2), path)
    assert {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()} == before
    assert os.listdir(tmp_path) == ["a"]


def test_what_is_said_about_it_must_be_writable_before_anything_is_replaced(tmp_path):
    save_adapter(adapted(), tmp_path / "a", about={"task": "old"})
    with pytest.raises(TypeError):
        save_adapter(adapted(), tmp_path / "a", about={"task": object()})
    assert read_about(tmp_path / "a")["task"] == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    save_adapter(adapted(seed=1), tmp_path / "a")
    (tmp_path / "latest").symlink_to("a")
    save_adapter(adapted(seed=2), tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink()
    assert torch.equal(logits(load_adapter(make_tiny_llama(), tmp_path / "a")), logits(adapted(seed=2)))
    assert sorted(os.listdir(tmp_path)) == ["a", "latest"]


@pytest.mark.parametrize("contents", [["thesis.txt"], [CONFIG_FILE, WEIGHTS_FILE, "thesis.txt"], ["config.json"]])
def test_what_is_not_an_adapter_is_not_overwritten(tmp_path, contents):
    for name in contents:
        (tmp_path / name).write_text("years of work")
    with pytest.raises(AdapterError, match=f"this folder holds {contents[-1]}"):
        save_adapter(adapted(), tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys(contents, "years of work")


def test_a_file_is_not_overwritten(tmp_path):
    (tmp_path / "a").write_text("years of work")
    with pytest.raises(AdapterError, match="a: this is a file"):
        save_adapter(adapted(), tmp_path / "a")
    assert (tmp_path / "a").read_text() == "years of work"


def test_an_empty_folder_is_filled(tmp_path):
    save_adapter(adapted(), tmp_path)
    load_adapter(make_tiny_llama(), tmp_path)


@pytest.mark.parametrize("unloaded", [False, True])
def test_there_must_be_an_adapter_to_save(tmp_path, unloaded):
    model = merge_and_unload(adapted()) if unloaded else make_tiny_llama()
    with pytest.raises(AdapterError, match="there is no adapter, because the model has no LoRA layer"):
        save_adapter(model, tmp_path / "a")
    assert os.listdir(tmp_path) == []
