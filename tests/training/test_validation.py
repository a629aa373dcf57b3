"""Validation looks and changes nothing; the best weights are kept, also through a kill."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import training_run
from conftest import make_tiny_llama, sampled
from safetensors.torch import load_file
from training_run import ROWS, TASK, VALIDATED, VALIDATION, make_model, weights_of

from labkit import ConfigError, DataError, LoraConfig, TrainConfig, TrainingError, encode, inject_lora, quantize_model
from labkit import train as labkit_train
from labkit.quant.bnb import find_bitsandbytes

pytestmark = pytest.mark.usefixtures("one_thread")

RUN = Path(training_run.__file__)
HERE = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
PLAIN = TrainConfig(steps=12, batch_size=4, learning_rate=0.1)
LOOKING = replace(PLAIN, validate_every=3, score_rows=2)


@pytest.fixture
def run(tiny_tokenizer):
    def run(config=LOOKING, model=None, **options):
        model = model or make_model()
        given = {"rows": ROWS, "validation": VALIDATION} | options
        return labkit_train(model, tiny_tokenizer, TASK, config, **given), model

    return run


def same_bits(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def told(result) -> list:
    """The validation losses after steps, without that before the first."""
    return [entry["validation_loss"] for entry in result.validations if entry["step"]]


# ---- what is measured


def test_the_loss_is_the_mean_over_all_labelled_tokens_as_transformers_counts_it(run, tiny_tokenizer):
    """Rows one by one, full logits, and a mean over tokens: an average of averages would differ."""
    seen, model = [], make_model()
    result, _ = run(model=model, on_step=lambda _: seen.append(weights_of(model)))
    other = make_model().eval()
    for name, weight in seen[2].items():
        other.get_parameter(name).data.copy_(weight)
    summed, counted = 0.0, 0
    for row in VALIDATION:
        example = encode(tiny_tokenizer, row, TASK.system)
        ids = torch.tensor([example.input_ids])
        logits = other(input_ids=ids).logits[0, example.prompt_length - 1 : -1]
        summed += F.cross_entropy(logits, ids[0, example.prompt_length :], reduction="sum").item()
        counted += len(logits)
    assert told(result)[0] == pytest.approx(summed / counted, rel=1e-5)
    assert [entry["step"] for entry in result.validations] == [0, 3, 6, 9, 12]
    assert all(0 <= entry["validation_scores"]["exact"] <= 1 for entry in result.validations)


def test_it_happens_ten_times_and_at_the_end_if_nothing_is_said(run):
    config = replace(PLAIN, steps=25)
    assert [entry["step"] for entry in run(config)[0].validations] == [0, 3, 6, 9, 12, 15, 18, 21, 24, 25]
    assert [entry["step"] for entry in run(replace(config, steps=2))[0].validations] == [0, 1, 2]
    without, _ = run(PLAIN, validation=None)
    assert without.validations == [] and without.before is None


KINDS = ["dense", "dense, many scored", "share_prefix", "gradient_checkpointing", "nf4", "bitsandbytes"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_are_the_same_to_the_bit_with_validation_and_without(run, kind):
    """bitsandbytes repacks a weight in eval mode without gradients, on some CPUs, and would train wrongly after it.
    While many rows are scored, the adapter is merged."""
    if kind == "bitsandbytes" and find_bitsandbytes() is None:
        pytest.skip("bitsandbytes is not installed, or does not run here")

    def made():
        if kind in ("dense", "dense, many scored", "gradient_checkpointing"):
            return make_model()
        model = make_tiny_llama(max_position_embeddings=256, hidden_size=64, intermediate_size=64)
        if kind != "share_prefix":
            quantize_model(model, backend="labkit" if kind == "nf4" else kind)
        torch.manual_seed(1)
        return inject_lora(model, LoraConfig(r=4, target_modules="all-linear"))

    more = {kind: True} if kind in ("share_prefix", "gradient_checkpointing") else {}
    more |= {"steps": 5}
    without, plain = run(replace(PLAIN, **more), made(), validation=None)
    seen = []
    model = made()
    many = kind.endswith("many scored")
    config = replace(LOOKING, validate_every=2, score_rows=20 if many else 2, **more)
    rows = VALIDATION * 4 if many else VALIDATION
    looked, _ = run(config, model, validation=rows, on_step=lambda _: seen.append(weights_of(model)))
    assert looked.losses == without.losses
    assert same_bits(seen[-1], weights_of(plain))


def test_what_the_program_sees_is_as_before(run):
    model = make_model().eval()
    state, modes = torch.get_rng_state(), []
    run(model=model, on_step=lambda report: modes.append(model.training))
    assert state.equal(torch.get_rng_state()) and modes == [True] * 12 and not model.training
    assert all(p.grad is None for p in model.parameters())


# ---- the best


def test_the_model_ends_with_the_weights_of_the_lowest_loss(run):
    kept, model = {}, make_model()
    config = replace(LOOKING, steps=15)
    result, _ = run(config, model, on_step=lambda report: kept.update({report.step: weights_of(model)}))
    losses = told(result)
    assert min(losses) < losses[-1], "this run is one that gets worse"
    assert result.best["validation_loss"] == min(losses)
    assert same_bits(weights_of(model), kept[result.best["step"]])
    assert not same_bits(weights_of(model), kept[15])


def test_a_training_that_only_does_harm_gives_back_what_it_began_with(run, tmp_path):
    """Before the first step, the model is measured as it came. Here it has learned the validation rows already."""
    _, model = run(replace(PLAIN, steps=40, learning_rate=0.03), validation=None, rows=VALIDATION)
    start = weights_of(model)
    [learned] = {run(replace(PLAIN, steps=1, learning_rate=0.0), model)[0].before["validation_loss"]}
    config = replace(LOOKING, learning_rate=1.0, patience=2, checkpoint_every=1)
    with pytest.raises(InterruptedError):
        run(config, model, output_dir=tmp_path, on_step=stop_at(4))
    assert not same_bits(weights_of(model), start)
    result, _ = run(config, model, output_dir=tmp_path, resume=True)
    assert result.best is result.before and result.before["validation_loss"] == learned < min(told(result))
    assert result.before["step"] == 0 and "exact" in result.before["validation_scores"]
    assert same_bits(weights_of(model), start) and result.stopped_early and len(result.history) == 6


@pytest.mark.parametrize("patience", [1, 3, 100])
def test_patience_ends_a_run_where_counting_by_hand_does(run, patience):
    config = replace(LOOKING, steps=14, validate_every=1, score_rows=0)
    whole, _ = run(config)
    lowest, waited, end = whole.before["validation_loss"], 0, 14
    for step, loss in enumerate(told(whole), start=1):
        lowest, waited = (loss, 0) if loss < lowest else (lowest, waited + 1)
        if waited == patience:
            end = step
            break
    reports = []
    stopped, _ = run(replace(config, patience=patience), on_step=reports.append)
    assert stopped.history == whole.history[:end]
    assert stopped.stopped_early == (end < 14) and (end < 14 or patience == 100)
    assert reports[-1].step == reports[-1].steps == end, "so that a progress bar comes to its end"


# ---- resuming


def stop_at(step: int):
    def on_step(report):
        if report.step == step:
            raise InterruptedError

    return on_step


SAVED = replace(LOOKING, steps=20, validate_every=3, checkpoint_every=2, patience=3)


@pytest.mark.parametrize("step", [1, 3, 6, 7, 9, 12, 14])
def test_a_resumed_run_has_the_same_best_and_history_and_ends_in_the_same_bits(run, tmp_path, step):
    """Before the first validation, between one and the next checkpoint, at the best, and when it has given up."""
    whole, model = run(replace(SAVED, checkpoint_every=None))
    assert whole.stopped_early and (whole.best["step"], len(whole.history)) == (6, 15)
    with pytest.raises(InterruptedError):
        run(SAVED, output_dir=tmp_path, on_step=stop_at(min(step, len(whole.history))))
    resumed, again = run(SAVED, output_dir=tmp_path, resume=True)
    assert resumed.history == whole.history and resumed.best == whole.best and resumed.stopped_early
    assert same_bits(weights_of(model), weights_of(again))
    assert len(resumed.clock) == len(resumed.history) and resumed.clock == sorted(resumed.clock)


def test_a_run_that_was_stopped_early_is_not_gone_on_with(run, tmp_path):
    config = replace(SAVED, checkpoint_every=1)
    whole, model = run(config, output_dir=tmp_path)
    steps = []
    again, other = run(config, output_dir=tmp_path, resume=True, on_step=steps.append)
    assert whole.stopped_early and again.stopped_early and steps == [] and again.history == whole.history
    assert same_bits(weights_of(model), weights_of(other))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"validation": VALIDATION[:-1]}, "validation"),
        ({"validation": None, "config": replace(SAVED, validate_every=None, score_rows=0, patience=None)}, "patience"),
        ({"config": replace(SAVED, patience=4)}, "patience"),
    ],
)
def test_another_validation_is_another_run(run, tmp_path, change, what):
    with pytest.raises(InterruptedError):
        run(SAVED, output_dir=tmp_path, on_step=stop_at(5))
    with pytest.raises(TrainingError, match=rf"made by another run \(not the same: {what}"):
        run(**{"config": SAVED, "output_dir": tmp_path, "resume": True} | change)


@pytest.mark.parametrize("damage", ["truncated", "gone", "other"])
def test_damaged_best_weights_are_refused(run, tmp_path, damage):
    with pytest.raises(InterruptedError):
        run(SAVED, output_dir=tmp_path, on_step=stop_at(5))
    file = tmp_path / "checkpoint-000004" / "best.safetensors"
    if damage == "gone":
        file.unlink()
    else:
        content = (file.with_name("optimizer.safetensors") if damage == "other" else file).read_bytes()
        file.write_bytes(content if damage == "other" else content[: len(content) // 2])
    model = make_model()
    before = weights_of(model)
    with pytest.raises(TrainingError, match="checkpoint-000004: the checkpoint is damaged"):
        run(SAVED, model, output_dir=tmp_path, resume=True)
    assert same_bits(weights_of(model), before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("seed", sampled(range(20), pytest.mark.slow))
def test_killed_at_any_moment_it_resumes_to_the_same_best(run, tmp_path, seed):
    """Killed with SIGKILL at least four times, in the middle of a checkpoint's files and at random."""
    done = subprocess.run(
        [sys.executable, RUN, "kill", tmp_path, str(seed), "validated"],
        env=HERE, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exit"] == 0 and json.loads(done.stdout)["kills"] >= 4
    whole, model = run(VALIDATED, output_dir=tmp_path / "uninterrupted")
    assert json.loads((tmp_path / "history.json").read_text()) == whole.history
    assert min(told(whole)) < told(whole)[-1]
    assert sorted(os.listdir(tmp_path / "checkpoints")) == sorted(os.listdir(tmp_path / "uninterrupted"))
    assert same_bits(load_file(tmp_path / "weights.safetensors"), weights_of(model))


# ---- refusals


def test_what_cannot_be_validated_is_refused(run):
    for setting in ({"validate_every": 5}, {"score_rows": 3}, {"patience": 2}):
        [(name, value)] = setting.items()
        with pytest.raises(ConfigError, match=f"^{name}={value} needs rows to validate on: give validation=…"):
            run(replace(PLAIN, **setting), validation=None)
    with pytest.raises(ConfigError, match="nothing to validate on"):
        run(validation=[])
    with pytest.raises(ConfigError, match="adding has no split 'validtion'"):
        run(validation="validtion")
    with pytest.raises(DataError, match='row 2: the field "completion" is missing'):
        run(validation=[VALIDATION[0], {"prompt": "a"}])
    with pytest.raises(DataError, match="validation row 2: the row has .* context ends at 256"):
        run(validation=[VALIDATION[0], {"prompt": "a" * 300, "completion": "b"}])


def test_a_validation_loss_that_is_no_number_stops_the_run(run):
    model = make_model()

    def spoil_validation(*_):
        if not model.training:
            model.model.norm.weight.data.fill_(math.nan)

    def spoil(report):
        if report.step == 1:  # before that, train looks whether the model is causal
            model.register_forward_pre_hook(spoil_validation)

    with pytest.raises(TrainingError, match="step 3: the validation loss is nan"):
        run(model=model, on_step=spoil)
    assert not model.training
