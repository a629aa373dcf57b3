"""Whoever reads a folder that labkit replaces gets it, also after a kill between the two renames of a replacement."""

import json
import os

import pytest
from conftest import make_tiny_llama, make_tiny_tokenizer
from kinds_of_write import KINDS
from test_writing import killed_between_renames

import labkit
from labkit.base import fetching, find_base
from labkit.cli import main
from labkit.cli.chat import Chat
from labkit.errors import ConfigError
from labkit.lora.files import read_about, read_config
from labkit.lora.serving import serving_problems
from labkit.training import checkpoints


@pytest.fixture
def adapter(tmp_path):
    model = labkit.inject_lora(make_tiny_llama(vocab_size=128), labkit.LoraConfig(r=2))
    return labkit.save_adapter(model, tmp_path / "adapter", {"task": "tickets"})


def _train_into(path):
    (path.parent / "own.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    return main(["train", "--data", str(path.parent / "own.jsonl"), "--out", str(path.parent)])


READERS = {
    "load_adapter": lambda path: labkit.load_adapter(make_tiny_llama(vocab_size=128), path),
    "read_config": read_config,
    "read_about": lambda path: read_about(path)["task"],
    "a bank": lambda path: labkit.AdapterBank(make_tiny_llama(vocab_size=128)).add("it", path),
    "chat": lambda path: Chat(make_tiny_llama(vocab_size=128), make_tiny_tokenizer(), max_new_tokens=8)._take_in(
        str(path)
    ),
    "serving_problems": serving_problems,
    "save_adapter": lambda path: labkit.save_adapter(
        labkit.inject_lora(make_tiny_llama(vocab_size=128), labkit.LoraConfig(r=2)), path
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_an_adapter(name, adapter):
    READERS[name](killed_between_renames(adapter))
    assert os.listdir(adapter.parent) == ["adapter"]


def test_what_is_there_is_not_taken_for_free(adapter, capsys):
    """The old one came first: a new model, or another run, is refused as if nothing had happened."""
    model = labkit.inject_lora(make_tiny_llama(vocab_size=128), labkit.LoraConfig(r=2))
    with pytest.raises(ConfigError, match="this folder holds adapter_config.json"):
        labkit.save_merged(model, make_tiny_tokenizer(), killed_between_renames(adapter))
    assert _train_into(killed_between_renames(adapter)) == 2
    assert "holds an adapter already" in capsys.readouterr().err
    assert {*os.listdir(adapter.parent)} == {"adapter", "own.jsonl"}


def test_a_base(tmp_path):
    for saved in (make_tiny_llama(vocab_size=128), make_tiny_tokenizer()):
        saved.save_pretrained(tmp_path / "base")
    assert find_base(killed_between_renames(tmp_path / "base")) == tmp_path / "base"
    model, _ = labkit.load_base(killed_between_renames(tmp_path / "base"))
    assert model.labkit.base_name == "base"


def test_a_fetched_base(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_CACHE", "")
    kind = KINDS["fetched"]()
    kind.write(tmp_path, 2)
    folder = killed_between_renames(fetching.verify_base())
    assert fetching.verify_base() == folder and os.listdir(folder.parent) == [folder.name]
    killed_between_renames(folder)
    assert fetching.fetch_base() == folder, "nothing is fetched again"


@pytest.mark.parametrize("reader", ["newest", "remove_all_but_newest"])
def test_a_checkpoint(reader, tmp_path):
    KINDS["checkpoint"]().write(tmp_path, 3)
    path = killed_between_renames(checkpoints.newest(tmp_path))
    getattr(checkpoints, reader)(tmp_path)
    assert checkpoints.newest(tmp_path) == path and json.loads((path / "run.json").read_text())["step"] == 3
