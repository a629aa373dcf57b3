"""The adapters that come with the course: whole, of one base, as good as their cards say, and read alike by PEFT."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from conftest import make_tiny_llama
from peft import PeftModel

import labkit
from labkit.errors import AdapterError
from labkit.lora.files import ABOUT_FILE, CONFIG_FILE, WEIGHTS_FILE, read_about, read_config
from labkit.model_facts import note
from labkit.storage.paths import course_data_dir
from studies import make_adapters as recipe
from studies.make_adapters import TASKS
from studies.results import RESULTS

ADAPTERS = course_data_dir() / "adapters"


def stored(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cells() -> dict:
    return {(cell["adapter"], cell["task"]): cell for cell in stored("adapters_table")["cells"]}


@pytest.fixture(params=TASKS, scope="module")
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def adapted(name):
    """The base with the adapter of this name: leave it as it is."""
    model, tokenizer = labkit.load_base(device="cpu")
    return labkit.load_adapter(model, ADAPTERS / name), tokenizer


def headline(cell: dict) -> dict:
    return cell["scores"][cell["metric"]]


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


# ---- the files


def test_a_folder_holds_an_adapter_and_its_card_and_is_small(name):
    files = {file.name: file.stat().st_size for file in (ADAPTERS / name).iterdir()}
    assert set(files) == {CONFIG_FILE, WEIGHTS_FILE, ABOUT_FILE, "README.md"}
    assert 1e6 < files[WEIGHTS_FILE] <= 2.5e6


def test_labkit_json_says_what_it_is_and_how_it_was_made(name):
    about, task, (lora, training) = read_about(ADAPTERS / name), labkit.load_task(name), recipe.RECIPES[name]
    assert (about["task"], about["system"]) == (name, task.system)
    assert about["base"]["name"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    made = about["recipe"]
    assert made["lora"] == json.loads(json.dumps(recipe.asdict(lora)))
    assert labkit.TrainConfig(**made["training"]) == training  # settings that came later have their default
    assert made["rows"] == len(task.rows("train")) and made["data"] == digest(task.files["train"])


def test_ranks_and_targets_differ():
    """One batch of notebook 10 holds them all, and that they need not be alike should show."""
    configs = [read_config(ADAPTERS / name) for name in TASKS]
    assert min(len({c.r for c in configs}), len({str(c.target_modules) for c in configs})) >= 2


def test_another_base_is_refused(name):
    model = make_tiny_llama()
    note(model, base_name="tiny", fingerprint="0" * 64)
    with pytest.raises(AdapterError, match=f"{name}.*trained on another base.*SmolLM2-135M-Instruct.*tiny"):
        labkit.load_adapter(model, ADAPTERS / name)


# ---- what they answer


@pytest.mark.slow
@torch.no_grad()
def test_peft_reads_it_and_gives_the_same_logits(name, adapted):
    """PEFT is the oracle; and the base's own logits show that there was something to compare."""
    row = labkit.load_task(name).rows("test")[0]
    model, tokenizer = labkit.load_base(device="cpu")
    example = labkit.step.batch.encode(tokenizer, row, labkit.load_task(name).system)
    ids = torch.tensor([example.input_ids])
    plain = model(ids).logits
    ours = adapted[0](ids).logits
    theirs = PeftModel.from_pretrained(model, str(ADAPTERS / name)).eval()(ids).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)
    assert (ours - plain).abs().max() > 1


@pytest.mark.slow
def test_saved_again_it_is_the_same_to_the_bit(name, adapted, tmp_path):
    again = labkit.save_adapter(adapted[0], tmp_path / name)
    for file in (WEIGHTS_FILE, CONFIG_FILE):
        assert (again / file).read_bytes() == (ADAPTERS / name / file).read_bytes()


@pytest.mark.slow
def test_eight_rows_scored_again_are_as_good_as_the_table_says(name, adapted, cells):
    found = labkit.evaluate(*adapted, labkit.load_task(name), limit=8)
    metric = cells[name, name]["metric"]
    # four standard deviations of a mean of 8 rows below the stored one, or one row wrong
    mean = headline(cells[name, name])["mean"]
    assert found.scores[metric].mean >= mean - max(1 / 8, (2 * mean * (1 - mean)) ** 0.5)


# ---- the scores


def test_the_table_is_whole_and_of_these_weights_and_these_rows(cells):
    assert set(cells) == {(adapter, task) for adapter in (None, *TASKS) for task in TASKS}
    for (adapter, task), cell in cells.items():
        assert cell["rows"] == recipe.ROWS["own" if adapter in (None, task) else "other"] >= 128
        assert cell["data"] == digest(labkit.load_task(task).files["test"])
        assert cell["weights"] == (adapter and digest(ADAPTERS / adapter / WEIGHTS_FILE))
        for score in cell["scores"].values():
            assert (
                0 <= score["low"] <= score["mean"] + 1e-9 and score["mean"] - 1e-9 <= score["high"] <= 1
            )  # as rounded


def test_labkit_json_and_card_have_the_scores_of_the_table(name, cells):
    about = read_about(ADAPTERS / name)
    assert about["scores"] == cells[name, name]["scores"] and about["base_scores"] == cells[None, name]["scores"]
    assert about["test_rows"] == cells[name, name]["rows"] == cells[None, name]["rows"]
    card = (ADAPTERS / name / "README.md").read_text(encoding="utf-8")
    assert card == recipe.card(name, about)
    score = headline(cells[name, name])
    assert f"{100 * score['mean']:.1f} % [{100 * score['low']:.1f}, {100 * score['high']:.1f}]" in card


def test_each_adapter_is_good_on_its_task_and_far_better_than_the_base_and_the_others(name, cells):
    own = headline(cells[name, name])
    assert own["mean"] >= 0.9
    for other in (None, *TASKS):
        if other != name:
            assert headline(cells[other, name])["high"] < own["low"] - 0.3, other


def test_macro_f1_of_the_clauses(cells):
    scores = cells["clauses", "clauses"]["scores"]
    assert min(scores["category_f1"]["mean"], scores["risk_f1"]["mean"]) >= 0.85


@pytest.mark.skipif(
    not (RESULTS / "adapters_controls.json").exists(),
    reason="no controls are stored: python -m studies.make_adapters control",
)
@pytest.mark.parametrize("name", ["sql", "voice", "clauses"])
def test_the_same_training_with_one_thing_broken_fails(name, cells):
    runs = {run["name"]: run for run in stored("adapters_controls")["runs"] if run["task"] == name}
    assert set(runs) == set(recipe.BROKEN)
    for broken, run in runs.items():
        assert run["recipe"]["training"] == read_about(ADAPTERS / name)["recipe"]["training"]
        assert run["scores"][cells[name, name]["metric"]]["high"] < headline(cells[name, name])["low"] - 0.3, broken
