import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import training_run
from conftest import make_tiny_llama
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from training_run import KILLED, ROWS, TASK, make_model, several, weights_of
from transformers import get_cosine_schedule_with_warmup

from labkit import (
    CompletionLoss,
    ConfigError,
    DataError,
    LoraConfig,
    TrainConfig,
    TrainingError,
    encode,
    inject_lora,
    train,
)
from labkit.lora.merging import merge
from labkit.step.batch import collate
from labkit.training.schedule import learning_rate_at, rows_at

CONFIG = TrainConfig(steps=10, batch_size=4, learning_rate=1e-2)
RUN = Path(training_run.__file__)
HERE = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(tiny_tokenizer):
    def run(config=CONFIG, model=None, **options):
        model = model or make_model()
        return train(model, tiny_tokenizer, TASK, config, **{"rows": ROWS, **options}), model

    return run


def same_bits(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


# ---- schedule and order


@pytest.mark.parametrize(("steps", "share"), [(30, 0.1), (10, 0.0), (7, 0.5), (1, 0.1), (5, 1.0)])
def test_schedule_is_warm_up_and_half_a_cosine(steps, share):
    """transformers begins its warm-up at zero, a wasted step; ours is theirs one step further on."""
    config = TrainConfig(steps=steps, learning_rate=3e-3, warmup_share=share)
    warmup = math.ceil(share * steps)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=3e-3)
    (theirs,) = get_cosine_schedule_with_warmup(optimizer, warmup, steps).lr_lambdas
    for step in range(steps):
        wanted = 3e-3 * theirs(step + 1 if step < warmup else step)
        assert learning_rate_at(step, config) == pytest.approx(wanted, rel=1e-12)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5), st.integers(1, 4))
def test_every_row_once_each_time_round(count, batch_size, seed, epochs):
    config = TrainConfig(batch_size=batch_size, seed=seed)
    steps = range(math.ceil(epochs * count / batch_size))
    seen = [row for step in steps for row in rows_at(step, count, config)]
    for epoch in range(epochs):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))
    # a function of the step's number alone
    assert seen[-batch_size:] == rows_at(steps[-1], count, config)


def test_the_order_is_that_of_one_permutation_per_round_drawn_once(monkeypatch):
    """Of 1,000,000 rows a step drew as many permutations as it has rows, 10 ms each."""
    draw, drawn = torch.randperm, []
    monkeypatch.setattr(torch, "randperm", lambda count, **how: drawn.append(count) or draw(count, **how))
    for count, batch_size, steps in [(1_000_000, 8, 50), (7, 3, 9), (2, 7, 3), (1, 4, 2)]:
        config = TrainConfig(batch_size=batch_size, seed=count + 5)
        rounds = range(math.ceil(steps * batch_size / count))
        orders = [draw(count, generator=torch.Generator().manual_seed(config.seed + i)).tolist() for i in rounds]
        wanted = [row for order in orders for row in order][: steps * batch_size]
        assert sum((rows_at(step, count, config) for step in range(steps)), []) == wanted
    assert drawn.count(1_000_000) == 1 and drawn.count(7) == 4


def test_each_round_and_each_seed_has_its_own_order():
    config = TrainConfig(batch_size=20)
    orders = [rows_at(0, 20, config), rows_at(1, 20, config), rows_at(0, 20, replace(config, seed=7))]
    assert len(set(map(tuple, orders))) == 3


# ---- the loop against torch, and against itself


def test_ten_steps_equal_a_loop_written_by_hand(run, tiny_tokenizer):
    """Full logits, attention mask, torch's own mean: nothing of labkit's loop or step."""
    config = TrainConfig(steps=10, batch_size=4, learning_rate=1e-2, weight_decay=0.1, max_grad_norm=0.05)
    result, model = run(config, make_model(dropout=0))

    byhand = make_model(dropout=0).train()
    parameters = [p for p in byhand.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.1)
    examples = [encode(tiny_tokenizer, row, TASK.system) for row in ROWS]
    losses = []
    for step in range(10):
        chosen = [examples[i] for i in rows_at(step, len(ROWS), config)]
        batch = collate(chosen, tiny_tokenizer.pad_token_id)
        positions = torch.arange(batch.input_ids.shape[1])
        mask = (positions < torch.tensor([[len(example.input_ids)] for example in chosen])).long()
        logits = byhand(input_ids=batch.input_ids, attention_mask=mask).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 0.05)
        assert norm > 0.05  # clipping is at work
        optimizer.param_groups[0]["lr"] = 1e-2 if step == 0 else 1e-2 * 0.5 * (1 + math.cos(math.pi * (step - 1) / 9))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert result.losses == pytest.approx(losses, rel=1e-6)
    for name, p in weights_of(model).items():
        torch.testing.assert_close(p, byhand.get_parameter(name), atol=1e-6, rtol=1e-6)
    assert not same_bits(weights_of(model), weights_of(make_model()))


def test_gradient_accumulation_equals_the_whole_batch(run):
    """Parts with unequal numbers of labels: an average of averages would differ."""
    rows = [{"prompt": "Hi", "completion": "a" * (1 + 7 * (i % 3))} for i in range(8)]
    config = TrainConfig(steps=4, batch_size=8, learning_rate=1e-2)
    whole, model = run(config, make_model(dropout=0), rows=rows)
    for parts in (2, 4, 8):
        split, other = run(replace(config, gradient_accumulation=parts), make_model(dropout=0), rows=rows)
        assert split.losses == pytest.approx(whole.losses, rel=1e-6)
        for name, p in weights_of(other).items():
            # Adam divides by the gradient's own size, so the smallest gradients' rounding shows
            torch.testing.assert_close(p, model.get_parameter(name), atol=1e-5, rtol=0)


def test_the_same_seed_gives_the_same_bits_also_with_dropout(run):
    first, model = run()
    torch.rand(17)  # what the rest of the program draws must not matter
    second, again = run()
    other, another = run(replace(CONFIG, seed=1))
    assert first.losses == second.losses != other.losses
    assert same_bits(weights_of(model), weights_of(again))
    assert not same_bits(weights_of(model), weights_of(another))
    assert run(model=make_model(dropout=0))[0].losses != first.losses  # dropout is at work


def test_full_fine_tuning_learns(run):
    model = make_tiny_llama(max_position_embeddings=256)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    result, _ = run(replace(CONFIG, steps=30), model)
    assert result.losses[-1] < 0.7 * result.losses[0]
    assert not any(p.equal(before[name]) for name, p in model.named_parameters())


def test_only_what_is_trainable_changes_and_nothing_else_is_left_behind(run):
    model = make_model()
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    random_state = torch.get_rng_state(), random.getstate()
    run(model=model)
    assert random_state[0].equal(torch.get_rng_state()) and random_state[1] == random.getstate()
    assert frozen and all(model.get_parameter(name).equal(p) for name, p in frozen.items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored_also_after_an_error(run, training):
    model = make_model().train(training)
    modes = []
    run(model=model, on_step=lambda report: modes.append(model.training))
    assert model.training is training and modes == [True] * CONFIG.steps
    with pytest.raises(InterruptedError):
        run(model=model, on_step=stop_at(2))
    assert model.training is training


def test_history_and_reports_agree(run, tiny_tokenizer):
    reports = []
    result, _ = run(on_step=reports.append)
    assert [(entry["step"], entry["loss"], entry["learning_rate"]) for entry in result.history] == [
        (report.step, report.loss, report.learning_rate) for report in reports
    ]
    assert [report.step for report in reports] == list(range(1, CONFIG.steps + 1))
    assert {report.steps for report in reports} == {CONFIG.steps}
    lengths = [len(encode(tiny_tokenizer, row, TASK.system).input_ids) for row in ROWS]
    tokens = [sum(lengths[i] for i in rows_at(step, len(ROWS), CONFIG)) for step in range(CONFIG.steps)]
    assert [entry["tokens"] for entry in result.history] == tokens and reports[-1].tokens == sum(tokens)
    assert reports[-1].seconds_left == 0 < reports[0].seconds_left
    assert reports[-1].tokens_per_second == pytest.approx(sum(tokens) / reports[-1].seconds)


# ---- checkpoints


def stop_at(step: int):
    def on_step(report):
        if report.step == step:
            raise InterruptedError

    return on_step


SAVED = replace(CONFIG, checkpoint_every=2)


@pytest.fixture
def interrupted(run, tmp_path):
    """A folder with the checkpoint of step 4, of a run that stopped at step 5."""
    with pytest.raises(InterruptedError):
        run(SAVED, output_dir=tmp_path, on_step=stop_at(5))
    assert os.listdir(tmp_path) == ["checkpoint-000004"]
    return tmp_path


def test_a_resumed_run_ends_in_the_bits_of_an_uninterrupted_one(run, interrupted):
    resumed, model = run(SAVED, output_dir=interrupted, resume=True)
    whole, uninterrupted = run(SAVED, output_dir=interrupted / "other", resume=True)
    assert resumed.history == whole.history
    assert same_bits(weights_of(model), weights_of(uninterrupted))
    assert sorted(os.listdir(interrupted / "other")) == ["checkpoint-000010"]


# what a checkpoint said before there were validation, conversations, a dtype of the base, and share_prefix="auto"
SAID = "steps batch_size learning_rate warmup_share weight_decay max_grad_norm gradient_accumulation seed".split()
SAID += "checkpoint_every optimizer gradient_checkpointing share_prefix data base lora quantization autocast".split()


def as_an_older_labkit_wrote_it(folder: Path) -> None:
    file = folder / "checkpoint-000004" / "run.json"
    written = json.loads(file.read_text())
    recipe = {name: written["recipe"][name] for name in SAID}
    file.write_text(json.dumps({"step": written["step"], "recipe": recipe, "history": written["history"]}))


def test_a_checkpoint_of_an_older_labkit_goes_on_with_what_was_usual_then(run, interrupted):
    as_an_older_labkit_wrote_it(interrupted)
    resumed, model = run(SAVED, output_dir=interrupted, resume=True)
    whole, uninterrupted = run(SAVED, output_dir=interrupted / "other")
    assert resumed.history == whole.history
    assert same_bits(weights_of(model), weights_of(uninterrupted))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"turns": "last"}, "turns"),
        ({"patience": 2, "score_rows": 1}, "patience, score_rows, validation"),
    ],
)
def test_a_checkpoint_of_an_older_labkit_is_no_other_runs(run, interrupted, more, what):
    as_an_older_labkit_wrote_it(interrupted)
    looking = {"validation": ROWS} if "patience" in more else {}
    with pytest.raises(TrainingError, match=rf"not the same: {what}\)"):
        run(replace(SAVED, **more), output_dir=interrupted, resume=True, **looking)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit"])
def test_a_parameter_that_no_step_has_reached_yet_is_no_damage(run, tmp_path, optimizer):
    """An expert that no token was sent to, until step 5; one that never has a gradient; and one that always has."""
    if optimizer != "adamw":
        pytest.importorskip("bitsandbytes")

    def model_with_idle_parts():
        model = make_model()
        model.never = torch.nn.Parameter(torch.ones(64, 64))
        model.late = torch.nn.Parameter(torch.ones(64, 64))
        calls, forward = iter(range(100)), model.forward

        def forward_with_late(**given):
            # before the first step, `train` looks once whether the model is causal
            reached = next(calls) > first + 1
            return add_late(forward(**given), model.late if reached else None)

        model.forward = forward_with_late
        return model

    def add_late(output, late):
        if late is not None:
            output.logits = output.logits + 1e-3 * late.square().sum() * output.logits
        return output

    config = replace(SAVED, optimizer=optimizer, share_prefix=False)  # "auto" would look at the model, too
    first = 4
    whole, model = run(config, model_with_idle_parts(), output_dir=tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(config, model_with_idle_parts(), output_dir=tmp_path / "cut", on_step=stop_at(5))
    first = 0
    resumed, again = run(config, model_with_idle_parts(), output_dir=tmp_path / "cut", resume=True)
    assert resumed.history == whole.history and same_bits(weights_of(model), weights_of(again))
    assert model.never.eq(1).all() and not model.late.eq(1).any()


def test_resuming_a_finished_run_trains_no_further(run, tmp_path):
    whole, model = run(SAVED, output_dir=tmp_path)
    steps = []
    again, other = run(SAVED, output_dir=tmp_path, resume=True, on_step=steps.append)
    assert steps == [] and again.history == whole.history
    assert same_bits(weights_of(model), weights_of(other))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.long  # among the units: a run that validates, which writes all that this one does
@pytest.mark.parametrize("seed", range(40))
def test_killed_at_any_moment_it_resumes_to_the_same_bits(run, tmp_path, seed):
    """Four times in the middle of a checkpoint's files, eight times at random; a checkpoint after each step."""
    done = subprocess.run(
        [sys.executable, RUN, "kill", tmp_path, str(seed)], env=HERE, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["exit"] == 0 and told["kills"] >= 4
    whole, model = run(KILLED, output_dir=tmp_path / "uninterrupted")
    assert json.loads((tmp_path / "losses.json").read_text()) == whole.losses
    assert same_bits(load_file(tmp_path / "weights.safetensors"), weights_of(model))
    assert os.listdir(tmp_path / "checkpoints") == ["checkpoint-000025"]  # and no half-written ones


def test_resuming_a_run_killed_before_it_could_remove_the_older_checkpoint_removes_it(run, tmp_path):
    run(SAVED, output_dir=tmp_path)
    shutil.copytree(tmp_path / "checkpoint-000010", tmp_path / "checkpoint-000008")
    run(SAVED, output_dir=tmp_path, resume=True)
    assert os.listdir(tmp_path) == ["checkpoint-000010"]


def test_other_folders_are_not_taken_for_checkpoints(run, interrupted):
    (interrupted / ".checkpoint-000008.0badcafe.tmp").mkdir()
    (interrupted / "checkpoint-old").mkdir()
    seen = []
    run(SAVED, output_dir=interrupted, resume=True, on_step=lambda report: seen.append(report.step))
    assert seen == [5, 6, 7, 8, 9, 10]
    assert sorted(os.listdir(interrupted)) == ["checkpoint-000010", "checkpoint-old"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"config": replace(SAVED, learning_rate=1e-3)}, "learning_rate"),
        ({"config": replace(SAVED, seed=1, steps=11)}, "seed, steps"),
        ({"rows": ROWS[:-1]}, "data"),
        ({"lora": LoraConfig(r=4, lora_dropout=0.1, lora_alpha=16, target_modules="all-linear")}, "lora"),
        ({"lora": LoraConfig(r=2, lora_dropout=0.1, target_modules="all-linear")}, "lora"),
    ],
)
def test_another_runs_checkpoint_is_refused(run, interrupted, change, what):
    model = inject_lora(make_tiny_llama(max_position_embeddings=256), change.pop("lora")) if "lora" in change else None
    model = model or make_model()
    before = weights_of(model)
    with pytest.raises(TrainingError, match=rf"checkpoint-000004: made by another run \(not the same: {what}\)"):
        run(change.pop("config", SAVED), model, output_dir=interrupted, resume=True, **change)
    assert same_bits(weights_of(model), before)


def test_a_checkpoint_of_other_shapes_is_refused(run, interrupted):
    """r = 1 would broadcast into r = 4 without a word."""
    model = make_model()
    layer = model.model.layers[0].mlp.up_proj
    layer.lora_A.weight, layer.lora_B.weight = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((1, 32), (48, 1)))
    with pytest.raises(TrainingError, match="not the same: the trained parameters"):
        run(SAVED, model, output_dir=interrupted, resume=True)


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "run.json"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "gone", "another"])
def test_a_damaged_checkpoint_is_refused(run, interrupted, file, damage):
    path = interrupted / "checkpoint-000004" / file
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "another":
        (path.write_text("[1]") if file == "run.json" else shutil.copy(path.with_name("run.json"), path))
    else:
        path.write_bytes(content[: len(content) // 2 if damage == "truncated" else 0])
    model = make_model()
    before = weights_of(model)
    with pytest.raises(
        TrainingError, match="checkpoint-000004: the checkpoint is damaged .* Remove it and start again"
    ):
        run(SAVED, model, output_dir=interrupted, resume=True)
    assert same_bits(weights_of(model), before)


def test_an_earlier_runs_checkpoints_are_not_overwritten(run, interrupted):
    with pytest.raises(ConfigError, match="checkpoint-000004 is there from an earlier run: .*resume=True"):
        run(SAVED, output_dir=interrupted)
    assert os.listdir(interrupted) == ["checkpoint-000004"]


# ---- refusals


def test_a_loss_that_is_no_number_stops_before_the_step(run, tmp_path):
    model, kept = make_model(), []

    def spoil(report):
        if report.step == 3:
            kept.append(weights_of(model))
            model.model.norm.weight.data.fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"step 4: the loss is nan .* lower learning rate than 8.\de-03"):
        run(replace(SAVED, checkpoint_every=1), model, output_dir=tmp_path, on_step=spoil)
    assert same_bits(weights_of(model), kept[0])
    assert not model.training and all(p.grad is None for p in model.parameters())
    assert os.listdir(tmp_path) == ["checkpoint-000003"]


def test_a_rate_far_too_high_is_stopped(run):
    with pytest.raises(TrainingError, match=r"step \d+: the loss is"):
        run(replace(CONFIG, learning_rate=1e30))


def test_nothing_to_train_is_refused(run):
    model = make_tiny_llama(max_position_embeddings=256).requires_grad_(False)
    with pytest.raises(ConfigError, match="nothing to train: every parameter is frozen"):
        run(model=model)
    with pytest.raises(ConfigError, match="nothing to train on: there are no rows"):
        run(rows=[])


def test_what_cannot_be_honoured_is_refused(run):
    with pytest.raises(ConfigError, match="batch_size 4 cannot be split into 3 equal parts"):
        run(replace(CONFIG, gradient_accumulation=3))
    for options in ({"config": SAVED}, {"resume": True}):
        with pytest.raises(ConfigError, match="checkpoints need a folder: pass output_dir"):
            run(**options)


def test_a_row_longer_than_the_context_is_refused(run):
    rows = [*ROWS, {"prompt": "a" * 300, "completion": "b", "source": "mine.jsonl:12"}]
    with pytest.raises(DataError, match="mine.jsonl:12: the row has .* the model's context ends at 256"):
        run(rows=rows)


def test_rows_may_be_any_mapping(run):
    """A view of a dict is none, and can't be joined to one."""
    assert run(rows=[MappingProxyType(row) for row in ROWS])[0].losses == run(rows=ROWS)[0].losses


WRONG = {
    "a whole number": {
        "steps": [0, 1_000_001, 3.0, "3", True, float("nan"), 10**5000],
        "epochs": [0, 1_000_001, 1.5, "3", True],
        "validate_every": [0, 2.0, "2"],
        "patience": [0, 2.0, False],
        "score_rows": [-1, 2.0, None],
        "batch_size": [-1, 8.0, "8", [8]],
        "gradient_accumulation": [0, 1.0, False],
        "checkpoint_every": [0, 2.0, "2"],
        "seed": [-1, 2**63, 0.0, "0", None],
    },
    "a finite number of at least 0": {
        "learning_rate": [-1e-3, math.nan, math.inf, "2e-3", True, None, 10**400],
        "weight_decay": [-0.1, math.nan, math.inf, "0"],
    },
    "a number above 0": {"max_grad_norm": [0, -1.0, math.nan, "1", False, None]},
    "a number from 0 to 1": {"warmup_share": [1.5, -0.1, math.nan, "0.1", True]},
    "True or False": {"gradient_checkpointing": ["no", 1, None]},
    'True, False or "auto"': {"share_prefix": [0, "yes", None]},
    "one of adamw": {"optimizer": ["sgd", None, ["adamw"], {}]},
}


@pytest.mark.parametrize(("words", "name"), [(words, name) for words, names in WRONG.items() for name in names])
def test_a_setting_that_makes_no_sense_is_refused_by_its_name_and_value(words, name):
    for value in WRONG[words][name]:
        shown = "one of thousands of digits" if value == 10**5000 else re.escape(repr(value))
        with pytest.raises(ConfigError, match=f"^{name} must be {words}.*, got {shown}$"):
            TrainConfig(**{name: value})
    assert TrainConfig(steps=1_000_000)


def test_numbers_of_other_libraries_become_pythons_own_so_that_a_checkpoint_can_hold_them(run, tmp_path):
    given = {"steps": np.int64(2), "batch_size": torch.tensor(4), "learning_rate": np.float32(0.5), "seed": np.uint8(3)}
    config = TrainConfig(**given, max_grad_norm=math.inf, checkpoint_every=np.int32(2), share_prefix=np.False_)
    assert config == TrainConfig(2, 4, 0.5, max_grad_norm=math.inf, seed=3, checkpoint_every=2, share_prefix=False)
    assert {type(value) for value in vars(config).values()} == {int, float, str, bool, type(None)}
    run(replace(config, learning_rate=1e-3), output_dir=tmp_path)
    assert run(replace(config, learning_rate=1e-3), output_dir=tmp_path, resume=True)[0].losses


def test_an_infinite_norm_leaves_gradients_as_they_are(run):
    free, large = (run(replace(CONFIG, max_grad_norm=norm))[0] for norm in (math.inf, 1e9))
    assert free.losses == large.losses != run(replace(CONFIG, max_grad_norm=1e-3))[0].losses


# ---- other processes


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
    (tmp_path / "one").mkdir()
    several(tmp_path / "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*command, RUN, "several", tmp_path], env=HERE, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for rank in (0, 1):  # a thread of gloo's that outlives Python may abort the process
        assert not [name for name in json.loads((tmp_path / f"threads-{rank}.json").read_text()) if "gloo" in name]
    for parts in (1, 2):
        one = json.loads((tmp_path / f"one/told-{parts}-0.json").read_text())
        weights = load_file(tmp_path / f"one/weights-{parts}-0.safetensors")
        for rank in (0, 1):
            two = json.loads((tmp_path / f"told-{parts}-{rank}.json").read_text())
            assert (one["processes"], two["processes"]) == (1, 2)
            assert two["losses"] == pytest.approx(one["losses"], rel=1e-6)
            assert len(one["validations"]) == 7
            assert two["validations"] == pytest.approx(one["validations"], rel=1e-5)
            assert two["steps"] == (one["steps"] if rank == 0 else [])  # reports come once, not once a process
            for name, p in load_file(tmp_path / f"weights-{parts}-{rank}.safetensors").items():
                torch.testing.assert_close(p, weights[name], atol=1e-5, rtol=0)


# ---- another loss beside that on the rows


def test_an_extra_loss_that_undoes_the_rows_leaves_the_model_as_it_was(run, tiny_tokenizer):
    """The oracle: with minus its own loss, each step's gradient is zero to the bit."""
    config, examples = replace(CONFIG, share_prefix=False), [encode(tiny_tokenizer, row, TASK.system) for row in ROWS]

    def minus(model, step):
        batch = collate([examples[i] for i in rows_at(step, len(ROWS), config)], tiny_tokenizer.pad_token_id)
        summed, counted = CompletionLoss(model)(batch)
        return -summed / counted

    model = make_model(dropout=0)
    before = weights_of(model)
    result, _ = run(config, model, extra_loss=minus)
    assert same_bits(weights_of(model), before)
    assert [each["extra_loss"] for each in result.history] == pytest.approx([-loss for loss in result.losses])
    plain, moved = run(config, make_model(dropout=0))
    assert plain.losses[0] == result.losses[0] and not same_bits(weights_of(moved), before)


def test_a_step_without_an_extra_loss_is_the_step_it_always_was(run):
    plain, model = run()
    asked, same = run(extra_loss=lambda model, step: None)
    assert asked.history == plain.history and same_bits(weights_of(model), weights_of(same))
    squares = lambda model, step: sum(p.square().sum() for p in model.parameters()) if step == 4 else None  # noqa: E731
    once, other = run(extra_loss=squares)
    assert [each["step"] for each in once.history if "extra_loss" in each] == [5]
    assert once.losses[:5] == plain.losses[:5] and not same_bits(weights_of(model), weights_of(other))


def test_a_run_with_an_extra_loss_resumes_to_the_same_bits_and_not_without_it(run, tmp_path):
    extra = {"extra_loss": lambda model, step: step * sum(p.square().sum() for p in model.parameters())}
    with pytest.raises(InterruptedError):
        run(SAVED, output_dir=tmp_path, on_step=stop_at(5), **extra)
    with pytest.raises(TrainingError, match=r"not the same: extra_loss\)"):
        run(SAVED, output_dir=tmp_path, resume=True)
    resumed, model = run(SAVED, output_dir=tmp_path, resume=True, **extra)
    whole, uninterrupted = run(SAVED, output_dir=tmp_path / "other", **extra)
    assert resumed.history == whole.history and same_bits(weights_of(model), weights_of(uninterrupted))


def test_an_extra_loss_is_refused_for_several_processes(run, monkeypatch):
    several_ = type("Several", (), {"num_processes": 2})
    monkeypatch.setattr("labkit.training.loop.make_accelerator", several_)
    with pytest.raises(ConfigError, match="extra_loss would be added up once per process"):
        run(extra_loss=lambda model, step: None)


def test_an_extra_loss_that_is_no_number_stops_before_the_step(run):
    model = make_model()
    before = weights_of(model)
    with pytest.raises(TrainingError, match="step 1: .* the gradient's norm nan"):
        run(model=model, extra_loss=lambda model, _: math.nan * sum(p.sum() for p in model.parameters()))
    assert same_bits(weights_of(model), before)


def test_gradients_left_from_before_are_not_trained_on(run):
    clean, _ = run()
    model = make_model()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)  # frozen ones as well: they would weigh in the norm
    dirty, _ = run(model=model)
    assert dirty.losses == clean.losses


def test_a_merged_adapter_is_not_trained(run):
    with pytest.raises(ConfigError, match="the adapter is merged.*unmerge"):
        run(model=merge(make_model()))
