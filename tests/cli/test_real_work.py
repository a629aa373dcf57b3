"""Training for real work at the command line: epochs, validation, the history, and going on from an adapter."""

import json
import shutil

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from safetensors.torch import load_file

import labkit
from labkit.cli import main
from labkit.cli.history_text import WIDEST, history_text
from labkit.lora.files import HISTORY_FILE
from labkit.training.history_file import history
from labkit.training.reports import TrainResult

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = [{"prompt": f"say {i}", "completion": f"ok {i}"} for i in range(10)]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with two bases, rows to train on, rows to validate on, and an adapter that was trained on the rows."""
    folder = tmp_path_factory.mktemp("here")
    for name, seed in (("base", 0), ("other", 5)):
        make_tiny_llama(seed, vocab_size=128, max_position_embeddings=128).save_pretrained(folder / name)
        make_tiny_tokenizer().save_pretrained(folder / name)
    for name, rows in (("rows", ROWS), ("validation", [{"prompt": "say a", "completion": "ok b"}] * 3)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model, tokenizer = labkit.load_base(folder / "base", device="cpu")
    torch.manual_seed(3)
    labkit.inject_lora(model, labkit.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"]))
    task = labkit.Task("rows", "Be brief.", lambda answer, row: {}, {})
    labkit.train(model, tokenizer, task, labkit.TrainConfig(steps=5, learning_rate=0.05), rows=ROWS)
    labkit.save_adapter(model, folder / "first", {"task": "rows", "data": "rows.jsonl", "system": "Be brief."})
    return folder


@pytest.fixture
def run(here, monkeypatch, capsys, tmp_path):
    def run(*arguments, status=0) -> tuple[str, str]:
        """What a command prints and says; ``train`` trains into a folder of its own."""
        monkeypatch.chdir(here)
        if arguments[0] == "train":
            rows = [] if "--task" in arguments else ["--data", "rows.jsonl"]
            base = [] if "--base" in arguments else ["--base", "base"]
            arguments = [*arguments, *rows, *base, "--out", tmp_path / "run"]
        assert main(list(map(str, arguments))) == status
        return capsys.readouterr()

    run.adapter = tmp_path / "run" / "adapter"
    return run


def about(adapter) -> dict:
    return json.loads((adapter / "labkit.json").read_text())


# ---- epochs


def test_epochs_are_as_many_steps_as_every_row_needs(run):
    printed, _ = run("train", "--epochs", 3, "--batch-size", 4)
    assert printed.startswith("10 rows, 3 epochs, 4 rows per step: 8 steps\n")
    recipe = about(run.adapter)["recipe"]["training"]
    assert (recipe["steps"], recipe["epochs"]) == (8, None) and len(history(run.adapter).history) == 8


def test_steps_and_epochs_together_are_refused(run):
    _, said = run("train", "--epochs", 3, "--steps", 5, status=2)
    assert said == "labkit train: --steps=5 and --epochs=3: give one of the two\n"
    _, said = run("train", "--epochs", 900_000, status=2)
    assert "--epochs=900000 are 2,250,000 steps here, and a run has at most 1,000,000" in said


# ---- validation and history


VALIDATED = ["--steps", 20, "--lr", 0.1, "--validation", "validation.jsonl", "--validate-every", 2]


def test_the_best_step_is_what_ends_in_the_adapter_and_that_is_said(run, here):
    printed, said = run("train", *VALIDATED, "--score-rows", 2, "--patience", 4)
    found = history(run.adapter)
    best = found.best
    assert found.stopped_early and best["step"] == len(found.history) - 8
    assert f"Stopped after step {len(found.history)}: no lower validation loss in 4 validations\n" in printed
    lowest, before = best["validation_loss"], found.before["validation_loss"]
    kept = f"The adapter is that of step {best['step']}, which has the lowest validation loss: {lowest:.4f}"
    assert f"{kept} (before the first step: {before:.4f})\n" in printed and lowest < before
    assert "validation" in said.splitlines()[-1] and f"step {len(found.history)} of {len(found.history)} " in said
    assert {"exact"} == {metric for entry in found.validations for metric in entry["validation_scores"]}

    model, tokenizer = labkit.load_base(here / "base", device="cpu")
    labkit.load_adapter(model, run.adapter)
    task = labkit.Task("rows", "Answer the user.", lambda answer, row: {}, {})
    again = labkit.TrainConfig(steps=1, learning_rate=0.0)
    looked = labkit.train(
        model, tokenizer, task, again, rows=ROWS, validation=labkit.read_rows(here / "validation.jsonl")
    )
    assert looked.best["validation_loss"] == pytest.approx(best["validation_loss"], rel=1e-6)


def test_a_split_of_a_task_can_be_named_and_so_can_a_file(run, monkeypatch):
    seen = []
    monkeypatch.setattr(labkit, "train", lambda *_, validation, **__: seen.append(validation) or 1 / 0, raising=False)
    for value in ("validation", "validation.jsonl"):
        with pytest.raises(ZeroDivisionError):
            run("train", "--task", "tickets", "--validation", value)
    assert seen[0] == "validation" and len(seen[1]) == 3


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--patience=3", "--patience=3 needs rows to validate on: give --validation=…"),
        ("--validate-every=3", "--validate-every=3 needs rows to validate on: give --validation=…"),
        ("--score-rows=3", "--score-rows=3 needs rows to validate on"),
        ("--validation=nowhere", "nowhere: cannot be read"),
        ("--log=tensorbord", "--log must be one of aim, "),
        ("--continue-from=nowhere", "nowhere/adapter_config.json: the file is missing"),
    ],
)
def test_what_cannot_be_is_one_sentence(run, options, why):
    _, said = run("train", "--steps", 1, options, status=2)
    assert said.startswith(f"labkit train: {why}") and said.count("\n") == 1


def test_an_adapter_that_training_on_would_spoil_stays_as_it_was(run, tmp_path):
    """Another round on rows at a rate that does harm: the kept weights are those it began with, and that is said."""
    run("train", "--steps", 40, "--lr", 0.03)
    learned = shutil.move(run.adapter, tmp_path / "learned")
    printed, _ = run("train", "--continue-from", learned, "--validation", "rows.jsonl", "--steps", 4, "--lr", 5)
    found = history(run.adapter)
    assert found.best["step"] == 0 and "No step lowered the validation loss, so the adapter is as it was" in printed
    kept, before = (load_file(folder / "adapter_model.safetensors") for folder in (run.adapter, learned))
    assert all(kept[name].equal(weight) for name, weight in before.items())
    printed, _ = run("history", run.adapter)
    assert "No step lowered the validation loss" in printed and " 0  " in printed


def test_the_history_is_drawn_in_characters_that_every_terminal_has(run, monkeypatch, tmp_path):
    run("train", *VALIDATED, "--score-rows", 1)
    found = history(run.adapter)
    for columns in (40, 80, 300):
        monkeypatch.setenv("COLUMNS", str(columns))
        printed, _ = run("history", run.adapter, "--png", tmp_path / "curve.png")
        assert printed.isascii()
        header, *curve = printed.splitlines()[:15]
        assert max(map(len, curve)) == min(columns, WIDEST) - 1
        signs = "".join(curve[:12])
        assert signs.count("X") == 1 and 1 < signs.count("o") < len(found.validations)
        [lowest] = [line for line in printed.splitlines() if "  lowest" in line and "." in line and "X" not in line]
        assert lowest.split()[0] == str(found.best["step"]) and f"{found.best['validation_loss']:.4f}" in lowest
        best = f"The adapter is that of step {found.best['step']}, which has the lowest validation loss\n"
        assert printed.endswith(best) and (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    printed, _ = run("history", run.adapter, "--json")
    assert json.loads(printed) == json.loads((run.adapter / HISTORY_FILE).read_text())


def test_a_falling_loss_is_drawn_falling():
    """Each sign in the row that its loss belongs to, whatever the number of steps."""
    for steps in (1, 2, 30, 5000):
        entries = [{"step": i, "loss": 1 + (steps - i), "learning_rate": 1.0, "tokens": 1} for i in range(1, steps + 1)]
        lines = history_text(TrainResult(entries, 1.0, 1.0, [1.0] * steps)).splitlines()[1:13]
        rows = [line.split("|")[1] for line in lines]
        places = [row.rfind(".") for row in rows if "." in row]
        assert places == sorted(places) and len(places) == min(steps, 12)
        assert steps == 1 or (lines[0].split("|")[0].strip() == f"{steps:.3g}" and rows[0][0] == ".")


def test_an_adapter_without_a_history_is_one_sentence(run, here):
    _, said = run("history", "first", status=2)
    assert (
        said
        == "labkit history: first: there is no history.json. labkit train writes it beside its adapter when it's done\n"
    )


# ---- going on from an adapter


def test_it_goes_on_from_its_own_a_and_b_as_peft_has_them(run, here):
    """The first loss is that of PEFT's model on the same rows; labkit.json says what it came from."""
    peft = pytest.importorskip("peft")
    run("train", "--continue-from", "first", "--steps", 3, "--batch-size", 10)
    theirs = peft.PeftModel.from_pretrained(labkit.load_base(here / "base", device="cpu")[0], here / "first")
    loss, tokenizer = labkit.CompletionLoss(theirs.get_base_model()), make_tiny_tokenizer()
    from labkit.step.batch import collate

    batch = collate([labkit.encode(tokenizer, row, "Be brief.") for row in ROWS], 2)
    with torch.no_grad():
        summed, counted = loss(batch)
    assert history(run.adapter).losses[0] == pytest.approx((summed / counted).item(), rel=1e-5)

    told = about(run.adapter)
    assert told["continued_from"] == {
        "adapter": f"{here.name}/first",
        "sha256": about(here / "first")["sha256"]["adapter_model.safetensors"],
        "task": "rows",
        "data": "rows.jsonl",
    }
    assert told["system"] == "Be brief." and told["recipe"]["lora"]["r"] == 2
    assert str(here) not in (run.adapter / "labkit.json").read_text()
    before, after = (labkit.lora.files.read_config(folder) for folder in (here / "first", run.adapter))
    assert before == after


def test_settings_that_agree_may_be_given(run):
    same = ["--rank", 2, "--alpha", 4, "--targets", "v_proj,q_proj", "--dropout", 0]
    run("train", "--continue-from", "first", "--steps", 1, *same)
    assert about(run.adapter)["continued_from"]["task"] == "rows"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--rank=4", "first was trained with --rank=2, so it can't go on with --rank=4. Leave that option out"),
        ("--alpha=8", "first was trained with --alpha=4, so it can't go on with --alpha=8.0"),
        ("--dropout=0.1", "first was trained with --dropout=0.0, so it can't go on with --dropout=0.1"),
        ("--rslora", "first was trained with --rslora=False, so it can't go on with --rslora"),
        (
            "--targets=q_proj",
            "first adapts other layers than --targets=q_proj says; model.layers.0.self_attn.v_proj is",
        ),
        ("--targets=all-linear", "first adapts other layers than --targets=all-linear says"),
        ("--targets=q_porj,v_proj", "--targets: no layer of this base is called q_porj"),
        ("--base=other", "first/labkit.json: trained on another base: base with fingerprint"),
    ],
)
def test_other_settings_or_another_base_are_refused_in_one_sentence(run, options, why):
    _, said = run("train", "--continue-from", "first", "--steps", 1, *options.split("=", 1), status=2)
    assert said.startswith(f"labkit train: {why}") and said.count("\n") == 1, said
    assert not run.adapter.exists()


def test_a_run_that_went_on_from_another_adapter_is_not_resumed(run, here, monkeypatch, tmp_path):
    def ctrl_c(report):
        if report.step == 2:
            raise KeyboardInterrupt

    arguments = ["train", "--steps", 4, "--checkpoint-every", 1, "--continue-from"]
    with monkeypatch.context() as during:
        during.setattr("labkit.lab.widgets.training_bar", lambda: ctrl_c)
        run(*arguments, "first", status=130)
    other = shutil.copytree(here / "first", tmp_path / "second")
    model, _ = labkit.load_base(here / "base", device="cpu")
    labkit.load_adapter(model, other)
    next(layer for _, layer in labkit.lora_layers(model)).lora_B.weight.data.fill_(0.5)
    labkit.save_adapter(model, other, {"system": "Be brief."})
    _, said = run(*arguments, other, "--resume", status=2)
    assert "made by another run (not the same: began_from)" in said
    run(*arguments, "first", "--resume")
    assert len(history(run.adapter).history) == 4
