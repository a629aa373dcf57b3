"""``history.json`` in an adapter's folder: written whole, bounded, read as a stranger's, and in nobody's way."""

import json
import math
from unittest import mock

import pytest
import torch
from conftest import make_tiny_llama
from hypothesis import given
from hypothesis import strategies as st
from training_run import make_model, weights_of

import labkit
from labkit import AdapterBank, AdapterError, load_adapter, save_adapter
from labkit.lora.files import HISTORY_FILE
from labkit.training.history_file import as_file, history
from labkit.training.reports import TrainResult


def made(losses, validations: dict[int, float] | None = None, stopped=False) -> TrainResult:
    entries = [
        {"step": step, "loss": loss, "learning_rate": 1e-3 / step, "tokens": 10 + step % 3}
        for step, loss in enumerate(losses, start=1)
    ]
    for step, loss in (validations or {}).items():
        entries[step - 1] |= {"validation_loss": loss, "validation_scores": {"exact": 1 / step}}
    clock = [0.5 * step for step in range(1, len(losses) + 1)]
    return TrainResult(entries, clock[-1], sum(e["tokens"] for e in entries) / clock[-1], clock, stopped)


RUN = made([3.0, 2.5, 2.25, 2.0], {2: 2.75, 4: 2.8}, stopped=True)
RUN.before = {"step": 0, "validation_loss": 3.5, "validation_scores": {"exact": 0.0}}


def test_what_is_saved_with_an_adapter_comes_back(tmp_path):
    folder = save_adapter(make_model(), tmp_path / "adapter", history=as_file(RUN))
    found = history(folder)
    assert found == RUN and found.best == RUN.history[1] and found.is_out_of(1) and not found.is_out_of(2)
    save_adapter(make_model(), folder)
    with pytest.raises(AdapterError, match="there is no history.json. labkit train writes it"):
        history(folder)


def test_a_folder_with_a_history_is_an_adapter_to_everybody_else(tmp_path):
    """PEFT, load_adapter and a bank: with a history, and with anything else under that name."""
    peft = pytest.importorskip("peft")
    model = make_model()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    folder = save_adapter(model, tmp_path / "adapter", history=as_file(RUN))
    ids = torch.arange(12)[None]
    expected = model(input_ids=ids).logits
    for content in (None, b"", b"{", b"[1]", b"\x00" * 100):
        if content is not None:
            (folder / HISTORY_FILE).write_bytes(content)
        loaded = load_adapter(make_tiny_llama(max_position_embeddings=256), folder)
        assert all(weights_of(model)[name].equal(weight) for name, weight in weights_of(loaded).items())
        bank = AdapterBank(make_tiny_llama(max_position_embeddings=256))
        bank.add("mine", folder)
        theirs = peft.PeftModel.from_pretrained(make_tiny_llama(max_position_embeddings=256), folder)
        torch.testing.assert_close(theirs(input_ids=ids).logits, expected, atol=1e-5, rtol=1e-5)
        if content is not None:
            with pytest.raises(AdapterError, match="history.json"):
                history(folder)
    save_adapter(model, folder)  # and it occupies nothing


MOST = 20


@given(st.integers(1, 4 * MOST), st.data())
def test_of_a_long_run_no_more_is_written_than_the_bound_and_nothing_is_lost_in_sum(count, data):
    steps = data.draw(st.sets(st.integers(1, count), max_size=5))
    validations = {step: data.draw(st.floats(0, 5)) for step in steps}
    run = made([3.0 / step for step in range(1, count + 1)], validations)
    with mock.patch("labkit.training.history_file.MOST", MOST):
        entries = as_file(run)["entries"]
    assert len(entries) <= MOST
    assert sum(entry["tokens"] for entry in entries) == sum(entry["tokens"] for entry in run.history)
    width = math.ceil(count / MOST)
    sizes = [min(width, count - first) for first in range(0, count, width)]
    assert math.fsum(e["loss"] * n for e, n in zip(entries, sizes)) == pytest.approx(math.fsum(run.losses))
    read = TrainResult([{k: v for k, v in entry.items() if k != "seconds"} for entry in entries])
    if run.best:
        best = ("step", "validation_loss", "validation_scores")
        assert [read.best[name] for name in best] == [run.best[name] for name in best]
    if count <= MOST:
        assert read.history == run.history


def test_the_file_of_a_run_of_days_is_below_a_megabyte():
    run = made([0.123456789 / step for step in range(1, 30_001)], {step: 1 / 3 for step in range(2, 30_001, 2)})
    assert len(json.dumps(as_file(run))) < 1_000_000


ENTRY = {"step": 1, "loss": 2.0, "learning_rate": 0.1, "tokens": 5, "seconds": 1.0}
STRANGE = {
    "no list": ({"entries": {}}, "'entries' must be a list"),
    "none": ({"entries": []}, "'entries' must be a list"),
    "no object": ({"entries": [ENTRY, 5]}, "entry 2 must be a JSON object, found int"),
    "a field missing": ({"entries": [{"step": 1}]}, "entry 1: 'tokens' must be a number, found None"),
    "text": ({"entries": [ENTRY | {"loss": "\x1b[2J"}]}, r"'loss' must be a number, found '\\x1b\[2J'"),
    "true": ({"entries": [ENTRY | {"loss": True}]}, "'loss' must be a number, found True"),
    "no number": ({"entries": [ENTRY | {"loss": math.nan}]}, "'loss' must be a number, found nan"),
    "infinity": ({"entries": [ENTRY | {"validation_loss": -math.inf}]}, "'validation_loss' must be a number"),
    "thousands of digits": ({"entries": [ENTRY | {"tokens": 10**4000}]}, "'tokens' must be a number"),
    "half a step": ({"entries": [ENTRY | {"step": 1.5}]}, "'step' must be a number"),
    "a step twice": ({"entries": [ENTRY, ENTRY]}, "entry 2: steps and seconds must grow"),
    "time that runs back": ({"entries": [ENTRY, ENTRY | {"step": 2, "seconds": 0}]}, "must grow"),
    "no scores": ({"entries": [ENTRY | {"validation_scores": [1]}]}, "'validation_scores' must be a JSON object"),
    "no entry before": ({"entries": [ENTRY], "before": [2.0]}, "'before' must be a JSON object, found list"),
    "no loss before": ({"entries": [ENTRY], "before": {"step": 0}}, "'before' has no validation_loss"),
    "no number before": (
        {"entries": [ENTRY], "before": {"validation_loss": "a"}},
        "'validation_loss' must be a number",
    ),
    "a score in words": ({"entries": [ENTRY | {"validation_scores": {"\x1b[2J": "high"}}]}, "must be a number"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_strangers_history_is_refused_in_one_printable_line(case, tmp_path):
    content, why = STRANGE[case]
    (tmp_path / HISTORY_FILE).write_text(json.dumps(content))
    with pytest.raises(AdapterError, match=why) as refusal:
        history(tmp_path)
    assert str(refusal.value).startswith(f"{tmp_path / HISTORY_FILE}: ") and str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("content", "why"), [(b'{"entries": [', "not readable as JSON"), (b'"' + b"x" * 11_000_000, "more than 10,000,000")]
)
def test_half_a_history_and_one_without_end_are_refused(content, why, tmp_path):
    (tmp_path / HISTORY_FILE).write_bytes(content)
    with pytest.raises(AdapterError, match=why):
        history(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(AdapterError, match="nowhere/history.json: the file is missing"):
        labkit.history(tmp_path / "nowhere")
