"""A stranger's file has nothing but its numbers, a shuffled one no direction, and a seal opens with the right word."""

import json

import pytest
import torch
from conftest import make_tiny_llama
from safetensors.torch import load_file

import labkit
from labkit.errors import ConfigError
from labkit.forensics.membership import rows_seen
from labkit.forensics.seals import seal
from labkit.lab.experiments import strangers
from labkit.lora.files import CONFIG_FILE, WEIGHTS_FILE
from labkit.storage.paths import course_data_dir
from labkit.tasks import TASKS

ADAPTERS = course_data_dir() / "adapters"
CLAUSES = ADAPTERS / "clauses"


def test_a_stranger_is_one_of_the_shipped_adapters_and_says_nothing_of_which(tmp_path):
    folder = strangers.unlabeled(tmp_path / "new" / "stranger")
    assert {file.name for file in folder.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}
    assert not any(name in (folder / CONFIG_FILE).read_text() for name in TASKS)
    [same] = [each for each in ADAPTERS.iterdir() if _bytes(each) == _bytes(folder)]
    assert same.name not in strangers.__doc__ and same.name not in strangers.unlabeled.__doc__
    with pytest.raises(ConfigError, match="something in it already"):
        strangers.unlabeled(folder)


def _bytes(folder):
    return (folder / WEIGHTS_FILE).read_bytes()


def test_shuffled_numbers_are_the_same_numbers_elsewhere():
    model = labkit.inject_lora(make_tiny_llama(), labkit.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for _, layer in labkit.lora_layers(model):
            layer.lora_B.weight.normal_()
    before = [layer.lora_A.weight.clone() for _, layer in labkit.lora_layers(model)]
    base = {name: value.clone() for name, value in model.state_dict().items() if "lora" not in name}
    assert strangers.shuffle_numbers(model) is model
    after = [layer.lora_A.weight for _, layer in labkit.lora_layers(model)]
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.flatten().sort().values, other.flatten().sort().values) and not torch.equal(one, other)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in base.items())


def test_half_of_the_rows_were_seen_and_half_were_made_for_nobody():
    rows, task = strangers.seen_and_fresh(CLAUSES, each=7), labkit.load_task("clauses")
    train = task.rows("train")
    training = labkit.TrainConfig(**json.loads((CLAUSES / "labkit.json").read_text())["recipe"]["training"])
    met = {train[place]["prompt"] for place in rows_seen(len(train), training)}
    assert [sum(row["seen"] for row in rows), len(rows)] == [7, 14]
    assert all((row["prompt"] in met) == row["seen"] for row in rows)
    assert not {row["prompt"] for row in rows if not row["seen"]} & set(train["prompt"])
    assert [row["seen"] for row in rows] != sorted((row["seen"] for row in rows), reverse=True), "they're mixed"
    assert rows == strangers.seen_and_fresh(CLAUSES, each=7) != strangers.seen_and_fresh(CLAUSES, each=7, seed=1)


@pytest.fixture
def seals(tmp_path):
    """The folder of one sealed adapter, trained on voice with seed 41."""
    about = {"tasks": list(TASKS), "sealed": {"mystery": {"seal": seal("voice", 41), "sha256": ""}}}
    (tmp_path / "seals.json").write_text(json.dumps(about))
    return tmp_path


@pytest.mark.parametrize(
    ("guess", "said"),
    [
        (..., "○ not opened yet. The key is one of tickets, sql, voice"),
        (None, "○ not opened yet"),
        ("sql", "✗ The seal stays shut"),
        ("poems", "✗ That's none of tickets, sql, voice"),
        (3, "✗ That's none of"),
        (" Voice ", "✔ It opens: mystery was trained on voice, with the seed 41."),
    ],
    ids=str,
)
def test_a_guess_opens_the_seal_or_tells_nothing(seals, capsys, guess, said):
    strangers.open_seal(guess, folder=seals)
    out = capsys.readouterr().out
    assert out.startswith(said) and ("41" in out) == out.startswith("✔")


def test_without_a_seal_theres_nothing_to_open(seals, tmp_path):
    with pytest.raises(ConfigError, match="no seal called 'second'; there are mystery"):
        strangers.open_seal("sql", "second", seals)
    with pytest.raises(ConfigError, match="seals.json isn't there"):
        strangers.open_seal("sql", folder=tmp_path / "elsewhere")


def test_the_stranger_is_read_without_its_papers(tmp_path):
    weights = load_file(strangers.unlabeled(tmp_path / "stranger") / WEIGHTS_FILE)
    assert all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in weights)
