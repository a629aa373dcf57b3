"""The stored studies of notebook 09: they hold what the notebook reads out of them, and their scripts still measure."""

import json

import pytest
import torch
from conftest import make_tiny_llama
from torch import nn

import labkit
from benchmarks import merge_latency
from labkit.lora.inject import lora_layers
from studies import merge_routes
from studies.results import RESULTS


def study() -> dict:
    return json.loads((RESULTS / "merge_routes.json").read_text())


# ---- ways to bring an adapter and its base together


def test_every_way_was_measured_on_enough_rows():
    assert [(each["trained on"], each["way"]) for each in study()["ways"]] == list(merge_routes.WAYS)
    assert all(each["rows"] >= 128 for each in study()["ways"])


def test_what_is_stored_as_wrong_is_wrong_and_counts():
    task = labkit.load_task("tickets")
    rows = task.rows("test")
    for each in study()["ways"]:
        assert not any(task.score(wrong["answer"], rows[wrong["row"]])["exact"] for wrong in each["wrong"])
        assert each["scores"]["exact"]["mean"] == pytest.approx(1 - len(each["wrong"]) / each["rows"])


def test_kept_apart_is_what_the_others_are_compared_with():
    for each in study()["ways"]:
        if each["way"] == "kept apart":
            assert each["weight error"] == each["logit error"] == 0


def test_errors_are_those_of_a_tiny_model():
    """The measure itself, where the answer is known: doubled updates are off by one update, silenced ones as well."""
    model = labkit.inject_lora(make_tiny_llama(), labkit.LoraConfig(target_modules="all-linear"))
    for _, layer in lora_layers(model):
        nn.init.normal_(layer.lora_B.weight)
    names = [name for name, _ in lora_layers(model)]
    deltas = {name: layer.delta_weight() for name, layer in lora_layers(model)}
    whole = merge_routes.whole_weights(model, names)
    assert merge_routes.relative(whole, whole, whole) == 0
    plain = make_tiny_llama()
    assert merge_routes.relative(merge_routes.whole_weights(plain, names), whole, deltas) == pytest.approx(1, rel=1e-5)
    for name in names:
        plain.get_submodule(name).weight.data += 2 * deltas[name]
    assert merge_routes.relative(merge_routes.whole_weights(plain, names), whole, deltas) == pytest.approx(1, rel=1e-5)
    merged = merge_routes.whole_weights(labkit.merge_and_unload(model), names)
    assert merge_routes.relative(merged, whole, whole) < 1e-6
    assert merge_routes.bytes_of(model) == sum(p.nbytes for p in make_tiny_llama().parameters()) + sum(
        b.nbytes for b in make_tiny_llama().buffers()
    )


# ---- latency


def test_the_models_that_are_timed_answer_alike(monkeypatch):
    monkeypatch.setattr(merge_latency.labkit, "load_base", lambda **_: (make_tiny_llama(), None))
    models, ids = merge_latency.candidates(), torch.tensor([[5]])
    answers = {name: merge_latency.writes(model, ids) for name, model in models.items()}
    for name in (merge_latency.MERGED, merge_latency.PEFT_APART, merge_latency.PEFT_MERGED):
        torch.testing.assert_close(answers[name], answers[merge_latency.APART], atol=1e-5, rtol=0)
    assert (answers["base"] - answers[merge_latency.APART]).abs().max() > 1e-4
    read = torch.arange(12).view(2, 6)
    assert merge_latency.reads(models["base"], read).shape == (2, 1, models["base"].config.vocab_size)


def test_the_stored_times_are_of_models_that_answered_alike():
    bench = json.loads((RESULTS / "merge_latency.json").read_text())
    for kind in ("writing", "reading"):
        assert max(bench["largest difference of logits"][kind].values()) < 1e-3
        merged, apart = (bench["times the base"][kind][f"labkit, {how}"] for how in ("merged", "kept apart"))
        assert merged == pytest.approx(1, abs=0.2) and apart > merged
