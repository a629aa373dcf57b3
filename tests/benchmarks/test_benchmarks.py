"""The README shows what is stored and nothing better, and a slow moment meets all sides of a comparison."""

import json
import random
from statistics import median

import pytest
import torch
from conftest import make_tiny_llama

from benchmarks.readme_table import BEGIN, END, TABLE, Row, main, table, with_table
from benchmarks.side_by_side import in_turn, peft_with, random_adapter, ratio
from labkit import AdapterBank, LoraConfig

PAGE = f"before\n{BEGIN}\nan older table\n{END}\nafter\n"


def test_the_readme_shows_what_is_stored():
    assert main(["--check"]) == 0, "run python -m benchmarks.readme_table"


@pytest.mark.parametrize(
    "bounds, ratio, asked, measured",
    [
        ({"at_least": 3.5}, 3.5, "at least 3.5× as fast", "3.50×"),
        ({"at_least": 3.5}, 3.4999, "at least 3.5× as fast", "3.50×, **not reached**"),
        ({"at_least": 100}, 12345.6, "at least 100× as fast", "12,346×"),
        ({"at_most": 1.1}, 1.1, "at most 1.1×", "1.10×"),
        ({"at_most": 1.1}, 1.11, "at most 1.1×", "1.11×, **not reached**"),
        ({}, 0.5, "", "0.50×"),
    ],
)
def test_a_line_says_what_was_asked_and_what_was_measured(tmp_path, bounds, ratio, asked, measured):
    row = Row("this", "that", "result", ("a", "b"), folder=tmp_path, **bounds)
    nothing = f"| this | that | {asked} | not yet measured |  |"
    assert table([row]).splitlines()[2] == nothing
    (tmp_path / "result.json").write_text(json.dumps({"date": "2026-11-22", "a": {}}))
    assert table([row]).splitlines()[2] == nothing
    (tmp_path / "result.json").write_text(json.dumps({"date": "2026-11-22", "a": {"b": ratio}}))
    assert table([row]).splitlines()[2] == f"| this | that | {asked} | {measured} | 2026-11-22 |"


def test_the_table_is_written_between_its_markers_and_checked(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(PAGE, encoding="utf-8")
    assert main(["--check"], readme) == 1
    assert "run python -m benchmarks.readme_table" in capsys.readouterr().err
    assert readme.read_text(encoding="utf-8") == PAGE
    assert main([], readme) == 0 and main(["--check"], readme) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n") and text.endswith(f"{END}\nafter\n")
    assert "an older table" not in text and all(row.what in text for row in TABLE)


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}\n{BEGIN}", PAGE + PAGE])
def test_a_readme_without_its_two_markers_is_refused(page):
    with pytest.raises(ValueError, match="the README needs the line"):
        with_table(page, TABLE)


@pytest.mark.parametrize("file", sorted({row.file for row in TABLE if (row.folder / f"{row.file}.json").exists()}))
def test_a_stored_result_names_its_machine_and_its_medians_are_those_of_its_rounds(file):
    (row, *_) = (row for row in TABLE if row.file == file)
    content = json.loads((row.folder / f"{file}.json").read_text(encoding="utf-8"))
    assert content["date"] and content["machine"] and "torch" in content["versions"]
    if "milliseconds" in content:
        assert content["milliseconds"] == pytest.approx({n: 1e3 * median(v) for n, v in content["seconds"].items()})


def test_candidates_take_turns_and_the_first_round_is_not_counted():
    order = []
    candidates = {name: lambda name=name: order.append(name) for name in "abc"}
    times = in_turn(candidates, 2)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert {name: len(taken) for name, taken in times.items()} == {"a": 2, "b": 2, "c": 2}


def test_a_moment_that_slows_all_sides_changes_no_ratio():
    draw = random.Random(0)
    times = {name: [draw.uniform(1, 2) for _ in range(9)] for name in ("slow", "fast")}
    weather = [draw.uniform(1, 50) for _ in range(9)]
    stormy = {name: [a * b for a, b in zip(taken, weather)] for name, taken in times.items()}
    assert ratio(stormy, "slow", "fast") == pytest.approx(ratio(times, "slow", "fast"))
    assert ratio(times, "slow", "slow") == 1


def test_peft_and_the_bank_are_given_the_same_adapters():
    config = LoraConfig(r=2, lora_alpha=6, target_modules="all-linear")
    model, tokens = make_tiny_llama(), torch.tensor([[1, 5, 9], [7, 8, 60]])
    states = {name: random_adapter(model, config, seed) for seed, name in enumerate(("x", "y"))}
    bank = AdapterBank(model)
    for name, state in states.items():
        bank.add(name, state, config)
    theirs = peft_with(make_tiny_llama(), config, states)
    answers = {}
    for name in states:
        bank.activate(name)
        theirs.set_adapter(name)
        with torch.no_grad():
            answers[name] = bank.model(tokens).logits
            torch.testing.assert_close(answers[name], theirs(tokens).logits, atol=1e-5, rtol=0)
    assert (answers["x"] - answers["y"]).abs().max() > 1e-4
