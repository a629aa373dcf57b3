"""The stored studies of notebook 08: they hold what the notebook reads out of them, and their scripts still measure."""

import json
from itertools import product

import pytest
import torch
from conftest import make_tiny_llama

import labkit
from benchmarks import qlora_step
from studies import qlora_vs_lora
from studies.results import RESULTS


def stored(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text())


# ---- QLoRA against LoRA


def test_both_methods_ran_with_every_seed_on_every_test_row():
    runs = stored("qlora_vs_lora")["runs"]
    assert len(qlora_vs_lora.SEEDS) >= 3
    assert sorted((run["method"], run["seed"]) for run in runs) == sorted(
        product(qlora_vs_lora.METHODS, qlora_vs_lora.SEEDS)
    )
    assert {run["test_rows"] for run in runs} == {len(labkit.load_task("tickets").rows("test"))} == {256}
    assert all(len(run["losses"]) == 50 and run["trainable"] == 2_442_240 for run in runs)


def test_what_is_stored_as_wrong_is_wrong_and_counts():
    task = labkit.load_task("tickets")
    rows = task.rows("test")
    for run in stored("qlora_vs_lora")["runs"]:
        assert not any(task.score(wrong["answer"], rows[wrong["row"]])["exact"] for wrong in run["wrong"])
        share = 1 - len(run["wrong"]) / run["test_rows"]
        assert run["scores"]["exact"]["mean"] == pytest.approx(share)


def test_the_interval_holds_the_mean():
    mean, low, high = qlora_vs_lora.interval(stored("qlora_vs_lora")["runs"])
    assert low < mean < high


def test_the_interval_is_at_most_six_points_wide():
    _, low, high = qlora_vs_lora.interval(stored("qlora_vs_lora")["runs"])
    assert high - low <= 0.06


def test_the_interval_finds_a_difference_that_is_there():
    def runs(lora_wrong, qlora_wrong):
        methods = {"lora": lora_wrong, "qlora": qlora_wrong}
        return [
            {"method": method, "seed": seed, "test_rows": 200, "wrong": [{"row": row} for row in range(wrong)]}
            for method, wrong in methods.items()
            for seed in range(3)
        ]

    mean, low, high = qlora_vs_lora.interval(runs(0, 20))
    # one drawn difference in ten is −1, whatever the seed: the binomial's own interval is the oracle
    spread = 1.96 * (0.1 * 0.9 / 200) ** 0.5
    assert mean == pytest.approx(-0.1) and (low, high) == pytest.approx((-0.1 - spread, -0.1 + spread), abs=0.006)
    assert qlora_vs_lora.interval(runs(20, 20)) == (0, 0, 0)


def test_the_formats_are_those_of_the_quantizers():
    """The weight errors, once more, on one matrix of the base."""
    formats = {record["format"]: record for record in stored("qlora_vs_lora")["formats"]}
    weight = labkit.load_base(device="cpu")[0].model.layers[14].mlp.down_proj.weight.detach()
    for name, through in list(qlora_vs_lora.FORMATS.items())[1:]:  # the first is the base as it is
        error = ((through(weight) - weight).norm() / weight.norm()).item()
        assert error == pytest.approx(formats[name]["weight_error"], rel=0.15)
        assert formats[name]["perplexity"] > formats["float32"]["perplexity"]


# ---- a step


def test_the_two_that_were_timed_did_the_same():
    record = stored("qlora_step")
    assert max(record["gradient_error_after_an_evaluation"].values()) < 1e-3
    assert record["largest_difference_of_losses"] < 0.05
    assert record["losses"]["labkit"][-1] < record["losses"]["labkit"][0] / 3


def test_peft_on_guarded_layers_has_the_gradients_of_labkit():
    pytest.importorskip("bitsandbytes")
    changes = {"hidden_size": 64, "intermediate_size": 128}
    models = [labkit.quantize_model(make_tiny_llama(**changes), name) for name in ("labkit", "bitsandbytes")]
    ours, theirs = qlora_step.with_labkit(models[0]), qlora_step.with_peft(models[1])
    qlora_step.same_start(ours, theirs)
    ids = torch.arange(24).view(2, 12) + 3
    batch = qlora_step.Batch(ids, ids.masked_fill(torch.arange(12) < 6, -100))
    for contender in (ours, theirs):
        qlora_step.evaluate(contender, batch)
    assert qlora_step.gradient_error(theirs, ours.gradients(batch), batch) < 1e-5
    theirs.trained[0].data += 0.1
    assert qlora_step.gradient_error(theirs, ours.gradients(batch), batch) > 1e-4


# ---- bitsandbytes as it comes, and guarded


def test_the_recorded_trap_is_one_and_guarded_there_is_none():
    spoilt = {(run["bitsandbytes"], run["evaluated before"]): run for run in stored("bitsandbytes_trap")["runs"]}
    norms = {key: run["embedding_gradient_norm"] for key, run in spoilt.items()}
    assert norms["as it comes", True] < 0.05 * norms["as it comes", False]
    assert norms["guarded", True] == pytest.approx(norms["as it comes", False], rel=1e-5)
    assert spoilt["as it comes", True]["merge_error"] > 0.5 > 0.01 > spoilt["guarded", True]["merge_error"]
